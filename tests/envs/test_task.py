"""The task's numbers: what is refused, and failing that gets stricter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from humanoid.core.errors import ConfigError
from humanoid.envs import task
from humanoid.envs.events import EventCfg
from humanoid.envs.guard import GuardCfg
from humanoid.envs.observations import ObservationCfg
from humanoid.envs.rewards import RewardCfg
from humanoid.envs.starts import StartCfg
from humanoid.envs.task import CurriculumCfg, TrackingCfg
from humanoid.envs.terminations import TerminationCfg


def test_thresholds_move_in_a_line_and_stay() -> None:
    curriculum, cfg = CurriculumCfg(body_distance=(1.0, 0.5), samples=100), TerminationCfg()
    distances = [curriculum.termination(cfg, samples).body_distance for samples in (0, 50, 100, 1000)]
    assert distances == [1.0, 0.75, 0.5, 0.5]
    assert replace(curriculum.termination(cfg, 50), body_distance=0.0) == replace(cfg, body_distance=0.0)


def test_without_a_curriculum_thresholds_are_the_configured_ones() -> None:
    cfg = TerminationCfg(body_distance=0.3)
    assert CurriculumCfg().termination(cfg, 10) is cfg


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (TrackingCfg(reward=RewardCfg(groups={"a": ("no_such",)})), "unknown term 'no_such'"),
        (TrackingCfg(reward=RewardCfg(groups={"a": ("body_pos",)})), "'anchor_pos' stands in 0 groups"),
        (
            TrackingCfg(reward=RewardCfg(groups={"a": ("body_pos",), "b": ("undesired_contact",)})),
            "reward.groups.b: no term has a weight",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(cfg: TrackingCfg, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task.check(cfg)


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (EventCfg, "latency", (0.02, 0.01)), (EventCfg, "push_seconds", (3.0, 1.0)),
        (EventCfg, "mass", (0.0, 1.0)), (ObservationCfg, "history_steps", -1),
        (ObservationCfg, "future_steps", ()), (ObservationCfg, "future_steps", (-1,)),
        (ObservationCfg, "noise", {"joint_pos": -0.1}), (GuardCfg, "max_rate", 1.1),
        (StartCfg, "least_similarity", 0.0), (StartCfg, "longest_wait", -1), (StartCfg, "pool", 0),
    ],
)  # fmt: skip
def test_a_number_outside_of_its_range_is_named(cls: type, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__}.{name}"):
        cls(**{name: value})
