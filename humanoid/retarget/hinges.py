"""From rotations to hinge angles: projection on one axis, smooth Euler angles on three.

Three hinges reach most rotations in two ways, each plus whole turns. Following the
nearest choice frame by frame lets a shoulder wind up; choosing each frame by itself
makes it jump. The shortest path through all frames' candidates (Viterbi) does neither.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.kinematics import euler_angles
from humanoid.core.errors import InputError
from humanoid.spatial import rotation as rot

RANGE_WEIGHT = 20.0
"""Cost of a squared radian outside the joint's range, against squared radians of change."""
_ALONG = 1 - 1e-6


def hinge_angles(quat: Tensor, axes: Tensor, limits: Tensor) -> Tensor:
    """Return the angles of a body's hinges that come closest to its local rotations.

    Args:
        quat: (T, 4) rotation of the body relative to its rest pose.
        axes: (K, 3) unit axes of its hinges in order, K in 0, 1, 3; three are along
            different coordinate axes, of either sign.
        limits: (K, 2) [rad].

    Returns:
        (T, K) [rad], not clipped to the limits.

    Raises:
        InputError: two hinges, or three that are not along the coordinate axes.
    """
    if len(axes) == 0:
        return quat.new_zeros(len(quat), 0)
    if len(axes) == 1:
        half = torch.atan2((quat[:, 1:] * axes[0]).sum(-1), quat[:, 0])
        return (2 * half + math.pi).remainder(2 * math.pi).sub(math.pi).unsqueeze(-1)
    order = [int(axis.abs().argmax()) for axis in axes]
    if sorted(order) != [0, 1, 2] or float(axes.abs().amax(-1).min()) < _ALONG:
        raise InputError(f"{len(axes)} hinges about {axes.tolist()}; allowed: 0, 1, or 3 along x, y and z")
    sign = axes.sum(-1).sign().double()  # turning about -x by a is turning about x by -a
    angles = euler_angles(rot.normalize(quat.double()), order) * sign
    return _smoothest(_candidates(angles), limits).to(quat)


def _candidates(angles: Tensor) -> np.ndarray:
    """Return (T, C, 3) equivalent angles: both branches, first and last plus whole turns."""
    first, middle, last = angles.unbind(-1)
    branches = (angles, torch.stack((first + math.pi, math.pi - middle, last + math.pi), -1))
    turns = (-2 * math.pi, 0.0, 2 * math.pi)
    options = []
    for branch in branches:
        branch = (branch + math.pi).remainder(2 * math.pi) - math.pi
        options += [branch + torch.tensor((a, 0.0, b), dtype=branch.dtype) for a in turns for b in turns]
    return torch.stack(options, dim=1).numpy()


def _smoothest(options: np.ndarray, limits: Tensor) -> Tensor:
    """Return the path (T, 3) through ``options (T, C, 3)`` of least change and excess."""
    low, high = limits.double().numpy().T
    excess = np.maximum(low - options, 0) + np.maximum(options - high, 0)
    local = RANGE_WEIGHT * (excess**2).sum(-1)  # (T, C)
    cost, back = local[0], np.zeros(local.shape, dtype=np.int64)
    for frame in range(1, len(options)):
        change = ((options[frame, :, None] - options[frame - 1, None]) ** 2).sum(-1)
        total = change + cost
        back[frame] = total.argmin(1)
        cost = total.min(1) + local[frame]
    choice = [int(cost.argmin())]
    for frame in range(len(options) - 1, 0, -1):
        choice.append(int(back[frame, choice[-1]]))
    return torch.from_numpy(options[np.arange(len(options)), choice[::-1]])
