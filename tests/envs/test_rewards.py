"""The reward against numbers written by hand and the paper's formulas in scipy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid.bodies import BodyState, Embodiment
from humanoid.envs import BodyTensors, Reference, RewardTerm, StepState, TrackingEnv
from humanoid.envs.rewards import REWARDS, TRACKING_REWARDS
from humanoid.envs.starts import mask_rewards
from humanoid.envs.terms import tracking_errors
from humanoid.motion import MotionLibrary
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


def _step(body: Embodiment, state: BodyState, ref: BodyState, **parts: Any) -> StepState:
    zero = torch.zeros(len(state.joint_pos), body.num_joints)
    step = StepState(state, Reference(now=ref), zero, zero, BodyTensors(body, torch.device("cpu")))
    return replace(step, **parts).with_errors()


def _rewards(body: Embodiment, state: BodyState, ref: BodyState) -> dict[str, torch.Tensor]:
    step = _step(body, state, ref)
    return {name: REWARDS[name](step, **TRACKING_REWARDS[name].params) for name in TRACKING}


def _expect(found: dict[str, torch.Tensor], **different: float) -> None:
    """Every term is 1 except the ones named."""
    for name in TRACKING:
        expected = different.get(name, 1.0)
        assert found[name].tolist() == pytest.approx([expected] * len(found[name]), abs=1e-5), name


def test_identical_states_earn_exactly_one(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    found = _rewards(body, ref, ref)
    assert set(found) == set(TRACKING)
    # relative targets pass through a rotation by zero: rotations keep their last bit, positions round
    for name in ("anchor_pos", "anchor_rot", "body_rot", "body_lin_vel", "body_ang_vel"):
        assert torch.equal(found[name], torch.ones(2)), name
    assert found["body_pos"].tolist() == pytest.approx([1.0, 1.0], abs=1e-7)


def test_planar_shift_costs_the_anchor_only(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    state = replace(ref, body_pos_w=ref.body_pos_w + torch.tensor((0.3, 0.0, 0.0)))
    # 0.3^2 / 0.3^2 = 1; targets move along in the plane
    _expect(_rewards(body, state, ref), anchor_pos=math.exp(-1))


def test_height_costs_anchor_and_bodies(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    state = replace(ref, body_pos_w=ref.body_pos_w + torch.tensor((0.0, 0.0, 0.15)))
    # targets keep the height of the reference: every body is 0.15 off, 0.15^2 / 0.3^2 = 1/4
    _expect(_rewards(body, state, ref), anchor_pos=math.exp(-0.25), body_pos=math.exp(-0.25))


def test_turning_about_the_anchor_costs_its_rotation_only(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    turn = rot.exp(torch.tensor((0.0, 0.0, 0.4)))
    centre = ref.body_pos_w[:, anchor : anchor + 1]
    state = replace(
        ref,
        body_pos_w=centre + rot.rotate(turn, ref.body_pos_w - centre),
        body_quat_w=rot.mul(turn.expand_as(ref.body_quat_w), ref.body_quat_w),
    )
    # 0.4^2 / 0.4^2 = 1; the yaw of the targets follows the robot
    _expect(_rewards(body, state, ref), anchor_rot=math.exp(-1))


def test_velocity_errors_are_means_over_bodies(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    lin, ang = ref.body_lin_vel_w.clone(), ref.body_ang_vel_w.clone()
    lin[:, tracked[3]] += torch.tensor((0.0, 2.0, 0.0))
    ang[:, tracked] += torch.tensor((0.0, 0.0, 3.14))
    state = replace(ref, body_lin_vel_w=lin, body_ang_vel_w=ang)
    # one body of K is 2 m/s off: 2^2 / K / 1^2; all are 3.14 rad/s off: 3.14^2 / 3.14^2 = 1
    slow = math.exp(-4 / len(tracked))
    _expect(_rewards(body, state, ref), body_lin_vel=slow, body_ang_vel=math.exp(-1))


def test_one_rotated_body(body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor) -> None:
    quat = ref.body_quat_w.clone()
    last = tracked[-1]
    quat[:, last] = rot.mul(quat[:, last], rot.exp(torch.tensor((0.8, 0.0, 0.0))).expand(2, 4))
    # 0.8^2 / K / 0.4^2 = 4 / K
    found = _rewards(body, replace(ref, body_quat_w=quat), ref)
    _expect(found, body_rot=math.exp(-4 / len(tracked)))


def test_untracked_bodies_do_not_count(
    body: Embodiment, ref: BodyState, anchor: int, tracked: torch.Tensor
) -> None:
    others = [i for i in range(ref.body_pos_w.shape[1]) if i not in tracked.tolist()]
    state = ref.map(torch.clone)
    state.body_pos_w[:, others] += 1.0
    state.body_ang_vel_w[:, others] += 1.0
    _expect(_rewards(body, state, ref))


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


def test_action_rate(body: Embodiment, ref: BodyState) -> None:
    action, last = torch.zeros(2, 2, body.num_joints)
    action[:, :2], last[:, 1] = torch.tensor([1.0, 2.0]), 4.0
    # (1 - 0)^2 + (2 - 4)^2 = 5
    step = _step(body, ref, ref, action=action, last_action=last)
    assert REWARDS["action_rate"](step).tolist() == [5.0, 5.0]


def test_joint_limit_counts_only_what_is_outside(body: Embodiment, ref: BodyState) -> None:
    low, high = torch.tensor(body.joint_range, dtype=torch.float32).unbind(-1)
    joint_pos = torch.stack((0.5 * (low + high), high))
    joint_pos[1, 0] = low[0] - 0.5
    # the middle costs nothing, the whole range holds every limit, half of it leaves a quarter on a side
    step = _step(body, replace(ref, joint_pos=joint_pos), ref)
    assert REWARDS["joint_limit"](step, soft_limit=1.0).tolist() == pytest.approx([0.0, 0.5], abs=1e-5)
    quarter = float((0.25 * (high - low)).sum())
    assert REWARDS["joint_limit"](step, soft_limit=0.5).tolist() == pytest.approx(
        [0.0, quarter + 0.5], rel=1e-5
    )


def test_undesired_contacts_are_counted_above_the_threshold(body: Embodiment, ref: BodyState) -> None:
    force = torch.zeros(2, body.num_bodies, 3)
    head, chest, foot = (body.body_id(name) for name in ("Head", "Chest", body.feet[0]))
    force[0, foot, 2], force[0, chest, 0], force[0, head, 1] = 500.0, 1.0, -1.5
    # a foot may carry weight, the chest is on the threshold, the head above it
    step = _step(body, ref, ref, contact_force_w=force)
    assert REWARDS["undesired_contact"](step, force=1.0).tolist() == [1.0, 0.0]


def test_rewards_of_posture(body: Embodiment, ref: BodyState) -> None:
    turn = rot.exp(torch.tensor((0.5, 0.0, 0.0)))
    posture = BodyTensors(body, torch.device("cpu")).posture
    tilted = replace(ref, body_quat_w=rot.mul(turn.expand_as(ref.body_quat_w), ref.body_quat_w))
    step = _step(body, tilted, ref)
    expected = torch.exp(-((posture.tilt(tilted) / 0.5) ** 2))
    torch.testing.assert_close(REWARDS["upright"](step, sigma=0.5), expected)
    lowered = replace(ref, body_pos_w=ref.body_pos_w - torch.tensor((0.0, 0.0, 0.3)))
    below = (posture.standing - posture.head_height(lowered)).clamp_min(0.0)
    torch.testing.assert_close(
        REWARDS["head_height"](_step(body, lowered, ref), sigma=0.3), torch.exp(-((below / 0.3) ** 2))
    )


GROUPS = {
    "pose": ("anchor_pos", "anchor_rot", "body_pos", "body_rot"),
    "speed": ("body_lin_vel", "body_ang_vel"),
    "cost": ("action_rate", "joint_limit", "undesired_contact"),
}


def _grouped() -> dict[str, RewardTerm]:
    group = {name: group for group, names in GROUPS.items() for name in names}
    return {name: replace(term, group=group[name]) for name, term in TRACKING_REWARDS.items()}


def test_groups_are_parts_of_the_same_reward(make_env: Callable[..., TrackingEnv]) -> None:
    single, several = make_env(), make_env(reward=_grouped())
    rows = torch.tensor([0, 30, 60, 110])
    action = 0.5 * torch.randn(4, single.num_actions, generator=torch.Generator().manual_seed(1))
    results = []
    for env in (single, several):
        env.start(rows)
        results.append(env.step(action))
    one, many = results
    assert single.reward_groups == ("all",) and several.reward_groups == tuple(GROUPS)
    torch.testing.assert_close(many.groups.sum(-1), one.reward)
    torch.testing.assert_close(many.reward, one.reward)
    assert (many.groups[:, :2] > 0).all() and (many.groups[:, 2] < 0).all()
    penalty = 0.05 * action.square().sum(-1) * 0.02
    assert (many.groups[:, 2] <= -penalty + 1e-6).all()


def test_masked_environments_earn_what_the_others_earn() -> None:
    groups = torch.tensor([[1.0, 10.0], [3.0, 30.0], [100.0, 100.0]])
    masked = mask_rewards(groups, torch.tensor([False, False, True]))
    assert masked.tolist() == [[1.0, 10.0], [3.0, 30.0], [2.0, 20.0]]
    assert mask_rewards(groups, torch.ones(3, dtype=torch.bool)).tolist() == [[0.0, 0.0]] * 3
