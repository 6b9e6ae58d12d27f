"""Solids that bodies keep clear of, in groups of one shape, with signed distances.

A group has M solids: one group for all rows of a batch, or a leading axis of B where each row has
M of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.spatial import geometry
from humanoid.spatial.parameters import check_values, rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Spheres:
    """Balls: ``centre_w (M, 3)`` or (B, M, 3) [m], ``radius (M,)`` or (B, M) [m]."""

    centre_w: Tensor
    radius: Tensor

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_values("spheres.centre_w", self.centre_w, (-1, 3))
        check_values("spheres.radius", self.radius, (-1,), positive=True)
        _check_counts("spheres", self.centre_w.shape[-2], radius=self.radius.shape[-1])

    def distance(self, points_w: Tensor) -> Tensor:
        """Return signed distances (B, ..., M) [m] of points (B, ..., 3)."""
        return geometry.sphere_distance(
            points_w.unsqueeze(-2),
            _spread("spheres.centre_w", self.centre_w, 2, points_w),
            _spread("spheres.radius", self.radius, 1, points_w),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Capsules:
    """Pillars and bars: ``start_w, end_w (M, 3)`` or (B, M, 3) [m], ``radius (M,)`` or (B, M) [m]."""

    start_w: Tensor
    end_w: Tensor
    radius: Tensor

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_values("capsules.start_w", self.start_w, (-1, 3))
        check_values("capsules.end_w", self.end_w, (-1, 3))
        check_values("capsules.radius", self.radius, (-1,), positive=True)
        _check_counts(
            "capsules", self.start_w.shape[-2], end_w=self.end_w.shape[-2], radius=self.radius.shape[-1]
        )

    @classmethod
    def pillars(cls, pos_w: Tensor, radius: Tensor, height: float = 3.0) -> Capsules:
        """Return upright pillars on the floor.

        Args:
            pos_w: (M, 2) or (B, M, 2) [m], world.
            radius: (M,) or (B, M) [m].
            height: [m] of the axis, which begins on the floor; a rounded cap is on top of it.
        """
        floor = torch.zeros_like(pos_w[..., :1])
        return cls(
            start_w=torch.cat((pos_w, floor), dim=-1),
            end_w=torch.cat((pos_w, floor + height), dim=-1),
            radius=radius,
        )

    def distance(self, points_w: Tensor) -> Tensor:
        """Return signed distances (B, ..., M) [m] of points (B, ..., 3)."""
        return geometry.capsule_distance(
            points_w.unsqueeze(-2),
            _spread("capsules.start_w", self.start_w, 2, points_w),
            _spread("capsules.end_w", self.end_w, 2, points_w),
            _spread("capsules.radius", self.radius, 1, points_w),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """Boxes: ``centre_w``, ``half`` widths (M, 3) or (B, M, 3) [m], ``quat_w (M, 4)`` or (B, M, 4)."""

    centre_w: Tensor
    half: Tensor
    quat_w: Tensor

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_values("boxes.centre_w", self.centre_w, (-1, 3))
        check_values("boxes.half", self.half, (-1, 3), positive=True)
        check_values("boxes.quat_w", self.quat_w, (-1, 4))
        _check_counts(
            "boxes", self.centre_w.shape[-2], half=self.half.shape[-2], quat_w=self.quat_w.shape[-2]
        )
        if not bool(((self.quat_w.norm(dim=-1) - 1.0).abs() < 1e-3).all()):
            raise InputError("boxes.quat_w: a quaternion that is not of unit length; give unit ones, wxyz")

    def distance(self, points_w: Tensor) -> Tensor:
        """Return signed distances (B, ..., M) [m] of points (B, ..., 3)."""
        return geometry.box_distance(
            points_w.unsqueeze(-2),
            _spread("boxes.centre_w", self.centre_w, 2, points_w),
            _spread("boxes.quat_w", self.quat_w, 2, points_w),
            _spread("boxes.half", self.half, 2, points_w),
        )


Solids = Spheres | Capsules | Boxes
"""A group of solids of one shape."""


def _spread(place: str, value: Tensor, axes: int, points: Tensor) -> Tensor:
    """Return parameters of M obstacles so that they broadcast with points (B, ..., 1, 3)."""
    tensor = rows(place, value, axes, points)
    return tensor.view(tensor.shape[0], *(1,) * (points.ndim - 2), *tensor.shape[1:])


def _check_counts(kind: str, count: int, **counts: int) -> None:
    for name, other in counts.items():
        if other != count:
            raise InputError(
                f"{kind}.{name}: given for {other} obstacles, but there are {count}; give as many"
            )
