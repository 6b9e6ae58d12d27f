"""Boundaries without labels, on generated takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, MismatchError
from humanoid.motion import Motion, Segmentation, SegmentCfg, concatenate, cut, moved, speed_boundaries, split
from humanoid.motion.segment import features, segment, surprise
from humanoid.retarget import RetargetCfg, retarget
from humanoid.spatial import rotation as rot
from tests import synth

QUICK = SegmentCfg(steps=300, hidden=64)


@pytest.fixture(scope="module")
def takes(body: Embodiment) -> list[Motion]:
    """Walk, squats, walk in a curve; squats, walk."""
    walk = retarget(synth.walk(), body, RetargetCfg(min_seconds=6.0))
    turn = retarget(synth.walk(turn=1.0, cycle=1.1), body, RetargetCfg(min_seconds=6.0))
    squats = retarget(synth.squat(seconds=1.0), body, RetargetCfg(min_seconds=4.0))
    rows = [[walk, squats, turn], [squats, walk]]
    return [concatenate(row, body, name=f"take{index}") for index, row in enumerate(rows)]


@pytest.fixture(scope="module")
def found(takes: list[Motion]) -> list[Segmentation]:
    return segment(takes, QUICK)


def test_seams_are_found_and_steps_are_not(takes: list[Motion], found: list[Segmentation]) -> None:
    for take, result in zip(takes, found, strict=True):
        assert result.boundaries == pytest.approx(take.provenance["seams_s"], abs=0.25)


def test_segments_cover_the_take_and_are_long_enough(takes: list[Motion], found: list[Segmentation]) -> None:
    for take, result in zip(takes, found, strict=True):
        assert result.name == take.name and len(result.score) == take.num_frames
        assert bool(result.score.isfinite().all())
        starts, stops = zip(*result.segments, strict=True)
        assert starts[0] == 0.0 and stops[-1] == pytest.approx(take.duration)
        assert starts[1:] == stops[:-1]
        inner = result.segments[1:-1]
        assert all(stop - start >= QUICK.min_seconds - 1e-6 for start, stop in inner)
        assert len(split(take, result.boundaries)) == len(result.segments)


def test_same_seed_same_boundaries(takes: list[Motion], found: list[Segmentation]) -> None:
    state = torch.get_rng_state()
    again = segment(takes, QUICK)
    assert [r.boundaries for r in again] == [r.boundaries for r in found]
    assert all(torch.equal(a.score, b.score) for a, b in zip(again, found, strict=True))
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"


def test_features_do_not_know_where_the_take_is(motions: list[Motion]) -> None:
    turn = rot.about_axis(torch.tensor((0.0, 0.0, 1.0)), torch.tensor(1.3))
    away = moved(motions[1], turn, torch.tensor((4.0, 2.0, 0.0)))
    torch.testing.assert_close(features(away), features(motions[1]), atol=1e-4, rtol=0)


def test_tiny_takes_have_no_boundary(motions: list[Motion]) -> None:
    walk = motions[0]
    for frames in (1, 2, 20, 29):
        tiny = replace(walk, states=walk.states[:frames], contact=walk.contact[:frames])
        result = segment([tiny], replace(QUICK, steps=5))[0]
        assert result.boundaries == () and len(result.score) == frames
    assert segment([], QUICK) == []
    assert len(surprise([walk, cut(walk, 0.0, 0.1)], replace(QUICK, steps=5))[1]) == 6


def test_a_body_that_stands_still_has_no_boundary(motions: list[Motion]) -> None:
    still = motions[2].states[torch.zeros(200, dtype=torch.long)]
    still = replace(
        still, **{key: torch.zeros_like(getattr(still, key)) for key in ("body_lin_vel_w", "joint_vel")}
    )
    statue = replace(motions[2], states=still, contact=motions[2].contact[:1].expand(200, -1))
    assert segment([statue], replace(QUICK, steps=20))[0].boundaries == ()


def test_speed_baseline_finds_pauses(body: Embodiment) -> None:
    squats = retarget(synth.squat(seconds=1.0), body, RetargetCfg(min_seconds=4.0))
    assert speed_boundaries(squats, 0.3) == pytest.approx([1.0, 2.0, 3.0], abs=0.03)
    assert speed_boundaries(squats, 0.0) == []


def test_bad_settings_and_mixed_takes_are_refused(motions: list[Motion]) -> None:
    with pytest.raises(ConfigError, match="min_seconds"):
        SegmentCfg(min_seconds=0.0)
    with pytest.raises(ConfigError, match="steps"):
        SegmentCfg(steps=0)
    with pytest.raises(MismatchError, match="must be alike"):
        segment([motions[0], replace(motions[1], fps=30.0)], QUICK)
