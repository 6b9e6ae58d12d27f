"""Tasks of velocity commands: joystick, pushes on the way, a switch of skill in the middle.

The error of a command is the mean of ``|v - command| / max(|command|, 0.5 m/s)`` over its
last 2 s of 3 (from 1 s on). It is 0 for a root that moves as commanded at every instant, 1
for one that stands or lies. A walk swings about its mean, so ``error_of_mean`` tells the same
of the mean velocity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from humanoid.bodies.posture import Posture
from humanoid.core.errors import ConfigError, nearest
from humanoid.diffusion.trajectory import Frame
from humanoid.motion.motion import Motion
from humanoid.planning.costs.pose import Style
from humanoid.planning.costs.steering import BRISK, Cost, Joystick, Steer
from humanoid.spatial import frames
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import Course, first_step, rounded_mean, velocity_error
from humanoid.tasks.starts import walking
from humanoid.tasks.task import Outcome, Setting, Task

SETTLE = 1.0
"""Time that a body has to take up a command [s] before its error counts."""
DIRECTIONS = {"forward": (1.0, 0.0), "back": (-1.0, 0.0), "left": (0.0, 1.0), "right": (0.0, -1.0)}
"""What the stick asks for, forward and left."""


@dataclass(frozen=True)
class Command:
    """What is asked of B bodies for some time.

    Attributes:
        name: heading of its error; several commands may have one.
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


class CommandTask(Task):
    """One command after the other."""

    unit = ""

    def __init__(
        self, setting: Setting, commands: Sequence[Command], pushes: Tensor | None = None, every: float = 1.0
    ) -> None:
        """Ask for ``commands`` in turn.

        Args:
            setting: where.
            commands: in turn.
            pushes: (K, B, 3) [m/s] added to the roots' velocities, world, None for none.
            every: time between pushes [s], the first comes at once.
        """
        self.commands, self.start, self.dt = tuple(commands), setting.frame, setting.dt
        self.seconds = sum(command.seconds for command in commands)
        self._ends = torch.tensor([command.seconds for command in commands]).cumsum(0).tolist()
        self._pushes, self._period = pushes, max(1, round(every / setting.dt))
        self._styles = _styles(setting)
        self._captured = captured_error(setting.motions, Posture(setting.body))

    def costs(self, time: float) -> list[Cost]:
        """Follow the command of the time; see :class:`humanoid.tasks.task.Task`."""
        index = min(sum(time >= end - 1e-6 for end in self._ends), len(self.commands) - 1)
        command = self.commands[index]
        stick = self._stick(command)
        styles = [self._styles[index % len(self._styles)]] if self._styles else []
        return [stick, *styles]

    def _stick(self, command: Command) -> Cost:
        """Return what asks for a command; one in the world may be reached by turning."""
        if command.frame == "heading":
            return Joystick(velocity=command.velocity, yaw_rate=command.yaw_rate)
        direction = torch.atan2(command.velocity[:, 1], command.velocity[:, 0])
        speed = command.velocity.norm(dim=-1)
        return Steer(yaw=self.start.yaw + direction, speed=speed, slowest=BRISK)

    def push(self, step: int) -> Tensor | None:
        """Push every now and then, if at all; see :class:`humanoid.tasks.task.Task`."""
        if self._pushes is None or step % self._period or step // self._period >= len(self._pushes):
            return None
        return self._pushes[step // self._period]

    def judge(self, course: Course) -> Outcome:
        """Compare velocities with commands; see :class:`humanoid.tasks.task.Task`.

        Nothing is to be reached: success is lasting on one's feet, the error tells of the commands.
        """
        outcome = judge_commands(course, self.commands, self.start)
        return replace(outcome, extra={**outcome.extra, "error_captured": self._captured})


def judge_commands(course: Course, commands: Sequence[Command], start: Frame) -> Outcome:
    """Return how bodies followed commands; what is missing of a course that stopped early scores 1.

    Args:
        course: what B bodies did.
        commands: in turn.
        start: heading frames that commands of frame ``world`` are relative to.
    """
    missing = max(round(sum(command.seconds for command in commands) / course.dt) - len(course.yaw), 0)
    velocity_w = _lengthened(course.root_lin_vel_w[..., :2], missing)
    yaw = _lengthened(course.yaw, missing)
    errors: dict[str, list[Tensor]] = {}
    means: list[Tensor] = []
    turns: list[Tensor] = []
    begin = 0.0
    for command in commands:
        rows = slice(round((begin + SETTLE) / course.dt), round((begin + command.seconds) / course.dt))
        begin += command.seconds
        heading = yaw[rows] if command.frame == "heading" else start.yaw.expand_as(yaw[rows])
        velocity = turned(velocity_w[rows], -heading)
        errors.setdefault(command.name, []).append(velocity_error(velocity, command.velocity).mean(0))
        means.append(velocity_error(velocity.mean(0), command.velocity))
        if command.yaw_rate is not None:
            turns.append((_turn_rate(yaw[rows], course.dt) - command.yaw_rate).abs())
    by_name = {name: torch.stack(found).mean(0) for name, found in errors.items()}
    error = torch.stack([one for found in errors.values() for one in found]).mean(0)
    steps = len(course.fallen)
    kept = first_step(course.fallen) >= steps
    extra = {
        "error_upright": rounded_mean(torch.where(kept, error, math.nan)),
        "error_of_mean": rounded_mean(torch.stack(means)),
        "yaw_error_rad_s": rounded_mean(torch.stack(turns)) if turns else None,
        "errors": {name: rounded_mean(found) for name, found in by_name.items()},
    }
    end = torch.full_like(kept, steps, dtype=torch.long)
    return Outcome(torch.ones_like(kept), end, error, extra)


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


def joystick(setting: Setting) -> CommandTask:
    """Return forward, back, left and right for 3 s each, then random commands for 3 s each.

    Random ones are a speed forward and a yaw rate, both relative to the body.
    """
    cfg, generator = setting.cfg, setting.generator()
    still = torch.zeros(setting.count, device=setting.device)
    commands = [
        Command(
            name,
            cfg.speed * torch.tensor(way, device=setting.device).expand(setting.count, 2),
            still if cfg.frame == "heading" else None,
            cfg.frame,
            3.0,
        )
        for name, way in DIRECTIONS.items()
    ]
    low, high = cfg.forward
    for _ in range(cfg.random_commands):
        draw = torch.rand(2, setting.count, generator=generator).to(setting.device)
        speed, rate = low + (high - low) * draw[0], cfg.yaw_rate * (2.0 * draw[1] - 1.0)
        commands.append(Command("random", torch.stack((speed, still), dim=-1), rate, "heading", 3.0))
    return CommandTask(setting, commands)


def perturb(setting: Setting) -> CommandTask:
    """Return a walk of 15 s at 0.9 m/s with a push of 0.5 m/s every second, in random directions."""
    generator, count = setting.generator(), setting.count
    angle = 2.0 * math.pi * torch.rand(15, count, generator=generator)
    size = 0.5 * torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)), dim=-1)
    return CommandTask(setting, [_ahead(setting, "forward", 0.9, 0.0, 15.0)], size.to(setting.device))


