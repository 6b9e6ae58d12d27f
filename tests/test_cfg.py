"""The shipped configurations: each loads strictly, and the tracker's names every number."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from humanoid.apps.train import TrainCfg, build_env, load_library
from humanoid.bodies import smpl
from humanoid.core.config import load_config
from humanoid.core.errors import ConfigError
from humanoid.core.paths import data_dir
from humanoid.motion.manifest import Manifest

FILES = sorted(data_dir("cfg").glob("*.yaml"))


def unnamed(cls: type, tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the fields that a tree leaves to the defaults in code."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name not in tree:
            yield prefix + field.name
        elif dataclasses.is_dataclass(hints[field.name]):
            yield from unnamed(hints[field.name], tree[field.name], f"{prefix}{field.name}.")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_loads_strictly(path: Path) -> None:
    assert load_config(TrainCfg, path).name == path.stem
    with pytest.raises(ConfigError, match="unknown key 'ppo.no_such_number'"):
        load_config(TrainCfg, path, ["ppo.no_such_number=1"])


def test_the_tracker_leaves_no_number_to_the_code() -> None:
    tree = yaml.safe_load((data_dir("cfg") / "track.yaml").read_text())
    assert list(unnamed(TrainCfg, tree)) == []


def test_that_check_sees_what_is_missing() -> None:
    tree = yaml.safe_load((data_dir("cfg") / "track.yaml").read_text())
    del tree["task"]["event"]["push_twist"], tree["seed"]
    assert list(unnamed(TrainCfg, tree)) == ["seed", "task.event.push_twist"]


def test_both_recipes_share_body_motions_and_rates() -> None:
    gpu, cpu = (load_config(TrainCfg, data_dir("cfg") / f"{name}.yaml") for name in ("track", "track_cpu"))
    assert (gpu.body, gpu.motions, gpu.retarget) == (cpu.body, cpu.motions, cpu.retarget)
    assert (gpu.sim.dt, gpu.sim.substeps) == (cpu.sim.dt, cpu.sim.substeps)
    assert gpu.task.reward == cpu.task.reward


def test_the_cpu_recipe_names_clips_that_exist() -> None:
    manifest = load_config(Manifest, data_dir("motions") / "humanoid3d.yaml")
    assert manifest.select(load_config(TrainCfg, data_dir("cfg") / "track_cpu.yaml").clips)


def test_the_cpu_recipe_builds_and_steps(motion_folder: Path) -> None:
    overrides = [f"motions={motion_folder}", "clips=[]", "num_envs=2", "sim.threads=1"]
    cfg = load_config(TrainCfg, data_dir("cfg") / "track_cpu.yaml", overrides)
    env = build_env(cfg, load_library(cfg, smpl.build(cfg.body)))
    for _ in range(2):
        result = env.step(torch.zeros(2, env.num_actions))
        assert result.reward.isfinite().all() and result.reward.shape == (2,)
        assert all(group.isfinite().all() for group in env.observe().values())
    env.sim.close()
