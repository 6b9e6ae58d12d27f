"""What a guided task is: costs at each time, what happens from outside, how a course is judged.

Tasks are small classes, relative to where bodies start. Here are those that go to places of
the world; velocity commands are in :mod:`humanoid.tasks.velocity`, pillars in
:mod:`humanoid.tasks.forest`, all by name in :mod:`humanoid.eval.tasks`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.diffusion.trajectory import Frame, Layout
from humanoid.motion.metrics import SUCCESS_M, body_distance
from humanoid.motion.motion import Motion
from humanoid.planning.costs.steering import Cost, Steer, Waypoint
from humanoid.planning.planner import Keyframes
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import Course, first_step, keyframe_errors
from humanoid.tasks.starts import Starts, states_at


@dataclass(frozen=True, kw_only=True)
class TaskCfg:
    """What is asked; the defaults are the tasks as they are reported."""

    frame: Literal["world", "heading"] = "world"
    """Of the joystick's four directions: ``world`` is relative to the heading at the start, as
    the stick of a third-person game is, and leaves the body free to turn; ``heading`` turns with
    the body, which is to keep its heading."""
    speed: float = 0.8
    """Of the four directions [m/s]."""
    forward: tuple[float, float] = (0.6, 1.0)
    """Speeds of random commands [m/s], forward in the heading frame."""
    yaw_rate: float = 0.8
    """Largest yaw rate of random commands [rad/s], to either side."""
    random_commands: int = 4
    """Random commands after the four directions."""
    styles: tuple[str, ...] = ()
    """``switch``: clips to stay close to, one for each part in turn; none by default."""
    reach: float = 1.0
    """A place farther than this from the body [m] pulls as if it were so far."""
    ways: bool = True
    """``forest``: follow a map of ways round the pillars; False is Diffuse-CLoC's, which pulls straight
    to the place and has the barrier alone to go round."""
    gap: float = 0.8
    """``forest``: least way between the surfaces of two pillars [m]; shoulders with swinging arms
    are 0.6 wide."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.frame not in ("world", "heading"):
            raise ConfigError(f"frame is '{self.frame}'; 'world' or 'heading' is needed")
        low, high = self.forward
        if not 0.0 <= low <= high < math.inf or not 0.0 <= self.speed < math.inf:
            raise ConfigError(
                f"speed {self.speed:g}, forward {low:g} to {high:g} m/s; 0 <= low <= high is needed"
            )
        if not 0.0 <= self.yaw_rate <= 3.0 or self.random_commands < 0:
            raise ConfigError(
                f"yaw_rate {self.yaw_rate:g} rad/s, random_commands {self.random_commands}; 0 to 3 rad/s and "
                "0 or more commands are needed"
            )
        if not 0.0 < self.reach < math.inf or not 0.0 <= self.gap <= 1.0:
            raise ConfigError(
                f"reach {self.reach:g} m, gap {self.gap:g} m; reach > 0 and gap 0 to 1 m are needed"
            )


