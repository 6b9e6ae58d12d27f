"""Putting poses on the floor: shift, toes, lift, contact labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.retarget import contacts
from humanoid.retarget.ground import SLACK, TOE_LIMIT, TOE_REACH, bend_toes, floor_shift, lift_out
from humanoid.spatial import rotation as rot

FRAMES = 60


@pytest.fixture(scope="module")
def kinematics(body: Embodiment) -> Kinematics:
    return Kinematics(body)


def standing(kinematics: Kinematics, height: Tensor, pitch: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return poses (T, N, ...) of the body at rest, root at ``height (T,)``, leaning by ``pitch``."""
    root = torch.stack((torch.zeros_like(height), torch.zeros_like(height), height), -1)
    turn = rot.exp(torch.tensor((0.0, pitch, 0.0))).expand(len(height), 4)
    angles = torch.zeros(len(height), kinematics.body.num_joints)
    return kinematics.poses(root, turn, angles)


def sole(kinematics: Kinematics) -> float:
    """Return the root's height [m] at which the resting body's soles touch the floor."""
    pos, quat = standing(kinematics, torch.zeros(1))
    return -float(kinematics.clearance(pos, quat).min())


def test_the_shift_is_a_quantile_of_the_lowest_point(kinematics: Kinematics) -> None:
    heights = sole(kinematics) + torch.linspace(0, 1, 101)[torch.randperm(101)]
    pos, quat = standing(kinematics, heights)
    for share in (0.0, 0.05, 0.5):
        assert float(floor_shift(kinematics, pos, quat, share)) == pytest.approx(share, abs=1e-4)


def test_toes_and_hands_do_not_count_for_the_shift(kinematics: Kinematics) -> None:
    body = kinematics.body
    pos, quat = standing(kinematics, torch.full((5,), sole(kinematics)))
    for name in ("L_Toe", "R_Hand", "L_Wrist"):
        pos[:, body.body_id(name), 2] = -1.0
    assert float(floor_shift(kinematics, pos, quat, 0.05)) == pytest.approx(0.0, abs=1e-4)
    pos[:, body.body_id("Head"), 2] = -1.0
    assert float(floor_shift(kinematics, pos, quat, 0.05)) < -0.9


def bent(kinematics: Kinematics, pitch: float, lift: float = 0.0) -> Tensor:
    """Return the bend of the left toe of one frame with the foot pitched and the toe ``lift`` high."""
    body = kinematics.body
    pos, quat = standing(kinematics, torch.ones(1), pitch)
    pos[:, [body.body_id("L_Toe"), body.body_id("R_Toe")], 2] = lift
    angles = bend_toes(body, pos, quat, torch.full((1, body.num_joints), 0.1))
    toes = body.joint_ids(["L_Toe_y", "R_Toe_y"])
    assert float(angles[0, toes[0]]) == float(angles[0, toes[1]])
    others = [i for i in range(body.num_joints) if i not in toes]
    assert (angles[0, others] == 0.1).all()
    return angles[0, toes[0]]


@pytest.mark.parametrize("pitch", [0.1, 0.4, 0.8])
def test_toes_stay_level_while_the_heel_is_up(kinematics: Kinematics, pitch: float) -> None:
    body = kinematics.body
    angle = bent(kinematics, pitch)
    toe = body.body_id("L_Toe")
    angles = torch.zeros(1, body.num_joints)
    angles[0, body.joint_ids(["L_Toe_y"])[0]] = angle
    _, quat = kinematics.poses(torch.zeros(1, 3), rot.exp(torch.tensor(((0.0, pitch, 0.0),))), angles)
    forward = rot.rotate(quat[0, toe], torch.tensor((1.0, 0.0, 0.0)))
    assert abs(float(forward[2])) < 1e-5


def test_toes_bend_only_near_the_floor_only_upwards_and_not_too_far(kinematics: Kinematics) -> None:
    assert float(bent(kinematics, -0.5)) == 0.0
    assert float(bent(kinematics, 0.5, lift=TOE_REACH)) == 0.0
    assert float(bent(kinematics, 1.4)) == pytest.approx(-TOE_LIMIT)
    some = [float(bent(kinematics, 0.5, lift)) for lift in (0.0, 0.07, 0.09, 0.11)]
    assert some == sorted(some)
    assert math.degrees(TOE_LIMIT) == pytest.approx(50)


def test_bending_does_not_touch_its_input(kinematics: Kinematics) -> None:
    angles = torch.zeros(3, kinematics.body.num_joints)
    bend_toes(kinematics.body, *standing(kinematics, torch.zeros(3), 0.5), angles)
    assert (angles == 0).all()


def test_nothing_is_lifted_that_stands(kinematics: Kinematics) -> None:
    heights = torch.full((FRAMES,), sole(kinematics) - SLACK * 0.9)
    assert (lift_out(kinematics, *standing(kinematics, heights)) == 0).all()


@pytest.mark.parametrize("depth", [0.02, 0.1])
@pytest.mark.parametrize("length", [1, 10, 60])
def test_what_is_deep_is_lifted_smoothly(kinematics: Kinematics, depth: float, length: int) -> None:
    heights = torch.full((FRAMES,), sole(kinematics))
    begin = (FRAMES - length) // 2
    heights[begin : begin + length] -= depth
    lift = lift_out(kinematics, *standing(kinematics, heights))
    assert lift.shape == (FRAMES,)
    assert (lift >= 0).all() and float(lift.max()) <= depth - SLACK + 1e-4
    if length < FRAMES:
        assert float(lift.diff().abs().max()) < 0.15 * depth
        assert float(lift[0]) < 1e-6
    if length >= 10:  # longer than the smoothing is wide
        low = (heights + lift - sole(kinematics)).min()
        assert float(low) > -SLACK - 0.2 * depth


def test_a_clip_shorter_than_the_filter(kinematics: Kinematics) -> None:
    lift = lift_out(kinematics, *standing(kinematics, torch.full((3,), sole(kinematics) - 0.11)))
    torch.testing.assert_close(lift, torch.full((3,), 0.1), atol=1e-4, rtol=0)


def test_standing_is_low_and_slow() -> None:
    clearance = torch.tensor(((0.0, 0.0, 0.1, -0.02),))
    speed = torch.zeros(1, 4, 3)
    speed[0, 1, 2] = contacts.SPEED * 1.01
    assert contacts.standing(clearance, speed).tolist() == [[True, False, False, True]]
