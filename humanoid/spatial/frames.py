"""Heading frame, anchor frame and projected gravity.

The heading frame of a pose keeps its position and yaw. BeyondMimic's anchor frame expresses a
reference relative to the robot: height, roll, pitch and joint pose come from the reference,
planar position and yaw from the robot (arXiv 2508.08241, section S1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanoid.spatial import rotation as rot
from humanoid.spatial.selector import stack_components


def yaw(q: Tensor) -> Tensor:
    """Return the yaw (...,) [rad] of ``q (..., 4)``: heading of its rotated x axis."""
    w, x, y, z = q.unbind(-1)
    return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def yaw_quat(q: Tensor) -> Tensor:
    """Return the rotation about world z that has the same yaw as ``q``. (..., 4)."""
    half = 0.5 * yaw(q)
    zero = torch.zeros_like(half)
    return torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)


def turned(vector: Tensor, angle: Tensor) -> Tensor:
    """Rotate planar vectors (..., 2) by ``angle (...,)`` [rad], counter-clockwise."""
    cos, sin = angle.cos(), angle.sin()
    x, y = vector.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def projected_gravity(q: Tensor) -> Tensor:
    """Return the unit vector of gravity in the frame of ``q (..., 4)``. (..., 3)."""
    w, x, y, z = q.unbind(-1)
    return torch.stack((2 * (w * y - x * z), -2 * (w * x + y * z), 2 * (x * x + y * y) - 1), dim=-1)


def relative_pose(
    anchor_pos_w: Tensor, anchor_quat_w: Tensor, pos_w: Tensor, quat_w: Tensor
) -> tuple[Tensor, Tensor]:
    """Express world poses in an anchor frame.

    Args:
        anchor_pos_w: (..., 3) [m], world.
        anchor_quat_w: (..., 4), world.
        pos_w: (..., 3) [m], world.
        quat_w: (..., 4), world.

    Returns:
        Position (..., 3) [m] and rotation (..., 4) in the anchor frame.
    """
    w, *u = anchor_quat_w.unbind(-1)
    v = (pos_w - anchor_pos_w).unbind(-1)
    # v - 2 w (u x v) + 2 u x (u x v), component by component
    once = _cross(u, v)
    twice = _cross(u, once)
    rotated = (a + 2.0 * torch.addcmul(c, w, b, value=-1.0) for a, b, c in zip(v, once, twice, strict=True))
    return stack_components(tuple(rotated)), rot.mul(rot.conjugate(anchor_quat_w), quat_w)


def _cross(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    (ax, ay, az), (bx, by, bz) = a, b
    return (
        torch.addcmul(ay * bz, az, by, value=-1.0),
        torch.addcmul(az * bx, ax, bz, value=-1.0),
        torch.addcmul(ax * by, ay, bx, value=-1.0),
    )


def anchored_targets(
    anchor_pos_w: Tensor,
    anchor_quat_w: Tensor,
    anchor_pos_w_ref: Tensor,
    anchor_quat_w_ref: Tensor,
    body_pos_w_ref: Tensor,
    body_quat_w_ref: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return body targets relative to the robot's anchor (BeyondMimic).

    ``p_d = (x_robot, y_robot, z_ref)``, ``R_d = Rz(yaw(R_robot R_ref^T))``,
    ``R' = R_d R_ref``, ``p' = p_d + R_d (p_ref - p_anchor_ref)``.

    Args:
        anchor_pos_w: (B, 3) [m] of the robot's anchor body, world.
        anchor_quat_w: (B, 4) of the robot's anchor body, world.
        anchor_pos_w_ref: (B, 3) [m] of the reference's anchor body, world.
        anchor_quat_w_ref: (B, 4) of the reference's anchor body, world.
        body_pos_w_ref: (B, N, 3) [m], world.
        body_quat_w_ref: (B, N, 4), world.

    Returns:
        Target positions (B, N, 3) [m] and rotations (B, N, 4), world.
    """
    half = 0.5 * yaw(rot.mul(anchor_quat_w, rot.conjugate(anchor_quat_w_ref))).unsqueeze(-1)
    c, s = half.cos(), half.sin()
    cos, sin = c * c - s * s, 2 * c * s
    w, x, y, z = body_quat_w_ref.unbind(-1)
    quat = stack_components((c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w))
    x, y, z = body_pos_w_ref.unbind(-1)
    x, y = x - anchor_pos_w_ref[..., :1], y - anchor_pos_w_ref[..., 1:2]
    # a rotation about z, at the reference's height: z is unchanged
    planar = (anchor_pos_w[..., :1] + cos * x - sin * y, anchor_pos_w[..., 1:2] + sin * x + cos * y)
    pos = stack_components((*planar, z))
    return pos, quat
