"""The mirror of a body: an involution that agrees with the body's own kinematics."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from humanoid.bodies import BodyState, Embodiment, Kinematics, Mirror, smpl
from humanoid.bodies.mirror import reflect_quat, reflect_vector, twin_name
from humanoid.core import InputError
from humanoid.spatial import rotation as rot

BODIES = ("smpl", "ball", "g1", "h1")


@pytest.fixture(params=BODIES)
def any_body(request: pytest.FixtureRequest) -> Embodiment:
    if request.param == "smpl":
        return smpl.build()
    if request.param == "ball":
        return smpl.build(smpl.SmplCfg(dofs="ball"))
    return request.getfixturevalue(f"{request.param}_like")


def random_state(body: Embodiment, frames: int, generator: torch.Generator) -> BodyState:
    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    low, high = torch.tensor(body.joint_range).unbind(-1)
    joints = low + (high - low) * torch.rand(
        frames, body.num_joints, generator=generator, dtype=torch.float64
    )
    return Kinematics(body, dtype=torch.float64).state(
        noise(frames, 3), rot.normalize(noise(frames, 4)), joints,
        noise(frames, 3), noise(frames, 3), noise(frames, body.num_joints),
    )  # fmt: skip


def test_twice_is_nothing(any_body: Embodiment, generator: torch.Generator) -> None:
    state, mirror = random_state(any_body, 5, generator), Mirror.of(any_body)
    again = mirror.state(mirror.state(state))
    for field in fields(BodyState):
        assert torch.equal(getattr(again, field.name), getattr(state, field.name)), field.name


def test_mirrored_joints_put_the_bodies_where_the_mirrored_bodies_are(
    any_body: Embodiment, generator: torch.Generator
) -> None:
    mirrored = Mirror.of(any_body).state(random_state(any_body, 20, generator))
    reached = Kinematics(any_body, dtype=torch.float64).state(
        mirrored.root_pos_w, mirrored.root_quat_w, mirrored.joint_pos,
        mirrored.root_lin_vel_w, mirrored.root_ang_vel_w, mirrored.joint_vel,
    )  # fmt: skip
    torch.testing.assert_close(reached.body_pos_w, mirrored.body_pos_w, atol=1e-6, rtol=0)
    torch.testing.assert_close(reached.body_lin_vel_w, mirrored.body_lin_vel_w, atol=1e-5, rtol=0)
    torch.testing.assert_close(reached.body_ang_vel_w, mirrored.body_ang_vel_w, atol=1e-5, rtol=0)
    assert float(rot.angle_between(reached.body_quat_w, mirrored.body_quat_w).max()) < 1e-6


def test_limits_are_symmetric(any_body: Embodiment) -> None:
    mirror = Mirror.of(any_body)
    bounds = mirror.joints(torch.tensor(any_body.joint_range, dtype=torch.float32).T)
    low, high = bounds.amin(0), bounds.amax(0)
    torch.testing.assert_close(low, torch.tensor(any_body.joint_range[:, 0], dtype=torch.float32))
    torch.testing.assert_close(high, torch.tensor(any_body.joint_range[:, 1], dtype=torch.float32))


def test_standing_pose_is_its_own_mirror(body: Embodiment) -> None:
    pose = torch.tensor(body.default_joint_pos, dtype=torch.float32)
    torch.testing.assert_close(Mirror.of(body).joints(pose), pose)


def test_a_rotation_is_reflected_as_its_matrix(generator: torch.Generator) -> None:
    quat = rot.normalize(torch.randn(50, 4, generator=generator, dtype=torch.float64))
    plane = torch.diag(torch.tensor((1.0, -1.0, 1.0), dtype=torch.float64))
    torch.testing.assert_close(rot.to_matrix(reflect_quat(quat)), plane @ rot.to_matrix(quat) @ plane)
    vector = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        reflect_vector(rot.rotate(quat, vector)), rot.rotate(reflect_quat(quat), reflect_vector(vector))
    )


def test_twins_by_name() -> None:
    names = ("L_Knee_y", "R_Knee_y", "left_hip_pitch_joint", "right_hip_pitch_joint", "waist_l_joint")
    assert [twin_name(name, names) for name in names] == [*(names[i] for i in (1, 0, 3, 2)), "waist_l_joint"]


def test_a_lopsided_body_is_refused(body: Embodiment) -> None:
    places = body.body_pos.copy()
    places[body.body_id("R_Knee")] += (0.0, 0.01, 0.0)
    with pytest.raises(InputError, match="R_Knee.*10.0 mm"):
        Mirror.of(replace(body, body_pos=places))
    axes = body.joint_axis.copy()
    axes[body.joint_ids(["R_Hip_y"])[0]] = np.array((0.0, 0.6, 0.8))
    with pytest.raises(InputError, match="R_Hip_y"):
        Mirror.of(replace(body, joint_axis=axes))
