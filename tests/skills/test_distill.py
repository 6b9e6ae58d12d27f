"""DAgger: who acts, what counts, and that learning lowers the error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.core import ConfigError, InputError, MismatchError, atomic_save
from humanoid.nn import Checkpoint, digest, read_torch
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.scripts import train_skills as train_latent
from humanoid.skills import DistillCfg, Distiller, LatentModel, Skills, TeacherMotions
from humanoid.skills.distill import DaggerBatch
from humanoid.skills.distill_env import DaggerEnv
from humanoid.skills.skills import KIND
from tests.skills.conftest import SMALL
from tests.tasks.guided import gliding

CFG = DistillCfg(frames=4, keep=2, minibatch=4, updates=30, noise=0.0)


@pytest.fixture
def student(room: DaggerEnv) -> Distiller:
    room.start(torch.zeros(4, dtype=torch.long))
    torch.manual_seed(0)
    return Distiller(room, LatentModel(SMALL, *room.columns.widths, room.env.num_actions), CFG, 0)


def test_labels_of_another_episode_do_not_count(student: Distiller) -> None:
    batch, _ = student.collect(0.0)
    broken = replace(batch, valid=batch.valid.clone(), label=batch.label.clone())
    broken.valid[1, 1, 0] = False
    state = student.generator.get_state()
    first = student.loss(broken, 0.0)[1]["action"]
    broken.label[1, 1, 0] += 100.0
    student.generator.set_state(state)
    assert torch.equal(student.loss(broken, 0.0)[1]["action"], first)


def test_smoothness_reaches_over_no_border_of_episodes(student: Distiller) -> None:
    batch, _ = student.collect(0.0)
    apart = replace(batch, linked=torch.zeros_like(batch.linked))
    assert float(student.loss(apart, 0.0)[1]["smooth"]) == 0.0


def test_at_first_the_teacher_acts(student: Distiller, room: DaggerEnv) -> None:
    """With everybody taught, what the student would do does not matter."""
    student.patience.fill_(2.0)
    room.env.generator.manual_seed(0)
    room.start(torch.zeros(4, dtype=torch.long))
    first, _ = student.collect(0.0)
    torch.nn.init.normal_(list(student.model.decoder.parameters())[-1], std=10.0)
    room.env.generator.manual_seed(0)
    room.start(torch.zeros(4, dtype=torch.long))
    again, _ = student.collect(0.0)
    torch.testing.assert_close(first.label, again.label)


def test_learning_lowers_the_error_of_actions(student: Distiller) -> None:
    first = student.iterate(0.0)["action"]
    for _ in range(3):
        last = student.iterate(0.01)["action"]
    assert last < 0.5 * first


def test_a_latent_is_chosen_once_for_two_steps(student: Distiller) -> None:
    batch, _ = student.collect(1.0)
    assert batch.proprioception.shape[:3] == (4, 2, 4)
    assert batch.valid[:, 0].all()
    picked = batch.columns(torch.tensor([2]))
    assert isinstance(picked, DaggerBatch) and torch.equal(picked.label[:, :, 0], batch.label[:, :, 2])


def test_a_run_goes_on_where_it_stopped(
    latent_cfg: train_latent.TrainLatentCfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = replace(latent_cfg, samples=latent_cfg.samples / 2)
    train_latent.main(half, str(tmp_path))
    path = tmp_path / latent_cfg.name / CHECKPOINT
    assert Checkpoint.load(path, KIND).header.samples == half.samples
    train_latent.main(latent_cfg, str(tmp_path))
    assert "resumed" in capsys.readouterr().err
    assert Checkpoint.load(path, KIND).header.samples == latent_cfg.samples
    wider = replace(latent_cfg, latent=replace(SMALL, width=8), samples=1e9)
    with pytest.raises(MismatchError, match=r"latent\.width"):
        train_latent.main(wider, str(tmp_path))
    held = replace(latent_cfg, latent=replace(SMALL, hold=SMALL.hold + 1), samples=1e9)  # of the same sizes
    with pytest.raises(MismatchError, match=r"latent\.hold"):
        train_latent.main(held, str(tmp_path))


def test_a_finished_run_keeps_its_metrics_and_another_teacher_is_refused(
    latent_cfg: train_latent.TrainLatentCfg, tiny_run: Path, tmp_path: Path, rewrite: Callable[..., Path]
) -> None:
    train_latent.main(latent_cfg, str(tmp_path))
    metrics = tmp_path / latent_cfg.name / "metrics.json"
    measured = metrics.read_text()
    train_latent.main(latent_cfg, str(tmp_path))
    assert metrics.read_text() == measured and "action" in measured
    weight = next(iter(read_torch(tiny_run / CHECKPOINT)["weights"]))
    other = rewrite(tiny_run / CHECKPOINT, tmp_path / "other.pt", weight, 1.0)
    with pytest.raises(MismatchError, match="teacher is"):
        train_latent.main(replace(latent_cfg, teacher=str(other), samples=1e9), str(tmp_path))


@pytest.mark.parametrize(
    "numbers",
    [{"noise": math.nan}, {"kl_weight": (0.1, math.nan)}, {"smooth_weight": -1.0}, {"max_grad_norm": 0.0}],
)
def test_numbers_that_mean_nothing_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="distill: "):
        DistillCfg(**numbers)


def test_a_checkpoint_brings_states_to_begin_from(
    latent_run: Path, performance: TeacherMotions, tmp_path: Path
) -> None:
    assert Skills.load(latent_run / CHECKPOINT).starts is None  # nobody walks in a squat
    walk = gliding(performance.body, 4.0)
    entry = train_latent.starts_of(replace(performance, motions=(walk,)), 0.04, 0)
    content, path = read_torch(latent_run / CHECKPOINT), tmp_path / "latent.pt"
    atomic_save({**content, "tables": entry}, path)
    skills = Skills.load(path)
    assert skills.starts is not None
    assert skills.starts.body_quat_w.shape == (16, 5, performance.body.num_bodies, 4)
    assert digest(path) == digest(latent_run / CHECKPOINT)
    broken = {**entry["starts"], "joint_pos": torch.zeros(16, 5, 2)}
    atomic_save({**content, "tables": {"starts": broken}}, path)
    with pytest.raises(InputError, match="'starts'"):
        Skills.load(path)


def test_skills_refuse_what_is_none(
    latent_run: Path, tiny_run: Path, tmp_path: Path, rewrite: Callable[..., Path]
) -> None:
    with pytest.raises(MismatchError, match="'tracker'.*'latent'"):
        Skills.load(tiny_run / CHECKPOINT)
    bad = rewrite(latent_run / CHECKPOINT, tmp_path / "nan.pt", "decoder.0.bias", float("nan"))
    with pytest.raises(InputError, match="not finite"):
        Skills.load(bad)
