"""Evaluation of a tracker: every clip from its first frame, with several seeded initial states.

A rollout runs to the end of its clip, without terminations (:mod:`humanoid.eval.setup`). Clips of similar
length run together, so that few simulated bodies wait for the longest clip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.eval.rollout import Rollout, perform
from humanoid.eval.setup import (
    CALM,
    SEEDED_STARTS,
    EvalCfg,
    EvalInputs,
    Setup,
    build_setup,
    in_each,
    load_inputs,
    make_setup,
)
from humanoid.motion.library import MotionLibrary
from humanoid.motion.metrics import RunMetrics, body_distance, local_distance, run_metrics, summarize

__all__ = [
    "CALM", "SEEDED_STARTS", "EvalCfg", "Setup", "error_curves", "evaluate", "evaluation",
    "in_waves", "make_setup", "waves",
]  # fmt: skip

STEP_COST = {"cpu": 16, "cuda": 4096}
"""Fixed cost of a control step in environments; it keeps waves from being smaller still."""
_MOST_WAVES = 16


def evaluate(cfg: EvalCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return the metrics of a tracker: totals and, under ``clips``, each clip's.

    With several simulators, those of each; see :func:`~humanoid.eval.setup.in_each`.

    Raises:
        InputError: a file is missing or malformed, or no clip is left.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: a device that is not there.
    """
    inputs = load_inputs(cfg)
    return in_each(cfg, lambda one: _evaluate(one, inputs, on_step))


def evaluation(cfg: EvalCfg, setup: Setup, rollout: Rollout) -> dict[str, Any]:
    """Return what was evaluated, totals over all runs and, under ``clips``, each clip's metrics."""
    pos, ref = rollout.state.body_pos_w, rollout.ref.body_pos_w
    return _summary(cfg, setup, _measured(pos, ref, rollout.steps.tolist(), setup.env.library.fps))


def waves(steps: Sequence[int], cost: float) -> list[list[int]]:
    """Return which runs to play together so that all take the least time, longest first.

    All waves are of one size (the last may be smaller): simulators have a fixed number of
    environments. A wave takes its longest run's steps, each as long as its environments and ``cost``.

    Args:
        steps: of each run.
        cost: of a control step beside its environments, in environments.
    """
    order = sorted(range(len(steps)), key=lambda run: -steps[run])
    plans = []
    for count in range(1, min(_MOST_WAVES, len(steps)) + 1):
        size = -(-len(steps) // count)
        plan = [order[low : low + size] for low in range(0, len(order), size)]
        plans.append((sum(steps[wave[0]] for wave in plan) * (size + cost), plan))
    return min(plans, key=lambda pair: pair[0], default=(0, []))[1]


def in_waves(
    setup: Setup, plan: Sequence[Sequence[int]], on_step: Callable[[int, int], None] | None = None
) -> list[RunMetrics]:
    """Play every run and return its metrics; of the states only the positions of the bodies are kept.

    Args:
        setup: with as many environments as the largest wave has runs, or more.
        plan: runs of each wave, the longest first; run i is of clip ``i // starts``.
        on_step: called with (step, total) for progress, waves counted together.
    """
    env, library = setup.env, setup.env.library
    first = library.start.repeat_interleave(setup.starts)
    steps = (library.length - 1).repeat_interleave(setup.starts).tolist()
    longest = [steps[wave[0]] for wave in plan]
    done: dict[int, RunMetrics] = {}
    for index, wave in enumerate(plan):
        filled = [*wave, *[wave[-1]] * (env.num_envs - len(wave))]
        env.start(first[torch.tensor(filled, device=first.device)])
        pos: list[Tensor] = []
        ref: list[Tensor] = []

        def keep(state: BodyState, reference: BodyState, pos: list = pos, ref: list = ref) -> None:
            pos.append(state.body_pos_w)
            ref.append(reference.body_pos_w)

        tell = _after(sum(longest[:index]), sum(longest), on_step)
        perform(env, setup.policy, longest[index], keep, on_step=tell)
        own = [steps[run] for run in wave]
        measured = _measured(torch.stack(pos), torch.stack(ref), own, library.fps)
        done.update(zip(wave, measured, strict=True))
    return [done[run] for run in range(len(done))]


def error_curves(setup: Setup, rollout: Rollout) -> dict[str, dict[str, list[float]]]:
    """Return, for each clip's first run, time [s] and errors [mm] of every frame."""
    curves = {}
    for index, name in enumerate(setup.env.library.names):
        env = index * setup.starts
        steps = int(rollout.steps[env])
        pos, ref = rollout.state.body_pos_w[:steps, env], rollout.ref.body_pos_w[:steps, env]
        time = torch.arange(1, steps + 1) / setup.env.library.fps
        curves[name] = {
            "time_s": time.tolist(),
            "global_mm": (1000 * body_distance(pos, ref)).tolist(),
            "local_mm": (1000 * local_distance(pos, ref)).tolist(),
        }
    return curves


def _evaluate(cfg: EvalCfg, inputs: EvalInputs, on_step: Callable[[int, int], None] | None) -> dict[str, Any]:
    steps = [motion.num_frames - 1 for motion in inputs.motions for _ in range(cfg.starts)]
    plan = waves(steps, STEP_COST["cpu" if cfg.device == "cpu" else "cuda"])
    setup = build_setup(cfg, inputs, len(plan[0]) if plan else 0)
    runs = in_waves(setup, plan, on_step)
    return _summary(cfg, setup, runs)


def _measured(pos: Tensor, ref: Tensor, steps: Sequence[int], fps: float) -> list[RunMetrics]:
    """Return the metrics of runs of so many ``steps``, from positions (T, B, N, 3) [m]; B may be larger."""
    pos, ref = pos.cpu(), ref.cpu()
    return [run_metrics(pos[:count, run], ref[:count, run], fps) for run, count in enumerate(steps)]


def _summary(cfg: EvalCfg, setup: Setup, runs: Sequence[RunMetrics]) -> dict[str, Any]:
    library, starts = setup.env.library, setup.starts
    by_name = {name: runs[i * starts : (i + 1) * starts] for i, name in enumerate(library.names)}
    seconds = _seconds(library)
    return {
        "sim": cfg.sims[0],
        "checkpoint": str(cfg.checkpoint),
        "starts": starts,
        "seed": cfg.seed,
        "conditions": cfg.conditions,
        **summarize(list(runs)),
        "seconds": round(sum(seconds.values()), 3),
        "tags": _totals(by_name, {name: setup.tags.get(name, ()) for name in by_name}),
        "splits": _totals(by_name, {name: tuple(setup.splits.get(name, "").split()) for name in by_name}),
        "clips": {name: {**summarize(list(own)), "seconds": seconds[name]} for name, own in by_name.items()},
    }


def _totals(
    runs: Mapping[str, Sequence[RunMetrics]], labels: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return the metrics over all clips of each label, in the order of their names."""
    found = {}
    for label in sorted({label for own in labels.values() for label in own}):
        names = [name for name in runs if label in labels[name]]
        found[label] = {"clips": len(names), **summarize([run for name in names for run in runs[name]])}
    return found


def _seconds(library: MotionLibrary) -> dict[str, float]:
    lengths = library.length.tolist()
    return {
        name: round((length - 1) / library.fps, 3)
        for name, length in zip(library.names, lengths, strict=True)
    }


def _after(
    done: int, total: int, on_step: Callable[[int, int], None] | None
) -> Callable[[int, int], None] | None:
    """Return what counts the steps of one wave on from those of the waves before."""
    return None if on_step is None else lambda step, _: on_step(done + step, total)
