"""PPO's configuration and its translation."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from rsl_rl.algorithms import PPO
from rsl_rl.models import MLPModel
from rsl_rl.utils import resolve_class

from humanoid.core import ConfigError, from_dict
from humanoid.rl import PpoCfg


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
    "tree",
    [
        {"minibatches": 0}, {"num_steps": -1}, {"actor_hidden": [64, 0]}, {"critic_hidden": []},
        {"history_channels": []}, {"history_embedding": 0}, {"learning_rate": -1e-3}, {"init_std": 0},
        {"gamma": 1.5}, {"schedule": "adaptiv"}, {"learning_rat": 1.0}, {"epochs": "many"},
    ],
)  # fmt: skip
def test_bad_values_are_named(tree: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(tree))):
        from_dict(PpoCfg, tree)
