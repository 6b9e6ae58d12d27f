"""Release stage of a tracker."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from humanoid.core.config import load_config
from humanoid.core.paths import data_file
from humanoid.eval.config import EvalCfg, PerturbCfg, RecoverCfg
from humanoid.eval.perturb import perturb
from humanoid.eval.recover import recover
from humanoid.eval.tracking import evaluate
from humanoid.nn.checkpoint import Checkpoint, read_torch
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.scripts import train_tracker as train
from tools.release_stage import Piece, Progress, ReleaseCfg, Stage, device_of, learned


@dataclass(frozen=True, kw_only=True)
class TrackerStage(Stage):
    """Training and evaluation of a tracker; ``inputs`` are its motion sets.

    Each piece starts from the previous one. Measures ``train`` and ``test`` (training and
    held-out clips, in both simulators), ``pushed`` and ``recovered`` (in MuJoCo and, on
    a GPU, in Genesis).
    """

    measures: tuple[str, ...] = ("train", "test", "pushed", "recovered")
    clips: tuple[str, ...] = ()
    """Clips or tags of the sets that it is measured on; all if empty."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the motion sets."""
        return tuple(Path(path).stem for path in self.inputs)

    def configure(self, index: int, piece: Piece, before: str, cfg: ReleaseCfg) -> train.TrainCfg:
        """See :meth:`Stage.configure`."""
        extra = [f"name=release_{self.name}_{index}", f"start_from='{before}'", *piece.overrides]
        if cfg.motions:
            extra += [f"motions=[{','.join(cfg.motions)}]", "clips=[]", "split=''", "mirror=false"]
        return load_config(train.TrainCfg, data_file("cfg", piece.config), extra)

    def train(self, config: train.TrainCfg, runs: str) -> Progress:
        """See :meth:`Stage.train`."""
        path = Path(runs) / config.name / CHECKPOINT
        if samples(path, KIND) < config.samples:
            train.main(config, runs)
        return of_samples(samples(path, KIND), config.samples)

    def finish(self, folder: Path) -> Path:
        """See :meth:`Stage.finish`."""
        return Checkpoint.load(folder / CHECKPOINT, KIND).path

    def sims(self, what: str, cfg: ReleaseCfg) -> tuple[str, ...]:
        """See :meth:`Stage.sims`."""
        both = torch.cuda.is_available() or what in ("train", "test")
        return ("genesis", "mujoco") if both else ("mujoco",)

    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """See :meth:`Stage.measure`."""
        folders = cfg.held_out if what == "test" else cfg.motions
        common: dict[str, Any] = {
            "checkpoint": str(product),
            "motions": folders or self.sets,
            "clips": () if folders else self.clips,
            "split": "all" if folders or what not in ("train", "test") else what,
            "sim": sim,
            "device": device_of(sim),
            "starts": cfg.starts,
        }
        with redirect_stdout(sys.stderr):
            if what == "pushed":
                result = perturb(PerturbCfg(**common))
            elif what == "recovered":
                result = recover(RecoverCfg(**common))
            else:
                result = evaluate(EvalCfg(**common))
        return {**result, "checkpoint": f"humanoid/pretrained/{self.output}"}

    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return the checkpoint, which names what the demo performs on machines without the other sets."""
        content = read_torch(product)
        clips = [] if on_gpu else list(self.cpu_shows)
        shown = {"motions": self.motions, "clips": clips, "split": "", "weights": {}}
        alone = {"mirror": False, "tempos": [], "start_from": ""}
        header = content["header"]
        return {**content, "header": {**header, "config": {**header["config"], **shown, **alone}}}

    def facts(self, product: Path) -> dict[str, Any]:
        """See :meth:`Stage.facts`."""
        header = Checkpoint.load(product, KIND).header
        return {
            "learned": learned(header.config),
            "samples": header.samples,
            "train_seconds": round(header.seconds),
        }


def samples(path: Path, kind: str) -> float:
    """Return how many samples a run's checkpoint has learned from, 0 where there is none."""
    return Checkpoint.load(path, kind).header.samples if path.is_file() else 0.0


def of_samples(done: float, total: float) -> Progress:
    """Return how far a run is that counts samples."""
    return Progress(done, total, f"{done / 1e6:.2f} of {total / 1e6:.2f} M samples")
