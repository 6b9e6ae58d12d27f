"""A course in three parts for one body: a stick past pillars, a way to a place, keyframes of a clip.

The parts follow each other without a reset: costs and known states change, planner and skills
do not. Pillars are not in the simulator, as in :mod:`humanoid.tasks.forest`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.diffusion.trajectory import Frame
from humanoid.envs.commands import Avoid, Command, Place, Pose, Velocity
from humanoid.motion.edit import align
from humanoid.motion.metrics import body_distance
from humanoid.motion.motion import Motion
from humanoid.planning.planner import DiffusionPlanner
from humanoid.spatial.frames import turned
from humanoid.spatial.solids import Capsules
from humanoid.tasks.scores import EpisodeRecord, Silhouette
from humanoid.tasks.task import EpisodeResult, Task

RADIUS, HEIGHT = 0.15, 1.7
"""[m] of a pillar."""
ARRIVED = 0.3
"""[m] from the place at which it has been reached."""
EVERY = 1.0
"""Time between keyframes [s]."""
EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class CourseCfg:
    """Commands of the course; places are relative to the start, x along its heading."""

    stick: tuple[tuple[float, float], ...] = ((0.0, 4.0), (40.0, 2.0), (0.0, 2.0))
    """Directions [deg], counter-clockwise from the heading at the start, and for how long [s]."""
    pillars: tuple[tuple[float, float], ...] = ((2.5, 0.15), (4.6, 1.9), (5.2, -0.6))
    """[m]"""
    speed: float = 0.9
    """[m/s] that is asked for."""
    goal: tuple[float, float] = (9.0, -0.5)
    """[m] the place to walk to once the stick is let go."""
    reach: float = 1.0
    """[m]; the place pulls as if it were no farther."""
    longest: float = 8.0
    """Time to get there [s]."""
    keys: int = 6
    """Keyframes after that."""

    @property
    def stick_seconds(self) -> float:
        """How long the stick is held [s]."""
        return sum(seconds for _, seconds in self.stick)


class CourseTask(Task):
    """The three parts; see :class:`humanoid.tasks.task.Task`.

    Attributes:
        pillars_w: (M, 2) [m], world.
        goal_w: (1, 2) [m], world.
        states: after every control step, leading axis 1.
        captions: what was asked at each of them.
        arrived: whether it has come to the place while that was asked for.
        begin: time at which the keyframes begin [s], None before.
        left: distance to the place at that time [m].
        key_states: (Q) poses to pass through.
    """

    unit = "m"

    def __init__(
        self,
        cfg: CourseCfg,
        planner: DiffusionPlanner,
        body: Embodiment,
        clip: Motion,
        start: BodyState,
        dt: float,
    ) -> None:
        """Set up the course.

        Args:
            cfg: what is asked.
            planner: whose features measure how alike poses are.
            body: who moves.
            clip: what keyframes are taken of.
            start: (1,)
            dt: control period [s].
        """
        self.cfg, self._planner, self._body, self._clip, self._dt = cfg, planner, body, clip, dt
        self.seconds = cfg.stick_seconds + cfg.longest + cfg.keys * EVERY
        self._frame, self._here = Frame.of(start), start
        self.pillars_w, self.goal_w = self._places(cfg.pillars), self._places((cfg.goal,))
        self._radius = torch.full((len(cfg.pillars),), RADIUS)
        self._silhouette = Silhouette(body)
        self.states: list[BodyState] = []
        self.captions: list[str] = []
        self.begin: float | None = None
        self.left = math.inf
        self.key_states: BodyState | None = None
        self._gaps: list[Tensor] = []
        self.arrived, self._asked = False, ""

    def command(self, time: float) -> Sequence[Command]:
        """Command a velocity, then a place, then keyframes."""
        cfg = self.cfg
        avoid = Avoid(capsules=Capsules.pillars(self.pillars_w, self._radius, HEIGHT))
        if time < cfg.stick_seconds - EPS:
            angle = self._angle(time)
            side = f"{abs(angle):.0f}° {'left' if angle > 0 else 'right'}" if angle else "ahead"
            self._asked = f"stick {side}, {cfg.speed:g} m/s; keep clear of the pillars"
            yaw = self._frame.yaw + math.radians(angle)
            ahead = torch.tensor([[cfg.speed, 0.0]])
            return [Velocity(velocity=ahead, frame="world", yaw=yaw, detour=False), avoid]
        if self.begin is None and not self.arrived and time < cfg.stick_seconds + cfg.longest - EPS:
            self._asked = "walk to the disc"
            return [Place(pos_w=self.goal_w, speed=cfg.speed, reach=cfg.reach), avoid]
        if self.begin is None:
            self.begin, self.left = time, self.distance()
            self._take_keys()
        self._asked = f"keyframes {EVERY:g} s apart of '{self._clip.name}'; the next one in blue"
        assert self.key_states is not None
        times = EVERY * torch.arange(1, cfg.keys + 1) - (time - self.begin)
        return [Pose(time=times[None], state=self.key_states[None])]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Record every state; the episode ends with the last keyframe."""
        self._here, time = state, (step + 1) * self._dt
        self.states.append(state)
        self.captions.append(self._asked)
        self._gaps.append(self._silhouette.clearance(state, self.pillars_w[None], self._radius[None]))
        asked = self.begin is None and time >= self.cfg.stick_seconds - EPS
        self.arrived = self.arrived or (asked and self.distance() <= ARRIVED)
        over = self.begin is not None and time >= self.begin + self.cfg.keys * EVERY - EPS
        return torch.tensor([over])

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Find whether it arrived and touched nothing; the error is that at the keyframes [m]."""
        errors = torch.tensor(self.key_errors())
        clear = torch.tensor([self.arrived and self.clearance() > 0.0])
        return EpisodeResult(clear, torch.tensor([len(self.states)]), errors.mean().reshape(1))

    def distance(self) -> float:
        """Return how far the root is from the place [m]."""
        return float((self._here.root_pos_w[0, :2] - self.goal_w[0]).norm())

    def clearance(self) -> float:
        """Return the least gap between body and pillars so far [m], negative within."""
        return float(torch.stack(self._gaps).min())

    def key_errors(self) -> list[float]:
        """Return the mean distance of all bodies from each keyframe that was come to [m]."""
        if self.begin is None or self.key_states is None:
            return []
        rows = [round((self.begin + (key + 1) * EVERY) / self._dt) - 1 for key in range(self.cfg.keys)]
        return [
            float(body_distance(self.states[row].body_pos_w[0], self.key_states.body_pos_w[key]))
            for key, row in enumerate(rows)
            if row < len(self.states)
        ]

    def next_key(self, step: int) -> BodyState | None:
        """Return the keyframe that is ahead after a control step, None outside the last part."""
        if self.begin is None or self.key_states is None or (step + 1) * self._dt <= self.begin + EPS:
            return None
        key = math.ceil(((step + 1) * self._dt - self.begin - EPS) / EVERY) - 1
        return self.key_states[min(max(key, 0), self.cfg.keys - 1)]

    def _angle(self, time: float) -> float:
        """Return where the stick points [deg]."""
        for angle, seconds in self.cfg.stick:
            if time < seconds - EPS:
                return angle
            time -= seconds
        return self.cfg.stick[-1][0]

    def _places(self, places: Sequence[tuple[float, float]]) -> Tensor:
        pos = torch.tensor(places)
        return self._frame.pos_w + turned(pos, self._frame.yaw.expand(len(pos)))

    def _take_keys(self) -> None:
        """Lay the clip where the body is, from the moment at which it looks most like it."""
        seconds = self.cfg.keys * EVERY
        count = int((self._clip.duration - seconds) * self._clip.fps)
        gap = (self._pose(self._clip.states[:count]) - self._pose(self._here)).square().sum(-1)
        frame = int(gap.argmin())
        here: dict[str, Any] = {"states": self._here}
        laid = align(self._clip, replace(self._clip, **here), frame)
        times = EVERY * torch.arange(1, self.cfg.keys + 1)
        self.key_states = laid.at(frame / laid.fps + times)

    def _pose(self, states: BodyState) -> Tensor:
        """Return features (T, S) as seen from each state itself, in standard deviations."""
        layout = self._planner.layout
        tokens = layout.localized(layout.features(states, self._body).unsqueeze(1), Frame.of(states))
        return tokens.squeeze(1) / self._planner.model.denoiser.state_std
