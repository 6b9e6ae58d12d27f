"""Root-trajectory update in numpy; see :mod:`humanoid.planning.root_update`. No torch."""

from __future__ import annotations

import numpy as np

from humanoid.export.tokens import ANG, ROT, VEL, TokenLayout

_PLANES = tuple(slice(start, start + 2) for start in (ROT.start, ROT.start + 3, VEL.start, ANG.start))
"""x and y of all of the root's vectors but its place."""


def bent(tokens: np.ndarray, turn: np.ndarray, push: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """Return tokens with other turning and velocities after now.

    Args:
        tokens: (B, T, S) state tokens.
        turn: (B, H) [rad/s] added to the yaw rate on the way to each frame after now.
        push: (B, H, 2) [m/s] added to the velocity, forward and left of each frame's heading.
        layout: frames.
    """
    now, moved = layout.history, tokens.copy()
    future, step = moved[:, now + 1 :], np.diff(tokens[:, now:, :2], axis=1)
    angle = turn.cumsum(axis=1) * layout.dt
    added = _turned(push, _yaw(future) + angle)
    future[..., :2] = tokens[:, now, None, :2] + (_turned(step, angle) + layout.dt * added).cumsum(axis=1)
    for plane in _PLANES:
        future[..., plane] = _turned(future[..., plane], angle)
    future[..., VEL.start : VEL.start + 2] += added
    future[..., ANG.stop - 1] += turn
    return moved


def pulled_back(
    tokens: np.ndarray, gradient: np.ndarray, layout: TokenLayout
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient with respect to the turn (B, H) and push (B, H, 2) of :func:`bent`, at none.

    Args:
        tokens: (B, T, S) state tokens.
        gradient: (B, T, S) of costs with respect to them.
        layout: frames.
    """
    now = layout.history
    future, slope = tokens[:, now + 1 :], gradient[:, now + 1 :]
    onward = _from_here(slope[..., :2])
    angle = _moment(np.diff(tokens[:, now:, :2], axis=1), onward)
    for plane in _PLANES:
        angle = angle + _moment(future[..., plane], slope[..., plane])
    turn = layout.dt * _from_here(angle) + slope[..., ANG.stop - 1]
    push = _turned(layout.dt * onward + slope[..., VEL.start : VEL.start + 2], -_yaw(future))
    return turn, push


def gap_gradient(tokens: np.ndarray, held: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """Return the gradient (B, T, S) of ``sum |P_i +- dt V_k - P_k|^2 / 2`` over gaps beside known places.

    A gap is where a frame after now with a known place (k) has a neighbour (i = k - 1 or k + 1)
    without: what it holds on top of a step at the known frame's velocity. Only places that are
    not known have a gradient.

    Args:
        tokens: (B, T, S) state tokens, known numbers in them.
        held: (B, T, S) bool, which numbers are known.
        layout: frames.
    """
    gradient = np.zeros_like(tokens)
    first = layout.history + 1
    place, slope = tokens[:, first:, :2], gradient[:, first:, :2]
    step = layout.dt * tokens[:, first:, VEL.start : VEL.start + 2]
    known = held[:, first:, :1] & held[:, first:, 1:2]
    before, after = known[:, 1:] & ~known[:, :-1], known[:, :-1] & ~known[:, 1:]
    slope[:, :-1] += before * (place[:, :-1] + step[:, 1:] - place[:, 1:])
    slope[:, 1:] += after * (place[:, 1:] - step[:, :-1] - place[:, :-1])
    return gradient


def _yaw(tokens: np.ndarray) -> np.ndarray:
    return np.arctan2(tokens[..., 4], tokens[..., 3])


def _moment(vector: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the gradient with respect to the angles of planar vectors (..., 2)."""
    return vector[..., 0] * gradient[..., 1] - vector[..., 1] * gradient[..., 0]


def _from_here(values: np.ndarray) -> np.ndarray:
    """Return sums over this and all later frames, axis 1."""
    return np.flip(np.flip(values, axis=1).cumsum(axis=1), axis=1)


def _turned(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotate planar vectors (..., 2) by ``angle (...,)`` [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = vector[..., 0], vector[..., 1]
    return np.stack((cos * x - sin * y, sin * x + cos * y), axis=-1)
