"""Whether a body is upright: height of its head and tilt of its torso."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment, Landmark
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState
from humanoid.spatial import rotation as rot

FALLEN_M = 0.2
"""A head below this has fallen [m] (BeyondMimic, arXiv 2508.08241 v3, Table III)."""


class Posture:
    """Measures the posture of one embodiment against its default pose.

    Attributes:
        standing: height of the head in the default pose on the floor [m].
        anchor: index of the torso.
    """

    def __init__(self, body: Embodiment, device: str | torch.device = "cpu") -> None:
        """Stand the default pose on the floor.

        The head is the landmark of that name; a body without one has it at the origin of
        its highest body.
        """
        kinematics = Kinematics(body, device)
        pos, quat = kinematics.at_rest(body.default_joint_pos)
        highest = body.body_names[int(pos[:, 2].argmax())]
        head = body.landmarks.get("Head", Landmark(body=highest))
        self._head = body.body_id(head.body)
        self._offset = torch.tensor(head.offset, dtype=torch.float32, device=device)
        self._z = torch.tensor((0.0, 0.0, 1.0), device=device)
        self.anchor = body.body_id(body.anchor)
        self._up = rot.rotate_inverse(quat[self.anchor], self._z)
        self.standing = float(self._height(pos, quat) - kinematics.clearance(pos, quat).min())

    def head_height(self, state: BodyState) -> Tensor:
        """Return the height of the head over the floor. (...) [m]."""
        return self._height(state.body_pos_w, state.body_quat_w)

    def tilt(self, state: BodyState) -> Tensor:
        """Return the angle between the torso and how it stands in the default pose. (...) [rad]."""
        return _angle(self._gravity(state), self._up)

    def tilt_from(self, state: BodyState, ref: BodyState) -> Tensor:
        """Return the angle between the verticals as two torsos feel them. (...) [rad].

        Headings do not count: a torso that leans as its reference does, facing elsewhere, has none.
        """
        return _angle(self._gravity(state), self._gravity(ref))

    def _gravity(self, state: BodyState) -> Tensor:
        return rot.rotate_inverse(state.body_quat_w[..., self.anchor, :], self._z)

    def _height(self, pos: Tensor, quat: Tensor) -> Tensor:
        return pos[..., self._head, 2] + rot.rotate(quat[..., self._head, :], self._offset)[..., 2]


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle between unit vectors (..., 3) [rad]."""
    return torch.acos((a * b).sum(-1).clamp(-1.0, 1.0))
