"""The reward against numbers written by hand and the paper's formulas in scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid.bodies.state import BodyState
from humanoid.envs import rewards
from humanoid.envs.rewards import RewardCfg, tracking_errors, tracking_rewards
from humanoid.motion.library import MotionLibrary
from humanoid.spatial import rotation as rot

TRACKING = ("anchor_pos", "anchor_rot", "body_pos", "body_rot", "body_lin_vel", "body_ang_vel")


@pytest.fixture
def ref(library: MotionLibrary) -> BodyState:
    """Two different frames of the reference."""
    return library.rows(torch.tensor([30, 120]))


@pytest.fixture
def anchor(library: MotionLibrary) -> int:
    return library.body.body_id(library.body.anchor)


@pytest.fixture
def tracked(library: MotionLibrary) -> torch.Tensor:
    return torch.tensor(library.body.body_ids(library.body.tracked))


def _rewards(state: BodyState, ref: BodyState, anchor: int, tracked: torch.Tensor) -> dict[str, torch.Tensor]:
    return tracking_rewards(tracking_errors(state, ref, anchor, tracked), RewardCfg())


def _expect(found: dict[str, torch.Tensor], **different: float) -> None:
    """Every term is 1 except the ones named."""
    for name in TRACKING:
        expected = different.get(name, 1.0)
        assert found[name].tolist() == pytest.approx([expected] * len(found[name]), abs=1e-5), name


def test_identical_states_earn_exactly_one(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    found = _rewards(ref, ref, anchor, tracked)
    assert set(found) == set(TRACKING)
    # relative targets pass through a rotation by zero: rotations keep their last bit, positions round
    for name in ("anchor_pos", "anchor_rot", "body_rot", "body_lin_vel", "body_ang_vel"):
        assert torch.equal(found[name], torch.ones(2)), name
    assert found["body_pos"].tolist() == pytest.approx([1.0, 1.0], abs=1e-7)


def test_planar_shift_costs_the_anchor_only(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    state = replace(ref, body_pos_w=ref.body_pos_w + torch.tensor((0.3, 0.0, 0.0)))
    # 0.3^2 / 0.3^2 = 1; targets move along in the plane
    _expect(_rewards(state, ref, anchor, tracked), anchor_pos=math.exp(-1))


def test_height_costs_anchor_and_bodies(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    state = replace(ref, body_pos_w=ref.body_pos_w + torch.tensor((0.0, 0.0, 0.15)))
    # targets keep the height of the reference: every body is 0.15 off, 0.15^2 / 0.3^2 = 1/4
    _expect(_rewards(state, ref, anchor, tracked), anchor_pos=math.exp(-0.25), body_pos=math.exp(-0.25))


def test_turning_about_the_anchor_costs_its_rotation_only(
    ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    turn = rot.exp(torch.tensor((0.0, 0.0, 0.4)))
    centre = ref.body_pos_w[:, anchor : anchor + 1]
    state = replace(
        ref,
        body_pos_w=centre + rot.rotate(turn, ref.body_pos_w - centre),
        body_quat_w=rot.mul(turn.expand_as(ref.body_quat_w), ref.body_quat_w),
    )
    # 0.4^2 / 0.4^2 = 1; the yaw of the targets follows the robot
    _expect(_rewards(state, ref, anchor, tracked), anchor_rot=math.exp(-1))


def test_velocity_errors_are_means_over_bodies(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    lin, ang = ref.body_lin_vel_w.clone(), ref.body_ang_vel_w.clone()
    lin[:, tracked[3]] += torch.tensor((0.0, 2.0, 0.0))
    ang[:, tracked] += torch.tensor((0.0, 0.0, 3.14))
    state = replace(ref, body_lin_vel_w=lin, body_ang_vel_w=ang)
    # one body of K is 2 m/s off: 2^2 / K / 1^2; all are 3.14 rad/s off: 3.14^2 / 3.14^2 = 1
    slow = math.exp(-4 / len(tracked))
    _expect(_rewards(state, ref, anchor, tracked), body_lin_vel=slow, body_ang_vel=math.exp(-1))


def test_one_rotated_body(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    quat = ref.body_quat_w.clone()
    body = tracked[-1]
    quat[:, body] = rot.mul(quat[:, body], rot.exp(torch.tensor((0.8, 0.0, 0.0))).expand(2, 4))
    # 0.8^2 / K / 0.4^2 = 4 / K
    found = _rewards(replace(ref, body_quat_w=quat), ref, anchor, tracked)
    _expect(found, body_rot=math.exp(-4 / len(tracked)))


def test_untracked_bodies_do_not_count(ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    others = [i for i in range(ref.body_pos_w.shape[1]) if i not in tracked.tolist()]
    state = ref.map(torch.clone)
    state.body_pos_w[:, others] += 1.0
    state.body_ang_vel_w[:, others] += 1.0
    _expect(_rewards(state, ref, anchor, tracked))


def test_relative_targets_are_those_of_the_paper() -> None:
    draw = torch.Generator().manual_seed(3)

    def state() -> BodyState:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(7, *shape, generator=draw, dtype=torch.float64)

        return BodyState(
            normal(2), normal(2), normal(5, 3), rot.normalize(normal(5, 4)), normal(5, 3), normal(5, 3)
        )

    robot, ref, anchor, bodies = state(), state(), 1, torch.tensor([0, 2, 4])
    errors = tracking_errors(robot, ref, anchor, bodies)

    def rotation(quat: torch.Tensor) -> Rotation:
        return Rotation.from_quat(quat.numpy(), scalar_first=True)

    # R_d = Rz(yaw(R_robot R_ref^T)), p_d = (x_robot, y_robot, z_ref), p' = p_d + R_d (p_ref - p_anchor_ref)
    relative = rotation(robot.body_quat_w[:, anchor]) * rotation(ref.body_quat_w[:, anchor]).inv()
    matrix = relative.as_matrix()
    turn = Rotation.from_euler("z", np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])[:, None])
    origin = np.concatenate(
        (robot.body_pos_w[:, anchor, :2].numpy(), ref.body_pos_w[:, anchor, 2:].numpy()), axis=-1
    )
    squared_pos, squared_rot = [], []
    for column, body in enumerate(bodies.tolist()):
        offset = ref.body_pos_w[:, body] - ref.body_pos_w[:, anchor]
        target = origin + turn.apply(offset.numpy())
        np.testing.assert_allclose(errors.target_pos_w[:, column], target, atol=1e-12)
        squared_pos.append(((robot.body_pos_w[:, body].numpy() - target) ** 2).sum(-1))
        target_rot = turn * rotation(ref.body_quat_w[:, body])
        squared_rot.append((rotation(robot.body_quat_w[:, body]) * target_rot.inv()).magnitude() ** 2)
    np.testing.assert_allclose(errors.squared["body_pos"], np.mean(squared_pos, axis=0), atol=1e-12)
    np.testing.assert_allclose(errors.squared["body_rot"], np.mean(squared_rot, axis=0), atol=1e-9)


def test_action_rate() -> None:
    # (1 - 0)^2 + (2 - 4)^2 = 5
    assert rewards.action_rate(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).tolist() == [5.0]


def test_joint_limit_counts_only_what_is_outside() -> None:
    low, high = torch.tensor((-1.0, -1.0, -1.0)), torch.tensor((1.0, 1.0, 1.0))
    joints = torch.tensor([[-1.5, 0.0, 1.25], [-1.0, 0.3, 1.0]])
    # 0.5 below and 0.25 above; on the limit is inside
    assert rewards.joint_limit(joints, low, high).tolist() == [0.75, 0.0]


def test_undesired_contacts_are_counted_above_the_threshold() -> None:
    force = torch.zeros(1, 4, 3)
    force[0, 0, 2], force[0, 1, 0], force[0, 3, 1] = 500.0, 1.0, -1.5
    # body 0 may carry weight, body 1 is on the threshold, body 3 above it
    assert rewards.undesired_contact(force, torch.tensor([1, 2, 3]), 1.0).tolist() == [1.0]
