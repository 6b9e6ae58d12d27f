"""A task: the environment to train in, commands over an episode, and the evaluation of episodes.

A task is one class. Its class members describe training: the configuration of the environment and
how it is built. An instance is a batch of evaluated episodes, relative to where bodies start; it knows
nothing of the agent that follows its commands.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.core.registry import Registry
from humanoid.envs.commands import Command
from humanoid.envs.env import Env, EnvCfg
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.sim.protocol import Simulator
from humanoid.spatial import frames
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import EpisodeRecord
from humanoid.tasks.starts import Starts


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
    """Bodies, starts and settings that a task is made from.

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
    """Commands to B bodies, and the success of each; the class builds the environment to train in."""

    seconds: float
    """Longest time [s] of an episode."""
    unit: str
    """Unit of the error, "" for a share."""
    ahead: ClassVar[float] = 0.0
    """Captured motion that an episode needs after its start [s]."""
    cfg: ClassVar[type[EnvCfg]]
    """Configuration of the environment, with the terms as defaults."""
    needs_motions: ClassVar[bool] = False
    """Whether the environment's commands come from a motion library."""

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> Env:
        """Build the environment to train in.

        Args:
            cfg: an instance of :attr:`cfg`.
            sim: simulated bodies, configured by ``cfg.simulated``.
            library: motions on the simulator's device, where :attr:`needs_motions`.
            seed: of everything random.

        Raises:
            ConfigError: a task without an environment, or without its motions.
        """
        raise ConfigError(f"{cls.__name__} has no environment to train in; override make_env")

    def __init__(self, context: TaskContext) -> None:  # noqa: B027 - tasks without a goal to draw
        """Draw the goals of B episodes."""

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


TASKS: Registry[type[Task]] = Registry("task")
"""Name -> task."""
register = TASKS.register


def make(name: str, context: TaskContext) -> Task:
    """Return the evaluated episodes of a task by its name.

    Raises:
        ConfigError: no task of this name.
    """
    return TASKS[name](context)
