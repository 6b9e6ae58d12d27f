"""Boundaries without labels, on generated takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, MismatchError
from humanoid.motion.edit import concatenate, cut, moved, split
from humanoid.motion.motion import Motion
from humanoid.motion.segment import SegmentCfg, Segmentation, features, segment, speed_boundaries, surprise
from humanoid.spatial import rotation as rot

QUICK = SegmentCfg(steps=150, hidden=64)


@pytest.fixture(scope="module")
def takes(motions: list[Motion], body: Embodiment) -> list[Motion]:
    """Walks and squats in turns, 4 takes of 7 clips."""
    walk, turn, squat = motions
    rows = [[walk, squat, turn, squat, walk, squat, turn], [squat, turn, squat, walk, squat, turn, squat]]
    rows += [[turn, squat, walk, squat, turn, squat, walk], [squat, walk, squat, turn, squat, walk, squat]]
    return [concatenate(row, body, name=f"take{i}") for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def found(takes: list[Motion]) -> list[Segmentation]:
    return segment(takes, QUICK)


def test_seams_are_found(takes: list[Motion], found: list[Segmentation]) -> None:
    hits = sum(
        any(abs(seam - time) <= 0.25 for time in result.boundaries)
        for take, result in zip(takes, found, strict=True)
        for seam in take.provenance["seams_s"]
    )
    total = sum(len(take.provenance["seams_s"]) for take in takes)
    assert hits >= 0.8 * total
    assert sum(len(result.boundaries) for result in found) <= 1.3 * total


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


def test_speed_baseline_finds_pauses(motions: list[Motion], body: Embodiment) -> None:
    squats = concatenate([motions[2]] * 4, body, 0.0)
    speed = squats.states.body_lin_vel_w.norm(dim=-1).mean(-1)
    pauses = speed_boundaries(squats, 0.05)
    assert pauses and all(float(speed[round(time * squats.fps)]) < 0.1 for time in pauses)
    assert speed_boundaries(squats, 0.0) == []


def test_bad_settings_and_mixed_takes_are_refused(motions: list[Motion]) -> None:
    with pytest.raises(ConfigError, match="min_seconds"):
        SegmentCfg(min_seconds=0.0)
    with pytest.raises(ConfigError, match="steps"):
        SegmentCfg(steps=0)
    with pytest.raises(MismatchError, match="must be alike"):
        segment([motions[0], replace(motions[1], fps=30.0)], QUICK)
