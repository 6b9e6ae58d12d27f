"""Guided tasks in simulation, on commands that no training has seen.

All episodes of a task are one batch of bodies. Every ``replan`` seconds all are planned for at
once; the plan is followed at once, or some frames later, as if planning had taken so long.
The same episodes without guidance show what the learned motion does by itself.

Planning times are those of one body alone, as in teleoperation, measured after the episodes; a
path field that serves a whole episode is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from humanoid import tasks
from humanoid.control.commands import CommandCosts
from humanoid.control.guided import LoopCfg, Planner, plan_for
from humanoid.control.rollout import metrics, perform
from humanoid.core.constraints import Among
from humanoid.eval.config import TaskEvalCfg
from humanoid.eval.report import grid, in_turn, percent, rounded
from humanoid.planning.planner import Window
from humanoid.planning.sampler import SamplerCfg
from humanoid.sim import Simulator
from humanoid.tasks import TASKS, TaskCfg, TaskContext
from humanoid.tasks.starts import Starts, draw_starts

DETAILS = (
    "errors", "error_upright", "error_of_mean", "error_captured", "yaw_error_rad_s", "touched", "mpjpe_g_mm",
    "mpjpe_l_mm",
)  # fmt: skip
"""Metrics of some tasks only."""


@dataclass(frozen=True, kw_only=True)
class GuideCfg(TaskEvalCfg):
    """Evaluation of guided skills on a task, with every setting of loop, task and sampler."""

    task: Annotated[str, Among(TASKS)] = "joystick"
    """Key of :data:`TASKS`."""
    loop: LoopCfg = field(default_factory=LoopCfg)
    setup: TaskCfg = field(default_factory=TaskCfg)
    sampler: SamplerCfg = field(default_factory=SamplerCfg)


def guide(cfg: GuideCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return how a task goes; of several simulators under ``sims``, each by name.

    Raises:
        InputError: a file is missing or malformed, or no motion to start from.
        MismatchError: checkpoints that do not belong together.
        ConfigError: a device or style that is not there.
    """
    found: dict[str, dict[str, Any]] = {}
    for sim in cfg.sims:
        device = "cpu" if sim == "mujoco" else cfg.device
        found[sim] = _guide(replace(cfg, sim=sim, device=device), on_step)
    return found[cfg.sims[0]] if len(found) == 1 else {"task": cfg.task, "sims": found}


def table(result: Mapping[str, Any]) -> str:
    """Return a result as an aligned Markdown table, a row with and one without guidance."""
    if "sims" in result:
        return in_turn(result, table)
    runs = [result] + [result["unguided"]] * ("unguided" in result)
    unit = {"m": "m", "": "%"}[result["unit"]]
    head = [
        result["task"],
        "n",
        "success %",
        "falls %",
        "stand lost %",
        f"error {unit}",
        "s",
        "plan ms",
        "p99 ms",
    ]
    lines = [grid(head, [_row(run, unit) for run in runs])]
    lines += [f"  {name}: {_shown(run, name)}" for name in _details(result) for run in runs[:1]]
    return "\n".join(lines)


def _guide(cfg: GuideCfg, on_step: Callable[[int, int], None] | None) -> dict[str, Any]:
    planner = Planner.load(cfg.diffusion, cfg.latent, cfg.device, cfg.sampler)
    motions, body = planner.motions(cfg.motions, cfg.clips), planner.skills.body
    ahead = TASKS[cfg.task].ahead
    draws = torch.Generator().manual_seed(cfg.seed)
    starts = draw_starts(motions, body, planner.layout.cfg.past, cfg.n, draws, ahead).to(cfg.device)
    sim = planner.simulator(cfg.sims[0], cfg.n, cfg.seed)
    context = TaskContext(cfg.setup, body, motions, starts, sim.dt, cfg.seed)
    runs = {"both": (True, False), "on": (True,), "off": (False,)}[cfg.guidance]
    results = [_run(cfg, planner, sim, context, guided, on_step) for guided in runs]
    sim.close()
    return results[0] if len(results) == 1 else {**results[0], "unguided": results[1]}


def _run(
    cfg: GuideCfg,
    planner: Planner,
    sim: Simulator,
    context: TaskContext,
    guided: bool,
    on_step: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Return the metrics of all episodes with or without guidance."""
    task, agent = tasks.make(cfg.task, context), planner.agent(sim, cfg.loop, cfg.seed)
    begun = time.perf_counter()
    record = perform(agent, sim, task, context.starts.history, guided, on_step)
    wall = time.perf_counter() - begun
    assert agent.window is not None
    single = _single_plans(cfg, planner, context, guided, agent.window)
    return {
        "task": cfg.task,
        "sim": cfg.sims[0],
        "guided": guided,
        "n": cfg.n,
        **metrics(task, record),
        "plan_ms_median": round(1000 * statistics.median(single), 3),
        "plan_ms_p99": round(1000 * float(torch.tensor(single).quantile(0.99)), 3),
        "plan_batch_ms_median": round(1000 * statistics.median(agent.plan_seconds), 3),
        "wall_seconds": round(wall, 2),
        "unit": task.unit,
        "seed": cfg.seed,
        "replan": cfg.loop.replan,
        "latency_frames": cfg.loop.latency,
        **({"ways": cfg.setup.ways} if cfg.task in ("forest", "joystick+forest") else {}),
        "latent": cfg.latent,
        "diffusion": cfg.diffusion,
    }


def _single_plans(
    cfg: GuideCfg, planner: Planner, context: TaskContext, guided: bool, window: Window
) -> list[float]:
    """Return the times [s] of plans for the first body alone."""
    starts = context.starts
    alone = Starts(starts.history[:1], starts.clip[:1], starts.time[:1])
    task = tasks.make(cfg.task, replace(context, starts=alone))
    generator = torch.Generator(device=context.device).manual_seed(cfg.seed)
    tensors = ("features", "latents", "latents_known", "states_known")
    window = replace(window, **{name: getattr(window, name)[:1] for name in tensors})
    goals, last = task.command(0.0) if guided else (), None
    costs, seconds = CommandCosts(planner.layout, context.body, cfg.loop.commands), []
    for _ in range(cfg.timed_plans + 1):
        last = plan_for(planner, costs, goals, window, cfg.loop.weights, last, generator)
        seconds.append(last.seconds)
    return seconds[1:]  # the first one warms up


def _row(run: Mapping[str, Any], unit: str) -> list[str]:
    error = percent(run["error"]) if unit == "%" else rounded(run["error"], 3)
    return [
        "guided" if run["guided"] else "unguided", str(run["n"]),
        percent(run["success"]), percent(run["falls"]), percent(run["stand_lost"]), error,
        rounded(run["seconds"], 1), rounded(run["plan_ms_median"], 1), rounded(run["plan_ms_p99"], 1),
    ]  # fmt: skip


def _details(result: Mapping[str, Any]) -> list[str]:
    """Return the names of what a task tells beside what all tell."""
    return [name for name in DETAILS if result.get(name) is not None]


def _shown(run: Mapping[str, Any], name: str) -> str:
    if name == "errors":
        return ", ".join(f"{part} {percent(value)} %" for part, value in run[name].items())
    value: float | Tensor = run[name]
    return f"{float(value):.3g}"
