"""Initial hinge angles from segment rotations alone.

Three hinges reach a rotation in two ways. The nearest choice frame by frame winds a shoulder up, the best
choice of each frame jumps. The shortest path through the choices of all frames does neither: path costs
are products of 2 x 2 matrices over (min, +), computed by doubling in log T rounds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import euler_angles
from humanoid.spatial import rotation as rot

RANGE_WEIGHT = 20.0
"""Cost of a squared radian outside the joint's range, against squared radians of change."""
DISTINCT = 0.7
"""Least cosine between a hinge and the coordinate axis it counts as."""


def starting_angles(body: Embodiment, turns: Mapping[str, Tensor], starts: Tensor) -> Tensor:
    """Return hinge angles (T, D) [rad] whose bodies have about the rotations ``turns``.

    Going from the root outwards, the hinges between a turned body and the turned body before
    it share the rotation between the two, as that one really ended up.

    Args:
        body: the embodiment; hinges that no turned body explains stay at their default.
        turns: body name -> (T, 4) wanted rotation, world; the root's must be among them.
        starts: (N,) first frame of each clip.
    """
    wanted_root = turns[body.body_names[0]]
    frames = len(wanted_root)
    default = torch.tensor(body.default_joint_pos, dtype=torch.float32)
    angles = default.repeat(frames, 1)
    reached = {0: wanted_root}
    for index, name in enumerate(body.body_names):
        if name not in turns or index == 0:
            continue
        path = _path(body, index, reached)
        base = reached[path[0]]
        hinges, axes, rest = _group(body, path)
        if 1 <= len(hinges) <= 3:
            local = rot.mul(rot.mul(rot.conjugate(base), turns[name]), rot.conjugate(rest).expand(frames, 4))
            limits = torch.tensor(body.joint_range[hinges], dtype=torch.float32)
            found = hinge_angles(local, axes, limits, starts)
            if found is not None:
                angles[:, hinges] = found
        turn = base
        for axis, joint in zip(axes, hinges, strict=True):
            turn = rot.mul(turn, rot.about_axis(axis, angles[:, joint]))
        reached[index] = rot.mul(turn, rest.expand(frames, 4))
    return angles


def hinge_angles(quat: Tensor, axes: Tensor, limits: Tensor, starts: Tensor) -> Tensor | None:
    """Return the angles of hinges in a row that come closest to rotations.

    Args:
        quat: (T, 4) rotation that the hinges make together.
        axes: (K, 3) unit axes in order, K in 1, 2, 3, at zero angles in one frame.
        limits: (K, 2) [rad].
        starts: (N,) first frame of each clip.

    Returns:
        (T, K) [rad], not clipped to the limits; None where two or three axes are not about
        those of a right-angled frame.
    """
    if len(axes) == 1:
        half = torch.atan2((quat[:, 1:] * axes[0]).sum(-1), quat[:, 0])
        return (2 * half + math.pi).remainder(2 * math.pi).sub(math.pi).unsqueeze(-1)
    order = [int(axis.abs().argmax()) for axis in axes]
    if len(set(order)) < len(order) or float(axes.abs().amax(-1).min()) < DISTINCT:
        return None
    sign = axes.gather(1, torch.tensor(order)[:, None])[:, 0].sign().double()
    if len(order) == 2:
        order = [*order, 3 - sum(order)]
    angles = euler_angles(rot.normalize(quat.double()), order)[:, : len(axes)]
    if len(axes) == 2:
        return (angles * sign).to(quat)
    first, middle, last = angles.unbind(-1)
    other = torch.stack((first + math.pi, math.pi - middle, last + math.pi), -1)
    options = torch.stack((angles, other), 1) * sign
    center = limits.double().mean(-1)
    options = (options - center + math.pi).remainder(2 * math.pi) - math.pi + center
    return cheapest_path(options, limits.double(), starts).to(quat)


def cheapest_path(options: Tensor, limits: Tensor, starts: Tensor) -> Tensor:
    """Return the path (T, K) through ``options (T, 2, K)`` of least change and excess.

    Args:
        options: two sets of equivalent angles [rad] a frame.
        limits: (K, 2) [rad].
        starts: (N,) frames at which a change costs nothing.
    """
    excess = (limits[:, 0] - options).clamp_min(0) + (options - limits[:, 1]).clamp_min(0)
    local = RANGE_WEIGHT * excess.square().sum(-1)
    change = (options[1:, None] - options[:-1, :, None]).square().sum(-1)  # (T-1, from, to)
    change = torch.cat((change.new_zeros(1, 2, 2), change))
    change[starts] = 0.0
    ahead = _prefix(change + local[:, None])
    after = torch.zeros_like(local)
    if len(local) > 1:
        backwards = (change[1:] + local[1:, None]).flip(0).transpose(1, 2)
        after[:-1] = _prefix(backwards).amin(1).flip(0)
    choice = (ahead.amin(1) + after).argmin(1)
    return options[torch.arange(len(options)), choice]


def _prefix(steps: Tensor) -> Tensor:
    """Return the products ``steps[0] * ... * steps[t]`` (T, 2, 2) over (min, +), by doubling."""
    product, reach = steps.clone(), 1
    while reach < len(product):
        joined = (product[:-reach, :, :, None] + product[reach:, None]).amin(2)
        product = torch.cat((product[:reach], joined))
        reach *= 2
    return product


def _path(body: Embodiment, index: int, reached: Mapping[int, Tensor]) -> list[int]:
    """Return bodies from the nearest reached one above down to ``index``."""
    path = [int(body.parents[index]), index]
    while path[0] not in reached:
        path.insert(0, int(body.parents[path[0]]))
    return path


def _group(body: Embodiment, path: list[int]) -> tuple[list[int], Tensor, Tensor]:
    """Return the hinges along a path, their axes (K, 3) and the rotation (4,) at zero, in its first frame."""
    turn = torch.tensor((1.0, 0.0, 0.0, 0.0))
    hinges: list[int] = []
    axes: list[Tensor] = []
    for index in path[1:]:
        turn = rot.mul(turn, torch.tensor(body.body_quat[index], dtype=torch.float32))
        for joint in np.flatnonzero(body.joint_body == index).tolist():
            hinges.append(joint)
            axes.append(rot.rotate(turn, torch.tensor(body.joint_axis[joint], dtype=torch.float32)))
    return hinges, torch.stack(axes) if axes else torch.zeros(0, 3), turn
