"""The cost of coming near obstacles: solids and uneven ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from humanoid.core.errors import InputError, nearest
from humanoid.diffusion.trajectory import Trajectory
from humanoid.spatial import geometry
from humanoid.spatial.parameters import check_number, check_values, rows
from humanoid.spatial.solids import Boxes, Capsules, Solids, Spheres

BODY_RADII = {
    "root": 0.17, "pelvis": 0.17, "torso": 0.16, "waist": 0.15, "spine": 0.16, "chest": 0.18, "neck": 0.1,
    "head": 0.14, "thorax": 0.1, "shoulder": 0.08, "elbow": 0.08, "wrist": 0.12, "hand": 0.1, "hip": 0.1,
    "knee": 0.08, "ankle": 0.16, "toe": 0.08,
}  # fmt: skip
"""[m] Radius about a body's origin whose name has the word: what covers the part and the untracked
ones behind it (hand behind wrist, toes behind ankle) of a 1.75 m person; humanoid robots are slimmer."""
BODY_RADIUS = 0.1
"""[m] Radius where no word fits."""
_HEIGHTS = (0.2, 0.5, 0.8, 1.1, 1.4, 1.7)
"""[m] At which a body that walks must have room."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeightField:
    """Uneven ground: see :func:`humanoid.spatial.geometry.height_distance`.

    Attributes:
        heights: (X, Y) or (B, X, Y) [m], world; at least 2 x 2 nodes.
        origin_w: (2,) or (B, 2) [m] of node (0, 0), world.
        spacing: between nodes [m].
    """

    heights: Tensor
    origin_w: Tensor
    spacing: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_values("height field.heights", self.heights, (-1, -1))
        check_values("height field.origin_w", self.origin_w, (2,))
        check_number("height field.spacing", self.spacing, 0.0)
        if min(self.heights.shape[-2:]) < 2:
            raise InputError(f"height field: {tuple(self.heights.shape)} nodes given; give at least 2 x 2")

    @cached_property
    def _stretch(self) -> Tensor:
        return geometry.height_stretch(self.heights, self.spacing)

    def distance(self, points_w: Tensor) -> Tensor:
        """Return signed distances (B, ..., 1) [m] of points (B, ..., 3)."""
        return geometry.height_distance(
            points_w,
            rows("height field.heights", self.heights, 2, points_w),
            rows("height field.heights", self._stretch, 2, points_w),
            rows("height field.origin_w", self.origin_w, 1, points_w),
            self.spacing,
        ).unsqueeze(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Obstacles:
    """Keep every tracked body clear of obstacles.

    ``sum_i sum_b sum_o B(SDF_o(P_b,i) - r_b, delta)`` with BeyondMimic's C1 barrier, cut off
    smoothly at ``reach`` (:func:`humanoid.spatial.geometry.near_barrier`; G_sdf of arXiv
    2508.08241, which does not publish delta or radii). Summed over obstacles, not of the
    nearest one, so that the gradient does not jump midway between two. Feet stand on the ground, so
    there a body's radius is ``ground_radius``, the reach as well, and delta a third of it. A body
    inside an obstacle is pushed out.

    Attributes:
        spheres: or None.
        capsules: or None.
        boxes: or None.
        ground: or None.
        radius: [m] of bodies by name, the root's as "root"; others from :data:`BODY_RADII`.
        delta: [m] clearance below which the barrier is a parabola.
        reach: [m] clearance beyond which an obstacle costs nothing.
        ground_radius: [m] that bodies' origins keep above ``ground``.
        name: see :class:`humanoid.planning.costs.steering.Cost`.
    """

    spheres: Spheres | None = None
    capsules: Capsules | None = None
    boxes: Boxes | None = None
    ground: HeightField | None = None
    radius: Mapping[str, float] = field(default_factory=dict)
    delta: float = 0.15
    reach: float = 0.8
    ground_radius: float = 0.03
    name: str = "obstacles"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self._solids() and self.ground is None:
            raise InputError(
                f"{self.name}: no obstacle given; give spheres, capsules, boxes or a ground, "
                "or leave the cost out"
            )
        for body, radius in self.radius.items():
            check_number(f"{self.name}.radius of '{body}'", radius, 0.0)
        check_number(f"{self.name}.delta", self.delta, 0.0)
        check_number(f"{self.name}.reach", self.reach, self.delta)
        check_number(f"{self.name}.ground_radius", self.ground_radius, 0.0)

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,), without unit."""
        points = trajectory.points_w()[:, trajectory.future]
        radii = self._radii(("root", *trajectory.body_names), points)
        cost = points.new_zeros(points.shape[0])
        for _, group in self._solids():
            clearance = group.distance(points) - radii.unsqueeze(-1)
            cost = cost + geometry.near_barrier(clearance, self.delta, self.reach).sum((1, 2, 3))
        if self.ground is not None:
            clearance = self.ground.distance(points) - self.ground_radius
            felt = geometry.near_barrier(clearance, self.ground_radius / 3.0, self.ground_radius)
            cost = cost + felt.sum((1, 2, 3))
        return cost

    def room(self, points_w: Tensor) -> Tensor:
        """Return distances (B, P) [m] of places on the floor (B, P, 2) [m], world, to the nearest solid.

        The least at any height from the shins to the head: what can be walked under is in the way of
        one who has a head.
        """
        least = torch.full_like(points_w[..., 0], math.inf)
        for height in _HEIGHTS:
            raised = torch.cat((points_w, torch.full_like(points_w[..., :1], height)), dim=-1)
            for _, group in self._solids():
                least = torch.minimum(least, group.distance(raised).amin(-1))
        return least

    def _solids(self) -> list[tuple[str, Solids]]:
        groups = {"sphere": self.spheres, "capsule": self.capsules, "box": self.boxes}
        return [(kind, group) for kind, group in groups.items() if group is not None]

    def _radii(self, names: Sequence[str], like: Tensor) -> Tensor:
        """Return the radii (P,) [m] of bodies."""
        for name in self.radius:
            if name not in names:
                raise InputError(f"{self.name}.radius: no body '{name}'{nearest(name, names)}")
        return like.new_tensor([self.radius.get(name, default_radius(name)) for name in names])


def default_radius(name: str) -> float:
    """Return the radius [m] of a body by a word of its name (:data:`BODY_RADII`)."""
    fitting = (radius for word, radius in BODY_RADII.items() if word in name.lower())
    return next(fitting, BODY_RADIUS)
