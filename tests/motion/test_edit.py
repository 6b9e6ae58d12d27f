"""Mirror, cut, align, retime, join."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from humanoid.bodies import BodyState, Embodiment, Kinematics
from humanoid.core import InputError, MismatchError
from humanoid.motion import Motion, align, concatenate, cut, heading, mirror, moved, retimed, split
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import yaw
from humanoid.spatial.signals import derivative


def about_z(angle: float) -> torch.Tensor:
    return rot.about_axis(torch.tensor((0.0, 0.0, 1.0)), torch.tensor(angle))


def assert_same(a: BodyState, b: BodyState, tolerance: float = 1e-6) -> None:
    for field in fields(BodyState):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), atol=tolerance, rtol=0)


def assert_consistent(motion: Motion, body: Embodiment) -> None:
    """Bodies are where the joints put them and move as the positions change."""
    s = motion.states
    pos, quat = Kinematics(body).poses(s.root_pos_w, s.root_quat_w, s.joint_pos)
    torch.testing.assert_close(pos, s.body_pos_w, atol=2e-5, rtol=0)
    assert float(rot.angle_between(quat, s.body_quat_w).max()) < 1e-3


def test_mirror_twice_is_the_motion_itself(motions: list[Motion], body: Embodiment) -> None:
    for motion in motions:
        once = mirror(motion, body)
        again = mirror(once, body)
        assert once.name == f"{motion.name}_mirrored" and once.provenance["mirrored"]
        assert_same(again.states, motion.states)
        assert torch.equal(again.contact, motion.contact)
        assert (again.name, again.provenance) == (motion.name, motion.provenance)
        assert_consistent(once, body)


def test_mirror_turns_the_other_way_and_swaps_feet(motions: list[Motion], body: Embodiment) -> None:
    turn = motions[1]
    other = mirror(turn, body)
    torch.testing.assert_close(yaw(other.states.root_quat_w), -yaw(turn.states.root_quat_w))
    left, right = (turn.contact_names.index(name) for name in ("L_Ankle", "R_Ankle"))
    assert torch.equal(other.contact[:, left], turn.contact[:, right])
    one_foot = replace(turn, contact=turn.contact[:, [left]], contact_names=("L_Ankle",))
    with pytest.raises(MismatchError, match="L_Ankle.*R_Ankle"):
        mirror(one_foot, body)


def test_cut_keeps_both_ends_and_pieces_add_up(motions: list[Motion]) -> None:
    walk = motions[0]
    piece = cut(walk, 0.5, 1.0)
    assert piece.num_frames == 26 and piece.duration == pytest.approx(0.5)
    assert torch.equal(piece.states.joint_pos, walk.states.joint_pos[25:51])
    assert piece.contact.shape[0] == 26 and piece.provenance["cut_s"] == [0.5, 1.0]
    assert cut(walk, 0.0, walk.duration).num_frames == walk.num_frames
    pieces = split(walk, [0.4, 1.3])
    assert [p.name for p in pieces] == ["walk_00", "walk_01", "walk_02"]
    assert sum(p.duration for p in pieces) == pytest.approx(walk.duration)
    for start, stop in ((-0.5, 1.0), (1.0, 0.5), (0.0, 100.0), (float("nan"), 1.0)):
        with pytest.raises(InputError, match="cannot cut"):
            cut(walk, start, stop)


def test_heading_is_the_nearest_turn_about_the_vertical(generator: torch.Generator) -> None:
    quat = rot.normalize(torch.randn(100, 4, generator=generator))
    best = rot.angle_between(heading(quat), quat)
    for angle in torch.linspace(-3.1, 3.1, 60).tolist():
        assert bool((best <= rot.angle_between(about_z(angle).expand_as(quat), quat) + 1e-4).all())
    turned = rot.mul(about_z(0.7).expand_as(quat), quat)
    assert (
        float(rot.angle_between(heading(turned), rot.mul(about_z(0.7).expand_as(quat), heading(quat))).max())
        < 1e-4
    )
    assert heading(torch.tensor((0.0, 1.0, 0.0, 0.0))).tolist() == [1.0, 0.0, 0.0, 0.0], "upside down"


def test_align_undoes_a_move(motions: list[Motion], body: Embodiment) -> None:
    walk = motions[0]
    away = moved(walk, about_z(2.0), torch.tensor((3.0, -1.0, 0.0)))
    assert_consistent(away, body)
    back = align(away, walk, 10, 10)
    assert_same(back.states, walk.states, 1e-5)
    end = align(away, walk)
    torch.testing.assert_close(
        end.states.root_pos_w[0, :2], walk.states.root_pos_w[-1, :2], atol=1e-5, rtol=0
    )
    assert end.states.root_pos_w[0, 2] == pytest.approx(float(walk.states.root_pos_w[0, 2]), abs=1e-5)


def test_retimed_is_the_same_path_at_another_speed(motions: list[Motion], body: Embodiment) -> None:
    turn = motions[1]
    fast = retimed(turn, 1.25, body)
    assert fast.duration == pytest.approx(turn.duration / 1.25, abs=1 / turn.fps)
    assert_consistent(fast, body)
    at = turn.at(torch.tensor([1.0]))
    torch.testing.assert_close(fast.states.joint_pos[40], at.joint_pos[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(fast.states.joint_vel[40], 1.25 * at.joint_vel[0], atol=1e-4, rtol=0)
    assert_same(retimed(turn, 1.0, body).states, turn.states, 1e-4)
    for speed in (0.0, -1.0, float("nan"), 1e9, 1e-9):
        with pytest.raises(InputError, match="times as fast"):
            retimed(turn, speed, body)


def test_a_blend_neither_jumps_nor_contradicts_itself(motions: list[Motion], body: Embodiment) -> None:
    walk, turn, squat = motions
    away = moved(turn, about_z(-2.0), torch.tensor((5.0, 5.0, 0.0)))
    joined = concatenate([walk, away, squat], body, 0.3)
    frames = 15
    assert joined.num_frames == sum(m.num_frames for m in motions) - 2 * frames
    assert_consistent(joined, body)
    s, fps = joined.states, joined.fps
    # between two frames nobody moves farther than people can
    for key, largest in (("body_pos_w", 8.0), ("joint_pos", 12.0), ("body_lin_vel_w", 150.0)):
        assert float((getattr(s, key).diff(dim=0) * fps).abs().max()) < largest, key
    # and velocities are those of the positions
    torch.testing.assert_close(s.joint_vel[1:-1], derivative(s.joint_pos, fps)[1:-1], atol=0.1, rtol=0)
    torch.testing.assert_close(s.body_lin_vel_w[1:-1], derivative(s.body_pos_w, fps)[1:-1], atol=0.3, rtol=0)
    # outside the blends, the clips as they were
    keep = walk.num_frames - frames
    assert_same(s[:keep], walk.states[:keep], 0.0)
    ending = align(squat, joined, -1, -1).states[frames:]
    assert_same(s[-len(ending.joint_pos) :], ending, 1e-4)
    assert torch.equal(joined.contact[-10:], squat.contact[-10:]) and len(joined.contact) == joined.num_frames
    expected = [(keep + 7) / fps, (keep + turn.num_frames - frames + 7) / fps]
    assert joined.provenance["seams_s"] == pytest.approx(expected, abs=1e-4)
    # limits and the floor hold in a blend as they did in the clips
    low, high = torch.tensor(body.joint_range, dtype=torch.float32).unbind(-1)
    assert bool(((s.joint_pos >= low - 1e-4) & (s.joint_pos <= high + 1e-4)).all())
    kinematics = Kinematics(body)
    depth = [float(kinematics.clearance(m.states.body_pos_w, m.states.body_quat_w).min()) for m in motions]
    assert float(kinematics.clearance(s.body_pos_w, s.body_quat_w).min()) >= min(depth) - 1e-4


def test_a_clip_cut_in_two_and_joined_is_itself(motions: list[Motion], body: Embodiment) -> None:
    turn = motions[1]
    first, second = cut(turn, 0.0, 2.0), cut(turn, 1.72, turn.duration)
    joined = concatenate([first, second], body, 0.3)
    assert joined.num_frames == turn.num_frames
    for key in ("joint_pos", "body_pos_w"):
        torch.testing.assert_close(getattr(joined.states, key), getattr(turn.states, key), atol=1e-4, rtol=0)


def test_without_blend_clips_follow_each_other(motions: list[Motion], body: Embodiment) -> None:
    walk, turn, _ = motions
    joined = concatenate([walk, turn], body, 0.0)
    assert joined.num_frames == walk.num_frames + turn.num_frames
    assert_same(concatenate([walk], body).states, walk.states, 0.0)


def test_what_does_not_fit_is_refused(motions: list[Motion], body: Embodiment) -> None:
    walk, turn, squat = motions
    with pytest.raises(InputError, match="nothing to concatenate"):
        concatenate([], body)
    with pytest.raises(InputError, match="0 or more"):
        concatenate(motions, body, -0.1)
    with pytest.raises(InputError, match="squat"):
        concatenate([walk, squat, turn], body, 0.6)
    with pytest.raises(MismatchError, match="fps"):
        concatenate([walk, replace(turn, fps=30.0)], body)
    with pytest.raises(MismatchError, match="contacts"):
        concatenate([walk, replace(turn, contact=turn.contact[:, :1], contact_names=("L_Toe",))], body)
