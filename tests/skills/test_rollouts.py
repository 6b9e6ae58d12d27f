"""Recorded rollouts: what is kept, what is in them, and that recording goes on after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.core import ConfigError, InputError, MismatchError, atomic_save
from humanoid.diffusion import Layout, load_rollouts
from humanoid.diffusion.trajectory import VEL
from humanoid.nn import read_torch
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.scripts import collect
from humanoid.skills import CollectCfg, Collector, PerformCfg, Skills
from humanoid.skills.distill_env import DaggerEnv

SHORT = CollectCfg(cover=1.0, record=0.2, survive=0.4, noise=0.0)


@pytest.fixture
def collector(room: DaggerEnv, skills: Skills) -> Collector:
    return Collector(room, skills.model, Layout.of(skills.body), SHORT, 0)


def test_a_recording_is_what_the_body_did(collector: Collector, skills: Skills) -> None:
    """Played again from the seed, the student's own steps lead through the recorded states."""
    found = collector.shard(3)
    room, env = collector.room, collector.room.env
    assert found.states.shape == (4, 5, collector.layout.width)
    env.generator.manual_seed(collector.seed + 7919 * 3)
    generator = torch.Generator().manual_seed(collector.seed + 7919 * 3)
    room.start(torch.multinomial(collector.weight, 4, replacement=True, generator=generator))
    for frame in range(5):
        torch.testing.assert_close(found.states[:, frame], collector.layout.features(env.state, env.body))
        for _ in range(2):
            sight = room.look()
            room.play(sight, skills.model.decode(sight.proprioception, found.latents[:, frame]))


def test_every_shard_differs_and_comes_again_alike(collector: Collector) -> None:
    first, second, again = (collector.shard(index) for index in (0, 1, 0))
    assert torch.equal(first.states, again.states)
    assert not torch.equal(first.states[:, 0], second.states[:, 0])


def test_bodies_are_pushed_on_the_way(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    env = collector.room.env
    calm = collector.shard(0)
    event = replace(env.cfg.event, push_seconds=(0.1, 0.1), push_twist=(0.6, 0.6, 0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(env, "cfg", replace(env.cfg, event=event))
    pushed = collector.shard(0)
    assert len(pushed.clip) == len(calm.clip) == 4
    change = (pushed.states - calm.states)[..., VEL].norm(dim=-1)
    # the first push comes after five control steps, two of which are a frame
    assert float(change[:, :3].max()) < 1e-5 and float(change[:, 3:].max()) > 0.1


def test_what_leaves_its_reference_is_thrown_away(room: DaggerEnv, skills: Skills) -> None:
    """Under noise of several radians nobody stays within half a metre for long."""
    wild = CollectCfg(cover=1.0, record=1.0, survive=1.0, noise=60.0)
    found = Collector(room, skills.model, Layout.of(skills.body), wild, 0).shard(0)
    assert len(found.clip) < 4


def test_frames_are_covered_as_often_as_asked(collector: Collector) -> None:
    frames = collector.room.env.library.num_frames
    assert collector.num_shards * 4 * 10 == pytest.approx(frames, abs=4 * 10)


def test_a_recording_longer_than_any_clip_is_refused(room: DaggerEnv, skills: Skills) -> None:
    with pytest.raises(InputError, match="60 s"):
        Collector(room, skills.model, Layout.of(skills.body), CollectCfg(record=60, survive=60), 0)
    with pytest.raises(ConfigError, match="record <= survive"):
        CollectCfg(record=2.0, survive=1.0)
    with pytest.raises(ConfigError, match="noise nan"):
        CollectCfg(noise=float("nan"))


def test_recording_goes_on_and_ends_as_if_never_stopped(
    latent_run: Path, tiny_run: Path, motion_folder: Path, tmp_path: Path
) -> None:
    cfg = collect.RecordCfg(
        latent=str(latent_run / CHECKPOINT),
        teacher=str(tiny_run / CHECKPOINT),
        perform=PerformCfg(motions=str(motion_folder), mirror=False),
        num_envs=4,
        collect=SHORT,
    )
    whole = collect.main(replace(cfg, name="whole"), str(tmp_path))
    stopped = collect.main(replace(cfg, name="parts", minutes=1e-9), str(tmp_path))
    assert (stopped["shards"], whole["shards"]) == (1, 4)
    assert collect.main(replace(cfg, name="parts"), str(tmp_path))["shards"] == 4
    one, other = (load_rollouts(tmp_path / name) for name in ("whole", "parts"))
    assert torch.equal(one.states, other.states) and one.clips == ("dip", "squat")


def test_skills_of_another_teacher_are_refused(
    latent_run: Path, tiny_run: Path, motion_folder: Path, tmp_path: Path
) -> None:
    content = read_torch(tiny_run / CHECKPOINT)
    content["weights"]["mlp.0.bias"] += 1.0
    atomic_save(content, tmp_path / "other.pt")
    cfg = collect.RecordCfg(
        latent=str(latent_run / CHECKPOINT),
        teacher=str(tmp_path / "other.pt"),
        perform=PerformCfg(motions=str(motion_folder), mirror=False),
    )
    with pytest.raises(MismatchError, match=r"other\.pt"):
        collect.main(cfg, str(tmp_path))


def test_skills_of_another_rate_than_the_teacher_are_refused(
    latent_run: Path, tiny_run: Path, motion_folder: Path, tmp_path: Path
) -> None:
    content, slow = read_torch(latent_run / CHECKPOINT), tmp_path / "slow.pt"
    atomic_save({**content, "header": {**content["header"], "control_dt": 0.04}}, slow)
    cfg = collect.RecordCfg(
        latent=str(slow),
        teacher=str(tiny_run / CHECKPOINT),
        perform=PerformCfg(motions=str(motion_folder), mirror=False),
    )
    with pytest.raises(MismatchError, match=r"0\.04 s.* 0\.02 s"):
        collect.main(cfg, str(tmp_path))
