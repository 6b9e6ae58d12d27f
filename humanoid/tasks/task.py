"""Tasks: commands over time, disturbances, and the evaluation of what bodies did.

Tasks are small classes, relative to where bodies start; whoever follows their commands is no matter
of theirs. Here are those that go to places of the world; velocity commands are in
:mod:`humanoid.tasks.velocity`, pillars in :mod:`humanoid.tasks.forest`, all by name in
:mod:`humanoid.eval.tasks`.
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
from humanoid.envs.commands import Command, Place, Pose
from humanoid.motion.metrics import SUCCESS_M, body_distance
from humanoid.motion.motion import Motion
from humanoid.spatial import frames
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import EpisodeRecord, first_step, keyframe_errors
from humanoid.tasks.starts import Starts, states_at


@dataclass(frozen=True, kw_only=True)
class TaskCfg:
    """Numbers of the tasks; the defaults are the tasks as they are reported."""

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
    """Distance from a place at which a body slows down [m]."""
    ways: bool = True
    """``forest``: follow a path field round the pillars; False is Diffuse-CLoC's, which pulls straight
    to the place and leaves detours to the barrier alone."""
    gap: float = 0.8
    """``forest``: least way between the surfaces of two pillars [m]; shoulders with swinging arms
    are 0.6 wide."""

    def __post_init__(self) -> None:
        """Check frames and ranges."""
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
class TaskContext:
    """What a task is set up from.

    Attributes:
        cfg: numbers of the task.
        body: who moves.
        motions: what was learned.
        starts: of B bodies.
        dt: control period [s].
        seed: of everything that is drawn, on the CPU: the same task in every simulator.
    """

    cfg: TaskCfg
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
    def pos_w(self) -> Tensor:
        """(B, 2) [m] places on the floor at the start, world."""
        return self.starts.state.root_pos_w[..., :2]

    @property
    def yaw(self) -> Tensor:
        """(B,) [rad] headings at the start."""
        return frames.yaw(self.starts.state.root_quat_w)

    def place_w(self, pos_h: Tensor) -> Tensor:
        """Return places (B, ..., 2) [m], world, of places in the heading frames of the start."""
        axes = (-1, *(1,) * (pos_h.ndim - 2))
        yaw = self.yaw.reshape(axes)
        return self.pos_w.reshape(*axes, 2) + turned(pos_h, yaw.expand(pos_h.shape[:-1]))

    def generator(self) -> torch.Generator:
        """Return a generator on the CPU."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class EpisodeResult:
    """Results of B episodes.

    Attributes:
        reached: (B,) bool, whether the goal was reached, falls aside.
        end: (B,) long, steps until the episode was over; later steps do not count.
        error: (B,) in the task's own unit.
        extra: more numbers to report.
    """

    reached: Tensor
    end: Tensor
    error: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Task(ABC):
    """Commands to B bodies, and the success of each."""

    seconds: float
    """Longest time [s] of an episode."""
    unit: str
    """Unit of the error, "" for a share."""

    @abstractmethod
    def command(self, time: float) -> Sequence[Command]:
        """Return the commands ``time`` [s] after the start."""

    def push(self, step: int) -> Tensor | None:
        """Return the change of the roots' velocities in a step, (B, 3) [m/s], world; by default none."""
        return None

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Take the state after ``step``; return which bodies (B,) are done, by default none."""
        return None

    @abstractmethod
    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Return success, end and error of each episode."""