@dataclass(frozen=True)
class Setting:
    """Where a task takes place.

    Attributes:
        cfg: what is asked.
        layout: of the planner's tokens.
        body: who moves.
        motions: what was learned.
        starts: of B bodies.
        dt: control period [s].
        seed: of everything that is drawn, on the CPU: the same task in every simulator.
    """

    cfg: TaskCfg
    layout: Layout
    body: Embodiment
    motions: Sequence[Motion]
    starts: Starts
    dt: float
    seed: int

    @property
    def count(self) -> int:
        """Number B of bodies."""
        return len(self.starts.clip)

    @property
    def device(self) -> torch.device:
        """Where the bodies are."""
        return self.starts.time.device

    @property
    def frame(self) -> Frame:
        """Heading frames at the start."""
        return Frame.of(self.starts.state)

    def place_w(self, pos_h: Tensor) -> Tensor:
        """Return places (B, ..., 2) [m] in the world that are given from the start, x ahead."""
        axes = (-1, *(1,) * (pos_h.ndim - 2))
        yaw = self.frame.yaw.reshape(axes)
        return self.frame.pos_w.reshape(*axes, 2) + turned(pos_h, yaw.expand(pos_h.shape[:-1]))

    def generator(self) -> torch.Generator:
        """Return a generator on the CPU."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Outcome:
    """How B bodies did.

    Attributes:
        reached: (B,) bool, whether what was asked for was reached, falls aside.
        end: (B,) long, steps until the episode was over; what comes after does not count.
        error: (B,) in the task's own unit.
        extra: more numbers to report.
    """

    reached: Tensor
    end: Tensor
    error: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Task(ABC):
    """B bodies and what is asked of each."""

    seconds: float
    """Longest time [s] of an episode."""
    unit: str
    """Unit of the error, "" for a share."""

    @abstractmethod
    def costs(self, time: float) -> list[Cost]:
        """Return what guides plans that are made ``time`` [s] after the start."""

    def keyframes(self, time: float) -> Keyframes | None:
        """Return what is known of the future ``time`` [s] after the start; by default nothing."""
        return None

    def push(self, step: int) -> Tensor | None:
        """Return what a step adds to the roots' velocities, (B, 3) [m/s], world; by default nothing."""
        return None

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Look at the state after ``step``; return which bodies (B,) are done, by default nobody."""
        return None

    @abstractmethod
    def judge(self, course: Course) -> Outcome:
        """Return how the bodies did."""


class WaypointTask(Task):
    """Come within 0.3 m of a place 2 to 5 m away, in any direction, in 12 s.

    The error is the least distance in the time [m].
    """

    NEAR, FAR = 2.0, 5.0
    ARRIVED = 0.3
    seconds, unit = 12.0, "m"

    def __init__(self, setting: Setting) -> None:
        """Draw places."""
        generator, count = setting.generator(), setting.count
        angle = 2.0 * math.pi * torch.rand(count, generator=generator)
        distance = self.NEAR + (self.FAR - self.NEAR) * torch.rand(count, generator=generator)
        place = turned(torch.stack((distance, torch.zeros(count)), dim=-1), angle).to(setting.device)
        self.goal_w, self._reach = setting.place_w(place), setting.cfg.reach
        self._speed = setting.cfg.speed

    def costs(self, time: float) -> list[Cost]:
        """Pull to the place; see :class:`Task`."""
        return [Waypoint(pos_w=self.goal_w, reach=self._reach), Steer(pos_w=self.goal_w, speed=self._speed)]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """See who has arrived; see :class:`Task`."""
        return (state.root_pos_w[:, :2] - self.goal_w).norm(dim=-1) <= self.ARRIVED

    def judge(self, course: Course) -> Outcome:
        """See who arrived; see :class:`Task`."""
        return arrival(course, self.goal_w, self.ARRIVED)


def arrival(course: Course, goal_w: Tensor, near: float, touched: Tensor | None = None) -> Outcome:
    """Return who comes near a place before touching anything.

    Args:
        course: what B bodies did.
        goal_w: (B, 2) [m], world.
        near: distance that counts as there [m].
        touched: (T, B) bool, whether a body touches what it must not; nobody by default.
    """
    distance = (course.root_pos_w[..., :2] - goal_w).norm(dim=-1)
    distance = torch.where(distance.isfinite(), distance, math.inf)
    there = first_step(distance <= near)
    steps = torch.full_like(there, len(distance))
    hit = steps if touched is None else first_step(touched)
    end = torch.minimum(there + 1, torch.minimum(hit + 1, steps))
    before = torch.arange(len(distance), device=distance.device).unsqueeze(-1) < end
    least = torch.where(before, distance, math.inf).amin(0)
    return Outcome(there < torch.minimum(hit, steps), end, least)


class InbetweenTask(Task):
    """Pass through nine poses of a clip, 1 s apart, of which nothing else is known (Diffuse-CLoC).

    A body has reached them when its bodies are on average never farther than 0.5 m from one.
    The error is the mean distance from keyframes before a fall, in the world [m];
    ``mpjpe_g_mm`` and, with both roots at the origin, ``mpjpe_l_mm`` are over all of those.
    """

    COUNT, EVERY = 9, 1.0
    seconds, unit = COUNT * EVERY, "m"

    def __init__(self, setting: Setting) -> None:
        """Take poses of the clips that bodies start in."""
        self.times = self.EVERY * torch.arange(1, self.COUNT + 1, device=setting.device)
        starts, self._dt = setting.starts, setting.layout.cfg.dt
        times = starts.time.cpu()[:, None] + self.times.cpu()
        states = states_at(setting.motions, starts.clip.cpu(), times).to(setting.device)
        self.features = setting.layout.features(states, setting.body)
        self.pos_w = states.body_pos_w.transpose(0, 1)
        self._rows = [round(time / setting.dt) - 1 for time in self.times.tolist()]
        self._seen: dict[int, Tensor] = {}

    def costs(self, time: float) -> list[Cost]:
        """Leave it to the keyframes; see :class:`Task`."""
        return []

    def keyframes(self, time: float) -> Keyframes | None:
        """Return the poses; see :class:`Task`."""
        offsets = ((self.times - time) / self._dt).expand(len(self.features), -1)
        return Keyframes(offsets, self.features, torch.ones_like(self.features, dtype=torch.bool))

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Remember poses at the keyframes' times; see :class:`Task`."""
        if step in self._rows:
            self._seen[step] = state.body_pos_w
        return None

    def judge(self, course: Course) -> Outcome:
        """Compare poses with the keyframes; see :class:`Task`."""
        nothing = torch.full_like(self.pos_w[0], math.nan)
        pos = torch.stack([self._seen.get(row, nothing) for row in self._rows])
        rows = torch.tensor(self._rows, device=pos.device)
        counted = rows.unsqueeze(-1) < first_step(course.fallen)
        distance = body_distance(pos, self.pos_w)
        near = (distance <= SUCCESS_M).all(0)
        number = counted.sum(0)
        error = torch.where(counted, distance, 0.0).sum(0) / number
        end = torch.full_like(number, len(course.fallen))
        return Outcome(near, end, error, keyframe_errors(pos, self.pos_w, counted))
