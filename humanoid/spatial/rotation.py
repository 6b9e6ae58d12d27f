"""Rotation algebra in torch: quaternions ``wxyz``, rotation vectors, 6-d.

Every function works on any leading axes (written ``...``) and is differentiable.
Quaternions are of unit length; ``q`` and ``-q`` are the same rotation.
"""

from __future__ import annotations

import torch
from torch import Tensor


def normalize(q: Tensor) -> Tensor:
    """Return ``q (..., 4)`` scaled to unit length."""
    return q / q.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def mul(a: Tensor, b: Tensor) -> Tensor:
    """Return the Hamilton product ``a b``: rotate by ``b``, then by ``a``. (..., 4)."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    plus = torch.addcmul  # multiply and add in one operation
    return torch.stack(
        (
            aw * bw - plus(plus(ax * bx, ay, by), az, bz),
            plus(plus(aw * bx, ax, bw), ay, bz) - az * by,
            plus(plus(aw * by, ay, bw), az, bx) - ax * bz,
            plus(plus(aw * bz, ax, by), az, bw) - ay * bx,
        ),
        dim=-1,
    )


def conjugate(q: Tensor) -> Tensor:
    """Return the inverse rotation of a unit quaternion. (..., 4)."""
    return torch.cat((q[..., :1], -q[..., 1:]), dim=-1)


def rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors ``v (..., 3)`` by ``q (..., 4)``."""
    w, u = q[..., :1], q[..., 1:]
    u, v = torch.broadcast_tensors(u, v)
    t = 2.0 * torch.linalg.cross(u, v)
    return v + w * t + torch.linalg.cross(u, t)


def rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotate vectors ``v (..., 3)`` by the inverse of ``q (..., 4)``."""
    w, u = q[..., :1], q[..., 1:]
    u, v = torch.broadcast_tensors(u, v)
    t = 2.0 * torch.linalg.cross(u, v)
    return v - w * t + torch.linalg.cross(u, t)


def to_matrix(q: Tensor) -> Tensor:
    """Return rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = q.unbind(-1)
    return torch.stack(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ),
        dim=-1,
    ).unflatten(-1, (3, 3))  # fmt: skip


def from_matrix(m: Tensor) -> Tensor:
    """Return unit quaternions (..., 4) of rotation matrices (..., 3, 3).

    Per matrix, the best conditioned of the four formulas of Shepperd (1978).
    """
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = torch.stack(
        (1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22), -1
    )
    root = squares.clamp_min(1e-12).sqrt()  # 2|w|, 2|x|, 2|y|, 2|z|
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = torch.stack(
        (
            torch.stack((squares[..., 0], a, b, c), -1),
            torch.stack((a, squares[..., 1], d, e), -1),
            torch.stack((b, d, squares[..., 2], f), -1),
            torch.stack((c, e, f, squares[..., 3]), -1),
        ),
        dim=-2,
    ) / (2.0 * root.unsqueeze(-1))
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return normalize(candidates.gather(-2, best).squeeze(-2))


def exp(rotvec: Tensor) -> Tensor:
    """Return the quaternion (..., 4) of a rotation vector (..., 3) [rad]."""
    angle2 = (rotvec * rotvec).sum(-1, keepdim=True)
    angle = angle2.clamp_min(1e-24).sqrt()
    scale = torch.where(angle2 < 1e-8, 0.5 - angle2 / 48.0, (0.5 * angle).sin() / angle)
    return torch.cat(((0.5 * angle).cos(), rotvec * scale), dim=-1)


def log(q: Tensor) -> Tensor:
    """Return the shortest rotation vector (..., 3) [rad], |.| <= pi."""
    q = torch.where(q[..., :1] < 0, -q, q)
    w, u = q[..., :1], q[..., 1:]
    sin2 = (u * u).sum(-1, keepdim=True)
    sin = sin2.clamp_min(1e-24).sqrt()
    scale = torch.where(sin2 < 1e-12, 2.0 / w.clamp_min(1e-6), 2.0 * torch.atan2(sin, w) / sin)
    return u * scale


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle (...,) [rad] in [0, pi] of the rotation from ``a`` to ``b``.

    From the chord ``|a -+ b|``, which is precise near zero, unlike the arc cosine of the dot
    product.
    """
    squared = torch.minimum((a - b).square().sum(-1), (a + b).square().sum(-1))
    # the floor keeps the gradient of the square root finite where a equals b
    chord = squared.clamp_min(2.0**-120).sqrt() - 2.0**-60
    return 4.0 * torch.asin((0.5 * chord).clamp(max=1.0))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate from ``a`` to ``b (..., 4)`` along the shortest arc, ``t (...,)`` in [0, 1]."""
    return mul(a, exp(t.unsqueeze(-1) * log(mul(conjugate(a), b))))


def about_axis(axis: Tensor, angle: Tensor) -> Tensor:
    """Return the rotation by ``angle (...,)`` [rad] about unit ``axis (..., 3)``."""
    half = 0.5 * angle.unsqueeze(-1)
    return torch.cat((half.cos(), half.sin() * axis), dim=-1)


def to_6d(q: Tensor) -> Tensor:
    """Return the first two columns of the matrix, column after column. (..., 6)."""
    w, x, y, z = q.unbind(-1)
    return torch.stack(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
            2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
        ),
        dim=-1,
    )  # fmt: skip


def from_6d(d: Tensor) -> Tensor:
    """Return the quaternion (..., 4) of a 6-d rotation by Gram-Schmidt (Zhou et al. 2019)."""
    x = torch.nn.functional.normalize(d[..., :3], dim=-1)
    y = d[..., 3:] - (x * d[..., 3:]).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(y, dim=-1)
    return from_matrix(torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1))


def unwrap_sign(q: Tensor, dim: int = 0) -> Tensor:
    """Flip signs along a time axis so that consecutive quaternions lie in one hemisphere. (..., 4)."""
    q = q.movedim(dim, 0)
    flips = torch.ones_like(q[..., :1])
    flips[1:] = torch.where((q[1:] * q[:-1]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return (q * flips.cumprod(0)).movedim(0, dim)
