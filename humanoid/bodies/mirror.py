"""The sagittal mirror of a body: left becomes right by the reflection y -> -y.

Twins are found by name (``L_`` and ``R_``, ``left_`` and ``right_``), the sign of a joint angle from its
axis. Vectors become ``(x, -y, z)``, axial vectors (rotation axes, angular velocities) ``(-x, y, -z)``,
quaternions ``(w, -x, y, -z)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError
from humanoid.spatial import rotation as rot

_SIDES = {"L": "R", "left": "right", "Left": "Right", "l": "r"}
_TWIN = _SIDES | {right: left for left, right in _SIDES.items()}
_POLAR, _AXIAL, _QUAT = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, -1.0, 1.0, -1.0)
TOLERANCE_M = 2e-3
"""[m] Largest difference of twins' positions: makers round the numbers of their models."""
TOLERANCE_RAD = 2e-2
"""[rad] Largest difference of twins' rotations or axes."""


def twin_name(name: str, names: Sequence[str]) -> str:
    """Return the name among ``names`` with left and right exchanged in one word, else ``name`` itself."""
    words = name.split("_")
    for place, word in enumerate(words):
        if word in _TWIN:
            twin = "_".join((*words[:place], _TWIN[word], *words[place + 1 :]))
            if twin in names:
                return twin
    return name


def reflect_vector(v: Tensor) -> Tensor:
    """Reflect positions or linear velocities (..., 3)."""
    return v * v.new_tensor(_POLAR)


def reflect_axial(v: Tensor) -> Tensor:
    """Reflect angular velocities or rotation axes (..., 3)."""
    return v * v.new_tensor(_AXIAL)


def reflect_quat(q: Tensor) -> Tensor:
    """Reflect rotations (..., 4)."""
    return q * q.new_tensor(_QUAT)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The reflection of one body's states; applied twice it changes nothing.

    Attributes:
        joint_index: (D,) joint whose angle each joint takes over.
        joint_sign: (D,) +1 or -1 that it is multiplied by.
        body_index: (N,) body whose place each body takes.
    """

    joint_index: Tensor
    joint_sign: Tensor
    body_index: Tensor

    @classmethod
    def of(cls, body: Embodiment) -> Mirror:
        """Work out the mirror of an embodiment.

        Raises:
            InputError: its two sides differ.
        """
        bodies = [body.body_names.index(twin_name(name, body.body_names)) for name in body.body_names]
        joints = [body.joint_names.index(twin_name(name, body.joint_names)) for name in body.joint_names]
        _check_tree(body, bodies)
        return cls(
            joint_index=torch.tensor(joints),
            joint_sign=torch.tensor(_signs(body, bodies, joints), dtype=torch.float32),
            body_index=torch.tensor(bodies),
        )

    def joints(self, values: Tensor) -> Tensor:
        """Mirror joint angles, rates or targets (..., D)."""
        return values[..., self.joint_index.to(values.device)] * self.joint_sign.to(values)

    def state(self, state: BodyState) -> BodyState:
        """Mirror states of any leading axes."""
        index = self.body_index.to(state.joint_pos.device)
        return BodyState(
            self.joints(state.joint_pos),
            self.joints(state.joint_vel),
            reflect_vector(state.body_pos_w[..., index, :]),
            reflect_quat(state.body_quat_w[..., index, :]),
            reflect_vector(state.body_lin_vel_w[..., index, :]),
            reflect_axial(state.body_ang_vel_w[..., index, :]),
        )


def _check_tree(body: Embodiment, twins: list[int]) -> None:
    """Raise where a body's twin has another parent or place than its reflection."""
    pos, quat = torch.tensor(body.body_pos), torch.tensor(body.body_quat)
    away = (reflect_vector(pos) - pos[twins]).norm(dim=-1)
    turned = rot.angle_between(reflect_quat(quat), quat[twins])
    for index, twin in enumerate(twins[1:], start=1):
        parents = twins[int(body.parents[index])], int(body.parents[twin])
        if parents[0] != parents[1] or away[index] > TOLERANCE_M or turned[index] > TOLERANCE_RAD:
            raise InputError(
                f"body '{body.name}' has no mirror: '{body.body_names[twin]}' on "
                f"'{body.body_names[parents[1]]}' is no reflection of '{body.body_names[index]}': "
                f"{1000 * float(away[index]):.1f} mm and {float(turned[index]):.3f} rad off; at most "
                f"{1000 * TOLERANCE_M:g} mm and {TOLERANCE_RAD:g} rad"
            )


def _signs(body: Embodiment, bodies: list[int], joints: list[int]) -> list[float]:
    """Return the sign of each hinge's angle in the mirror."""
    signs = []
    rank = [int((body.joint_body[:joint] == owner).sum()) for joint, owner in enumerate(body.joint_body)]
    for joint, twin in enumerate(joints):
        name, other = body.joint_names[joint], body.joint_names[twin]
        same_place = bodies[int(body.joint_body[joint])] == int(body.joint_body[twin])
        cosine = float(np.dot(body.joint_axis[joint] * _AXIAL, body.joint_axis[twin]))
        if not same_place or rank[joint] != rank[twin] or abs(cosine) < np.cos(TOLERANCE_RAD):
            raise InputError(
                f"body '{body.name}' has no mirror: hinge '{other}' is not the reflection of hinge '{name}'"
            )
        signs.append(float(np.sign(cosine)))
    return signs
