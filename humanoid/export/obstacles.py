"""The cost of coming near pillars, bars and balls in numpy, with its gradient. No torch.

Values and gradients are those of :class:`humanoid.planning.costs.obstacles.Obstacles`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from humanoid.core.errors import InputError
from humanoid.export.costs import parameter, require_positive
from humanoid.export.tokens import Quantities, Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class Capsules:
    """All points within ``radius`` of M segments.

    Attributes:
        start_w: (M, 3) or (B, M, 3) [m], world.
        end_w: like ``start_w``; the same for a ball.
        radius: (M,) or (B, M) [m].
    """

    start_w: ArrayLike
    end_w: ArrayLike
    radius: ArrayLike

    def __post_init__(self) -> None:
        """Check the numbers."""
        count = parameter("capsules.start_w", self.start_w, (-1, 3)).shape[-2]
        parameter("capsules.end_w", self.end_w, (count, 3))
        if not (parameter("capsules.radius", self.radius, (count,)) > 0).all():
            raise InputError(f"capsules.radius: {np.min(self.radius):g} given; give numbers greater than 0")

    @classmethod
    def pillars(cls, pos_w: ArrayLike, radius: ArrayLike, height: float = 3.0) -> Capsules:
        """Return upright pillars on the floor.

        Args:
            pos_w: (M, 2) or (B, M, 2) [m], world.
            radius: (M,) or (B, M) [m].
            height: [m] of the axis, which begins on the floor; a rounded cap is on top of it.
        """
        place = parameter("pillars.pos_w", pos_w, (-1, 2))
        floor = np.zeros_like(place[..., :1])
        ends = (np.concatenate((place, floor + z), axis=-1) for z in (0.0, height))
        start, end = ends
        return cls(start_w=start, end_w=end, radius=radius)

    @classmethod
    def spheres(cls, centre_w: ArrayLike, radius: ArrayLike) -> Capsules:
        """Return balls: ``centre_w (M, 3)`` or (B, M, 3) [m], ``radius (M,)`` or (B, M) [m]."""
        return cls(start_w=centre_w, end_w=centre_w, radius=radius)

    def distance(self, points_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return signed distances (B, H, P, M) [m] and the directions (B, H, P, M, 3) away.

        Args:
            points_w: (B, H, P, 3) [m], world.
        """
        count = np.shape(self.radius)[-1]
        start, end = (
            parameter(f"capsules.{name}", value, (count, 3), points_w)[:, None, None]
            for name, value in (("start_w", self.start_w), ("end_w", self.end_w))
        )
        radius = parameter("capsules.radius", self.radius, (count,), points_w)[:, None, None]
        axis, offset = end - start, points_w[..., None, :] - start
        tiny = np.finfo(points_w.dtype).tiny
        along = (offset * axis).sum(-1) / np.maximum(np.square(axis).sum(-1), tiny)
        away = offset - np.clip(along, 0.0, 1.0)[..., None] * axis
        length = np.linalg.norm(away, axis=-1)
        return length - radius, away / np.maximum(length, tiny)[..., None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Obstacles:
    """Keep every tracked body clear of obstacles.

    Attributes:
        groups: the obstacles.
        body_radius: (1 + K,) [m] of the root and all other bodies: ``DenoiserMetadata.body_radius``.
        delta: [m] clearance below which the barrier is a parabola.
        reach: [m] clearance beyond which an obstacle costs nothing.
        name: see :class:`humanoid.export.costs.Cost`.
    """

    groups: tuple[Capsules, ...]
    body_radius: ArrayLike
    delta: float = 0.15
    reach: float = 0.8
    name: str = "obstacles"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.groups:
            raise InputError(f"{self.name}: no obstacle given; give some, or leave the cost out")
        parameter(f"{self.name}.body_radius", self.body_radius, (-1,))
        require_positive(f"{self.name}.delta", self.delta)
        if not self.delta < self.reach < math.inf:
            raise InputError(f"{self.name}.reach: {self.reach:g} given; give more than delta, {self.delta:g}")

    def __call__(self, trajectory: Trajectory) -> tuple[np.ndarray, Quantities]:
        """Return costs (B,), without unit, and their gradient."""
        every, gradient = trajectory.points_w(), trajectory.world.zeros()
        points, slope = every[:, trajectory.future], np.zeros_like(every)
        radii = parameter(f"{self.name}.body_radius", self.body_radius, (points.shape[2],), points)
        cost = np.zeros(len(points), dtype=points.dtype)
        for group in self.groups:
            distance, away = group.distance(points)
            clearance = distance - radii[:, None, :, None]
            cost += near_barrier(clearance, self.delta, self.reach).sum(axis=(1, 2, 3))
            push = near_barrier_slope(clearance, self.delta, self.reach)
            slope[:, trajectory.future] += (push[..., None] * away).sum(axis=-2)
        gradient.add_points(slope)
        return cost, gradient


def near_barrier(x: np.ndarray, delta: float, reach: float) -> np.ndarray:
    """Return :func:`humanoid.spatial.geometry.near_barrier` of clearances (...) [m]."""
    x = np.minimum(x, reach)
    parabola = 0.5 * (np.square((x - 2.0 * delta) / delta) - 1.0) - math.log(delta)
    barrier = np.where(x >= delta, -np.log(np.maximum(x, delta)), parabola)
    return barrier + math.log(reach) + x / reach - 1.0


def near_barrier_slope(x: np.ndarray, delta: float, reach: float) -> np.ndarray:
    """Return its derivative [1/m]."""
    barrier = np.where(x >= delta, -1.0 / np.maximum(x, delta), (x - 2.0 * delta) / delta**2)
    return np.where(x < reach, barrier + 1.0 / reach, 0.0)
