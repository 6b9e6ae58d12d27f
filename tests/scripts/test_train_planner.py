"""``humanoid train diffusion``: one call starts, the same call goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.core import ConfigError, HumanoidError, InputError, MismatchError, load_config
from humanoid.diffusion import DiffusionModel, OptimCfg, Rollouts
from humanoid.diffusion.train import CHECKPOINT
from humanoid.scripts import train_planner as train_diffusion
from humanoid.scripts.train_planner import TrainDiffusionCfg, split
from tests.diffusion.wave import FRAMES, write


@pytest.fixture
def cfg(tmp_path: Path) -> TrainDiffusionCfg:
    return TrainDiffusionCfg(
        name="tiny",
        data=str(write(tmp_path / "rollouts")),
        steps=2,
        trajectory=FRAMES,
        optim=OptimCfg(batch=4, validation_windows=4),
    )


def test_the_same_command_goes_on(
    cfg: TrainDiffusionCfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_diffusion.main(cfg, str(tmp_path))
    captured, folder = capsys.readouterr(), tmp_path / "tiny"
    assert captured.out == "" and "resumed" not in captured.err
    assert "24 rollouts of 0.8 s" in captured.err and "2 kept back" in captured.err
    assert load_config(TrainDiffusionCfg, folder / "config.yaml") == cfg
    metrics = train_diffusion.main(replace(cfg, steps=3), str(tmp_path))
    assert f"resumed {folder} at step 2" in capsys.readouterr().err
    assert metrics == json.loads((folder / "metrics.json").read_text())
    assert metrics["step"] == 3 and 0.0 < metrics["validation/state_20"] < 10.0
    assert DiffusionModel.load(folder / CHECKPOINT).header.config["data"] == cfg.data
    again = train_diffusion.main(replace(cfg, steps=3), str(tmp_path))
    assert again == {} and (folder / "metrics.json").exists()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"data": ""}, ConfigError, "data"),
        ({"data": "nowhere"}, InputError, "nowhere"),
        ({"preset": "smal"}, ConfigError, "'small'"),
        ({"steps": 0}, ConfigError, "both 0"),
        ({"steps": -1}, ConfigError, "negative"),
        ({"validation_share": 1.0}, ConfigError, "validation_share is 1.0"),
        ({"device": "gpu"}, ConfigError, "gpu"),
        ({"trajectory": replace(FRAMES, dt=0.1)}, MismatchError, "0.04"),
        ({"trajectory": replace(FRAMES, horizon=40)}, InputError, "43 frames"),
    ],
)
def test_mistakes_leave_nothing_behind(
    cfg: TrainDiffusionCfg, tmp_path: Path, change: dict[str, object], error: type[HumanoidError], words: str
) -> None:
    with pytest.raises(error, match=words):
        train_diffusion.main(replace(cfg, **change), str(tmp_path / "runs"))  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


def test_what_is_kept_back_stays_so_when_more_is_recorded() -> None:
    def recorded(count: int) -> Rollouts:
        states = torch.arange(float(count)).reshape(count, 1, 1)
        return Rollouts(states, states, torch.zeros(count, dtype=torch.long), ("walk",))

    few, many = (split(recorded(count), 0.1)[1].states.flatten() for count in (37, 95))
    assert len(few) == 4 and torch.equal(many[: len(few)], few)
    learned, kept_back = (part.states.flatten().tolist() for part in split(recorded(2), 0.05))
    assert (learned, kept_back) == ([1.0], [0.0])
