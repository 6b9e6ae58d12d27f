"""The guided demo: no reference any more, plans steer the skills that were learned.

A simulated body is steered by a stick past pillars, walks to a place and passes through
keyframes 1 s apart of a clip, of which nothing else is known, in MuJoCo and in one go. It begins
in the middle of a step, because nothing that was learned stands. One that falls, touches a
pillar or does not arrive tries again with other noise; the best try is shown, and the figures
say how many there were.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from humanoid.control.guided import LoopCfg, Planner
from humanoid.control.rollout import perform
from humanoid.core.errors import InputError
from humanoid.core.paths import shipped_policy
from humanoid.eval.report import rounded
from humanoid.motion.motion import Motion
from humanoid.scripts.demo_course import HEIGHT, RADIUS, CourseCfg, CourseTask
from humanoid.tasks.starts import draw_starts
from humanoid.view.video import Marker, Renderer, VideoCfg

MOTIONS, CLIPS = ("humanoid3d",), ("walk",)
"""Motion of the initial state and of the keyframes; it comes with the package."""
GOAL_RADIUS, GOAL_COLOR = 0.3, (0.25, 0.62, 0.40)
"""[m] and RGB of the disc that marks the place."""
VIEW = VideoCfg(distance=5.2, elevation=-28.0, ghost_offset=(0.0, 0.0, 0.0))
"""From farther away than the first act, because of what stands around."""


@dataclass(frozen=True, kw_only=True)
class GuidedDemoCfg:
    """Who performs what."""

    latent: Path
    """Checkpoint of the skills."""
    diffusion: Path
    """Checkpoint of the planner."""
    tries: int = 2
    """How often it may be tried."""
    seed: int = 0
    """Of start and plans; every try has the next one."""
    act: CourseCfg = field(default_factory=CourseCfg)
    loop: LoopCfg = field(default_factory=LoopCfg)

    @classmethod
    def shipped(cls) -> GuidedDemoCfg:
        """Return the act with the checkpoints that come with the package.

        Raises:
            InputError: this version ships none.
        """
        return cls(latent=shipped_policy("latent.pt"), diffusion=shipped_policy("diffusion-small.pt"))


@dataclass(frozen=True)
class DemoRun:
    """A try.

    Attributes:
        planner: planner and skills.
        task: what was asked and what became of it.
        figures: of ``metrics.json``.
    """

    planner: Planner
    task: CourseTask
    figures: dict[str, Any]

    @property
    def rank(self) -> tuple[bool, bool, bool, float]:
        """Greater is better: stayed up, touched nothing, arrived, keyframes."""
        of = self.figures
        return (not of["falls"], not of["touched"], of["arrived"], -(of["keyframe_error_m"] or 1e9))


def guided_demo(cfg: GuidedDemoCfg, on_step: Callable[[int, int], None] | None = None) -> DemoRun:
    """Perform until a try goes well, at most ``cfg.tries`` times; return the best.

    Args:
        cfg: who performs what.
        on_step: called with (step, total) for progress.

    Raises:
        InputError: a file is missing or damaged.
        MismatchError: checkpoints that do not belong together.
    """
    planner = Planner.load(cfg.diffusion, cfg.latent)
    motions = planner.motions(MOTIONS, CLIPS)
    best: DemoRun | None = None
    for number in range(max(cfg.tries, 1)):
        tried = _try(cfg, planner, motions, cfg.seed + number, number + 1, on_step)
        if best is None or tried.rank > best.rank:
            best = tried
        if tried.rank[:3] == (True, True, True):
            break
    assert best is not None
    best.figures["tries"] = number + 1
    return best


def _try(
    cfg: GuidedDemoCfg,
    planner: Planner,
    motions: tuple[Motion, ...],
    seed: int,
    number: int,
    on_step: Callable[[int, int], None] | None,
) -> DemoRun:
    body = planner.skills.body
    generator = torch.Generator().manual_seed(seed)
    starts = draw_starts(motions, body, planner.layout.cfg.past, 1, generator)
    sim = planner.simulator("mujoco", 1, seed)
    task = CourseTask(cfg.act, planner, body, motions[0], starts.state, sim.dt)
    agent = planner.agent(sim, cfg.loop, seed)
    agent.generator = generator
    record = perform(agent, sim, task, starts.history, on_step=on_step)
    errors = task.key_errors()
    figures = {
        "sim": "mujoco",
        "seconds": round(len(task.states) * sim.dt, 3),
        "try": number,
        "falls": int(bool(record.lost.any())),
        "touched": task.clearance() <= 0.0,
        "clearance_m": round(task.clearance(), 3),
        "arrived": task.arrived,
        "waypoint_m": round(task.left, 3) if task.begin is not None else None,
        "keyframes": len(errors),
        "keyframe_error_m": round(statistics.mean(errors), 3) if errors else None,
        "plans": len(agent.plan_seconds),
        "plan_ms_median": round(1000.0 * statistics.median(agent.plan_seconds), 1),
    }
    return DemoRun(planner, task, figures)


def film_demo(
    done: DemoRun, view: VideoCfg = VIEW, on_frame: Callable[[int, int], None] | None = None
) -> Iterator[np.ndarray]:
    """Yield pictures of a try with a caption of what is asked; keyframes are shown as a ghost in place.

    Args:
        done: what was performed.
        view: picture and camera; of the size and rate of the film it goes into.
        on_frame: called with (frame, total) for progress.
    """
    task, rate = done.task, 1.0 / done.planner.skills.control_dt
    total = int(len(task.states) / rate * view.fps)
    with Renderer(view, done.planner.skills.body, props(task)) as film:
        for frame in range(total):
            step = int(frame * rate / view.fps)
            text = f"{task.captions[step]}   {(step + 1) / rate:4.1f} s"
            yield film.frame(task.states[step][0], task.next_key(step), text)
            if on_frame is not None:
                on_frame(frame + 1, total)


def props(task: CourseTask) -> list[Marker]:
    """Return what stands around: pillars and the disc at the place to go to."""
    pillars = [
        Marker(kind="pillar", pos_w=(x, y), radius=RADIUS, height=HEIGHT) for x, y in task.pillars_w.tolist()
    ]
    x, y = task.goal_w[0].tolist()
    return [*pillars, Marker(kind="disc", pos_w=(x, y), radius=GOAL_RADIUS, color=GOAL_COLOR)]


def line(figures: Mapping[str, Any]) -> str:
    """Return the figures in one sentence."""
    stood = "the body fell" if figures["falls"] else "no fall"
    touch = "touched a pillar" if figures["touched"] else f"pillars cleared by {figures['clearance_m']:.2f} m"
    return (
        f"guided demo: {stood}, {touch}, {rounded(figures['waypoint_m'], 2)} m from the waypoint, "
        f"{rounded(figures['keyframe_error_m'], 2)} m from keyframes, "
        f"{figures['plan_ms_median']:.0f} ms a plan, try {figures['try']} of {figures['tries']}"
    )


def shipped_demo(on_step: Callable[[int, int], None] | None = None) -> DemoRun | str:
    """Perform with what is shipped, or return why there is no guided demo."""
    try:
        cfg = GuidedDemoCfg.shipped()
    except InputError as error:
        return f"no guided demo: {error}"
    return guided_demo(cfg, on_step)
