"""A robot's motion as a captured skeleton: same positions, T-pose at identity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from humanoid.bodies import Embodiment, Kinematics
from humanoid.core import LoadCfg
from humanoid.motion import Motion, load_robot
from humanoid.retarget import as_clip
from humanoid.spatial import rotation as rot
from tests.motion.robot_takes import table


def robot_motion(folder: Path, body: Embodiment) -> Motion:
    """Return the made-up take on a body."""
    np.savetxt(folder / "a.csv", table(body), delimiter=",")
    return load_robot(folder / "a.csv", body, LoadCfg(quat="wxyz"))


def test_joints_are_where_the_bodies_are(tmp_path: Path, g1_like: Embodiment) -> None:
    motion = robot_motion(tmp_path, g1_like)
    clip = as_clip(motion, g1_like)
    pos, _ = clip.global_poses()
    torch.testing.assert_close(pos[:, :30], motion.states.body_pos_w, atol=1e-4, rtol=0)
    assert clip.fps == motion.fps


def test_landmarks_are_joints_of_smpls_names(tmp_path: Path, g1_like: Embodiment) -> None:
    motion = robot_motion(tmp_path, g1_like)
    clip = as_clip(motion, g1_like)
    pos, _ = clip.global_poses()
    s = motion.states
    for name, point in g1_like.landmarks.items():
        index = g1_like.body_id(point.body)
        arm = rot.rotate(s.body_quat_w[:, index], torch.tensor(point.offset))
        expected = s.body_pos_w[:, index] + arm
        torch.testing.assert_close(pos[:, clip.joint_id(name)], expected, atol=1e-4, rtol=0)


def test_identity_is_the_t_pose(tmp_path: Path, g1_like: Embodiment) -> None:
    kinematics, zero = Kinematics(g1_like), torch.zeros(2, 3)
    upright = torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(2, 1)
    angles = torch.from_numpy(g1_like.t_pose).float().repeat(2, 1)
    motion = robot_motion(tmp_path, g1_like)
    states = kinematics.state(zero, upright, angles, zero, zero, 0 * angles)
    clip = as_clip(Motion(**{**vars(motion), "states": states}), g1_like)
    turn = rot.angle_between(clip.local_quat, upright[:, None].expand_as(clip.local_quat))
    assert float(turn.max()) < 1e-3


def test_a_body_of_smpls_names_gets_no_second_joints(body: Embodiment, squat: Motion) -> None:
    clip = as_clip(squat, body)
    assert clip.joint_names == body.body_names
    pos, quat = clip.global_poses()
    torch.testing.assert_close(pos, squat.states.body_pos_w, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        rot.angle_between(quat, squat.states.body_quat_w).max(), torch.zeros(()), atol=2e-3, rtol=0
    )
