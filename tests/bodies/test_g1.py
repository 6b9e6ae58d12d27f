"""The G1: BeyondMimic's actuation on the user's MJCF, a T-pose, MuJoCo's kinematics."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment, Kinematics, g1
from humanoid.core import InputError
from humanoid.spatial import rotation as rot
from tests.synthetic_robots import g1_links, mjcf

TABLE = {  # joint: I, effort, Kp, Kd, alpha as the paper's table S3 gives them, rounded
    "left_hip_pitch_joint": (0.010178, 88, 40.18, 2.558, 0.548),
    "waist_yaw_joint": (0.010178, 88, 40.18, 2.558, 0.548),
    "right_hip_roll_joint": (0.025102, 139, 99.10, 6.309, 0.351),
    "left_knee_joint": (0.025102, 139, 99.10, 6.309, 0.351),
    "right_ankle_roll_joint": (0.007219, 50, 28.50, 1.814, 0.439),
    "waist_pitch_joint": (0.007219, 50, 28.50, 1.814, 0.439),
    "left_shoulder_yaw_joint": (0.003610, 25, 14.25, 0.907, 0.439),
    "right_wrist_roll_joint": (0.003610, 25, 14.25, 0.907, 0.439),
    "left_wrist_pitch_joint": (0.00425, 5, 16.78, 1.068, 0.0745),
}


def landmarks(body: Embodiment, angles: np.ndarray) -> dict[str, np.ndarray]:
    """Return positions (3,) [m] of the landmarks with the root at the origin, facing x."""
    pos, quat = Kinematics(body).poses(
        torch.zeros(3), torch.tensor((1.0, 0.0, 0.0, 0.0)), torch.from_numpy(angles).float()
    )
    points = {}
    for name, point in body.landmarks.items():
        index = body.body_id(point.body)
        points[name] = (pos[index] + rot.rotate(quat[index], torch.tensor(point.offset))).numpy()
    return points


def lateral(points: dict[str, np.ndarray], start: str, end: str) -> float:
    """Return the angle [deg] of a bone to the axis that its side points to."""
    bone = points[end] - points[start]
    side = 1.0 if start.startswith("L_") else -1.0
    return float(np.degrees(np.arccos(side * bone[1] / np.linalg.norm(bone))))


def assert_agrees_with_mujoco(body: Embodiment, path: Path) -> None:
    """Compare our kinematics with MuJoCo's on the maker's own file at random poses."""
    spec = mujoco.MjSpec.from_file(str(path))
    for geom in list(spec.geoms):
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH:  # they do not move a body, and take seconds to read
            spec.delete(geom)
    for mesh in list(spec.meshes):
        spec.delete(mesh)
    model = spec.compile()
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    kinematics = Kinematics(body)
    columns = [model.joint(name).qposadr[0] for name in body.joint_names]
    rows = [model.body(name).id for name in body.body_names]
    for _ in range(20):
        root, quat = rng.normal(size=3), rng.normal(size=4)
        quat /= np.linalg.norm(quat)
        angles = rng.uniform(body.joint_range[:, 0], body.joint_range[:, 1])
        data.qpos[:7], data.qpos[columns] = (*root, *quat), angles
        mujoco.mj_kinematics(model, data)
        pos, _ = kinematics.poses(*(torch.tensor(value).float() for value in (root, quat, angles)))
        np.testing.assert_allclose(pos.numpy(), data.xpos[rows], atol=1e-4)


def test_has_the_published_actuation(g1_like: Embodiment) -> None:
    assert g1_like.joint_names == g1.JOINTS
    for joint, row in TABLE.items():
        i = g1_like.joint_ids([joint])[0]
        b = g1_like
        found = (b.joint_armature[i], b.effort[i], b.kp[i], b.kd[i], b.action_scale[i])
        np.testing.assert_allclose(found, row, rtol=2e-3)
    assert len(g1_like.tracked) == 14


def test_default_pose_is_the_published_one(g1_like: Embodiment) -> None:
    pose = dict(zip(g1_like.joint_names, g1_like.default_joint_pos, strict=True))
    wanted = {"hip_pitch": -0.312, "knee": 0.669, "ankle_pitch": -0.363, "elbow": 0.6, "shoulder_pitch": 0.2}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, angle in {**wanted, "shoulder_roll": 0.2 * sign}.items():
            assert pose.pop(f"{side}_{joint}_joint") == pytest.approx(angle)
    assert not any(pose.values())


def test_every_joint_has_the_published_ratios(g1_like: Embodiment) -> None:
    w, zeta, b = 2 * np.pi * 10, 2.0, g1_like  # section S1: Kp = I w^2, Kd = 2 zeta I w, alpha = tau / (4 Kp)
    np.testing.assert_allclose(b.kp, b.joint_armature * w**2, rtol=1e-5)
    np.testing.assert_allclose(b.kd, 2 * zeta * b.joint_armature * w, rtol=1e-5)
    np.testing.assert_allclose(b.action_scale, 0.25 * b.effort / b.kp, rtol=1e-5)


@pytest.mark.parametrize("side", ["L", "R"])
def test_t_pose_stretches_the_arms(g1_like: Embodiment, side: str) -> None:
    points = landmarks(g1_like, g1_like.t_pose)
    assert lateral(points, f"{side}_Shoulder", f"{side}_Elbow") < 10
    assert lateral(points, f"{side}_Elbow", f"{side}_Wrist") < 10
    assert lateral(points, f"{side}_Wrist", f"{side}_Hand") < 10
    legs = [points[f"{side}_{part}"][2] for part in ("Hip", "Knee", "Ankle", "Toe")]
    assert legs == sorted(legs, reverse=True)
    assert points[f"{side}_Toe"][0] > points[f"{side}_Ankle"][0] + 0.05
    spine = [points[part][2] for part in ("Pelvis", "Torso", "Chest", "Neck", "Head")]
    assert spine == sorted(spine)


def test_t_pose_is_within_the_limits(g1_like: Embodiment) -> None:
    assert (g1_like.joint_range[:, 0] <= g1_like.t_pose).all()
    assert (g1_like.t_pose <= g1_like.joint_range[:, 1]).all()


def test_kinematics_are_those_of_the_file(g1_like: Embodiment, g1_like_path: Path) -> None:
    assert_agrees_with_mujoco(g1_like, g1_like_path)


def test_the_real_robot(g1_mjcf: Path) -> None:
    body = g1.build(g1_mjcf)
    assert body.joint_names == g1.JOINTS
    assert body.body_mass.sum() == pytest.approx(33.34, abs=0.1)
    assert_agrees_with_mujoco(body, g1_mjcf)
    points = landmarks(body, body.t_pose)
    for side in "LR":
        assert lateral(points, f"{side}_Shoulder", f"{side}_Elbow") < 10
        assert lateral(points, f"{side}_Elbow", f"{side}_Wrist") < 10
    np.testing.assert_allclose(points["L_Hip"] * (1, -1, 1), points["R_Hip"], atol=1e-3)
    # the hip landmark stays within 5 cm of where it is however the hip turns
    rng, start = np.random.default_rng(1), landmarks(body, np.zeros(29))["L_Hip"]
    hip = body.joint_ids([f"left_hip_{axis}_joint" for axis in ("pitch", "roll", "yaw")])
    for _ in range(20):
        angles = np.zeros(29)
        angles[hip] = rng.uniform(-1, 1, 3)
        assert np.linalg.norm(landmarks(body, angles)["L_Hip"] - start) < 0.05


def test_a_robot_with_23_joints_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "g1_23dof.xml"
    lacking = ("waist_roll_joint", "waist_pitch_joint", "left_wrist_pitch_joint", "left_wrist_yaw_joint")
    lacking = (*lacking, "right_wrist_pitch_joint", "right_wrist_yaw_joint")
    text = mjcf(g1_links())
    for joint in lacking:
        before, _, after = text.partition(f'<joint name="{joint}"')
        text = (before + after.partition("/>")[2]).replace(f'<motor name="{joint}" joint="{joint}"/>', "")
    path.write_text(text)
    with pytest.raises(InputError, match="'g1'"):
        g1.build(path)
