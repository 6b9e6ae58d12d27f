"""The shipped configurations: each loads strictly, fits its chain and repeats no default."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from humanoid.bodies import smpl
from humanoid.core import ConfigError, data_dir, load_config, to_dict
from humanoid.datasets import Manifest, select_clips
from humanoid.diffusion import PRESETS
from humanoid.scripts.collect import RecordCfg
from humanoid.scripts.train_planner import TrainDiffusionCfg
from humanoid.scripts.train_skills import TrainLatentCfg
from humanoid.scripts.train_tracker import TrainCfg, build_env, load_library

FILES = sorted(data_dir("cfg").glob("*.yaml"))
CLASSES: dict[str, tuple[type, str]] = {
    "track": (TrainCfg, "ppo"),
    "latent": (TrainLatentCfg, "distill"),
    "rollouts": (RecordCfg, "collect"),
    "diffusion": (TrainDiffusionCfg, "optim"),
}
"""First word of a file's name -> what it configures, and a group of keys in that."""


def load(name: str) -> Any:
    """Return a shipped configuration."""
    return load_config(CLASSES[name.split("_")[0]][0], data_dir("cfg") / f"{name}.yaml")


def repeated(default: Any, given: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the keys of a tree whose value is the default."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict):
            yield from repeated(default[key], value, f"{prefix}{key}.")
        elif key in default and default[key] == value:
            yield prefix + key


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_loads_strictly(path: Path) -> None:
    cls, group = CLASSES[path.stem.split("_")[0]]
    assert load_config(cls, path).name == path.stem
    with pytest.raises(ConfigError, match=f"'{group}.no_such_number'"):
        load_config(cls, path, [f"{group}.no_such_number=1"])


@pytest.mark.parametrize("path", sorted(data_dir("cfg").glob("track*.yaml")), ids=lambda path: path.stem)
def test_a_tracking_recipe_holds_only_what_differs_from_the_defaults(path: Path) -> None:
    tree = yaml.safe_load(path.read_text())
    del tree["name"]
    assert list(repeated(to_dict(TrainCfg()), tree)) == []


def test_that_check_sees_a_repeated_default() -> None:
    tree = {"seed": 1, "task": {"event": {"push_seconds": [1.0, 3.0], "friction": [1.0, 1.0]}}}
    assert list(repeated(to_dict(TrainCfg()), tree)) == ["seed", "task.event.push_seconds"]


def test_both_recipes_share_body_motions_and_rates() -> None:
    gpu, cpu = load("track"), load("track_cpu")
    assert (gpu.body, gpu.motions, gpu.retarget) == (cpu.body, cpu.motions, cpu.retarget)
    assert (gpu.sim.dt, gpu.sim.substeps) == (cpu.sim.dt, cpu.sim.substeps)
    assert gpu.task.reward == cpu.task.reward


def test_the_cpu_recipe_names_clips_that_exist() -> None:
    manifest = load_config(Manifest, data_dir("motions") / "humanoid3d.yaml")
    assert manifest.select(load("track_cpu").clips)


@pytest.mark.parametrize("end", ["", "_cpu"])
def test_skills_rollouts_and_planner_are_of_one_chain(end: str) -> None:
    latent, rollouts, diffusion = (load(f"{name}{end}") for name in ("latent", "rollouts", "diffusion"))
    for key in ("motions", "clips", "split", "mirror", "weights", "min_seconds"):
        assert getattr(rollouts.perform, key) == getattr(latent.perform, key), key
    assert dataclasses.replace(rollouts.sim, threads=0) == dataclasses.replace(latent.sim, threads=0)
    assert Path(diffusion.data).name == rollouts.name
    frame = latent.latent.hold * latent.sim.dt
    assert diffusion.trajectory.dt == pytest.approx(frame)
    assert rollouts.collect.record >= diffusion.trajectory.num_states * frame
    assert diffusion.preset in PRESETS and (diffusion.steps or diffusion.total_minutes)


@pytest.mark.parametrize("name", ["latent", "latent_cpu", "rollouts", "rollouts_cpu"])
def test_skills_perform_clips_that_exist(name: str) -> None:
    perform = load(name).perform
    sets = [load_config(Manifest, data_dir("motions") / f"{motions}.yaml") for motions in perform.motions]
    assert all(select_clips(sets, perform.clips, perform.split))


def test_planner_and_skills_run_where_their_recipe_says() -> None:
    for end, device in (("", "cuda"), ("_cpu", "cpu")):
        assert load(f"latent{end}").sim.device == load(f"rollouts{end}").sim.device == device
        assert load(f"diffusion{end}").device == device


def test_the_cpu_recipe_builds_and_steps(motion_folder: Path) -> None:
    overrides = [f"motions={motion_folder}", "clips=[]", "num_envs=2", "sim.threads=1"]
    cfg = load_config(TrainCfg, data_dir("cfg") / "track_cpu.yaml", overrides)
    env = build_env(cfg, load_library(cfg, smpl.build(cfg.body)))
    for _ in range(2):
        result = env.step(torch.zeros(2, env.num_actions))
        assert result.reward.isfinite().all() and result.reward.shape == (2,)
        assert all(group.isfinite().all() for group in env.observe().values())
    env.sim.close()
