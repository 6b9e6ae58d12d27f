"""Command sources: commands drawn at the start of an episode and advanced with it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState, ObjectState
from humanoid.core.constraints import Checked, NonNegative, NonNegativeRange, Positive, Range, Share
from humanoid.envs.commands import Command, Place, Velocity
from humanoid.spatial.frames import turned, yaw

if TYPE_CHECKING:
    from humanoid.envs.env import Env


class CommandSource(ABC):
    """Commands of B environments; the environment calls it at fixed points of a step."""

    @abstractmethod
    def reset(self, mask: Tensor) -> BodyState:
        """Begin episodes where ``mask (B,)``: draw commands, return start states (B, root only)."""

    @abstractmethod
    def command(self) -> Command:
        """Return the command that policies observe now."""

    def objects(self, start: BodyState) -> Mapping[str, ObjectState] | None:
        """Return start states (B) of the scene's objects, for bodies that start in ``start``.

        None puts every object back where the scene was built.
        """
        return None

    def advance(self) -> Command:
        """Advance one control period; return the command that its end is compared with."""
        return self.command()

    def servo_pose(self) -> tuple[Tensor, Tensor] | None:
        """Return joint angles and velocities (B, D) to act around; None for the default pose."""
        return None

    def finished(self) -> Tensor | None:
        """Return which commands have ended without failing, (B,) bool; None where none ever does."""
        return None

    def excuse(self, failed: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Return failures (B,) and rewards (B, G) of a step after grace and loss masks."""
        return failed, groups

    def learn(self, reward: Tensor, failed: Tensor, done: Tensor) -> None:
        """Update the distribution of starts with the outcome of a step, each (B,)."""
        return

    def metrics(self) -> dict[str, Tensor]:
        """Return () tensors for the log of an iteration."""
        return {}

    def statistics(self) -> list[Tensor]:
        """Return running statistics that processes training together average in place."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run continues from."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of an earlier run."""
        return

    def row(self) -> Tensor | None:
        """Return the rows (B,) of the library, for dumps; None without a library."""
        return None


class GoalSource(CommandSource):
    """Goals that are drawn at random and held for a while; episodes start in the default pose."""

    def __init__(self, env: Env, seconds: tuple[float, float]) -> None:
        """Draw new goals every ``seconds`` (shortest, longest) within an episode."""
        self.env, self.seconds = env, seconds
        still = Kinematics(env.body, env.device).standing()
        self.standing = still.map(lambda part: part.expand(env.num_envs, *part.shape).clone())
        self.left = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)

    @abstractmethod
    def draw(self, mask: Tensor, root: BodyState) -> None:
        """Adopt new goals where ``mask (B,)``, for bodies at the roots of ``root``."""

    def uniform(self, bounds: tuple[float, float]) -> Tensor:
        """Return uniform numbers (B,) in bounds."""
        count, generator = self.env.num_envs, self.env.generator
        share = torch.rand(count, generator=generator, device=self.env.device)
        return bounds[0] + (bounds[1] - bounds[0]) * share

    def reset(self, mask: Tensor) -> BodyState:
        """Begin episodes in the perturbed default pose; see :class:`CommandSource`."""
        start = self.env.perturbed(self.standing)
        self._renew(mask, start)
        return start

    def advance(self) -> Command:
        """Return the command of the period, then draw a new one where its time is over."""
        command = self.command()
        self.left = self.left - 1
        self._renew(self.left <= 0, self.env.state)
        return command

    def _renew(self, mask: Tensor, root: BodyState) -> None:
        periods = (self.uniform(self.seconds) / self.env.sim.dt).long().clamp_min(1)
        self.left = torch.where(mask, periods, self.left)
        self.draw(mask, root)


@dataclass(frozen=True, kw_only=True)
class VelocityCommandCfg(Checked):
    """Distribution of velocity commands."""

    forward: Range = (-0.3, 1.0)
    """Forward velocity [m/s]."""
    sideways: Range = (-0.3, 0.3)
    """Velocity to the left [m/s]."""
    yaw_rate: Range = (-0.8, 0.8)
    """Yaw rate [rad/s]."""
    seconds: NonNegativeRange = (2.0, 5.0)
    """Time until the next command [s]."""
    standing: Share = 0.1
    """Share of commands to stand still."""


class VelocitySource(GoalSource):
    """Random velocities in the heading frame."""

    def __init__(self, cfg: VelocityCommandCfg, env: Env) -> None:
        """Start with zero commands until the first reset."""
        super().__init__(env, cfg.seconds)
        self.cfg = cfg
        self._velocity = torch.zeros(env.num_envs, 3, device=env.device)

    def draw(self, mask: Tensor, root: BodyState) -> None:
        """Draw velocities; see :class:`GoalSource`."""
        cfg = self.cfg
        new = torch.stack([self.uniform(part) for part in (cfg.forward, cfg.sideways, cfg.yaw_rate)], dim=-1)
        new = torch.where(self.uniform((0.0, 1.0))[:, None] < cfg.standing, 0.0, new)
        self._velocity = torch.where(mask[:, None], new, self._velocity)

    def command(self) -> Velocity:
        """Return the velocities; see :class:`CommandSource`."""
        return Velocity(velocity=self._velocity[:, :2], yaw_rate=self._velocity[:, 2])


@dataclass(frozen=True, kw_only=True)
class PlaceCommandCfg(Checked):
    """Distribution of places to go to."""

    distance: NonNegativeRange = (1.0, 5.0)
    """Distance of a new place from the body [m]."""
    angle: NonNegative = math.pi
    """Largest angle of its direction from the heading, to either side [rad]."""
    speed: Positive = 0.8
    """Speed on the way [m/s]."""
    reach: Positive = 1.0
    """Distance from which the body slows down [m]."""
    seconds: NonNegativeRange = (6.0, 12.0)
    """Time until the next place [s]."""


class PlaceSource(GoalSource):
    """Random places around the body."""

    def __init__(self, cfg: PlaceCommandCfg, env: Env) -> None:
        """Start with places at the origin until the first reset."""
        super().__init__(env, cfg.seconds)
        self.cfg = cfg
        self._pos_w = torch.zeros(env.num_envs, 2, device=env.device)

    def draw(self, mask: Tensor, root: BodyState) -> None:
        """Draw places; see :class:`GoalSource`."""
        distance = self.uniform(self.cfg.distance)
        angle = yaw(root.root_quat_w) + self.uniform((-self.cfg.angle, self.cfg.angle))
        offset = turned(torch.stack((distance, torch.zeros_like(distance)), dim=-1), angle)
        self._pos_w = torch.where(mask[:, None], root.root_pos_w[:, :2] + offset, self._pos_w)

    def command(self) -> Place:
        """Return the places; see :class:`CommandSource`."""
        return Place(pos_w=self._pos_w, speed=self.cfg.speed, reach=self.cfg.reach)
