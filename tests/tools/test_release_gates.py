"""The gates of a release: what is missed is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from tools.release_gates import DiffusionGate, LatentGate, RolloutGate, TrackerGate
from tools.release_stages import STAGES

GATE = TrackerGate(success=0.8, mpjpe_l_success_mm=40.0)
FULL = TrackerGate(
    success=0.8, mpjpe_l_success_mm=40.0, test_success=0.7, spread=0.03, upright=0.95, recovered=0.9
)
LATENT = LatentGate(success_below=0.02, mpjpe_l_above_mm=10.0, prior_falls=0.2)
PLANNER: Any = next(stage.gate for stage in STAGES if isinstance(stage.gate, DiffusionGate))


@pytest.mark.parametrize(
    ("success", "error", "missed"),
    [
        (0.8, 40.0, []),
        (1.0, 12.5, []),
        (0.79, 40.0, ["train, mujoco: success 0.790 < 0.8"]),
        (0.8, 40.1, ["train, mujoco: mpjpe_l_success_mm 40.100 > 40.0"]),
        (0.0, None, ["train, mujoco: success 0.000 < 0.8", "train, mujoco: mpjpe_l_success_mm None > 40.0"]),
    ],
)
def test_the_gate_says_what_is_missed(success: float, error: float | None, missed: list[str]) -> None:
    metrics = {"success": success, "mpjpe_l_success_mm": error}
    assert GATE.failures({"train": {"mujoco": metrics}}) == missed


def test_the_gate_must_hold_in_every_simulator() -> None:
    good, bad = ({"success": rate, "mpjpe_l_success_mm": 30.0} for rate in (0.9, 0.5))
    assert GATE.failures({"train": {"genesis": good, "mujoco": good}}) == []
    assert GATE.failures({"train": {"genesis": bad, "mujoco": good}}) == [
        "train, genesis: success 0.500 < 0.8"
    ]
    assert len(GATE.failures({"train": {"genesis": bad, "mujoco": bad}})) == 2


def test_a_gate_can_ask_for_more_than_tracking() -> None:
    good = {"success": 0.9, "mpjpe_l_success_mm": 30.0}
    measured: dict[str, Any] = {
        "train": {"genesis": good, "mujoco": {**good, "success": 0.95}},
        "test": {"mujoco": {"success": 0.6}},
        "pushed": {"mujoco": {"upright_0_5_mps": None}},
        "recovered": {"mujoco": {"up": 0.41}},
    }
    assert FULL.failures(measured) == [
        "test, mujoco: success 0.600 < 0.7",
        "pushed, mujoco: upright_0_5_mps None < 0.95",
        "recovered, mujoco: up 0.410 < 0.9",
        "train: success differs by 0.050 > 0.03",
    ]
    assert GATE.failures(measured) == []


def student(success: float = 0.93, error: float | None = 30.0, fallen: float = 0.2) -> dict[str, Any]:
    """Return what a simulator says of a student whose teacher has 0.95 and 22 mm."""
    return {
        "teacher": {"success": 0.95, "mpjpe_l_success_mm": 22.0},
        "student": {"success": success, "mpjpe_l_success_mm": error},
        "prior": {"n": 100, "seconds": 30.0, "fallen": fallen},
    }


@pytest.mark.parametrize(
    ("result", "missed"),
    [
        (student(), []),
        (student(success=1.0, error=10.0, fallen=0.0), []),
        (
            student(success=0.929),
            ["student, genesis: success 0.929, the teacher's is 0.950; at most 0.02 below it"],
        ),
        (
            student(error=32.1),
            ["student, genesis: mpjpe_l_success_mm 32.100, the teacher's is 22.000; at most 10.0 above it"],
        ),
        (
            student(error=None),
            ["student, genesis: mpjpe_l_success_mm None, the teacher's is 22.000; at most 10.0 above it"],
        ),
        (student(fallen=0.21), ["prior, genesis: falls 0.210 > 0.2"]),
    ],
)
def test_a_student_is_held_against_its_teacher(result: dict[str, Any], missed: list[str]) -> None:
    assert LATENT.failures({"student": {"genesis": result, "mujoco": student()}}) == missed


def test_rollouts_must_be_many_and_seldom_fail() -> None:
    gate = RolloutGate(kept=0.7, hours=2.0)
    assert gate.failures({"rollouts": {"mujoco": {"kept": 0.7, "hours": 2.0, "shards": 3}}}) == []
    assert gate.failures({"rollouts": {"genesis": {"kept": 0.5, "hours": 1.9, "shards": 3}}}) == [
        "rollouts, genesis: kept 0.500 < 0.7",
        "rollouts, genesis: hours 1.900 < 2.0",
    ]


def tasks(n: int = 100, sims: tuple[str, ...] = ("genesis", "mujoco")) -> dict[str, dict[str, Any]]:
    """Return results of every task that just hold."""
    just = {
        "joystick": {"error": 0.15, "falls": 0.05},
        "waypoint": {"success": 0.9},
        "forest": {"success": 0.9},
        "perturb": {"falls": 0.1},
        "inbetween": {"falls": 0.25, "mpjpe_l_mm": 116.0},
        "joystick+forest": {"success": 0.72, "error": 0.32},
    }
    return {task: {sim: {"n": n, **result} for sim in sims} for task, result in just.items()}


def test_a_planner_passes_on_its_bounds() -> None:
    assert PLANNER.failures(tasks()) == []


@pytest.mark.parametrize(
    ("task", "key", "value", "missed"),
    [
        ("joystick", "error", 0.16, "joystick, genesis: error 0.160 > 0.15"),
        ("joystick", "falls", 0.06, "joystick, genesis: falls 0.060 > 0.05"),
        ("waypoint", "success", 0.89, "waypoint, genesis: success 0.890 < 0.9"),
        ("forest", "success", 0.89, "forest, genesis: success 0.890 < 0.9"),
        ("perturb", "falls", 0.11, "perturb, genesis: falls 0.110 > 0.1"),
        ("inbetween", "falls", 0.26, "inbetween, genesis: falls 0.260 > 0.25"),
        ("inbetween", "mpjpe_l_mm", 117.0, "inbetween, genesis: mpjpe_l_mm 117.000 > 116.0"),
        ("inbetween", "mpjpe_l_mm", None, "inbetween, genesis: mpjpe_l_mm None > 116.0"),
    ],
)
def test_a_planner_that_does_one_thing_worse_is_told_so(
    task: str, key: str, value: float | None, missed: str
) -> None:
    measured = tasks()
    measured[task]["genesis"][key] = value
    assert PLANNER.failures(measured) == [missed]


def test_ten_points_may_be_lost_in_the_other_simulator() -> None:
    measured = tasks()
    for task, key, value in (
        ("forest", "success", 0.8),
        ("joystick", "falls", 0.15),
        ("perturb", "falls", 0.0),
    ):
        measured[task]["mujoco"][key] = value
    measured["inbetween"]["mujoco"]["mpjpe_l_mm"] = 200.0
    assert PLANNER.failures(measured) == []
    measured["forest"]["mujoco"]["success"] = 0.79
    assert PLANNER.failures(measured) == [
        "forest: success 0.900 in genesis, 0.790 in mujoco; at most 0.1 worse"
    ]


def test_together_costs_keep_most_of_what_each_does_alone() -> None:
    measured = tasks()
    measured["joystick+forest"]["genesis"].update(success=0.71, error=0.33)
    assert PLANNER.failures(measured) == [
        "joystick+forest, genesis: success 0.710, 0.900 without the joystick; 0.8 of it is to stay",
        "joystick+forest, genesis: error 0.330, 0.150 without obstacles; 0.8 of 1 - error is to stay",
    ]


def test_a_small_measurement_passes_no_gate_but_is_judged() -> None:
    measured = tasks(n=20, sims=("mujoco",))
    few = "measured with 20 episodes of each task in mujoco; 100 in genesis and mujoco are asked for"
    assert PLANNER.failures(measured) == [few]
    measured["forest"]["mujoco"]["success"] = 0.5
    assert PLANNER.failures(measured)[:2] == [few, "forest, mujoco: success 0.500 < 0.9"]
