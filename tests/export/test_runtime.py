"""Running an exported policy: it sees and moves what the environment sees and moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.envs import ActionCfg, TrackingEnv
from humanoid.eval.tracking import CALM
from humanoid.export import OnnxPolicy, write_policy
from humanoid.export.metadata import of_checkpoint
from humanoid.nn import Checkpoint
from humanoid.scripts.train_tracker import build_env, load_library


@pytest.fixture(scope="module")
def path(g1_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported tracker of the body like the G1."""
    checkpoint = Checkpoint.load(g1_run / "checkpoint.pt", "tracker")
    path = tmp_path_factory.mktemp("runtime") / "policy.onnx"
    write_policy(checkpoint.policy(), path, of_checkpoint(checkpoint.header, ""))
    return path


def _env(g1_cfg: Any, g1_like: Embodiment, **parts: Any) -> TrackingEnv:
    task = replace(g1_cfg.task, event=CALM, **parts)
    cfg = replace(g1_cfg, task=task, num_envs=2)
    return build_env(cfg, load_library(cfg, g1_like))


def test_closed_loop_is_that_of_the_environment(
    path: Path, g1_run: Path, g1_cfg: Any, g1_like: Embodiment
) -> None:
    quiet = replace(g1_cfg.task.observation, noise_scale=0.0)
    env = _env(g1_cfg, g1_like, observation=quiet)
    policy, torch_policy = OnnxPolicy(path), Checkpoint.load(g1_run / "checkpoint.pt", "tracker").policy()
    names = [name for name, _ in env.observation_layout()]
    assert tuple(names) == policy.metadata.observation_names
    for _ in range(3):
        observation = env.observe()["actor"]
        actions = policy.run(observation.numpy())["actions"]
        with torch.no_grad():
            np.testing.assert_allclose(actions, torch_policy(observation).numpy(), atol=1e-5)
        ref = env.cursor.now()
        wanted = env.targets(torch.from_numpy(actions), (ref.joint_pos, ref.joint_vel))
        np.testing.assert_allclose(policy.targets(actions), wanted.numpy(), atol=1e-4)
        env.step(torch.from_numpy(actions))
    env.sim.close()


@pytest.mark.parametrize("lead", [True, False])
def test_targets_around_the_reference(
    g1_cfg: Any, g1_like: Embodiment, g1_run: Path, tmp_path: Path, lead: bool
) -> None:
    action = ActionCfg(around="reference", velocity_lead=lead)
    env = _env(g1_cfg, g1_like, action=action)
    checkpoint = Checkpoint.load(g1_run / "checkpoint.pt", "tracker")
    config = {**checkpoint.header.config}
    config["task"] = {**config["task"], "action": {"around": "reference", "velocity_lead": lead}}
    told = of_checkpoint(replace(checkpoint.header, config=config), "")
    write_policy(checkpoint.policy(), tmp_path / "p.onnx", told)
    policy, ref = OnnxPolicy(tmp_path / "p.onnx"), env.cursor.now()
    actions = torch.randn(2, 29)
    found = policy.targets(actions.numpy(), ref.joint_pos.numpy(), ref.joint_vel.numpy())
    np.testing.assert_allclose(found, env.targets(actions, (ref.joint_pos, ref.joint_vel)).numpy(), atol=1e-4)
    with pytest.raises(MismatchError, match="joint_pos_ref"):
        policy.targets(actions.numpy())
    env.sim.close()


def test_one_observation_or_a_batch(path: Path) -> None:
    policy = OnnxPolicy(path)
    rows = np.random.default_rng(0).normal(size=(4, 160))
    batch = policy.run(rows)["actions"]
    for row, wanted in zip(rows, batch, strict=True):
        found = policy.run(row)["actions"]
        assert found.shape == (29,)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    with pytest.raises(MismatchError, match=r"shape \(161,\), expected \(\.\.\., 160\)"):
        policy.run(np.zeros(161))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08" * 40])
def test_foreign_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "policy.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="policy.onnx: ") as error:
        OnnxPolicy(path)
    assert "\n" not in str(error.value)


def test_a_model_of_others_is_refused_by_what_it_lacks(path: Path, tmp_path: Path) -> None:
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    with pytest.raises(InputError, match="humanoid"):
        OnnxPolicy(tmp_path / "bare.onnx")
    with pytest.raises(InputError, match=r"none\.onnx"):
        OnnxPolicy(tmp_path / "none.onnx")
