"""Each test of failure by itself, on both sides of its threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from humanoid.bodies import BodyState
from humanoid.envs import BodyTensors, Reference, StepState
from humanoid.envs.terminations import CurriculumCfg, FailureTest
from humanoid.envs.terms import finite, tracking_errors
from humanoid.motion import MotionLibrary
from humanoid.spatial import rotation as rot

ALL = {"anchor_height": 0.25, "anchor_tilt": 0.8, "end_effector_height": 0.25}


@pytest.fixture
def ref(library: MotionLibrary) -> BodyState:
    return library.rows(torch.tensor([0, 60]))


def _failed(library: MotionLibrary, state: BodyState, ref: BodyState, **cfg: float) -> list[bool]:
    zero = torch.zeros(len(ref.joint_pos), library.body.num_joints)
    step = StepState(state, Reference(now=ref), zero, zero, BodyTensors(library.body, torch.device("cpu")))
    return FailureTest(cfg, CurriculumCfg())(step.with_errors(), {}).tolist()


def _moved(library: MotionLibrary, ref: BodyState, names: tuple[str, ...], by: list[float]) -> BodyState:
    """Move bodies in the second environment only."""
    state = ref.map(torch.clone)
    state.body_pos_w[1, library.body.body_ids(names)] += torch.tensor(by)
    return state


def test_the_reference_has_not_failed(library: MotionLibrary, ref: BodyState) -> None:
    assert _failed(library, ref, ref, **ALL) == [False, False]


@pytest.mark.parametrize(("height", "fails"), [(0.24, False), (0.26, True), (-0.26, True)])
def test_height_of_the_anchor(library: MotionLibrary, ref: BodyState, height: float, fails: bool) -> None:
    state = _moved(library, ref, (library.body.anchor,), [0.0, 0.0, height])
    assert _failed(library, state, ref, anchor_height=0.25) == [False, fails]
    assert _failed(library, state, ref) == [False, False]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("cosine", "fails"), [(0.21, False), (0.19, True)])
def test_tilt_of_the_anchor(
    library: MotionLibrary, ref: BodyState, axis: int, cosine: float, fails: bool
) -> None:
    vector = torch.zeros(3)
    vector[axis] = math.acos(cosine)  # tilt by the angle whose cosine is 1 - (just under, just over) 0.8
    anchor = library.body.body_id(library.body.anchor)
    state = ref.map(torch.clone)
    state.body_quat_w[1, anchor] = rot.mul(rot.exp(vector), ref.body_quat_w[1, anchor])
    assert _failed(library, state, ref, anchor_tilt=0.8) == [False, fails]


def test_turning_is_no_tilt(library: MotionLibrary, ref: BodyState) -> None:
    turn = rot.exp(torch.tensor((0.0, 0.0, 3.0)))
    state = replace(ref, body_quat_w=rot.mul(turn.expand_as(ref.body_quat_w), ref.body_quat_w))
    assert _failed(library, state, ref, anchor_tilt=0.01) == [False, False]


@pytest.mark.parametrize(("height", "fails"), [(0.24, False), (-0.26, True)])
def test_height_of_an_end_effector(
    library: MotionLibrary, ref: BodyState, height: float, fails: bool
) -> None:
    for name in library.body.end_effectors:
        state = _moved(library, ref, (name,), [0.0, 0.0, height])
        assert _failed(library, state, ref, end_effector_height=0.25) == [False, fails]
    state = _moved(library, ref, ("L_Elbow",), [0.0, 0.0, height])
    assert _failed(library, state, ref, end_effector_height=0.25) == [False, False]


def test_end_effectors_are_compared_where_the_robot_is(library: MotionLibrary, ref: BodyState) -> None:
    state = _moved(library, ref, library.body.body_names, [2.0, -1.0, 0.0])
    assert _failed(library, state, ref, **ALL) == [False, False]


@pytest.mark.parametrize(("distance", "fails"), [(0.49, False), (0.51, True)])
def test_mean_distance_of_bodies(
    library: MotionLibrary, ref: BodyState, distance: float, fails: bool
) -> None:
    state = _moved(library, ref, library.body.body_names, [distance, 0.0, 0.0])
    assert _failed(library, state, ref, body_distance=0.5) == [False, fails]
    assert _failed(library, state, ref) == [False, False]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize(
    "name", ["joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w"]
)
def test_numbers_that_nothing_can_be_computed_with(
    library: MotionLibrary, ref: BodyState, name: str, value: float
) -> None:
    body = library.body
    anchor, tracked = body.body_id(body.anchor), torch.tensor(body.body_ids(body.tracked))
    state = ref.map(torch.clone)
    getattr(state, name)[1] = value
    if not (name == "body_quat_w" and value == 1e30):  # the angle to a huge quaternion is clamped
        assert finite(state, tracking_errors(state, ref, anchor, tracked)).tolist() == [True, False]
    assert finite(ref, tracking_errors(ref, ref, anchor, tracked)).all()


def test_a_moving_threshold_replaces_the_configured_one(library: MotionLibrary, ref: BodyState) -> None:
    state = _moved(library, ref, library.body.body_names, [0.6, 0.0, 0.0])
    zero = torch.zeros(2, library.body.num_joints)
    parts = BodyTensors(library.body, torch.device("cpu"))
    step = StepState(state, Reference(now=ref), zero, zero, parts).with_errors()
    test = FailureTest({"body_distance": 0.5}, CurriculumCfg(termination={"body_distance": (0.7, 0.5)}))
    assert test(step, {}).tolist() == [False, True]
    assert test(step, {"body_distance": torch.tensor(0.7)}).tolist() == [False, False]


def test_thresholds_move_in_a_line_and_stay() -> None:
    curriculum = CurriculumCfg(termination={"body_distance": (1.0, 0.5)}, samples=100)
    found = [curriculum.thresholds(samples)["body_distance"] for samples in (0, 50, 100, 1000)]
    assert found == [1.0, 0.75, 0.5, 0.5]
    assert CurriculumCfg().thresholds(10) == {}
