"""The task's configuration: numbers and names outside of their range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from humanoid.core import ConfigError
from humanoid.envs import (
    EnvCfg,
    EventCfg,
    GuardCfg,
    ObservationCfg,
    ObservationTerm,
    RewardTerm,
    StartCfg,
    TrackingCfg,
    TrackingEnv,
)
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.terminations import CurriculumCfg
from humanoid.sim import SimCfg


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"observation": ObservationCfg(terms={"joint_pos": ObservationTerm(params={"wide": 1})})}, "wide"),
        ({"reward": {"joint_limit": RewardTerm(weight=1.0, params={"soft": 0.9})}}, "soft"),
        ({"reward": {"body_pos": RewardTerm(weight=1.0)}}, "sigma"),
        ({"reward": {}}, "reward"),
    ],
)
def test_a_wrong_parameter_is_named(
    make_env: Callable[..., TrackingEnv], playback: Any, parts: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigError, match=name):
        make_env(sim=playback, **parts)


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (EventCfg, "latency", (0.02, 0.01)), (EventCfg, "push_seconds", (3.0, 1.0)),
        (EventCfg, "mass", (0.0, 1.0)), (ObservationCfg, "history_steps", -1),
        (ObservationCfg, "future_steps", ()), (ObservationCfg, "future_steps", (-1,)),
        (ObservationCfg, "noise_scale", -0.1), (ObservationCfg, "terms", {"joint_po": ObservationTerm()}),
        (GuardCfg, "max_rate", 1.1), (StartCfg, "min_similarity", 0.0), (StartCfg, "max_grace", -1),
        (StartCfg, "pool", 0), (EnvCfg, "reward", {"spin": RewardTerm()}),
        (EnvCfg, "termination", {"spin": 1.0}), (EnvCfg, "episode_seconds", math.nan),
        (EnvCfg, "curriculum", CurriculumCfg(termination={"spin": (1.0, 0.5)})),
    ],
)  # fmt: skip
def test_a_value_outside_of_its_range_is_named(cls: type, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        cls(**{name: value})


def test_the_simulator_gets_what_events_and_rewards_need() -> None:
    contact = {**TRACKING_REWARDS, "undesired_contact": RewardTerm(weight=-0.1)}
    sim = TrackingCfg(reward=contact).simulated(SimCfg())
    assert sim.contacts and sim.randomizable
    calm = replace(TrackingCfg().event, friction=(1.0, 1.0), com_offset=(0.0, 0.0, 0.0))
    assert TrackingCfg(event=calm).simulated(SimCfg()) == SimCfg()
