"""Costs of plans in numpy with their gradients written out. No torch.

Values and gradients are those of the costs of the same names in :mod:`humanoid.diffusion`,
where the formulas stand with their sources: sums over the frames after now of half squares.
A parameter is one value for all plans, or has a leading axis of length 1 or B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from humanoid.core.errors import ConfigError, InputError, nearest
from humanoid.export.tokens import Quantities, Trajectory

CALMING = 2.0
"""[1/m] BeyondMimic's exponent: within 1 / CALMING of a waypoint standing still begins to count."""


class Cost(Protocol):
    """A function of plans that knows its gradient."""

    @property
    def name(self) -> str:
        """What weights, values and messages call it; unique in one guidance."""
        ...

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return one cost per plan, (B,), and its gradient with respect to ``trajectory.world``."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Joystick:
    """Follow a planar velocity, a yaw rate, or both.

    Attributes:
        velocity: (2,) or (B, 2) [m/s], forward and left, or x and y of the world; None leaves the pace free.
        yaw_rate: () or (B,) [rad/s] counter-clockwise; None leaves turning free.
        frame: what ``velocity`` is relative to; ``heading`` is that of each frame itself, taken as given.
        yaw_weight: what (1 rad/s)^2 costs in (m/s)^2.
        name: see :class:`Cost`.
    """

    velocity: ArrayLike | None = None
    yaw_rate: ArrayLike | None = None
    frame: Literal["heading", "world"] = "heading"
    yaw_weight: float = 1.0
    name: str = "joystick"

    def __post_init__(self) -> None:
        """Check the command."""
        if self.velocity is None and self.yaw_rate is None:
            raise ConfigError(f"{self.name}: give a velocity, a yaw rate or both")
        if self.velocity is not None:
            parameter(f"{self.name}.velocity", self.velocity, (2,))
        if self.yaw_rate is not None:
            parameter(f"{self.name}.yaw_rate", self.yaw_rate, ())
        if self.frame not in ("heading", "world"):
            raise ConfigError(f"{self.name}.frame: '{self.frame}' is unknown; give 'heading' or 'world'")
        require_positive(f"{self.name}.yaw_weight", self.yaw_weight)

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,) [m^2/s^2] and their gradient."""
        future, gradient = trajectory.future, trajectory.world.zeros()
        velocity = trajectory.world.root_lin_vel_w[:, future, :2]
        cost = np.zeros_like(velocity[:, 0, 0])
        if self.velocity is not None:
            wanted = parameter(f"{self.name}.velocity", self.velocity, (2,), velocity)[:, None]
            if self.frame == "heading":
                yaw = trajectory.yaw[:, future]
                cos, sin, x, y = np.cos(yaw), np.sin(yaw), wanted[..., 0], wanted[..., 1]
                wanted = np.stack((cos * x - sin * y, sin * x + cos * y), axis=-1)
            error = velocity - wanted
            gradient.root_lin_vel_w[:, future, :2] = error
            cost = 0.5 * np.square(error).sum(axis=(1, 2))
        if self.yaw_rate is None:
            return cost, gradient
        turning = trajectory.world.root_ang_vel_w[:, future, 2]
        excess = turning - parameter(f"{self.name}.yaw_rate", self.yaw_rate, (), turning)[:, None]
        gradient.root_ang_vel_w[:, future, 2] = self.yaw_weight * excess
        return cost + 0.5 * self.yaw_weight * np.square(excess).sum(axis=1), gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class Waypoint:
    """Go to a place on the floor and stand there.

    Attributes:
        pos_w: (2,) or (B, 2) [m], world.
        reach: a goal farther than this from where the body is now [m] counts as being this far
            in its direction.
        name: see :class:`Cost`.
    """

    pos_w: ArrayLike
    reach: float = math.inf
    name: str = "waypoint"

    def __post_init__(self) -> None:
        """Check the place."""
        parameter(f"{self.name}.pos_w", self.pos_w, (2,))
        if not self.reach > 0:
            raise InputError(f"{self.name}.reach: {self.reach:g} m given; give a distance greater than 0")

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,) [m^2] and their gradient; how much of each term counts is taken as given."""
        world, future, gradient = trajectory.world, trajectory.future, trajectory.world.zeros()
        here = world.root_pos_w[:, trajectory.history, :2]
        way = parameter(f"{self.name}.pos_w", self.pos_w, (2,), here) - here
        away = np.linalg.norm(way, axis=-1, keepdims=True)
        goal = here + way * np.minimum(self.reach / np.maximum(away, 1e-6), 1.0)
        offset = world.root_pos_w[:, future, :2] - goal[:, None]
        velocity = world.root_lin_vel_w[:, future, :2]
        near = np.exp(-CALMING * np.linalg.norm(offset, axis=-1, keepdims=True))
        gradient.root_pos_w[:, future, :2] = 2.0 * (1.0 - near) * offset
        gradient.root_lin_vel_w[:, future, :2] = 2.0 * near * velocity
        terms = (1.0 - near) * np.square(offset) + near * np.square(velocity)
        return terms.sum(axis=(1, 2)), gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class Heading:
    """Face a direction of the world.

    Attributes:
        yaw: () or (B,) [rad], world.
        name: see :class:`Cost`.
    """

    yaw: ArrayLike
    name: str = "heading"

    def __post_init__(self) -> None:
        """Check the direction."""
        parameter(f"{self.name}.yaw", self.yaw, ())

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,), without unit, and their gradient."""
        future, gradient = trajectory.future, trajectory.world.zeros()
        forward = trajectory.world.root_rot_w[:, future, :2]
        yaw = parameter(f"{self.name}.yaw", self.yaw, (), forward)
        error = forward - np.stack((np.cos(yaw), np.sin(yaw)), axis=-1)[:, None]
        gradient.root_rot_w[:, future, :2] = error
        return 0.5 * np.square(error).sum(axis=(1, 2)), gradient


@dataclass(frozen=True, kw_only=True, eq=False)
class Keyframe:
    """Bring chosen bodies to places of the world at given times.

    Between two frames places are interpolated linearly. A key at or before now, or beyond the
    horizon, costs nothing.

    Attributes:
        frames: (Q,) or (B, Q) frames after now, fractions allowed.
        positions_w: (Q, P, 3) or (B, Q, P, 3) [m], world.
        bodies: P names, the root's "root"; None: the root, then all others in their order.
        mask: (Q, P) or (B, Q, P) which of them count, from 0 to 1; None: all.
        name: see :class:`Cost`.
    """

    frames: ArrayLike
    positions_w: ArrayLike
    bodies: tuple[str, ...] | None = None
    mask: ArrayLike | None = None
    name: str = "keyframe"

    def __post_init__(self) -> None:
        """Check the numbers."""
        keys = parameter(f"{self.name}.frames", self.frames, (-1,)).shape[-1]
        count = -1 if self.bodies is None else len(self.bodies)
        points = parameter(f"{self.name}.positions_w", self.positions_w, (keys, count, 3)).shape[-2]
        if self.mask is not None:
            parameter(f"{self.name}.mask", self.mask, (keys, points))

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,) [m^2] and their gradient."""
        chosen = self._chosen(trajectory)
        points = trajectory.points_w()[:, trajectory.history :, chosen]  # the first row is now
        batch, last = len(points), points.shape[1] - 1
        keys, count = np.shape(self.frames)[-1], len(chosen)
        frames = parameter(f"{self.name}.frames", self.frames, (keys,), points)
        wanted = parameter(f"{self.name}.positions_w", self.positions_w, (keys, count, 3), points)
        at = np.broadcast_to(np.clip(frames, 0.0, last), (batch, keys))
        low = np.minimum(np.floor(at), last - 1.0).astype(np.int64)
        part, plan = (at - low)[..., None, None], np.arange(batch)[:, None]
        place = (1.0 - part) * points[plan, low] + part * points[plan, low + 1]
        counts = ((frames > 0) & (frames <= last)).astype(points.dtype)[..., None]
        if self.mask is not None:
            counts = counts * parameter(f"{self.name}.mask", self.mask, (keys, count), points)
        error = place - wanted
        pull = counts[..., None] * error
        slope, gradient = np.zeros_like(points), trajectory.world.zeros()
        np.add.at(slope, (plan, low), (1.0 - part) * pull)
        np.add.at(slope, (plan, low + 1), part * pull)
        slope[:, 0] = 0.0
        among = np.eye(1 + len(trajectory.body_names), dtype=points.dtype)[chosen]
        total = np.zeros_like(trajectory.points_w())
        total[:, trajectory.history :] = np.einsum("bfpc,pk->bfkc", slope, among)
        gradient.add_points(total)
        return 0.5 * (pull * error).sum(axis=(1, 2, 3)), gradient

    def _chosen(self, trajectory: Trajectory) -> list[int]:
        """Return the places of the bodies among the root and all others."""
        names = ("root", *trajectory.body_names)
        for body in self.bodies or ():
            if body not in names:
                raise InputError(f"{self.name}.bodies: no body '{body}'{nearest(body, names)}")
        return [names.index(body) for body in (names if self.bodies is None else self.bodies)]


