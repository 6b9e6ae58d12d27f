"""Postures that everybody can tell apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics, Posture
from humanoid.eval.recover import is_up
from humanoid.spatial import rotation as rot


def turned(*rotvec: float) -> Tensor:
    return rot.exp(torch.tensor(rotvec))


def posed(
    body: Embodiment, quat: Tensor, angles: dict[str, float] | None = None, speed: float = 0.0
) -> BodyState:
    """Return a pose whose lowest point is on the floor."""
    kinematics = Kinematics(body)
    joints = torch.tensor(body.default_joint_pos, dtype=torch.float32)
    for name, angle in (angles or {}).items():
        joints[body.joint_ids([name])] = angle
    low = kinematics.clearance(*kinematics.poses(torch.zeros(3), quat, joints)).min()
    zero = torch.zeros(3)
    root = torch.stack((zero[0], zero[0], -low))
    return kinematics.state(
        root, quat, joints, torch.tensor((speed, 0.0, 0.0)), zero, torch.zeros_like(joints)
    )


STANDING = turned(0.0, 0.0, 0.0)
SITTING = {"L_Hip_y": -math.pi / 2, "R_Hip_y": -math.pi / 2}


def test_standing_is_up(body: Embodiment) -> None:
    posture, state = Posture(body), posed(body, STANDING)
    assert float(posture.head_height(state)) == pytest.approx(posture.standing, abs=1e-5)
    assert 1.3 < posture.standing < 1.7
    assert float(posture.tilt(state)) == pytest.approx(0.0, abs=1e-3)
    assert bool(is_up(posture, state))
    assert bool(is_up(posture, posed(body, turned(0.0, 0.0, 2.0))))  # whichever way it faces
    assert not bool(is_up(posture, posed(body, STANDING, speed=1.5)))


@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)])
def test_lying_is_not_up(body: Embodiment, axis: tuple[float, float, float]) -> None:
    posture = Posture(body)
    state = posed(body, turned(*(0.5 * math.pi * x for x in axis)))
    assert float(posture.tilt(state)) == pytest.approx(0.5 * math.pi, abs=1e-3)
    assert not bool(is_up(posture, state))


def test_sitting_is_not_up_though_the_torso_is(body: Embodiment) -> None:
    posture, state = Posture(body), posed(body, STANDING, SITTING)
    assert float(posture.tilt(state)) == pytest.approx(0.0, abs=1e-3)
    assert 0.3 < float(posture.head_height(state)) / posture.standing < 0.75
    assert not bool(is_up(posture, state))


def test_a_number_that_is_none_is_not_up(body: Embodiment) -> None:
    posture, state = Posture(body), posed(body, STANDING)
    assert not bool(is_up(posture, state.map(lambda tensor: tensor * math.nan)))


def test_tilt_against_a_reference_knows_no_heading(body: Embodiment) -> None:
    posture = Posture(body)
    lean = turned(0.0, 0.7, 0.0)
    straight, leaning = posed(body, STANDING), posed(body, lean)
    elsewhere = posed(body, rot.mul(turned(0.0, 0.0, 2.5), lean))
    assert float(posture.tilt_from(leaning, straight)) == pytest.approx(0.7, abs=1e-3)
    assert float(posture.tilt_from(elsewhere, leaning)) == pytest.approx(0.0, abs=2e-3)
    assert float(posture.tilt(elsewhere)) == pytest.approx(0.7, abs=1e-3)


def test_a_robot_without_a_head_has_a_place_for_one(g1_like: Embodiment) -> None:
    posture, state = Posture(g1_like), posed(g1_like, STANDING)
    assert float(posture.head_height(state)) == pytest.approx(posture.standing, abs=1e-5)
    assert posture.standing > 0.3
    assert bool(is_up(posture, state))
