"""The network that reads a history, and the statistics of its normaliser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import EmpiricalNormalization
from tensordict import TensorDict
from torch import Tensor

from humanoid.core import ConfigError
from humanoid.envs import ObservationCfg, TrackingEnv
from humanoid.motion import MotionLibrary
from humanoid.nn import Checkpoint
from humanoid.rl import Budget, PpoCfg, Runner
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.rl.models import HistoryModel, Normalizer

REST, FRAMES, FEATURES, ACTIONS = 5, 6, 4, 3
SETS = {"actor": ["actor"]}
CHANNELS = (8, 6, 4)


def wrap(values: Tensor) -> TensorDict:
    return TensorDict({"actor": values}, batch_size=[len(values)])


def make(shape: tuple[int, int] = (FRAMES, FEATURES), width: int = REST + FRAMES * FEATURES) -> HistoryModel:
    torch.manual_seed(0)
    return HistoryModel(
        wrap(torch.zeros(1, width)), SETS, "actor", ACTIONS, hidden_dims=[16], distribution_cfg=None,
        history_shape=shape, history_channels=CHANNELS, history_embedding=2,
    )  # fmt: skip


def naive(model: HistoryModel, values: Tensor) -> Tensor:
    """Return the output by sums over frames, one sample, frame and channel after the other."""
    weights = model.state_dict()
    values = (values - weights["obs_normalizer._mean"]) / (weights["obs_normalizer._std"] + 1e-2)
    frames = values[:, REST:].reshape(-1, FRAMES, FEATURES)
    for layer in (0, 2, 4):
        kernel, bias = weights[f"mlp.encoder.conv.{layer}.weight"], weights[f"mlp.encoder.conv.{layer}.bias"]
        found = bias.repeat(len(values), FRAMES, 1)
        for frame in range(FRAMES):
            for tap in range(3):
                if 0 <= frame + tap - 1 < FRAMES:
                    found[:, frame] += frames[:, frame + tap - 1] @ kernel[:, :, tap].T
        frames = found.clamp_min(0)
    flat = frames.transpose(1, 2).reshape(len(values), -1)
    embedding = flat @ weights["mlp.encoder.linear.weight"].T + weights["mlp.encoder.linear.bias"]
    head = torch.cat((values[:, :REST], embedding), dim=-1)
    head = torch.nn.functional.elu(head @ weights["mlp.head.0.weight"].T + weights["mlp.head.0.bias"])
    return head @ weights["mlp.head.2.weight"].T + weights["mlp.head.2.bias"]


def test_history_passes_the_convolutions(generator: torch.Generator) -> None:
    model = make().train()
    model.update_normalization(wrap(3.0 * torch.randn(50, model.obs_dim, generator=generator) + 1.0))
    values = torch.randn(7, model.obs_dim, generator=generator)
    torch.testing.assert_close(model(wrap(values)), naive(model, values), rtol=1e-4, atol=1e-5)


def test_encoder_learns_with_the_policy(generator: torch.Generator) -> None:
    model = make()
    model(wrap(torch.randn(7, model.obs_dim, generator=generator))).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_without_a_history_it_is_the_plain_network(generator: torch.Generator) -> None:
    plain = MLPModel(wrap(torch.zeros(1, 9)), SETS, "actor", ACTIONS, [16], "elu", True)
    model = make((0, 0), 9)
    model.load_state_dict(plain.state_dict())
    values = torch.randn(7, 9, generator=generator)
    assert torch.equal(model(wrap(values)), plain(wrap(values)))


def test_an_observation_narrower_than_its_history_is_refused() -> None:
    with pytest.raises(ConfigError, match="6 frames.* 20 numbers"):
        make(width=20)


def test_statistics_are_rsl_rls(generator: torch.Generator) -> None:
    mine, oracle = Normalizer(5).train(), EmpiricalNormalization(5).train()
    for count, scale in ((3, 1.0), (100, 50.0), (7, 1e-3)):
        batch = scale * torch.randn(count, 5, generator=generator) + torch.arange(5.0)
        mine.update(batch)
        oracle.update(batch)
        torch.testing.assert_close(mine.state_dict(), oracle.state_dict())
    expected = oracle(batch)
    torch.testing.assert_close(mine.normalize_(batch), expected)
    mine.eval().update(batch)
    assert int(mine.count) == 110


def test_a_run_with_a_history_ships_its_actor(
    make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any, tmp_path: Path
) -> None:
    env = make_env(sim=type(playback)(library, 4), observation=ObservationCfg(history_steps=5))
    assert env.observation_layout()[-1] == ("history", env.history_shape[0] * env.history_shape[1])
    ppo = PpoCfg(actor_hidden=(32, 16), critic_hidden=(32,), num_steps=6, epochs=2, minibatches=2)
    runner = Runner(env, ppo, tmp_path, {}, 1)
    runner.train(Budget(samples=48))
    observation = env.observe()["actor"]
    policy = Checkpoint.load(tmp_path / CHECKPOINT, KIND).policy()
    actor = runner.alg.get_policy().eval()
    with torch.no_grad():
        torch.testing.assert_close(policy(observation), actor(wrap(observation)), rtol=1e-5, atol=1e-5)
        other = observation.clone()
        other[:, -1] += 1.0
        assert not torch.equal(policy(other), policy(observation))
