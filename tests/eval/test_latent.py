"""Measuring latent skills."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.eval import LatentEvalCfg
from humanoid.eval.latent import evaluate, table
from humanoid.nn import read_torch
from humanoid.rl.checkpoints import CHECKPOINT


@pytest.fixture(scope="module")
def cfg(latent_run: Path, tiny_run: Path) -> LatentEvalCfg:
    return LatentEvalCfg(
        checkpoint=str(latent_run / CHECKPOINT),
        teacher=str(tiny_run / CHECKPOINT),
        starts=1,
        falls=2,
        seconds=0.2,
    )


def test_teacher_student_and_prior_are_measured(cfg: LatentEvalCfg) -> None:
    found = evaluate(cfg)
    assert found["prior"] == {"n": 2, "seconds": 0.2, "fallen": 0.0}
    assert found["teacher"]["mpjpe_l_mm"] != found["student"]["mpjpe_l_mm"]
    assert set(found["student"]["clips"]) == {"squat", "dip"}
    assert "student" in table(found)
    assert evaluate(replace(cfg, falls=0))["prior"] is None


def test_clips_can_be_chosen(cfg: LatentEvalCfg, motion_folder: Path) -> None:
    with pytest.raises(InputError, match="leap"):
        evaluate(replace(cfg, clips=("leap",)))
    found = evaluate(replace(cfg, motions=(str(motion_folder),), falls=0))
    assert set(found["student"]["clips"]) == {"squat", "dip"}


def test_a_student_of_another_tracker_is_refused(cfg: LatentEvalCfg, tmp_path: Path) -> None:
    import torch

    content = read_torch(cfg.teacher)
    content["weights"]["mlp.0.bias"] += 1.0
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(MismatchError, match=r"other\.pt"):
        evaluate(replace(cfg, teacher=str(tmp_path / "other.pt")))


def test_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="falls"):
        LatentEvalCfg(falls=-1)
