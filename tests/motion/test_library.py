"""The packed library agrees with the motions it was made of, in any order and shape."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humanoid.bodies import BodyState, Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.motion import Motion, MotionLibrary


@pytest.fixture(scope="module")
def library(motions: list[Motion], body: Embodiment) -> MotionLibrary:
    return MotionLibrary(motions, body)


def same(a: BodyState, b: BodyState, tolerance: float = 0.0) -> None:
    for field in fields(BodyState):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), atol=tolerance, rtol=0)


def test_rows_are_the_frames_in_order(library: MotionLibrary, motions: list[Motion]) -> None:
    assert library.names == ("walk", "turn", "squat")
    assert library.num_frames == sum(m.num_frames for m in motions)
    for clip, motion in enumerate(motions):
        rows = library.start[clip] + torch.arange(motion.num_frames)
        assert (library.clip[rows] == clip).all() and int(library.length[clip]) == motion.num_frames
        same(library.rows(rows), motion.states)
    assert library.rows(torch.zeros(2, 3, dtype=torch.long)).body_quat_w.shape == (2, 3, 24, 4)


@settings(max_examples=20)
@given(
    queries=st.lists(st.tuples(st.integers(0, 2), st.floats(-1, 6, width=32)), min_size=1, max_size=8),
)
def test_lookup_equals_the_motion(
    library: MotionLibrary, motions: list[Motion], queries: list[tuple[int, float]]
) -> None:
    clip, time = (torch.tensor(part) for part in zip(*queries, strict=True))
    state = library.at(clip, time)
    for index, (which, _) in enumerate(queries):
        same(state[index], motions[which].at(time[index]), 2e-6)


def test_lookup_clamps_to_its_own_clip(library: MotionLibrary, motions: list[Motion]) -> None:
    clip = torch.tensor(((0, 1, 2), (0, 1, 2)))
    time = torch.tensor(((-3.0,) * 3, (1e3,) * 3))
    state = library.at(clip, time)
    for which, motion in enumerate(motions):
        same(state[0, which], motion.states[0])
        same(state[1, which], motion.states[-1], 1e-6)


def test_a_clip_of_one_frame(motions: list[Motion], body: Embodiment) -> None:
    still = replace(motions[0], name="still", states=motions[0].states[:1])
    library = MotionLibrary([still, motions[2], replace(still, name="still too")], body)
    same(library.at(torch.tensor((0, 2)), torch.tensor((5.0, 5.0))), still.states[[0, 0]])


def test_lookup_neither_loops_nor_waits_for_the_device(
    motions: list[Motion], body: Embodiment, operations: Any
) -> None:
    counts = []
    for copies, batch in ((1, 2), (4, 500)):
        many = [replace(m, name=f"{m.name}{i}") for i in range(copies) for m in motions]
        library = MotionLibrary(many, body)
        clip = torch.arange(batch) % library.num_clips
        with operations() as seen:
            library.at(clip, torch.rand(batch))
            library.rows(library.start[clip])
        assert not [n for n in seen.names if "local_scalar" in n or "nonzero" in n or "masked_select" in n]
        counts.append(len(seen.names))
    assert counts[0] == counts[1]


def test_joints_and_bodies_are_put_in_the_order_of_the_body(
    library: MotionLibrary, motions: list[Motion], body: Embodiment
) -> None:
    s = motions[0].states
    reversed_states = BodyState(*(getattr(s, f.name).flip(1) for f in fields(BodyState)))
    other = replace(
        motions[0], joint_names=body.joint_names[::-1], body_names=body.body_names[::-1],
        states=reversed_states,
    )  # fmt: skip
    again = MotionLibrary([other, *motions[1:]], body)
    rows = torch.arange(library.num_frames)
    same(again.rows(rows), library.rows(rows))


def test_two_motions_of_one_name_are_refused(motions: list[Motion], body: Embodiment) -> None:
    with pytest.raises(InputError, match=f"'{motions[0].name}'"):
        MotionLibrary([motions[0], motions[0]], body)


def test_mixed_rates_are_refused(motions: list[Motion], body: Embodiment) -> None:
    slow = replace(motions[1], name="slow", fps=30.0)
    with pytest.raises(MismatchError, match="'slow'"):
        MotionLibrary([motions[0], slow], body)


def test_another_body_is_refused(motions: list[Motion], body: Embodiment) -> None:
    other = replace(motions[0], joint_names=("tail", *body.joint_names[1:]))
    with pytest.raises(MismatchError, match="'walk'"):
        MotionLibrary([other], body)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights.* 3 "),
        ([1, -1, 1], ">= 0"),
        ([0, 0, 0], "not all zero"),
        ([1, float("nan"), 1], "finite"),
    ],
)
def test_bad_weights(motions: list[Motion], body: Embodiment, weights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MotionLibrary(motions, body, weights=weights)


def test_no_motions(body: Embodiment) -> None:
    with pytest.raises(InputError, match="at least one motion"):
        MotionLibrary([], body)