class WaypointTask(Task):
    """Come within 0.3 m of a place 2 to 5 m away, in any direction, in 12 s.

    The error is the least distance in the time [m].
    """

    NEAR, FAR = 2.0, 5.0
    ARRIVED = 0.3
    seconds, unit = 12.0, "m"

    def __init__(self, context: TaskContext) -> None:
        """Draw places."""
        generator, count = context.generator(), context.count
        angle = 2.0 * math.pi * torch.rand(count, generator=generator)
        distance = self.NEAR + (self.FAR - self.NEAR) * torch.rand(count, generator=generator)
        place = turned(torch.stack((distance, torch.zeros(count)), dim=-1), angle).to(context.device)
        self.goal_w = context.place_w(place)
        self._place = Place(pos_w=self.goal_w, speed=context.cfg.speed, reach=context.cfg.reach)

    def command(self, time: float) -> Sequence[Command]:
        """Command the place; see :class:`Task`."""
        return [self._place]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Return who has arrived; see :class:`Task`."""
        return (state.root_pos_w[:, :2] - self.goal_w).norm(dim=-1) <= self.ARRIVED

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Find who arrived; see :class:`Task`."""
        return arrival(record, self.goal_w, self.ARRIVED)


def arrival(
    record: EpisodeRecord, goal_w: Tensor, near: float, touched: Tensor | None = None
) -> EpisodeResult:
    """Return who comes near a place before touching anything.

    Args:
        record: of B bodies.
        goal_w: (B, 2) [m], world.
        near: distance at which a body has arrived [m].
        touched: (T, B) bool, contacts that fail an episode; none by default.
    """
    distance = (record.root_pos_w[..., :2] - goal_w).norm(dim=-1)
    distance = torch.where(distance.isfinite(), distance, math.inf)
    there = first_step(distance <= near)
    steps = torch.full_like(there, len(distance))
    hit = steps if touched is None else first_step(touched)
    end = torch.minimum(there + 1, torch.minimum(hit + 1, steps))
    before = torch.arange(len(distance), device=distance.device).unsqueeze(-1) < end
    least = torch.where(before, distance, math.inf).amin(0)
    return EpisodeResult(there < torch.minimum(hit, steps), end, least)


class InbetweenTask(Task):
    """Pass through nine poses of a clip, 1 s apart, of which nothing else is known (Diffuse-CLoC).

    A body has reached them when its bodies are on average never farther than 0.5 m from one.
    The error is the mean distance from keyframes before a fall, in the world [m];
    ``mpjpe_g_mm`` and, with both roots at the origin, ``mpjpe_l_mm`` are over all of those.
    """

    COUNT, EVERY = 9, 1.0
    seconds, unit = COUNT * EVERY, "m"

    def __init__(self, context: TaskContext) -> None:
        """Take poses of the clips that bodies start in."""
        self.times = self.EVERY * torch.arange(1, self.COUNT + 1, device=context.device)
        starts = context.starts
        times = starts.time.cpu()[:, None] + self.times.cpu()
        self.states = states_at(context.motions, starts.clip.cpu(), times).to(context.device)
        self.pos_w = self.states.body_pos_w.transpose(0, 1)
        self._rows = [round(time / context.dt) - 1 for time in self.times.tolist()]
        self._seen: dict[int, Tensor] = {}

    def command(self, time: float) -> Sequence[Command]:
        """Command the poses; see :class:`Task`."""
        return [Pose(time=(self.times - time).expand(self.pos_w.shape[1], -1), state=self.states)]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Record poses at the keyframes' times; see :class:`Task`."""
        if step in self._rows:
            self._seen[step] = state.body_pos_w
        return None

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Compare poses with the keyframes; see :class:`Task`."""
        nothing = torch.full_like(self.pos_w[0], math.nan)
        pos = torch.stack([self._seen.get(row, nothing) for row in self._rows])
        rows = torch.tensor(self._rows, device=pos.device)
        counted = rows.unsqueeze(-1) < first_step(record.fallen)
        distance = body_distance(pos, self.pos_w)
        near = (distance <= SUCCESS_M).all(0)
        number = counted.sum(0)
        error = torch.where(counted, distance, 0.0).sum(0) / number
        end = torch.full_like(number, len(record.fallen))
        return EpisodeResult(near, end, error, keyframe_errors(pos, self.pos_w, counted))
