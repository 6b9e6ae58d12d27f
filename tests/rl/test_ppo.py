"""PPO's configuration and its translation."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from rsl_rl.algorithms import PPO
from rsl_rl.models import MLPModel
from rsl_rl.utils import resolve_class

from humanoid.core.config import from_dict
from humanoid.core.errors import ConfigError
from humanoid.rl.ppo import PpoCfg


def test_every_key_is_one_that_its_class_takes() -> None:
    tree = PpoCfg().rsl_rl()
    for part, base in (("algorithm", PPO), ("actor", MLPModel), ("critic", MLPModel)):
        named, options = resolve_class(tree[part])
        known = {name for cls in (named, base) for name in inspect.signature(cls).parameters}
        assert set(options) <= known
        assert isinstance(named, type)
        assert issubclass(named, base)


def test_every_number_arrives() -> None:
    tree = PpoCfg(epochs=3, minibatches=7, learning_rate=2e-4, desired_kl=0.02, clip=0.3, gamma=0.9).rsl_rl()
    algorithm = tree["algorithm"]
    assert (algorithm["num_learning_epochs"], algorithm["num_mini_batches"]) == (3, 7)
    assert (algorithm["learning_rate"], algorithm["desired_kl"]) == (2e-4, 0.02)
    assert (algorithm["clip_param"], algorithm["gamma"]) == (0.3, 0.9)
    assert tree["obs_groups"] == {"actor": ["actor"], "critic": ["critic"]}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"minibatches": 0}, "ppo.minibatches is 0; at least 1"),
        ({"num_steps": -1}, "ppo.num_steps is -1"),
        ({"actor_hidden": [64, 0]}, r"ppo.actor_hidden is \(64, 0\)"),
        ({"critic_hidden": []}, r"ppo.critic_hidden is \(\)"),
        ({"history_channels": []}, r"ppo.history_channels is \(\)"),
        ({"history_embedding": 0}, "ppo.history_embedding is 0; at least 1"),
        ({"learning_rate": -1e-3}, "ppo.learning_rate is -0.001; it must be positive"),
        ({"init_std": 0}, "ppo.init_std"),
        ({"gamma": 1.5}, "ppo.gamma is 1.5; it must be in 0-1"),
        ({"schedule": "adaptiv"}, "'schedule' is 'adaptiv'; did you mean 'adaptive'"),
        ({"learning_rat": 1.0}, "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"epochs": "many"}, "'epochs' must be a whole number"),
    ],
)
def test_bad_values_are_named(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(PpoCfg, tree)