def switch(setting: Setting) -> CommandTask:
    """Return a walk ahead, a turn to the left and a stop, 3 s each, with styles of their own if given."""
    parts = (("forward", 0.9, 0.0), ("turn", 0.7, 0.8), ("stop", 0.0, 0.0))
    return CommandTask(setting, [_ahead(setting, *part, 3.0) for part in parts])


def _ahead(setting: Setting, name: str, speed: float, rate: float, seconds: float) -> Command:
    velocity = torch.tensor((speed, 0.0), device=setting.device).expand(setting.count, 2)
    rates = torch.full((setting.count,), rate, device=setting.device)
    return Command(name, velocity, rates, "heading", seconds)


def _styles(setting: Setting) -> list[Style]:
    """Return the styles of the clips that the configuration names."""
    motions = {motion.name: motion for motion in setting.motions}
    styles = []
    for name in setting.cfg.styles:
        if name not in motions:
            raise ConfigError(f"style '{name}' is no motion here{nearest(name, motions)}")
        motion, dt = motions[name], setting.layout.cfg.dt
        states = motion.at(torch.arange(int(motion.duration / dt) + 1) * dt)
        features = setting.layout.features(states, setting.body).to(setting.device)
        styles.append(Style.of(setting.layout, features))
    return styles


def _turn_rate(yaw: Tensor, dt: float) -> Tensor:
    """Return the mean yaw rate (B,) [rad/s] of headings (T, B) that follow each other."""
    step = yaw.diff(dim=0)
    return torch.atan2(step.sin(), step.cos()).mean(0) / dt


def _lengthened(values: Tensor, rows: int) -> Tensor:
    """Append rows that are no numbers."""
    return torch.cat((values, values.new_full((rows, *values.shape[1:]), math.nan)))
