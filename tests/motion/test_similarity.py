"""Similarity up to place and heading, against rotating by brute force."""

from __future__ import annotations

import math

import torch

from humanoid.bodies import BodyState, Kinematics
from humanoid.motion import MotionLibrary, similarity
from humanoid.motion.similarity import ANGLE, POSITION, SPEED
from humanoid.spatial import rotation as rot


def turned(state: BodyState, angle: float, shift: tuple[float, float]) -> BodyState:
    turn = torch.tensor([math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)])
    move = torch.tensor([*shift, 0.0])
    return BodyState(
        state.joint_pos,
        state.joint_vel,
        rot.rotate(turn, state.body_pos_w) + move,
        rot.mul(turn.expand_as(state.body_quat_w), state.body_quat_w),
        rot.rotate(turn, state.body_lin_vel_w),
        rot.rotate(turn, state.body_ang_vel_w),
    )


def test_a_frame_that_was_carried_away_finds_itself(library: MotionLibrary) -> None:
    frames = library.rows(torch.arange(101))
    picks = torch.tensor([5, 37, 80])
    away = turned(frames[picks], 2.5, (3.0, -4.0))
    pairing = similarity.pair(away, frames)
    assert pairing.index.tolist() == picks.tolist()
    assert float(pairing.distance.max()) < 1e-3
    torch.testing.assert_close(pairing.turn, torch.full((3,), -2.5), atol=1e-3, rtol=0)
    back = similarity.moved(away, pairing)
    torch.testing.assert_close(back.root_pos_w, frames[picks].root_pos_w, atol=1e-4, rtol=0)
    assert float(rot.angle_between(back.root_quat_w, frames[picks].root_quat_w).max()) < 2e-3
    torch.testing.assert_close(back.root_lin_vel_w, frames[picks].root_lin_vel_w, atol=1e-3, rtol=0)


def test_distance_is_the_least_over_all_headings(library: MotionLibrary) -> None:
    generator = torch.Generator().manual_seed(0)
    body = library.body
    zero = torch.zeros(2, 3)
    joint_pos = 0.5 * torch.randn(2, body.num_joints, generator=generator)
    quat = rot.normalize(torch.randn(2, 4, generator=generator))
    root = torch.tensor([[0.0, 0.0, 0.4], [1.0, 2.0, 0.9]])
    states = Kinematics(body).state(root, quat, joint_pos, zero, zero, torch.randn_like(joint_pos))
    one, other = states[:1], states[1:]
    pairing = similarity.pair(one, other)
    best = math.inf
    for step in range(3600):
        tried = turned(one, 2 * math.pi * step / 3600, (0.0, 0.0))
        gap = tried.body_pos_w - other.body_pos_w
        gap[..., :2] -= gap[..., :2].mean(1, keepdim=True)
        best = min(best, float(gap.square().mean()))
    joints = float((one.joint_pos - other.joint_pos).square().mean())
    speeds = float((one.joint_vel - other.joint_vel).square().mean())
    expected = POSITION * best + ANGLE * joints + SPEED * speeds
    assert abs(float(pairing.distance) - expected) < 1e-3 * expected


def test_in_place_distance_is_that_of_the_world(library: MotionLibrary) -> None:
    frames = library.rows(torch.tensor([0, 60]))
    away = turned(frames, 1.2, (0.7, -0.3))
    for state, frame in zip((away[:1], away[1:]), (frames[:1], frames[1:]), strict=True):
        pairing = similarity.pair(state, frame, in_place=True)
        expected = POSITION * float((state.body_pos_w - frame.body_pos_w).square().mean())
        assert abs(float(pairing.distance) - expected) < 1e-3 * expected
        assert float(pairing.turn) == 0.0


def test_forbidden_pairs_are_not_taken(library: MotionLibrary) -> None:
    frames = library.rows(torch.arange(0, 101, 10))
    allowed = ~torch.eye(11, dtype=torch.bool)
    pairing = similarity.pair(frames, frames, allowed, chunk=4)
    assert (pairing.index != torch.arange(11)).all()
    assert ((pairing.index - torch.arange(11)).abs() == 1).all()  # a squat: its neighbours are the nearest
