"""Checkpoints: what fits runs exactly as trained, what does not is one line."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from humanoid.bodies import smpl
from humanoid.core import HumanoidError, InputError, MismatchError
from humanoid.nn import Checkpoint, MlpPolicy, read_torch
from humanoid.rl import PpoCfg
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.rl.models import HistoryModel


def _actor(history_shape: tuple[int, int] = (0, 0)) -> HistoryModel:
    """Return the actor of a run, with a normaliser that has seen something."""
    torch.manual_seed(0)
    observation = TensorDict({"actor": torch.zeros(1, 20)}, batch_size=[1])
    cfg = PpoCfg(actor_hidden=(32, 16), history_channels=(8, 6, 4)).rsl_rl()["actor"]
    cfg.pop("class_name")
    model = HistoryModel(observation, {"actor": ["actor"]}, "actor", 7, history_shape=history_shape, **cfg)
    model.train()
    for scale in (0.001, 1.0, 30.0):
        batch = scale * torch.randn(64, 20) + torch.arange(20.0)
        model.update_normalization(TensorDict({"actor": batch}, batch_size=[64]))
    return model.eval()


@pytest.fixture
def actor() -> HistoryModel:
    """A plain actor."""
    return _actor()


@pytest.fixture
def remembering() -> HistoryModel:
    """An actor that reads 5 frames of 3 numbers."""
    return _actor((5, 3))


def _one_line(error: pytest.ExceptionInfo[HumanoidError], path: Path) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("history_shape", [(0, 0), (5, 3), (1, 20)])
def test_policy_is_the_actor_of_rsl_rl(history_shape: tuple[int, int]) -> None:
    actor = _actor(history_shape)
    policy = MlpPolicy(actor.state_dict())
    observation = 10 * torch.randn(100, 20, generator=torch.Generator().manual_seed(1))
    expected = actor(TensorDict({"actor": observation}, batch_size=[100]))
    torch.testing.assert_close(policy(observation), expected, atol=1e-6, rtol=1e-6)


def test_policy_of_a_run_is_its_actor(tiny_run: Path) -> None:
    checkpoint = Checkpoint.load(tiny_run / CHECKPOINT, KIND)
    policy = checkpoint.policy()
    width = sum(size for _, size in checkpoint.header.observation)
    action = policy(torch.randn(3, width))
    assert action.shape == (3, len(checkpoint.header.body["joint_names"]))
    assert action.isfinite().all()
    assert not any(parameter.isnan().any() for parameter in policy.parameters())


def test_header_says_what_the_policy_fits(tiny_run: Path) -> None:
    header = Checkpoint.load(tiny_run / CHECKPOINT, KIND).header
    smpl.build().require_signature(header.body, "here")
    assert header.control_dt == 0.02
    assert header.config["ppo"]["actor_hidden"] == [32, 16]
    assert header.samples == 48


def test_other_observations_are_refused_by_name(tiny_run: Path) -> None:
    path = tiny_run / CHECKPOINT
    checkpoint = Checkpoint.load(path, KIND)
    mine = [(str(name), int(width)) for name, width in checkpoint.header.observation]
    checkpoint.require(mine, 0.02)
    wider = [*mine[:2], ("anchor_pos_b", 6), *mine[3:]]
    with pytest.raises(MismatchError, match="term 2 .*'anchor_pos_b', 3.*'anchor_pos_b', 6") as error:
        checkpoint.require(wider, 0.02)
    _one_line(error, path)
    with pytest.raises(MismatchError, match="None"):
        checkpoint.require(mine[:-1], 0.02)
    with pytest.raises(MismatchError, match="term 10"):
        checkpoint.require([*mine, ("more", 1)], 0.02)


def test_another_rate_is_refused(tiny_run: Path) -> None:
    checkpoint = Checkpoint.load(tiny_run / CHECKPOINT, KIND)
    mine = [(str(name), int(width)) for name, width in checkpoint.header.observation]
    with pytest.raises(MismatchError, match="0.02 s.* 0.01 s") as error:
        checkpoint.require(mine, 0.01)
    _one_line(error, tiny_run / CHECKPOINT)


def test_another_body_is_refused(tiny_run: Path) -> None:
    checkpoint = Checkpoint.load(tiny_run / CHECKPOINT, KIND)
    tall = smpl.build(smpl.SmplCfg(height=1.9))
    with pytest.raises(MismatchError, match="another body") as error:
        tall.require_signature(checkpoint.header.body, str(checkpoint.path))
    _one_line(error, tiny_run / CHECKPOINT)


def test_another_kind_is_refused(tiny_run: Path) -> None:
    with pytest.raises(MismatchError, match="'tracker'.*'planner'") as error:
        Checkpoint.load(tiny_run / CHECKPOINT, "planner")
    _one_line(error, tiny_run / CHECKPOINT)


@pytest.mark.parametrize("kept", [0, 1, 100, 3000, -1])
def test_truncated_file(tiny_run: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes((tiny_run / CHECKPOINT).read_bytes()[:kept])
    with pytest.raises(InputError, match=r"cut\.pt") as error:
        Checkpoint.load(path, KIND)
    _one_line(error, path)


@pytest.mark.parametrize(
    "content", [b"hello\n" * 100, b"\x00" * 50, b"\x80\x04.", b"]", b"00", random.Random(0).randbytes(64)]
)
def test_foreign_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a") as error:
        Checkpoint.load(path, KIND)
    assert "weights_only" not in _one_line(error, path)


@pytest.mark.parametrize("content", [[1, 2], {"kind": "tracker"}, {"header": {"kind": KIND, "body": 1}}])
def test_dictionary_of_something_else(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"other\.pt") as error:
        Checkpoint.load(path, KIND)
    _one_line(error, path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pt") as error:
        Checkpoint.load(tmp_path / "none.pt", KIND)
    _one_line(error, tmp_path / "none.pt")


class _Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("wrapped", [True, False])
def test_nothing_in_a_checkpoint_executes(tmp_path: Path, wrapped: bool) -> None:
    mark, path = tmp_path / "executed", tmp_path / "bad.pt"
    content = {"kind": KIND, "actor": _Malicious(mark)}
    if wrapped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError) as error:
        read_torch(path)
    _one_line(error, path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(content))  # the proof that the file was dangerous
    assert mark.exists()


def test_weights_that_make_no_network(actor: HistoryModel) -> None:
    weights = actor.state_dict()
    with pytest.raises(InputError, match="network"):
        MlpPolicy({})
    with pytest.raises(InputError, match="do not fit together"):
        MlpPolicy({key: value for key, value in weights.items() if key != "mlp.2.bias"})
    with pytest.raises(InputError, match="'mlp.0.weight'"):
        MlpPolicy({**weights, "mlp.0.weight": weights["mlp.0.weight"] * torch.nan})


def test_encoder_weights_that_make_no_network(remembering: HistoryModel) -> None:
    weights = remembering.state_dict()
    conv, linear, first = "mlp.encoder.conv.2.weight", "mlp.encoder.linear.weight", "mlp.head.0.weight"
    broken = {
        "a bias less": {key: value for key, value in weights.items() if key != "mlp.encoder.linear.bias"},
        "a convolution less": {key: value for key, value in weights.items() if key != conv},
        "a flat convolution": {**weights, conv: weights[conv].flatten()},
        "another kernel": {**weights, conv: weights[conv][:, :, :2]},
        "frames that do not divide": {**weights, linear: weights[linear][:, :-1]},
        "more history than observation": {**weights, linear: torch.cat([weights[linear]] * 3, dim=1)},
        "no head": {key: value for key, value in weights.items() if "head" not in key},
        "a head of another width": {**weights, first: weights[first][:, :-1]},
        "a stranger": {**weights, "mlp.encoder.more": torch.ones(1)},
        "statistics of another width": {**weights, "obs_normalizer._std": torch.ones(1, 21)},
        "no number": {**weights, "mlp.head.x.weight": torch.ones(1)},
    }
    for what, given in broken.items():
        with pytest.raises(InputError, match="^here: ") as error:
            MlpPolicy(given, "here")
        assert "\n" not in str(error.value), what


def test_layers_that_do_not_follow_each_other_are_refused(actor: HistoryModel) -> None:
    weights = actor.state_dict()
    for name, shape in (("mlp.2.weight", (16, 31)), ("mlp.0.weight", (32, 19)), ("mlp.0.weight", ())):
        with pytest.raises(InputError, match="do not fit together"):
            MlpPolicy({**weights, name: torch.ones(shape)})
