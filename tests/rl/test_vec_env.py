"""The adapter that rsl-rl talks to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from humanoid.envs import ObservationCfg, TrackingEnv
from humanoid.envs.terminations import TRACKING_TERMINATIONS
from humanoid.rl import EnvAdapter


def test_step_returns_what_the_environment_does(make_env: Callable[..., TrackingEnv], playback: Any) -> None:
    env = make_env(
        sim=playback,
        observation=ObservationCfg(noise_scale=0.0),
        episode_seconds=1000.0,
        termination=TRACKING_TERMINATIONS | {"anchor_height": 0.05},
    )
    wrapped = EnvAdapter(env)
    assert (wrapped.num_envs, wrapped.num_actions) == (4, env.num_actions)
    env.start(torch.tensor([0, 99, 0, 30]))
    playback.frame[2] = 100
    observation, reward, done, extras = wrapped.step(torch.zeros(4, env.num_actions))
    assert done.tolist() == [False, True, True, False]
    assert extras["time_outs"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert reward.shape == (4,)
    assert all(value.ndim == 0 for value in extras["log"].values())
    assert set(observation.keys()) == {"actor", "critic"}
    assert torch.equal(observation["actor"], env.observe()["actor"])


def test_episode_lengths_are_those_of_the_environment(
    make_env: Callable[..., TrackingEnv], playback: Any
) -> None:
    wrapped = EnvAdapter(make_env(sim=playback))
    wrapped.episode_length_buf = torch.tensor([1, 2, 3, 4])
    assert wrapped.env.episode_length.tolist() == [1, 2, 3, 4]
    assert wrapped.episode_length_buf.tolist() == [1, 2, 3, 4]