def parameter(
    place: str, value: ArrayLike, tail: tuple[int, ...], like: np.ndarray | None = None
) -> np.ndarray:
    """Return a parameter as an array, with a leading axis of 1 or B where ``like`` is given.

    Args:
        place: names cost and parameter.
        value: the numbers.
        tail: the shape of one plan's parameter; -1 stands for any length of at least 1.
        like: (B, ...) an array of the trajectory: batch and type.

    Raises:
        InputError: numbers that are not finite, or of another shape.
    """
    try:
        array = np.asarray(value, dtype=np.float64 if like is None else like.dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {type(value).__name__} given; give numbers of shape {tail}") from error
    own = array.shape[array.ndim - len(tail) :]
    fits = len(own) == len(tail) and all(
        have == want or want == -1 for have, want in zip(own, tail, strict=True)
    )
    if not fits or array.ndim - len(tail) not in (0, 1) or array.size == 0:
        raise InputError(f"{place}: shape {array.shape} given; give {tail} or (B, *{tail}) for B plans")
    if not np.isfinite(array).all():
        raise InputError(f"{place}: a number that is NaN or infinite given; give finite numbers")
    if like is None:
        return array
    array = array if array.ndim > len(tail) else array[None]
    if len(array) not in (1, len(like)):
        raise InputError(
            f"{place}: given for {len(array)} plans, but there are {len(like)}; "
            "give one value for all or one for each"
        )
    return array


def require_positive(place: str, value: float) -> None:
    """Refuse a number that is not positive and finite.

    Raises:
        InputError: with ``place``, which names cost and parameter.
    """
    if not 0.0 < value < math.inf:
        raise InputError(f"{place}: {value:g} given; give a finite number greater than 0")
