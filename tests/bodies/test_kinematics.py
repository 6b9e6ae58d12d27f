"""Forward kinematics against MuJoCo, Euler angles against scipy."""

from __future__ import annotations

from itertools import permutations

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics, smpl
from humanoid.bodies.kinematics import euler_angles
from humanoid.spatial import rotation as rot

COUNT = 8


@pytest.fixture(scope="module", params=["anatomical", "ball"])
def any_body(request: pytest.FixtureRequest) -> Embodiment:
    """The body with either choice of hinges."""
    return smpl.build(smpl.SmplCfg(dofs=request.param))


def random_motion(body: Embodiment, seed: int = 0) -> dict[str, Tensor]:
    """Return arguments of ``Kinematics.state``, float64, root far from the origin and turned."""
    rng = np.random.default_rng(seed)
    root_quat = Rotation.random(COUNT, rng=rng).as_quat(scalar_first=True)
    arrays = {
        "root_pos_w": rng.normal(size=(COUNT, 3)) * 3,
        "root_quat_w": root_quat,
        "joint_pos": rng.uniform(body.joint_range[:, 0], body.joint_range[:, 1], (COUNT, body.num_joints)),
        "root_lin_vel_w": rng.normal(size=(COUNT, 3)) * 3,
        "root_ang_vel_w": rng.normal(size=(COUNT, 3)) * 3,
        "joint_vel": rng.normal(size=(COUNT, body.num_joints)) * 5,
    }
    return {name: torch.tensor(array) for name, array in arrays.items()}


def mujoco_state(body: Embodiment, motion: dict[str, Tensor]) -> BodyState:
    """Return poses and twists of the body origins, all by MuJoCo."""
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    data = mujoco.MjData(model)
    root_ang_vel_b = rot.rotate_inverse(motion["root_quat_w"], motion["root_ang_vel_w"])
    rows = []
    for t in range(COUNT):
        data.qpos[:] = np.concatenate([motion[k][t] for k in ("root_pos_w", "root_quat_w", "joint_pos")])
        data.qvel[:] = np.concatenate(
            [motion["root_lin_vel_w"][t], root_ang_vel_b[t], motion["joint_vel"][t]]
        )
        mujoco.mj_forward(model, data)
        twist = np.zeros((body.num_bodies, 6))
        for i in range(body.num_bodies):
            # the frame of an XBODY is the body's own, that of a BODY sits in its centre of mass
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, i + 1, twist[i], 0)
        rows.append((data.xpos[1:].copy(), data.xquat[1:].copy(), twist[:, 3:], twist[:, :3]))
    columns = [torch.tensor(np.stack(column)) for column in zip(*rows, strict=True)]
    return BodyState(motion["joint_pos"], motion["joint_vel"], *columns)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_poses_and_twists_agree_with_mujoco(
    any_body: Embodiment, dtype: torch.dtype, tolerance: float
) -> None:
    motion = random_motion(any_body)
    expected = mujoco_state(any_body, motion)
    kinematics = Kinematics(any_body, dtype=dtype)
    ours = kinematics.state(**{name: value.to(dtype) for name, value in motion.items()})
    torch.testing.assert_close(ours.body_pos_w.double(), expected.body_pos_w, rtol=0, atol=tolerance)
    angle = rot.angle_between(ours.body_quat_w.double(), expected.body_quat_w)
    assert angle.max() < max(tolerance, 1e-7)
    for name in ("body_lin_vel_w", "body_ang_vel_w"):
        ours_v, theirs = getattr(ours, name).double(), getattr(expected, name)
        torch.testing.assert_close(ours_v, theirs, rtol=0, atol=20 * tolerance)


def test_poses_alone_are_those_of_the_state_and_take_any_leading_axes(body: Embodiment) -> None:
    motion = random_motion(body)
    kinematics = Kinematics(body, dtype=torch.float64)
    state = kinematics.state(**motion)
    folded = [motion[k].unflatten(0, (2, 2, 2)) for k in ("root_pos_w", "root_quat_w", "joint_pos")]
    pos, quat = kinematics.poses(*folded)
    torch.testing.assert_close(pos.flatten(0, 2), state.body_pos_w)
    torch.testing.assert_close(quat.flatten(0, 2), state.body_quat_w)


