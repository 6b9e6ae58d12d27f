"""Putting a motion on the floor: a constant shift, toes that bend, a smooth lift.

Captured skeletons end at the ankle and the wrist, so the body's toes and hands would
poke through the floor whenever a heel lifts or a hand supports. Toes bend instead;
hands are left out when the floor is sought.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.spatial import rotation as rot

TOE_REACH = 0.12
"""[m] A toe joint higher than this does not bend."""
TOE_LIMIT = math.radians(50)
"""[rad] Largest bend of a toe."""
SLACK = 0.01
"""[m] Depth under the floor that is left as it is."""
_DILATE, _SMOOTH = 9, 21


def floor_shift(kinematics: Kinematics, pos: Tensor, quat: Tensor, share: float) -> Tensor:
    """Return the height () [m] to subtract so that ``share`` of frames end under the floor.

    Args:
        kinematics: of the body.
        pos: (T, N, 3) [m], world.
        quat: (T, N, 4), world.
        share: quantile of the lowest point over time.
    """
    return torch.quantile(_lowest(kinematics, pos, quat, ("Toe", "Wrist", "Hand")), share)


def bend_toes(body: Embodiment, pos: Tensor, quat: Tensor, angles: Tensor) -> Tensor:
    """Return joint angles (T, D) [rad] with toes kept level while the heel is up.

    Args:
        body: the embodiment; bodies whose name ends in ``Toe`` bend, others stay.
        pos: (T, N, 3) [m], world.
        quat: (T, N, 4), world.
        angles: (T, D) [rad].
    """
    angles = angles.clone()
    for name in body.body_names:
        joint = f"{name}_y"
        if not name.endswith("Toe") or joint not in body.joint_names:
            continue
        toe = body.body_id(name)
        foot = int(body.parents[toe])
        forward = rot.rotate(quat[:, foot], torch.tensor((1.0, 0.0, 0.0)).expand(len(quat), 3))
        pitch = torch.asin((-forward[:, 2]).clamp(-1, 1)).clamp(0, TOE_LIMIT)
        near = ((TOE_REACH - pos[:, toe, 2]) / (0.5 * TOE_REACH)).clamp(0, 1)
        angles[:, body.joint_ids([joint])[0]] = -pitch * near * near * (3 - 2 * near)
    return angles


def lift_out(kinematics: Kinematics, pos: Tensor, quat: Tensor) -> Tensor:
    """Return a smooth height (T,) [m] to add that takes the body out of the floor.

    The slack remains, and up to a centimetre or two more in a dip of a few frames.

    Args:
        kinematics: of the body.
        pos: (T, N, 3) [m], world.
        quat: (T, N, 4), world.
    """
    depth = (-SLACK - _lowest(kinematics, pos, quat, ("Wrist", "Hand"))).clamp_min(0)
    if float(depth.max()) == 0.0:
        return depth
    row = functional.pad(depth[None, None], (_DILATE // 2,) * 2, mode="replicate")
    row = functional.max_pool1d(row, _DILATE, stride=1)
    window = torch.hann_window(_SMOOTH + 2, periodic=False)[1:-1]
    row = functional.pad(row, (_SMOOTH // 2,) * 2, mode="replicate")
    return functional.conv1d(row, (window / window.sum())[None, None])[0, 0]


def _lowest(kinematics: Kinematics, pos: Tensor, quat: Tensor, without: tuple[str, ...]) -> Tensor:
    keep = [i for i, name in enumerate(kinematics.body.body_names) if not name.endswith(without)]
    return kinematics.clearance(pos, quat)[:, keep].amin(-1)
