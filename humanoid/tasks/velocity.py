"""Tasks of velocity commands: joystick, pushes on the way, a switch of skill in the middle.

The error of a command is the mean of ``|v - command| / max(|command|, 0.5 m/s)`` over its
last 2 s of 3 (from 1 s on). It is 0 for a root that moves as commanded at every instant, 1
for one that stands or lies. A walk swings about its mean, so ``error_of_mean`` tells the same
of the mean velocity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from humanoid.bodies.posture import Posture
from humanoid.core.errors import ConfigError, nearest
from humanoid.envs.commands import Command, Imitate, Velocity
from humanoid.envs.env import Env, EnvCfg, GoalEnvCfg
from humanoid.envs.observations import ObservationCfg, goal_observations
from humanoid.envs.rewards import UPRIGHT, Rewards, tracking_term
from humanoid.envs.sources import VelocityCommandCfg, VelocitySource
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.sim.protocol import Simulator
from humanoid.spatial import frames
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import EpisodeRecord, first_step, rounded_mean, velocity_error
from humanoid.tasks.starts import walking
from humanoid.tasks.task import EpisodeResult, Task, TaskContext

SETTLE = 1.0
"""Time that a body has to take up a command [s] before its error counts."""
DIRECTIONS = {"forward": (1.0, 0.0), "back": (-1.0, 0.0), "left": (0.0, 1.0), "right": (0.0, -1.0)}
"""Directions of the joystick, forward and left."""
STYLE_SECONDS = 0.04
"""Time between the poses of a style [s]."""


@dataclass(frozen=True)
class Segment:
    """A velocity command to B bodies for some time.

    Attributes:
        name: heading of its error; several segments may have one.
        velocity: (B, 2) [m/s] forward and left, relative to ``frame``.
        yaw_rate: (B,) [rad/s], None leaves turning free.
        frame: ``heading`` turns with the body, ``world`` is the heading at the start.
        seconds: how long.
    """

    name: str
    velocity: Tensor
    yaw_rate: Tensor | None
    frame: Literal["world", "heading"]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class VelocityCfg(GoalEnvCfg):
    """Environment of velocity commands."""

    command: VelocityCommandCfg = field(default_factory=VelocityCommandCfg)
    observation: ObservationCfg = field(
        default_factory=lambda: ObservationCfg(terms=goal_observations("velocity_command_h"))
    )
    reward: Rewards = field(
        default_factory=lambda: {
            "velocity": tracking_term(1.0, 0.5),
            "yaw_rate": tracking_term(0.5, 0.5),
            **UPRIGHT,
        }
    )


class VelocityTask(Task):
    """One velocity command after the other."""

    unit = ""
    cfg = VelocityCfg

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> Env:
        """Build the environment to train in; see :class:`humanoid.tasks.task.Task`."""
        assert isinstance(cfg, VelocityCfg)
        return Env(cfg, sim, lambda env: VelocitySource(cfg.command, env), seed)

    def __init__(
        self,
        context: TaskContext,
        segments: Sequence[Segment],
        pushes: Tensor | None = None,
        every: float = 1.0,
    ) -> None:
        """Command ``segments`` in turn.

        Args:
            context: bodies and starts.
            segments: in turn.
            pushes: (K, B, 3) [m/s] added to the roots' velocities, world, None for none.
            every: time between pushes [s], the first comes at once.
        """
        self.segments, self.yaw, self.dt = tuple(segments), context.yaw, context.dt
        self.seconds = sum(segment.seconds for segment in segments)
        self._ends = torch.tensor([segment.seconds for segment in segments]).cumsum(0).tolist()
        self._pushes, self._period = pushes, max(1, round(every / context.dt))
        self._styles = _styles(context)
        self._captured = captured_error(context.motions, Posture(context.body))

    def command(self, time: float) -> Sequence[Command]:
        """Command the segment of the time; see :class:`humanoid.tasks.task.Task`."""
        index = min(sum(time >= end - 1e-6 for end in self._ends), len(self.segments) - 1)
        segment = self.segments[index]
        stick = Velocity(
            velocity=segment.velocity,
            yaw_rate=segment.yaw_rate,
            frame=segment.frame,
            yaw=self.yaw if segment.frame == "world" else None,
        )
        styles = [self._styles[index % len(self._styles)]] if self._styles else []
        return [stick, *styles]

    def push(self, step: int) -> Tensor | None:
        """Push every ``every`` seconds, if at all; see :class:`humanoid.tasks.task.Task`."""
        if self._pushes is None or step % self._period or step // self._period >= len(self._pushes):
            return None
        return self._pushes[step // self._period]

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Compare velocities with commands; see :class:`humanoid.tasks.task.Task`.

        Success is to stay on one's feet; how well commands are followed is the error.
        """
        result = velocity_errors(record, self.segments, self.yaw)
        return replace(result, extra={**result.extra, "error_captured": self._captured})


