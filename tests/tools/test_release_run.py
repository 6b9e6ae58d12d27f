"""A stage of a release stops and goes on, ships above its gate, and knows what it is made with."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.core import InputError
from humanoid.nn import digest
from humanoid.rl.checkpoints import CHECKPOINT
from tools import release
from tools.release_stage import Measured, Piece, Progress, ReleaseCfg, Stage


@dataclass(frozen=True)
class Least:
    """A gate: a number that counts must reach."""

    count: int = 3

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed."""
        return [
            f"{what}, {sim}: {result['count']} < {self.count}"
            for what, results in measured.items()
            for sim, result in results.items()
            if result["count"] < self.count
        ]


@dataclass(frozen=True)
class Count:
    """How far to count, and to where in one call."""

    name: str
    minutes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Counting(Stage):
    """A stage that counts to three, by two in a call with a limit, and knows what it has measured."""

    gate: Any = Least()
    name: str = "count"
    inputs: tuple[str, ...] = ("fingers",)
    output: str = "count.pt"
    gpu: tuple[Piece, ...] = (Piece(config="none"),)
    cpu: tuple[Piece, ...] = (Piece(config="none"), Piece(config="none"))
    measures: tuple[str, ...] = ("left", "right")
    log: list[str] = field(default_factory=list)
    tire: bool = False
    """Whether a measurement takes all the time there is."""

    def configure(self, index: int, piece: Piece, before: str, cfg: ReleaseCfg) -> Count:
        """Return what to count."""
        self.log.append(f"piece {index} after {before or 'nothing'}")
        return Count(f"count_{index}")

    def train(self, config: Count, runs: str) -> Progress:
        """Count."""
        path = Path(runs) / config.name / CHECKPOINT
        before = torch.load(path)["count"] if path.is_file() else 0
        count = 3 if not config.minutes else min(before + 2, 3)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"count": count}, path)
        return Progress(count, 3, f"{count} of 3")

    def finish(self, folder: Path) -> Path:
        """Return the checkpoint."""
        return folder / CHECKPOINT

    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """Measure what was counted."""
        self.log.append(f"{what} {sim}")
        if self.tire:
            time.sleep(60 * cfg.minutes)
        return {"count": torch.load(product)["count"]}

    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return the count."""
        return torch.load(product)

    def facts(self, product: Path) -> dict[str, Any]:
        """Return nothing."""
        return {}


@pytest.fixture
def cfg(tmp_path: Path) -> ReleaseCfg:
    return ReleaseCfg(runs=str(tmp_path / "runs"), recipe="cpu", sims=("mujoco",), episodes=7)


def test_pieces_follow_each_other_then_all_is_measured_and_shipped(package: Path, cfg: ReleaseCfg) -> None:
    stage = Counting()
    assert release.run(stage, cfg) == 0
    assert stage.log == [
        "piece 1 after nothing", f"piece 2 after {cfg.runs}/count_1", "left mujoco", "right mujoco",
    ]  # fmt: skip
    assert torch.load(package / "count.pt") == {"count": 3}
    card = json.loads((package / "count.json").read_text())
    assert card["command"] == "python tools/release.py count --episodes 7 --sims mujoco"
    assert card["gate"] == {"count": 3, "passed": True, "missed": []}
    assert card["metrics"] == {"left": {"mujoco": {"count": 3}}, "right": {"mujoco": {"count": 3}}}
    assert len(card["recipe"]) == 2 and release.passed(stage, cfg.runs)


def test_a_call_with_a_limit_stops_and_the_next_goes_on(
    package: Path, cfg: ReleaseCfg, capsys: pytest.CaptureFixture[str]
) -> None:
    limited = replace(cfg, minutes=1.0)
    for piece in (1, 2):
        assert release.run(Counting(), limited) == 0
        assert capsys.readouterr().out.startswith(f"stopped at 2 of 3 of piece {piece}, of 2")
        assert list(package.iterdir()) == []
    assert release.run(Counting(), limited) == 0
    assert "shipped" in capsys.readouterr().out


def test_measurements_go_on_where_they_stopped(
    package: Path, cfg: ReleaseCfg, capsys: pytest.CaptureFixture[str]
) -> None:
    release.train(Counting(), Counting().cpu, cfg, release.Clock(0.0))
    hurried = replace(cfg, minutes=0.001)
    stage = Counting(tire=True)
    assert release.run(stage, hurried) == 0
    assert "stopped at 1 of 2 measurements" in capsys.readouterr().out
    assert list(package.iterdir()) == [] and stage.log[-1] == "left mujoco"
    other = replace(hurried, episodes=8)
    assert release.run(stage, other) == 0 and stage.log[-1] == "left mujoco"  # another measurement
    assert release.run(stage, other) == 0 and stage.log[-1] == "right mujoco"
    assert (package / "count.json").is_file()
    assert not list(Path(cfg.runs).rglob(release.MEASURED))
    assert [entry for entry in stage.log if entry[0] in "lr"] == ["left mujoco"] * 2 + ["right mujoco"]


def test_what_misses_its_gate_ships_only_when_told_to(
    package: Path, cfg: ReleaseCfg, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Counting(gate=Least(4))
    assert release.run(stage, cfg) == 1
    assert "gate missed: left, mujoco: 3 < 4" in capsys.readouterr().err
    assert list(package.iterdir()) == []
    assert release.run(stage, replace(cfg, below_gate=True, note="tired")) == 0
    card = json.loads((package / "count.json").read_text())
    assert " --below-gate " in card["command"] and card["note"] == "tired"
    assert card["gate"]["missed"] == ["left, mujoco: 3 < 4", "right, mujoco: 3 < 4"]
    assert not release.passed(stage, cfg.runs)


def test_only_evaluating_trains_nothing(package: Path, cfg: ReleaseCfg) -> None:
    folder = Path(cfg.runs) / "count_2"
    folder.mkdir(parents=True)
    torch.save({"count": 2}, folder / CHECKPOINT)
    only = replace(cfg, only_evaluate=True, below_gate=True)
    assert release.run(Counting(), only) == 0
    assert torch.load(package / "count.pt") == {"count": 2}


def test_a_stage_is_outdated_when_what_it_was_made_with_is(package: Path, cfg: ReleaseCfg) -> None:
    stage = Counting(needs=("tracker.pt",))
    with pytest.raises(InputError, match="tracker.pt"):
        release.run(stage, cfg)
    torch.save({"weights": {"weight": torch.zeros(1)}}, package / "tracker.pt")
    assert release.run(stage, cfg) == 0 and release.passed(stage, cfg.runs)
    made_with = json.loads((package / "count.json").read_text())["made_with"]
    assert made_with == {"tracker.pt": digest(package / "tracker.pt")}
    torch.save({"weights": {"weight": torch.ones(1)}}, package / "tracker.pt")
    assert not release.passed(stage, cfg.runs)
    (package / "tracker.pt").unlink()
    assert not release.passed(stage, cfg.runs)
