"""The cost of walking in a direction or to a place, facing it, in numpy with its gradient. No torch.

Values and gradients are those of :class:`humanoid.planning.costs.steering.Steer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from humanoid.core.errors import ConfigError
from humanoid.export.costs import parameter, require_positive
from humanoid.export.tokens import Quantities, Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class Steer:
    """Walk in a direction of the world or to a place, facing it.

    Attributes:
        speed: () or (B,) [m/s].
        yaw: () or (B,) [rad] the direction, world; or
        pos_w: (2,) or (B, 2) [m] the place, world.
        turn_rate: [rad/s] the fastest turn that is asked for.
        settle: [s] within which the body shall face where it goes.
        slowest: share of ``speed`` that is left while it turns round.
        yaw_weight: what (1 rad/s)^2 costs in (m/s)^2.
        name: see :class:`humanoid.export.costs.Cost`.
    """

    speed: ArrayLike
    yaw: ArrayLike | None = None
    pos_w: ArrayLike | None = None
    turn_rate: float = 1.0
    settle: float = 0.5
    slowest: float = 0.4
    yaw_weight: float = 1.0
    name: str = "steer"

    def __post_init__(self) -> None:
        """Check the command."""
        parameter(f"{self.name}.speed", self.speed, ())
        if (self.yaw is None) == (self.pos_w is None):
            raise ConfigError(f"{self.name}: give either yaw or pos_w, the direction or the place")
        if self.yaw is not None:
            parameter(f"{self.name}.yaw", self.yaw, ())
        if self.pos_w is not None:
            parameter(f"{self.name}.pos_w", self.pos_w, (2,))
        for part in ("turn_rate", "settle", "slowest", "yaw_weight"):
            require_positive(f"{self.name}.{part}", getattr(self, part))

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,) [m^2/s^2] and their gradient; headings and places are taken as given."""
        future, gradient = trajectory.future, trajectory.world.zeros()
        turning, facing = trajectory.world.root_ang_vel_w[:, future, 2], trajectory.yaw[:, future]
        away = self._direction(trajectory) - facing
        rate = np.arctan2(np.sin(away), np.cos(away)) / max(self.settle, trajectory.dt)
        excess = turning - np.clip(rate, -self.turn_rate, self.turn_rate)
        share = np.maximum(0.5 + 0.5 * np.cos(away), self.slowest)
        speed = parameter(f"{self.name}.speed", self.speed, (), turning)[:, None] * share
        ahead = np.stack((np.cos(facing), np.sin(facing)), axis=-1)
        error = trajectory.world.root_lin_vel_w[:, future, :2] - speed[..., None] * ahead
        gradient.root_lin_vel_w[:, future, :2] = error
        gradient.root_ang_vel_w[:, future, 2] = self.yaw_weight * excess
        cost = 0.5 * np.square(error).sum(axis=(1, 2))
        return cost + 0.5 * self.yaw_weight * np.square(excess).sum(axis=1), gradient

    def _direction(self, trajectory: Trajectory) -> np.ndarray:
        """Return where to go (B or 1, H or 1) [rad], world."""
        here = trajectory.world.root_pos_w[:, trajectory.future, :2]
        if self.yaw is not None:
            return parameter(f"{self.name}.yaw", self.yaw, (), here)[:, None]
        assert self.pos_w is not None
        away = parameter(f"{self.name}.pos_w", self.pos_w, (2,), here)[:, None] - here
        return np.arctan2(away[..., 1], away[..., 0])