def velocity_errors(record: EpisodeRecord, segments: Sequence[Segment], start_yaw: Tensor) -> EpisodeResult:
    """Return the errors of bodies under velocity commands; steps missing from a record score 1.

    Args:
        record: of B bodies.
        segments: in turn.
        start_yaw: (B,) [rad] headings that commands of frame ``world`` are relative to.
    """
    missing = max(round(sum(segment.seconds for segment in segments) / record.dt) - len(record.yaw), 0)
    velocity_w = _lengthened(record.root_lin_vel_w[..., :2], missing)
    yaw = _lengthened(record.yaw, missing)
    errors: dict[str, list[Tensor]] = {}
    means: list[Tensor] = []
    turns: list[Tensor] = []
    begin = 0.0
    for segment in segments:
        rows = slice(round((begin + SETTLE) / record.dt), round((begin + segment.seconds) / record.dt))
        begin += segment.seconds
        heading = yaw[rows] if segment.frame == "heading" else start_yaw.expand_as(yaw[rows])
        velocity = turned(velocity_w[rows], -heading)
        errors.setdefault(segment.name, []).append(velocity_error(velocity, segment.velocity).mean(0))
        means.append(velocity_error(velocity.mean(0), segment.velocity))
        if segment.yaw_rate is not None:
            turns.append((_turn_rate(yaw[rows], record.dt) - segment.yaw_rate).abs())
    by_name = {name: torch.stack(found).mean(0) for name, found in errors.items()}
    error = torch.stack([one for found in errors.values() for one in found]).mean(0)
    steps = len(record.fallen)
    kept = first_step(record.fallen) >= steps
    extra = {
        "error_upright": rounded_mean(torch.where(kept, error, math.nan)),
        "error_of_mean": rounded_mean(torch.stack(means)),
        "yaw_error_rad_s": rounded_mean(torch.stack(turns)) if turns else None,
        "errors": {name: rounded_mean(found) for name, found in by_name.items()},
    }
    end = torch.full_like(kept, steps, dtype=torch.long)
    return EpisodeResult(torch.ones_like(kept), end, error, extra)


def captured_error(motions: Sequence[Motion], posture: Posture) -> float | None:
    """Return the mean error of captured walks, each 2 s of which had their own mean for a command.

    Velocities are those in the heading frame. None where nothing walks for so long.
    """
    errors: list[Tensor] = []
    for motion in motions:
        states, rows = motion.states, round(2.0 * motion.fps)
        velocity = turned(states.root_lin_vel_w[..., :2], -frames.yaw(states.root_quat_w))
        walks = walking(motion, posture)
        for begin in range(0, motion.num_frames - rows + 1, rows):
            part = velocity[begin : begin + rows]
            if bool(walks[begin : begin + rows].all()):
                errors.append(velocity_error(part, part.mean(0)).mean())
    return rounded_mean(torch.stack(errors)) if errors else None


class Joystick(VelocityTask):
    """Forward, back, left and right for 3 s each, then random commands for 3 s each.

    Random ones are a speed forward and a yaw rate, both relative to the body.
    """

    def __init__(self, context: TaskContext) -> None:
        """Draw the random commands."""
        cfg, generator = context.cfg, context.generator()
        still = torch.zeros(context.count, device=context.device)
        segments = [
            Segment(
                name,
                cfg.speed * torch.tensor(way, device=context.device).expand(context.count, 2),
                still if cfg.frame == "heading" else None,
                cfg.frame,
                3.0,
            )
            for name, way in DIRECTIONS.items()
        ]
        low, high = cfg.forward
        for _ in range(cfg.random_commands):
            draw = torch.rand(2, context.count, generator=generator).to(context.device)
            speed, rate = low + (high - low) * draw[0], cfg.yaw_rate * (2.0 * draw[1] - 1.0)
            segments.append(Segment("random", torch.stack((speed, still), dim=-1), rate, "heading", 3.0))
        super().__init__(context, segments)


class Perturb(VelocityTask):
    """A walk of 15 s at 0.9 m/s with a push of 0.5 m/s every second, in random directions."""

    def __init__(self, context: TaskContext) -> None:
        """Draw the pushes."""
        angle = 2.0 * math.pi * torch.rand(15, context.count, generator=context.generator())
        size = 0.5 * torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
        super().__init__(context, [_ahead(context, "forward", 0.9, 0.0, 15.0)], size.to(context.device))


class Switch(VelocityTask):
    """A walk ahead, a turn to the left and a stop, 3 s each, with the configured styles."""

    def __init__(self, context: TaskContext) -> None:
        """Lay out the parts."""
        parts = (("forward", 0.9, 0.0), ("turn", 0.7, 0.8), ("stop", 0.0, 0.0))
        super().__init__(context, [_ahead(context, *part, 3.0) for part in parts])


def _ahead(context: TaskContext, name: str, speed: float, rate: float, seconds: float) -> Segment:
    velocity = torch.tensor((speed, 0.0), device=context.device).expand(context.count, 2)
    rates = torch.full((context.count,), rate, device=context.device)
    return Segment(name, velocity, rates, "heading", seconds)


def _styles(context: TaskContext) -> list[Imitate]:
    """Return the styles of the clips that the configuration names."""
    motions = {motion.name: motion for motion in context.motions}
    styles = []
    for name in context.cfg.styles:
        if name not in motions:
            raise ConfigError(f"style '{name}' is no motion here{nearest(name, motions)}")
        motion = motions[name]
        times = torch.arange(int(motion.duration / STYLE_SECONDS) + 1) * STYLE_SECONDS
        styles.append(Imitate(states=motion.at(times).to(context.device)))
    return styles


def _turn_rate(yaw: Tensor, dt: float) -> Tensor:
    """Return the mean yaw rate (B,) [rad/s] of headings (T, B) that follow each other."""
    step = yaw.diff(dim=0)
    return torch.atan2(step.sin(), step.cos()).mean(0) / dt


def _lengthened(values: Tensor, rows: int) -> Tensor:
    """Append rows of NaN."""
    return torch.cat((values, values.new_full((rows, *values.shape[1:]), math.nan)))
