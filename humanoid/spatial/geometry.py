"""Signed distances to primitive shapes and height fields, and barrier costs on clearances.

Every function is batched and differentiable; leading axes (``...``) broadcast. A distance is
positive outside a shape, zero on its surface and negative inside. Its gradient is the outward
unit normal where the nearest surface point is unique, and zero at a centre.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanoid.spatial import rotation as rot


def sphere_distance(points: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    """Return signed distances (...,) [m] to spheres.

    Args:
        points: (..., 3) [m].
        centre: (..., 3) [m].
        radius: (...,) [m].
    """
    return (points - centre).norm(dim=-1) - radius


def capsule_distance(points: Tensor, start: Tensor, end: Tensor, radius: Tensor) -> Tensor:
    """Return signed distances (...,) [m] to capsules: the points within ``radius`` of a segment.

    Args:
        points: (..., 3) [m].
        start: (..., 3) [m] one end of the segment; both may be the same point.
        end: (..., 3) [m] the other end.
        radius: (...,) [m].
    """
    axis, offset = end - start, points - start
    tiny = torch.finfo(points.dtype).tiny
    along = (offset * axis).sum(-1) / axis.square().sum(-1).clamp_min(tiny)
    nearest = along.clamp(0.0, 1.0).unsqueeze(-1) * axis
    return (offset - nearest).norm(dim=-1) - radius


def box_distance(points: Tensor, centre: Tensor, quat: Tensor, half: Tensor) -> Tensor:
    """Return signed distances (...,) [m] to oriented boxes; exact inside and outside.

    Args:
        points: (..., 3) [m].
        centre: (..., 3) [m].
        quat: (..., 4) rotation from the box frame to the frame of the points.
        half: (..., 3) [m] half extents along the box axes.
    """
    excess = rot.rotate_inverse(quat, points - centre).abs() - half
    return excess.clamp_min(0.0).norm(dim=-1) + excess.amax(-1).clamp_max(0.0)


def height_stretch(heights: Tensor, spacing: float) -> Tensor:
    """Return the ratio of vertical gap to normal distance at each node of a height field.

    ``sqrt(1 + |dh/dx|^2 + |dh/dy|^2)`` by central differences, one-sided at the edges.

    Args:
        heights: (..., X, Y) [m] at the nodes of a grid.
        spacing: between neighbouring nodes [m].
    """
    dx, dy = torch.gradient(heights, spacing=spacing, dim=(-2, -1))
    return (1.0 + dx.square() + dy.square()).sqrt()


def height_distance(
    points: Tensor, heights: Tensor, stretch: Tensor, origin: Tensor, spacing: float
) -> Tensor:
    """Return signed distances (B, ...) [m] above a height field, negative below it.

    The vertical gap to the bilinear surface divided by the slope's stretch: exact for a plane,
    first order elsewhere, so an edge steeper than the grid resolves acts within one spacing
    only. Continuous everywhere; the gradient jumps at grid lines. Outside the grid the field is
    extended by its edge values.

    Args:
        points: (B, ..., 3) [m].
        heights: (B or 1, X, Y) [m]; node (i, j) is at ``origin + spacing * (i, j)``.
        stretch: (B or 1, X, Y) from :func:`height_stretch`.
        origin: (B or 1, 2) [m] of node (0, 0).
        spacing: between neighbouring nodes [m].
    """
    batch, (rows, columns) = points.shape[0], heights.shape[-2:]
    flat = points.reshape(batch, -1, 3)
    place = (flat[..., :2] - origin.unsqueeze(-2)) / spacing
    x = place[..., 0].clamp(0.0, rows - 1.0)
    y = place[..., 1].clamp(0.0, columns - 1.0)
    row, column = x.detach().long().clamp_max(rows - 2), y.detach().long().clamp_max(columns - 2)
    right, up = x - row, y - column
    corner = row * columns + column

    def bilinear(values: Tensor) -> Tensor:
        nodes = values.expand(batch, rows, columns).flatten(1)
        low = nodes.gather(1, corner) * (1 - right) + nodes.gather(1, corner + columns) * right
        high = nodes.gather(1, corner + 1) * (1 - right) + nodes.gather(1, corner + columns + 1) * right
        return low * (1 - up) + high * up

    return ((flat[..., 2] - bilinear(heights)) / bilinear(stretch)).view(points.shape[:-1])


def clamp_distance(goal: Tensor, here: Tensor, reach: float) -> Tensor:
    """Return goals (..., 2) [m] moved towards ``here (..., 2)`` to at most ``reach`` [m] from it."""
    offset = goal - here
    return here + offset * (reach / offset.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp_max(1.0)


def barrier(x: Tensor, delta: float) -> Tensor:
    """Return BeyondMimic's relaxed log barrier of clearances ``x (...)`` [m] (arXiv 2508.08241).

    ``-ln x`` for ``x >= delta``, else the parabola ``-ln delta + ((x - 2 delta)^2 / delta^2 - 1) / 2``
    with the same value and slope at ``delta``, which is also defined for penetrations.
    Slope: ``-1 / x`` or ``(x - 2 delta) / delta^2``.

    Args:
        x: clearance [m], of any sign.
        delta: clearance [m] > 0 below which the logarithm is replaced.
    """
    parabola = 0.5 * (((x - 2.0 * delta) / delta).square() - 1.0) - math.log(delta)
    # the unused branch must be finite too, or its gradient is NaN
    return torch.where(x >= delta, -x.clamp_min(delta).log(), parabola)


def near_barrier(x: Tensor, delta: float, reach: float) -> Tensor:
    """Return :func:`barrier` minus its tangent at ``reach``; zero beyond.

    The plain barrier has a slope at any distance, so distant obstacles would push too and their
    sum would depend on their number. Without its tangent it has zero value and slope at
    ``reach`` (C1 everywhere); below, its slope is the barrier's plus ``1 / reach``.

    Args:
        x: clearance [m], of any sign.
        delta: as in :func:`barrier` [m], less than ``reach``.
        reach: clearance [m] beyond which the cost is zero.
    """
    x = x.clamp_max(reach)
    return barrier(x, delta) + math.log(reach) + x / reach - 1.0
