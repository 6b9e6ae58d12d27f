"""Signals over time: finite differences of vectors and rotations, and the smoothstep polynomial."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.spatial import rotation as rot


def derivative(x: Tensor, fps: float) -> Tensor:
    """Return dx/dt of ``x (T, ...)`` by central differences, one-sided at the ends."""
    if x.shape[0] < 2:
        return torch.zeros_like(x)
    out = torch.empty_like(x)
    out[1:-1] = (x[2:] - x[:-2]) * (0.5 * fps)
    out[0], out[-1] = (x[1] - x[0]) * fps, (x[-1] - x[-2]) * fps
    return out


def angular_velocity(q: Tensor, fps: float) -> Tensor:
    """Return the angular velocity (T, ..., 3) [rad/s], world, of ``q (T, ..., 4)``.

    Central differences on SO(3): ``log(q[t+1] q[t-1]^-1) / 2 dt``.
    """
    if q.shape[0] < 2:
        return torch.zeros_like(q[..., :3])
    out = torch.empty_like(q[..., :3])
    out[1:-1] = rot.log(rot.mul(q[2:], rot.conjugate(q[:-2]))) * (0.5 * fps)
    out[0] = rot.log(rot.mul(q[1], rot.conjugate(q[0]))) * fps
    out[-1] = rot.log(rot.mul(q[-1], rot.conjugate(q[-2]))) * fps
    return out


def smooth_step(u: Tensor) -> Tensor:
    """Return the quintic smoothstep ``u^3 (10 - 15 u + 6 u^2)``: zero slope and curvature at 0 and 1."""
    return u**3 * (10 - 15 * u + 6 * u**2)


def smooth_step_area(u: Tensor) -> Tensor:
    """Return the integral of :func:`smooth_step` from 0 to u."""
    return u**4 * (2.5 - 3 * u + u**2)
