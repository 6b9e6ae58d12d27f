"""The H1: names, a T-pose, gains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment, Kinematics, h1
from humanoid.spatial import rotation as rot


@pytest.mark.parametrize("side", ["L", "R"])
def test_t_pose_stretches_the_arms(h1_like: Embodiment, side: str) -> None:
    pos, quat = Kinematics(h1_like).poses(
        torch.zeros(3), torch.tensor((1.0, 0.0, 0.0, 0.0)), torch.from_numpy(h1_like.t_pose).float()
    )

    def point(name: str) -> np.ndarray:
        landmark = h1_like.landmarks[f"{side}_{name}"]
        index = h1_like.body_id(landmark.body)
        return (pos[index] + rot.rotate(quat[index], torch.tensor(landmark.offset))).numpy()

    for start, end in (("Shoulder", "Elbow"), ("Elbow", "Wrist")):
        bone = point(end) - point(start)
        cosine = (1 if side == "L" else -1) * bone[1] / np.linalg.norm(bone)
        assert np.degrees(np.arccos(cosine)) < 10
    assert point("Hip")[2] > point("Knee")[2] > point("Ankle")[2]


def test_every_joint_has_its_motor(h1_like: Embodiment) -> None:
    assert h1_like.joint_names == h1.JOINTS
    assert len(h1_like.joint_names) == 19
    knee, ankle = h1_like.joint_ids(["left_knee", "right_ankle"])
    assert (h1_like.effort[knee], h1_like.kp[knee], h1_like.kd[knee]) == (300.0, 200.0, 5.0)
    assert (h1_like.effort[ankle], h1_like.kp[ankle], h1_like.kd[ankle]) == (40.0, 20.0, 4.0)
    np.testing.assert_allclose(h1_like.action_scale, 0.25 * h1_like.effort / h1_like.kp)


def test_standing_keeps_the_feet_level(h1_like: Embodiment) -> None:
    angles = torch.from_numpy(h1_like.default_joint_pos).float()
    kinematics = Kinematics(h1_like)
    pos, quat = kinematics.poses(torch.zeros(3), torch.tensor((1.0, 0.0, 0.0, 0.0)), angles)
    lowest = kinematics.clearance(pos, quat)
    feet = h1_like.body_ids(h1_like.feet)
    assert float(lowest.min()) == pytest.approx(float(lowest[feet].min()))
    up = rot.rotate(quat[feet], torch.tensor((0.0, 0.0, 1.0)).expand(2, 3))
    assert (up[:, 2] > 0.99).all()
