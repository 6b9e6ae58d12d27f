"""Measuring latent skills: the student beside its teacher, and what the prior does alone.

The student performs the teacher's clips from the same starts. Then bodies start in frames of
those clips, every latent is drawn from the prior, and the falls of 30 s are counted: latents
that make sense in a state keep a body on its feet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.posture import FALLEN_M, Posture
from humanoid.bodies.state import BodyState
from humanoid.control.latent import LatentController
from humanoid.core.paths import shipped_policy
from humanoid.diffusion.trajectory import Layout, TrajectoryCfg
from humanoid.envs.tracking import TrackingEnv
from humanoid.eval.config import EvalCfg, LatentEvalCfg
from humanoid.eval.report import grid, percent, rounded
from humanoid.eval.setup import EvalInputs, Setup, build_setup, in_each
from humanoid.eval.tracking import evaluation
from humanoid.motion.augment import GraphWalkCfg, TimeWarpCfg
from humanoid.motion.library import MotionLibrary
from humanoid.sim import make_sim
from humanoid.sim.protocol import require_device
from humanoid.skills.distill_env import Columns
from humanoid.skills.skills import Skills
from humanoid.skills.teacher import (
    PerformCfg,
    TeacherMotions,
    load_teacher,
    load_teacher_motions,
    require_teacher,
)


def evaluate(cfg: LatentEvalCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return the metrics of teacher and student, and the share of bodies that the prior lets fall.

    With several simulators, those of each under ``sims``.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the student was distilled from another tracker.
        ConfigError: a device that is not there.
    """
    require_device(cfg.device)
    path = cfg.checkpoint or str(shipped_policy("latent.pt"))
    skills = Skills.load(path)
    teacher = load_teacher(cfg.teacher)
    require_teacher(skills.header, teacher.path, path)
    perform = skills.header.section(PerformCfg, "perform")
    perform = replace(
        perform,
        medley=GraphWalkCfg(),
        stroll=TimeWarpCfg(),
        motions=cfg.motions or perform.motions,
        clips=cfg.clips or (() if cfg.motions else perform.clips),
    )
    sims = (cfg.sim,) if isinstance(cfg.sim, str) else cfg.sim
    show = load_teacher_motions(perform, teacher, "cpu", cfg.seed)
    stage_cfg = EvalCfg(
        checkpoint=str(teacher.path), sim=sims, device=cfg.device, starts=cfg.starts, seed=cfg.seed
    )
    return {"checkpoint": path, **in_each(stage_cfg, lambda one: _measure(one, cfg, show, path, on_step))}


def table(result: dict[str, Any]) -> str:
    """Return results as text."""
    rows = []
    for sim, found in result.get("sims", {result.get("sim", ""): result}).items():
        for who in ("teacher", "student"):
            one = found[who]
            local = rounded(one["mpjpe_l_success_mm"], 1)
            rows.append([sim, who, percent(one["success"]), percent(one["survived"]), local, ""])
        if found["prior"]:
            rows.append([sim, "prior", "", "", "", percent(found["prior"]["fallen"])])
    return grid(["simulator", "who", "success %", "survived %", "local mm", "falls %"], rows)


def _measure(
    one: EvalCfg,
    cfg: LatentEvalCfg,
    show: TeacherMotions,
    path: str,
    on_step: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Return what one simulator says."""
    skills, motions = Skills.load(path, one.device), show.motions
    setup = build_setup(one, EvalInputs(show.teacher, show.body, motions, {}, {}), len(motions) * cfg.starts)
    teacher = _performed(one, setup, on_step)
    student = _performed(one, replace(setup, policy=Student(skills, setup.env)), on_step)
    prior = _prior(one, cfg, setup.env.library, skills, on_step) if cfg.falls else None
    return {"sim": one.sims[0], "teacher": teacher, "student": student, "prior": prior}


class Student:
    """Acts from the tracker's observations: encoder every frame, decoder every control step.

    It remembers its latent and last action between calls, so every environment must have
    begun anew when the first call comes, and none may begin anew later.
    """

    def __init__(self, skills: Skills, env: TrackingEnv) -> None:
        """Bind skills to the task they were distilled in.

        Raises:
            MismatchError: the task shows other terms.
        """
        self.skills, self.columns = skills, Columns(env.observation_layout(), env)
        self._calls, self._latent, self._action = 0, torch.empty(0), torch.empty(0)

    @torch.no_grad()
    def __call__(self, observation: Tensor) -> Tensor:
        """Return the tracker's actions (B, D) for its observations (B, O)."""
        model = self.skills.model
        if self._calls == 0:
            self._action = self.columns.resting(observation)
        sight = self.columns.sight(observation, self._action)
        if self._calls % self.skills.hold == 0:
            self._latent = model.encode(sight.reference, sight.proprioception)[0]
        self._calls += 1
        self._action = model.decode(sight.proprioception, self._latent)
        return self.columns.to_teacher(self._action, observation)


def _performed(one: EvalCfg, setup: Setup, on_step: Callable[[int, int], None] | None) -> dict[str, Any]:
    setup.env.generator.manual_seed(one.seed)
    return evaluation(one, setup, setup.play(on_step))


def _prior(
    one: EvalCfg,
    cfg: LatentEvalCfg,
    library: MotionLibrary,
    skills: Skills,
    on_step: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Return how many bodies fall that follow samples of the prior."""
    sim = make_sim(skills.physics(one.sims[0], one.device), skills.body, cfg.falls, cfg.seed)
    layout = Layout.of(skills.body, TrajectoryCfg(dt=skills.hold * skills.control_dt))
    controller = LatentController(skills, layout, cfg.falls, cfg.seed, sample_prior=True)
    generator = torch.Generator(device=library.device).manual_seed(cfg.seed)
    history = history_at(library, cfg.falls, layout.cfg.history, skills.hold, generator)
    sim.reset(torch.ones(cfg.falls, dtype=torch.bool, device=sim.device), history[:, -1])
    controller.reset(history=history)
    posture = Posture(skills.body, one.device)
    state = sim.state()
    lowest = posture.head_height(state)
    steps = round(cfg.seconds / sim.dt)
    for step in range(steps):
        sim.set_targets(controller.act(state))
        sim.step()
        state = sim.state()
        lowest = torch.minimum(lowest, posture.head_height(state))
        if on_step is not None:
            on_step(step + 1, steps)
    fallen = (lowest < FALLEN_M) | ~lowest.isfinite()
    return {"n": cfg.falls, "seconds": cfg.seconds, "fallen": float(fallen.float().mean())}


def history_at(
    library: MotionLibrary, count: int, history: int, hold: int, generator: torch.Generator
) -> BodyState:
    """Return ``count`` random histories of clips, (count, history + 1) states, ``hold`` rows apart."""
    rows = torch.arange(library.num_frames, device=library.device)
    fits = rows - library.start[library.clip] >= history * hold
    chosen = torch.multinomial(fits.float(), count, replacement=True, generator=generator)
    back = torch.arange(-history * hold, 1, hold, device=library.device)
    return library.rows(chosen[:, None] + back)
