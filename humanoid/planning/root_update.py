"""Root-trajectory update: guidance acts on the root's commands, not on single tokens.

A gradient that moves every number of every token by itself makes trajectories that no body
performs: it shifts the root of one frame, but not its velocity or heading. Here the same gradient
changes the yaw rate and the planar velocity relative to the heading, at every frame, and the root
trajectory is integrated again: places, headings and velocities of all later frames follow, and poses,
which are relative to each frame's own heading, do not change. So a pillar ahead becomes a curve round
it. BeyondMimic and Diffuse-CLoC move tokens.

The gradient with respect to the update is the vector-Jacobian product of :func:`update_root` with the
gradient with respect to tokens, in closed form (:func:`root_vjp`), for any cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.diffusion.trajectory import ANG, POS, ROOT, ROT, VEL, TrajectoryCfg
from humanoid.spatial.frames import turned


def update_root(tokens: Tensor, turn: Tensor, push: Tensor, cfg: TrajectoryCfg) -> Tensor:
    """Return tokens with other turning and velocities after now.

    Args:
        tokens: (B, T, S) state tokens.
        turn: (B, H) [rad/s] added to the yaw rate on the way to each frame after now.
        push: (B, H, 2) [m/s] added to the velocity, forward and left of each frame's heading.
        cfg: frames.
    """
    past, future = tokens[:, : cfg.history + 1], tokens[:, cfg.history + 1 :]
    angle = turn.cumsum(1) * cfg.dt
    step = tokens[:, cfg.history :, :2].diff(dim=1)
    added = turned(push, _yaw(future) + angle)
    place = past[:, -1:, :2] + (turned(step, angle) + cfg.dt * added).cumsum(1)
    columns = future[..., ROT].unflatten(-1, (2, 3))
    rotation = torch.cat((turned(columns[..., :2], angle.unsqueeze(-1)), columns[..., 2:]), dim=-1)
    velocity = turned(future[..., 9:11], angle) + added
    spin = turned(future[..., 12:14], angle)
    bent_future = torch.cat(
        (
            place,
            future[..., 2:3],
            rotation.flatten(-2),
            velocity,
            future[..., 11:12],
            spin,
            future[..., 14:15] + turn.unsqueeze(-1),
            future[..., ROOT:],
        ),
        dim=-1,
    )
    return torch.cat((past, bent_future), dim=1)


def root_vjp(tokens: Tensor, gradient: Tensor, cfg: TrajectoryCfg) -> tuple[Tensor, Tensor]:
    """Return the gradient with respect to the turn (B, H) and push (B, H, 2) of :func:`update_root`, at none.

    Args:
        tokens: (B, T, S) state tokens.
        gradient: (B, T, S) of costs with respect to them.
        cfg: frames.
    """
    future, slope = tokens[:, cfg.history + 1 :], gradient[:, cfg.history + 1 :]
    step = tokens[:, cfg.history :, :2].diff(dim=1)
    onward = _from_here(slope[..., POS][..., :2])
    angle = (onward * _aside(step)).sum(-1)
    for part in (slice(ROT.start, 6), slice(6, ROT.stop), VEL, ANG):
        plane = slice(part.start, part.start + 2)
        angle = angle + (slope[..., plane] * _aside(future[..., plane])).sum(-1)
    turn = cfg.dt * _from_here(angle) + slope[..., ANG.stop - 1]
    push = turned(cfg.dt * onward + slope[..., VEL.start : VEL.start + 2], -_yaw(future))
    return turn, push


def gap_gradient(tokens: Tensor, held: Tensor, cfg: TrajectoryCfg) -> Tensor:
    """Return the gradient (B, T, S) of ``sum |P_i +- dt V_k - P_k|^2 / 2`` over gaps beside known places.

    A gap is where a frame after now with a known place (k) has a neighbour (i = k - 1 or k + 1)
    without: what it holds on top of a step at the known frame's velocity. Only places that are
    not known have a gradient, so that :func:`root_vjp` says how to walk to those that are.

    Args:
        tokens: (B, T, S) state tokens, known numbers in them.
        held: (B, T, S) bool, which numbers are known.
        cfg: frames.
    """
    gradient = torch.zeros_like(tokens)
    first = cfg.history + 1
    place, slope = tokens[:, first:, :2], gradient[:, first:, :2]
    step = cfg.dt * tokens[:, first:, VEL.start : VEL.start + 2]
    known = held[:, first:, :2].all(-1, keepdim=True)
    before, after = known[:, 1:] & ~known[:, :-1], known[:, :-1] & ~known[:, 1:]
    slope[:, :-1] += before * (place[:, :-1] + step[:, 1:] - place[:, 1:])
    slope[:, 1:] += after * (place[:, 1:] - step[:, :-1] - place[:, :-1])
    return gradient


def _yaw(tokens: Tensor) -> Tensor:
    return torch.atan2(tokens[..., 4], tokens[..., 3])


def _aside(vector: Tensor) -> Tensor:
    """Turn vectors (..., 2) by a quarter: how they move as their angle grows."""
    return torch.stack((-vector[..., 1], vector[..., 0]), dim=-1)


def _from_here(values: Tensor) -> Tensor:
    """Return sums over this and all later frames, axis 1."""
    return values.flip(1).cumsum(1).flip(1)