def test_body_zero_is_the_root(body: Embodiment) -> None:
    motion = random_motion(body)
    state = Kinematics(body, dtype=torch.float64).state(**motion)
    for name in ("root_pos_w", "root_quat_w", "root_lin_vel_w", "root_ang_vel_w"):
        torch.testing.assert_close(getattr(state, name), motion[name])


def test_rest_pose_is_the_kinematics_at_zero(body: Embodiment) -> None:
    kinematics = Kinematics(body, dtype=torch.float64)
    identity = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    zero = torch.zeros(body.num_joints, dtype=torch.float64)
    pos, _ = kinematics.poses(torch.zeros(3, dtype=torch.float64), identity, zero)
    torch.testing.assert_close(pos, torch.tensor(body.rest_pos))


def test_positions_differentiate_into_velocities(body: Embodiment) -> None:
    motion = random_motion(body)
    kinematics = Kinematics(body, dtype=torch.float64)
    state, h = kinematics.state(**motion), 1e-6

    def at(dt: float) -> tuple[Tensor, Tensor]:
        return kinematics.poses(
            motion["root_pos_w"] + dt * motion["root_lin_vel_w"],
            rot.mul(rot.exp(dt * motion["root_ang_vel_w"]), motion["root_quat_w"]),
            motion["joint_pos"] + dt * motion["joint_vel"],
        )

    (after, turned), (before, unturned) = at(h), at(-h)
    torch.testing.assert_close((after - before) / (2 * h), state.body_lin_vel_w, rtol=1e-5, atol=1e-5)
    spin = rot.log(rot.mul(turned, rot.conjugate(unturned))) / (2 * h)
    torch.testing.assert_close(spin, state.body_ang_vel_w, rtol=1e-5, atol=1e-5)


def compose(angles: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the product of three rotations about body axes."""
    turns = [rot.about_axis(torch.eye(3, dtype=angles.dtype)[a], angles[..., n]) for n, a in enumerate(axes)]
    return rot.mul(rot.mul(turns[0], turns[1]), turns[2])


orders = pytest.mark.parametrize("axes", list(permutations(range(3))))


@orders
def test_euler_angles_agree_with_scipy(axes: tuple[int, ...]) -> None:
    rotation = Rotation.random(500, rng=np.random.default_rng(0))
    q = torch.tensor(rotation.as_quat(scalar_first=True))
    expected = rotation.as_euler("".join("XYZ"[a] for a in axes))
    np.testing.assert_allclose(euler_angles(q, axes), expected, atol=1e-9)


@orders
def test_euler_angles_near_a_guess_follow_a_path_without_jumps(axes: tuple[int, ...]) -> None:
    # A path through both branches and several turns; the middle angle crosses +-pi/2.
    t = torch.linspace(0, 1, 601, dtype=torch.float64)
    path = torch.stack((7 * t, 2.5 * torch.sin(4 * t) + 0.1, -9 * t), dim=-1)
    q = compose(path, axes)
    found = [path[0]]
    for frame in q[1:]:
        found.append(euler_angles(frame, axes, near=found[-1]))
    angles = torch.stack(found)
    assert rot.angle_between(compose(angles, axes), q).max() < 1e-3
    torch.testing.assert_close(angles, path, rtol=0, atol=0.02)


@orders
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_gimbal_lock_gives_the_rotation_and_keeps_the_first_angle(
    axes: tuple[int, ...], dtype: torch.dtype, side: float
) -> None:
    angles = torch.tensor([[0.3, side * torch.pi / 2, 0.9], [-1.0, side * torch.pi / 2, 2.0]], dtype=dtype)
    q = compose(angles, axes)
    assert rot.angle_between(compose(euler_angles(q, axes), axes), q).max() < 2e-3
    near = angles + 0.01
    kept = euler_angles(q, axes, near=near)
    torch.testing.assert_close(kept[:, 0], near[:, 0], rtol=0, atol=2e-3)
    assert rot.angle_between(compose(kept, axes), q).max() < 2e-3
