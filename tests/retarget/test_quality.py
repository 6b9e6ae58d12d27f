"""Measures of motions whose faults were put in by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics, Landmark
from humanoid.core import MismatchError
from humanoid.motion import Motion
from humanoid.retarget import Quality, QualityCfg, broken, measure
from humanoid.retarget.quality import Worst
from humanoid.retarget.trace import JUMP_M, trace
from humanoid.spatial import rotation as rot


def moved(motion: Motion, offset: Tensor, rows: slice | list[int] = slice(None)) -> Motion:
    """Move bodies by ``offset (T, 3)`` or (3,) [m]."""
    pos = motion.states.body_pos_w.clone()
    pos[:, rows] += offset.expand(motion.num_frames, 3)[:, None]
    return replace(motion, states=replace(motion.states, body_pos_w=pos))


def bent(motion: Motion, joint: str, angle: Tensor) -> Motion:
    """Put a joint at ``angle (T,)`` [rad], the bodies staying where they are."""
    joint_pos = motion.states.joint_pos.clone()
    joint_pos[:, motion.joint_names.index(joint)] = angle
    return replace(motion, states=replace(motion.states, joint_pos=joint_pos))


def held(motion: Motion, start: int, count: int) -> Motion:
    """Repeat frame ``start`` in the ``count`` frames after it, without a jump at the end."""
    rows = torch.arange(motion.num_frames + count)
    rows = torch.where(rows <= start, rows, (rows - count).clamp_min(start))
    return replace(motion, states=motion.states[rows], contact=motion.contact[rows])


def test_a_good_motion_breaks_nothing(squat: Motion, body: Embodiment) -> None:
    quality = measure(squat, body)
    assert broken(quality) == []
    assert quality.skate_mm == pytest.approx(0, abs=0.7)  # the knees bend without sliding much
    assert quality.penetration_mm == pytest.approx(0, abs=0.01)
    assert quality.float_mm == pytest.approx(0, abs=0.01)
    assert (quality.limit_rad, quality.limit_count, quality.jumps, quality.frozen) == (0.0, 0, 0, 0)
    assert quality.error_mm is None
    assert quality.contact_share == dict.fromkeys(body.feet, 1.0)
    assert json.loads(json.dumps(quality.to_dict()))["clip"] == "squat"


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.6, 0.8, 0.0)])
def test_a_foot_that_slides_2_mm_a_frame(
    squat: Motion, body: Embodiment, direction: tuple[float, float, float]
) -> None:
    still = replace(squat, states=squat.states[torch.zeros(60, dtype=torch.long)], contact=squat.contact[:60])
    path = 0.002 * torch.arange(60)[:, None] * torch.tensor(direction)
    assert measure(moved(still, path), body).skate_mm == pytest.approx(2.0, abs=1e-3)
    up_and_down = 0.002 * torch.arange(60)[:, None] * torch.tensor((0.0, 0.0, 1.0))
    assert measure(moved(still, up_and_down), body).skate_mm == pytest.approx(0.0, abs=1e-6)


def test_only_steps_with_the_label_on_at_both_ends_are_skating(squat: Motion, body: Embodiment) -> None:
    still = replace(squat, states=squat.states[torch.zeros(10, dtype=torch.long)], contact=squat.contact[:10])
    contact = torch.zeros(10, len(body.feet), dtype=torch.bool)
    contact[2:5, 0] = contact[5:7, 2] = True
    path = torch.zeros(10, 3)
    path[:, 0] = torch.tensor((0, 50, 90, 93, 97, 120, 125, 190, 200, 200)) * 1e-3
    quality = measure(replace(moved(still, path), contact=contact), body)
    assert quality.skate_mm == pytest.approx((3 + 4 + 5) / 3, abs=1e-3)
    assert quality.worst["skate_mm"] == Worst(frame=6, what=body.feet[2])
    assert quality.contact_share["L_Ankle"] == pytest.approx(0.3)


def test_a_body_7_mm_under_the_floor(squat: Motion, body: Embodiment) -> None:
    start = -trace(squat, body).clearance.amin(-1)
    hand = body.body_id("L_Hand")
    deep = squat.states.body_pos_w.new_zeros(squat.num_frames, 3)
    lowest = trace(squat, body).clearance[:, hand]
    deep[40:42, 2] = -(lowest[40:42] + 0.007).float()
    quality = measure(moved(squat, deep, [hand]), body)
    assert quality.penetration_mm == pytest.approx(7.0, abs=0.01)
    assert quality.penetration_mean_mm == pytest.approx(7.0 * 2 / 101, abs=0.01)
    assert quality.worst["penetration_mm"].what == "L_Hand"
    assert float(start.max()) < 1e-5
    (line,) = [line for line in broken(quality) if line.startswith("penetration")]
    assert "7 > 5" in line and "L_Hand" in line and ("frame 40 (0.80 s)" in line or "frame 41" in line)


def test_a_standing_foot_12_mm_up_and_a_swinging_one(squat: Motion, body: Embodiment) -> None:
    up = moved(squat, torch.tensor((0.0, 0.0, 0.012)))
    quality = measure(up, body)
    assert quality.float_mm == pytest.approx(12.0, abs=0.05)
    assert quality.float_max_mm == pytest.approx(12.0, abs=0.05)
    assert [line.split(" ")[0] for line in broken(quality)] == ["float_mm"]
    swinging = measure(replace(up, contact=torch.zeros_like(up.contact)), body)
    assert swinging.float_mm == 0.0 and swinging.skate_mm == 0.0 and broken(swinging) == []


def test_without_labels_there_is_nothing_to_judge_feet_by(squat: Motion, body: Embodiment) -> None:
    bare = replace(squat, contact=squat.contact[:, :0], contact_names=())
    quality = measure(bare, body)
    assert quality.skate_mm is None and quality.float_mm is None and quality.float_max_mm is None
    assert quality.contact_share == {} and broken(quality) == []


def test_labels_of_hands_and_balls_are_no_feet(squat: Motion, body: Embodiment) -> None:
    contact = torch.cat((squat.contact, torch.ones(squat.num_frames, 2, dtype=torch.bool)), dim=1)
    labelled = replace(squat, contact=contact, contact_names=(*squat.contact_names, "L_Hand", "ball"))
    assert measure(labelled, body) == measure(squat, body)


def test_a_label_may_name_a_landmark(squat: Motion, body: Embodiment) -> None:
    named = replace(body, landmarks={"Sole": Landmark(body="L_Ankle", offset=(0.1, 0.0, 0.0))})
    spin = torch.zeros(squat.num_frames, 3)
    spin[:, 2] = 0.02 * torch.arange(squat.num_frames)
    quat = squat.states.body_quat_w[:1].repeat(squat.num_frames, 1, 1)
    pos = squat.states.body_pos_w[:1].repeat(squat.num_frames, 1, 1)
    row = body.body_id("L_Ankle")
    quat[:, row] = rot.exp(spin)
    turned = replace(
        squat,
        states=replace(squat.states, body_pos_w=pos, body_quat_w=quat),
        contact=squat.contact[:, :1],
        contact_names=("Sole",),
    )
    chord = 1e3 * 2 * 0.1 * math.sin(0.01)  # the point is 10 cm from the axis
    assert measure(turned, named).skate_mm == pytest.approx(chord, abs=1e-3)


def test_a_joint_beyond_its_limit(squat: Motion, body: Embodiment) -> None:
    joint = body.joint_ids(["L_Elbow_z"])[0]
    high = float(body.joint_range[joint, 1])
    angle = torch.full((squat.num_frames,), high - 0.01)
    assert measure(bent(squat, "L_Elbow_z", angle), body).limit_rad == 0.0
    angle[30:33] = high + torch.tensor((0.01, 0.03, 0.01))
    quality = measure(bent(squat, "L_Elbow_z", angle), body)
    assert quality.limit_rad == pytest.approx(0.03, abs=1e-5)
    assert quality.limit_count == 3
    assert quality.worst["limit_rad"] == Worst(frame=31, what="L_Elbow_z")
    assert any(line.startswith("limit_rad 0.03 > 0;") for line in broken(quality))


def test_a_joint_that_turns_too_fast(squat: Motion, body: Embodiment) -> None:
    angle = torch.zeros(squat.num_frames)
    angle[50:] = -0.7  # in one frame of 20 ms
    quality = measure(bent(squat, "L_Elbow_z", angle), body)
    assert quality.joint_speed == pytest.approx(0.7 * 50, rel=1e-3)
    assert quality.worst["joint_speed"] == Worst(frame=50, what="L_Elbow_z")
    assert any(line.startswith("joint_speed 35 > 30") for line in broken(quality))
    assert quality.jumps == 1


def test_a_jump_is_one_discontinuity_with_its_frame(squat: Motion, body: Embodiment) -> None:
    path = torch.zeros(squat.num_frames, 3)
    path[60:, 1] = 2 * JUMP_M
    quality = measure(moved(squat, path, [body.body_id("R_Wrist")]), body)
    assert quality.jumps == 1
    assert quality.worst["jumps"] == Worst(frame=60, what="R_Wrist")
    path[20:60, 1] = 3 * JUMP_M
    assert measure(moved(squat, path), body).jumps == 2


@pytest.mark.parametrize("frame", [1, 2, 99, 100])
def test_jumps_at_the_ends_are_seen(squat: Motion, body: Embodiment, frame: int) -> None:
    path = torch.zeros(squat.num_frames, 3)
    path[frame:, 0] = 0.3
    quality = measure(moved(squat, path), body)
    assert quality.jumps == 1 and quality.worst["jumps"].frame in (frame, frame + 1)


def test_fast_but_steady_is_no_jump(squat: Motion, body: Embodiment) -> None:
    time = torch.arange(squat.num_frames) / squat.fps
    path = torch.stack((8 * time, 0 * time, 0.3 * (25 * time).sin()), dim=-1)  # 8 m/s, 19 g
    assert measure(moved(squat, path), body).jumps == 0


def test_jerk_is_the_third_derivative(squat: Motion, body: Embodiment) -> None:
    still = replace(
        squat, states=squat.states[torch.zeros(100, dtype=torch.long)], contact=squat.contact[:100]
    )
    time = (torch.arange(100) / squat.fps).double()
    path = torch.zeros(100, 3)
    path[:, 0] = (40 * time**3 / 6).float()
    assert measure(moved(still, path), body).jerk == pytest.approx(40, rel=0.1)


def test_frozen_frames_are_counted(squat: Motion, body: Embodiment) -> None:
    assert measure(held(squat, 40, 7), body).frozen == 7
    assert measure(held(squat, 40, 2), body).frozen == 0  # a frame or two come with resampling
    assert any(line.startswith("frozen 7 > 0") for line in broken(measure(held(squat, 40, 7), body)))


def test_error_is_what_the_retargeter_noted(squat: Motion, body: Embodiment) -> None:
    noted = replace(squat, provenance={"error_mm": 40.0})
    quality = measure(noted, body)
    assert quality.error_mm == 40.0
    assert broken(quality) == ["error_mm 40 > 25"]
    assert broken(replace(quality, embodiment="g1")) == []
    assert broken(quality, QualityCfg(error_mm=50)) == []
    assert measure(replace(squat, provenance={"error_mm": "?"}), body).error_mm is None


def test_thresholds_can_be_overridden(squat: Motion, body: Embodiment) -> None:
    quality = replace(measure(squat, body), jerk=50.0, skate_mm=2.0)
    assert [line.split(" ")[0] for line in broken(quality, QualityCfg(jerk=49, skate_mm=1.9))] == [
        "skate_mm",
        "jerk",
    ]


def turned(motion: Motion, angle: float, offset: tuple[float, float, float]) -> Motion:
    """Turn and move the whole motion over the floor."""
    spin = rot.exp(torch.tensor((0.0, 0.0, angle)))
    s = motion.states
    states = BodyState(
        s.joint_pos,
        s.joint_vel,
        rot.rotate(spin, s.body_pos_w) + torch.tensor(offset),
        rot.mul(spin.expand_as(s.body_quat_w), s.body_quat_w),
        rot.rotate(spin, s.body_lin_vel_w),
        rot.rotate(spin, s.body_ang_vel_w),
    )
    return replace(motion, states=states)


def test_heading_and_place_do_not_matter(squat: Motion, body: Embodiment) -> None:
    path = torch.zeros(squat.num_frames, 3)
    path[:, 0], path[60:, 2] = 0.0015 * torch.arange(squat.num_frames), 0.2
    faulty = moved(squat, path)
    there, here = measure(turned(faulty, 2.1, (3.0, -5.0, 0.0)), body), measure(faulty, body)
    assert there.jumps == here.jumps == 1
    assert there.worst["jumps"].frame == here.worst["jumps"].frame == 60
    for key in ("skate_mm", "penetration_mm", "float_mm", "joint_speed"):
        assert getattr(there, key) == pytest.approx(getattr(here, key), abs=2e-3)
    assert there.jerk == pytest.approx(here.jerk, rel=0.05, abs=1.0)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_very_short_motions(squat: Motion, body: Embodiment, frames: int) -> None:
    short = replace(squat, states=squat.states[:frames], contact=squat.contact[:frames])
    quality = measure(short, body)
    assert isinstance(quality, Quality) and quality.frames == frames and quality.jumps == 0
    assert all(math.isfinite(v) for v in quality.to_dict().values() if isinstance(v, float))


def test_columns_are_matched_by_name(squat: Motion, body: Embodiment) -> None:
    order = list(reversed(range(body.num_bodies)))
    s = squat.states
    shuffled = replace(
        squat,
        body_names=tuple(body.body_names[i] for i in order),
        states=BodyState(
            s.joint_pos,
            s.joint_vel,
            *(getattr(s, f"body_{key}_w")[:, order] for key in ("pos", "quat", "lin_vel", "ang_vel")),
        ),
    )
    assert measure(shuffled, body) == measure(squat, body)
    with pytest.raises(MismatchError, match="no body"):
        measure(replace(squat, body_names=("x", *squat.body_names[1:])), body)


def test_clearance_in_pieces_is_the_whole(squat: Motion, body: Embodiment) -> None:
    whole = trace(squat, body).clearance
    expected = Kinematics(body).clearance(squat.states.body_pos_w, squat.states.body_quat_w)
    assert torch.allclose(whole, expected.double(), atol=1e-5)
    assert torch.equal(trace(squat, body, most_points=500).clearance, whole)
