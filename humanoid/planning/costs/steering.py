"""Costs that steer: velocity commands, waypoints, headings.

A cost is a function of a decoded :class:`Trajectory` that returns one number per plan. It
reads the rows after now only and *sums* over them, as BeyondMimic does (arXiv 2508.08241 v4:
i = 0..H): guidance moves every token by its own gradient, and in a sum the gradient of one
frame does not depend on how many others there are. So weights hold for any horizon, and
values grow with it. Costs of distances are half squares: at weight 1 the gradient is the
error itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from humanoid.core.errors import ConfigError, InputError
from humanoid.diffusion.trajectory import Trajectory
from humanoid.planning.costs.path_field import PathField
from humanoid.spatial.frames import turned
from humanoid.spatial.geometry import clamp_distance
from humanoid.spatial.parameters import Parameter, check_number, check_values, rows

SETTLE_RATE = 2.0
"""[1/m] BeyondMimic's exponent: within 1 / SETTLE_RATE of a waypoint standing still begins to count."""
STICK_SLOWEST = 0.8
"""``slowest`` for velocity commands: they leave room for wide curves, a place needs tight ones."""


class Cost(Protocol):
    """A differentiable function of plans."""

    @property
    def name(self) -> str:
        """Name in weights, values and messages; unique in one guidance."""
        ...

    def __call__(self, trajectory: Trajectory, /) -> Tensor:
        """Return one cost per plan, (B,)."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Joystick:
    """Follow a planar velocity, a yaw rate, or both.

    ``sum_i |V_xy,i - v|^2 / 2 + yaw_weight (w_z,i - yaw_rate)^2 / 2`` with the predicted
    velocities of the root (G_js of arXiv 2508.08241; its experiments add the yaw rate).
    Gradient: ``V_xy - v`` and ``yaw_weight (w_z - yaw_rate)``.

    A command in the heading frame is turned by the heading of each frame itself, so that
    "forward" turns with the body. That heading counts as given: a command moves the body, it
    does not turn it until "forward" is where it drifts to.

    Attributes:
        velocity: (2,) or (B, 2) [m/s], forward and left, or x and y of the world; None leaves the pace free.
        yaw_rate: () or (B,) [rad/s] counter-clockwise; None leaves turning free.
        frame: what ``velocity`` is relative to.
        yaw_weight: cost of (1 rad/s)^2 in (m/s)^2.
        name: see :class:`Cost`.
    """

    velocity: Parameter | None = None
    yaw_rate: Parameter | None = None
    frame: Literal["heading", "world"] = "heading"
    yaw_weight: float = 1.0
    name: str = "joystick"

    def __post_init__(self) -> None:
        """Check the command."""
        if self.velocity is None and self.yaw_rate is None:
            raise ConfigError(f"{self.name}: give a velocity, a yaw rate or both")
        if self.velocity is not None:
            check_values(f"{self.name}.velocity", self.velocity, (2,))
        if self.yaw_rate is not None:
            check_values(f"{self.name}.yaw_rate", self.yaw_rate, ())
        if self.frame not in ("heading", "world"):
            raise ConfigError(f"{self.name}.frame: '{self.frame}' is unknown; give 'heading' or 'world'")
        check_number(f"{self.name}.yaw_weight", self.yaw_weight, 0.0)

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2/s^2]."""
        future = trajectory.future
        velocity = trajectory.root_lin_vel_w[:, future, :2]
        cost = torch.zeros_like(velocity[:, 0, 0])
        if self.velocity is not None:
            wanted = rows(f"{self.name}.velocity", self.velocity, 1, velocity).unsqueeze(1)
            if self.frame == "heading":
                wanted = turned(wanted, trajectory.yaw[:, future].detach())
            cost = 0.5 * (velocity - wanted).square().sum((1, 2))
        if self.yaw_rate is None:
            return cost
        turning = trajectory.root_ang_vel_w[:, future, 2]
        rate = rows(f"{self.name}.yaw_rate", self.yaw_rate, 0, turning).unsqueeze(1)
        return cost + 0.5 * self.yaw_weight * (turning - rate).square().sum(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Steer:
    """Walk in a direction of the world, to a place, or on a path round obstacles, facing where it goes.

    ``sum_i |V_xy,i - speed f_i|^2 / 2 + yaw_weight (w_z,i - r_i)^2 / 2`` with the body's own
    forward axis ``f_i`` and the yaw rate ``r_i`` that turns it where it shall go within
    ``settle``, at most ``turn_rate``. It is the stick of a third-person game: a body
    that has only learned to walk forward turns round and goes there, where :class:`Joystick`
    in the world frame would have it walk backwards. Headings count as given, as there.

    Attributes:
        speed: () or (B,) [m/s].
        yaw: () or (B,) [rad] the direction, world; or
        pos_w: (2,) or (B, 2) [m] the place, world; or
        path: a path field that leads round obstacles to a place.
        turn_rate: [rad/s].
        settle: [s].
        slowest: share of ``speed`` that is left while it turns round.
        yaw_weight: cost of (1 rad/s)^2 in (m/s)^2.
        name: see :class:`Cost`.
    """

    speed: Parameter
    yaw: Parameter | None = None
    pos_w: Parameter | None = None
    path: PathField | None = None
    turn_rate: float = 1.0
    settle: float = 0.5
    slowest: float = 0.4
    yaw_weight: float = 1.0
    name: str = "steer"

    def __post_init__(self) -> None:
        """Check the command."""
        check_values(f"{self.name}.speed", self.speed, ())
        if sum(one is not None for one in (self.yaw, self.pos_w, self.path)) != 1:
            raise ConfigError(
                f"{self.name}: give one of yaw, pos_w and path: a direction, a place or a path field"
            )
        if self.yaw is not None:
            check_values(f"{self.name}.yaw", self.yaw, ())
        if self.pos_w is not None:
            check_values(f"{self.name}.pos_w", self.pos_w, (2,))
        for part in ("turn_rate", "settle", "slowest", "yaw_weight"):
            check_number(f"{self.name}.{part}", getattr(self, part), 0.0)

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2/s^2]."""
        future = trajectory.future
        velocity, turning = trajectory.root_lin_vel_w[:, future, :2], trajectory.root_ang_vel_w[:, future, 2]
        facing = trajectory.yaw[:, future].detach()
        speed = rows(f"{self.name}.speed", self.speed, 0, turning).unsqueeze(1)
        away = self._direction(trajectory, facing) - facing
        rate = torch.atan2(away.sin(), away.cos()) / max(self.settle, trajectory.dt)
        rate = rate.clamp(-self.turn_rate, self.turn_rate)
        speed = speed * (0.5 + 0.5 * away.cos()).clamp_min(self.slowest)
        wanted = speed.unsqueeze(-1) * torch.stack((facing.cos(), facing.sin()), dim=-1)
        cost = 0.5 * (velocity - wanted).square().sum((1, 2))
        return cost + 0.5 * self.yaw_weight * (turning - rate).square().sum(1)

    def _direction(self, trajectory: Trajectory, facing: Tensor) -> Tensor:
        """Return where to go (B, 1 or F) [rad], world."""
        if self.yaw is not None:
            return rows(f"{self.name}.yaw", self.yaw, 0, facing).unsqueeze(1)
        here = trajectory.root_pos_w[:, trajectory.future, :2].detach()
        if self.path is not None:
            return self.path.direction(here, facing)
        assert self.pos_w is not None
        away = rows(f"{self.name}.pos_w", self.pos_w, 1, here).unsqueeze(1) - here
        return torch.atan2(away[..., 1], away[..., 0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Waypoint:
    """Go to a place on the floor and stand there.

    ``sum_i (1 - e_i) |P_xy,i - g|^2 + e_i |V_xy,i|^2``, ``e_i = exp(-2 |P_xy,i - g|)`` held
    constant in the gradient (G_wp of arXiv 2508.08241). The units are mixed, as in the paper:
    1 m from the goal costs as much as 1 m/s at the goal. Gradient: ``2 (1 - e)(P_xy - g)`` and
    ``2 e V_xy``.

    Attributes:
        pos_w: (2,) or (B, 2) [m], world.
        reach: a goal farther than this from where the body is now [m] counts as being this far
            in its direction, or the pull of a far one would silence every other cost; infinite
            is the paper's.
        name: see :class:`Cost`.
    """

    pos_w: Parameter
    reach: float = math.inf
    name: str = "waypoint"

    def __post_init__(self) -> None:
        """Check the place."""
        check_values(f"{self.name}.pos_w", self.pos_w, (2,))
        if not self.reach > 0:
            raise InputError(f"{self.name}.reach: {self.reach:g} m given; give a distance greater than 0")

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2]."""
        future = trajectory.future
        here = trajectory.root_pos_w[:, trajectory.history, :2].detach()
        goal = rows(f"{self.name}.pos_w", self.pos_w, 1, here)
        goal = clamp_distance(goal, here, self.reach)
        offset = trajectory.root_pos_w[:, future, :2] - goal.unsqueeze(1)
        near = (-SETTLE_RATE * offset.detach().norm(dim=-1)).exp()
        speed2 = trajectory.root_lin_vel_w[:, future, :2].square().sum(-1)
        return ((1.0 - near) * offset.square().sum(-1) + near * speed2).sum(1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Heading:
    """Face a direction of the world.

    ``sum_i |x_i - (cos yaw, sin yaw)|^2 / 2`` with ``x_i`` the root's forward axis seen from
    above: ``1 - cos`` of the error while the root is upright, and unlike an angle smooth for
    every rotation a denoiser may predict. Gradient: ``x_i - (cos yaw, sin yaw)``.

    Attributes:
        yaw: () or (B,) [rad], world.
        name: see :class:`Cost`.
    """

    yaw: Parameter
    name: str = "heading"

    def __post_init__(self) -> None:
        """Check the direction."""
        check_values(f"{self.name}.yaw", self.yaw, ())

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,), without unit: of small errors half their squares [rad^2]."""
        forward = trajectory.root_rot_w[:, trajectory.future, :2]
        yaw = rows(f"{self.name}.yaw", self.yaw, 0, forward)
        wanted = torch.stack((yaw.cos(), yaw.sin()), dim=-1).unsqueeze(1)
        return 0.5 * (forward - wanted).square().sum((1, 2))
