"""The benchmark of skill boundaries: scores, takes, rows; at full size the score of the detection."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.motion import Motion, SegmentCfg
from humanoid.retarget import RetargetCfg, retarget
from tests import synth
from tools.bench_segment import (
    BenchSegmentCfg,
    BoundaryScore,
    LabelledClip,
    evenly,
    halves,
    make_takes,
    match,
    measure,
    table,
    true_boundaries,
)

captured = pytest.mark.skipif(
    importlib.util.find_spec("pybullet_data") is None, reason="the captured clips come with the extra 'mocap'"
)
times = st.lists(st.integers(0, 40), max_size=4).map(lambda marks: [mark / 8 for mark in marks])


def largest(found: list[float], true: list[float], tolerance: float) -> int:
    """Try every one-to-one matching."""
    few, many = sorted((found, true), key=len)
    return max(
        sum(abs(a - b) <= tolerance for a, b in zip(chosen, order, strict=True))
        for chosen in [few]
        for subset in combinations(many, len(few))
        for order in permutations(subset)
    )


@given(times, times)
def test_matching_is_the_largest(found: list[float], true: list[float]) -> None:
    assert match(found, true, 0.25) == BoundaryScore(largest(found, true, 0.25), len(found), len(true))


def test_one_boundary_counts_once() -> None:
    score = match([1.0, 1.1, 3.0], [1.05, 5.0], 0.25)
    assert score == BoundaryScore(1, 3, 2)
    assert score.precision == pytest.approx(1 / 3) and score.recall == 0.5 and score.f1 == pytest.approx(0.4)
    assert (score + BoundaryScore(2, 2, 2)).f1 == pytest.approx(2 * 3 / 9)
    assert match([], [], 0.25).f1 == 1.0 and match([], [1.0], 0.25).f1 == 0.0
    assert match([1.25], [1.0], 0.25).hits == 1 and match([1.26], [1.0], 0.25).hits == 0


@pytest.fixture(scope="module")
def motions(body: Embodiment) -> list[Motion]:
    """A walk, a walk in a curve and a squat."""
    walk = retarget(synth.walk(), body, RetargetCfg(min_seconds=2.0))
    turn = retarget(synth.walk(turn=1.0, cycle=1.1), body, RetargetCfg(min_seconds=3.3))
    squat = retarget(synth.squat(seconds=1.0), body, RetargetCfg(min_seconds=1.0))
    return [walk, replace(turn, name="turn"), squat]


@pytest.fixture
def clips(motions: list[Motion]) -> list[LabelledClip]:
    tags = (("walk",), ("walk", "turn"), ("squat",))
    return [
        LabelledClip(motion=motion, tags=frozenset(names), loop=True)
        for motion, names in zip(motions, tags, strict=True)
    ]


@pytest.mark.parametrize("vary", [False, True])
def test_takes_are_seeded_and_neighbours_differ(
    clips: list[LabelledClip], body: Embodiment, vary: bool
) -> None:
    def takes(seed: int) -> list[Motion]:
        return make_takes(clips, body, count=3, length=4, seed=seed, vary=vary)

    first, again, other = takes(1), takes(1), takes(2)
    tags = {clip.motion.name: clip.tags for clip in clips}
    for take in first:
        names = [name.removesuffix("_mirrored") for name in take.provenance["concatenated"]]
        assert len(names) == 4 and not any(tags[a] & tags[b] for a, b in pairwise(names))
        assert len(true_boundaries(take)) == 3 and 0 < true_boundaries(take)[0] < take.duration
    assert [take.num_frames for take in first] == [take.num_frames for take in again]
    assert [t.provenance["concatenated"] for t in first] != [
        t.provenance["concatenated"] for t in other
    ] or vary


def test_halves_share_nothing(clips: list[LabelledClip]) -> None:
    one, two = halves(clips)
    assert len(one) == 2 and len(two) == 1 and not {id(clip) for clip in one} & {id(clip) for clip in two}
    assert {id(clip) for clip in one + two} == {id(clip) for clip in clips}


def test_clips_that_do_not_differ_are_refused(clips: list[LabelledClip], body: Embodiment) -> None:
    with pytest.raises(InputError, match=clips[1].motion.name):
        make_takes(clips[:2], body, count=1, length=2, seed=0)


def test_even_spacing(motions: list[Motion]) -> None:
    assert evenly(motions[0], 3) == pytest.approx([motions[0].duration * part / 4 for part in (1, 2, 3)])
    assert evenly(motions[0], 0) == []


@captured
def test_rows_and_table() -> None:
    small = SegmentCfg(steps=20, hidden=16)
    result = measure(BenchSegmentCfg(takes=1, length=3), small)
    assert json.loads(json.dumps(result)) == result
    methods = [row["method"].split(" (")[0] for row in result["rows"]]
    assert methods == ["detection", "detection, each take alone", "speed threshold", "even spacing"]
    assert result["boundaries"] == 2
    assert all(0.0 <= row[key] <= 1.0 for row in result["rows"] for key in ("f1", "precision", "recall"))
    assert len(table(result).splitlines()) == 2 + len(methods)


def test_a_take_needs_two_clips() -> None:
    with pytest.raises(ConfigError, match="length"):
        BenchSegmentCfg(length=1)


@captured
@pytest.mark.slow
@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_boundaries_are_found(seed: int, vary: bool) -> None:
    rows = measure(BenchSegmentCfg(seed=seed, vary=vary, alone=False))["rows"]
    score = {row["method"].split(" (")[0]: row["f1"] for row in rows}
    assert score["detection"] >= 0.8
    assert score["speed threshold"] < 0.5
