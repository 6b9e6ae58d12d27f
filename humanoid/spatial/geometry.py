"""Signed distances from points to simple shapes, and the barrier that keeps points away.

Every function is batched and differentiable: arguments broadcast against each other over
their leading axes, written ``...``. A distance is positive outside of a shape, zero on its
surface, negative within; its gradient is the unit vector away from the shape wherever the
nearest point of the surface is unique, and zero at a centre where it is not defined.
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
    """Return signed distances (...,) [m] to capsules, all points within ``radius`` of a segment.

    Args:
        points: (..., 3) [m].
        start: (..., 3) [m] one end of the segment; both may be the same point.
        end: (..., 3) [m] its other end.
        radius: (...,) [m].
    """
    axis, offset = end - start, points - start
    tiny = torch.finfo(points.dtype).tiny
    along = (offset * axis).sum(-1) / axis.square().sum(-1).clamp_min(tiny)
    nearest = along.clamp(0.0, 1.0).unsqueeze(-1) * axis
    return (offset - nearest).norm(dim=-1) - radius


def box_distance(points: Tensor, centre: Tensor, quat: Tensor, half: Tensor) -> Tensor:
    """Return signed distances (...,) [m] to boxes of any orientation; exact inside and outside.

    Args:
        points: (..., 3) [m].
        centre: (..., 3) [m].
        quat: (..., 4) turns the box's own axes into those of the points.
        half: (..., 3) [m] half widths along the box's own axes.
    """
    beyond = rot.rotate_inverse(quat, points - centre).abs() - half
    return beyond.clamp_min(0.0).norm(dim=-1) + beyond.amax(-1).clamp_max(0.0)


def height_stretch(heights: Tensor, spacing: float) -> Tensor:
    """Return at each node how much longer the vertical gap is than the distance to the slope.

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

    The vertical gap to the bilinear surface over the stretch of its slope: exact for a plane,
    of first order elsewhere, so an edge steeper than the grid resolves is felt within one
    spacing of it only. Continuous everywhere; the gradient jumps at the lines of the grid.
    Beyond its edge the field goes on level.

    Args:
        points: (B, ..., 3) [m].
        heights: (B or 1, X, Y) [m]; node (i, j) stands at ``origin + spacing * (i, j)``.
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


def no_farther(goal: Tensor, here: Tensor, reach: float) -> Tensor:
    """Return goals (..., 2) [m], brought to ``reach`` [m] from ``here (..., 2)`` where they are farther."""
    away = goal - here
    return here + away * (reach / away.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp_max(1.0)


def barrier(x: Tensor, delta: float) -> Tensor:
    """Return BeyondMimic's barrier of clearances ``x (...)`` [m] (arXiv 2508.08241, guidance).

    ``-ln x`` from ``delta`` on and below it the parabola
    ``-ln delta + ((x - 2 delta)^2 / delta^2 - 1) / 2``, which has the same value and slope at
    ``delta`` and is defined for penetrations too. Slope: ``-1 / x`` or ``(x - 2 delta) / delta^2``.

    Args:
        x: clearance [m], of any sign.
        delta: clearance [m] > 0 below which the logarithm is replaced.
    """
    parabola = 0.5 * (((x - 2.0 * delta) / delta).square() - 1.0) - math.log(delta)
    # the logarithm of the branch not taken must be finite as well, or its gradient is not a number
    return torch.where(x >= delta, -x.clamp_min(delta).log(), parabola)


def near_barrier(x: Tensor, delta: float, reach: float) -> Tensor:
    """Return :func:`barrier` less its tangent at ``reach``, and zero from there on.

    The barrier itself falls for ever, so that far obstacles would push as well and the sum
    depend on their number. Less its tangent it is zero with zero slope at ``reach``: C1
    everywhere. Slope below ``reach``: that of the barrier plus ``1 / reach``.

    Args:
        x: clearance [m], of any sign.
        delta: as in :func:`barrier` [m], less than ``reach``.
        reach: clearance [m] beyond which nothing is felt.
    """
    x = x.clamp_max(reach)
    return barrier(x, delta) + math.log(reach) + x / reach - 1.0
