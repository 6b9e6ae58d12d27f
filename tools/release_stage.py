"""Release stage: trained in pieces, measured, compared with a gate, shipped with a card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import torch

from humanoid.core.errors import InputError
from humanoid.core.paths import data_dir

Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Measurement -> simulator -> metrics."""


@dataclass(frozen=True, kw_only=True)
class ReleaseCfg:
    """Command line of the tool."""

    minutes: float = 0.0
    """Stop after this many minutes; the same command resumes."""
    list: bool = False
    """Show the stages and stop."""
    below_gate: bool = False
    """Ship even if the gate is missed; the card records it."""
    only_evaluate: bool = False
    """Do not train: evaluate and ship what the run folder holds."""
    recipe: Literal["", "gpu", "cpu"] = ""
    """Recipe to follow; by default the one for this machine."""
    machine: str = ""
    """Machine of the training, for the card; needed where that was a GPU of another machine."""
    note: str = ""
    """Sentence for the card: what a reader must know of this training."""
    starts: int = 8
    """Seeded starts of each clip in the evaluation."""
    episodes: int = 100
    """Episodes of each guided task, and bodies that follow the prior."""
    sims: tuple[Literal["genesis", "mujoco"], ...] = ("genesis", "mujoco")
    """Simulators that latent skills and guided tasks are measured in."""
    runs: str = "runs"
    """Folder of run folders."""
    motions: tuple[str, ...] = ()
    """Folders of npz motions to use instead of the manifests, one a set and called as it is
    (``humanoid motions convert SET --split train --out DIR/SET``), for a machine that cannot
    install the package the captures come in."""
    held_out: tuple[str, ...] = ()
    """The same for the clips that are kept back (``--split test``)."""

    @property
    def options(self) -> str:
        """Differences from a whole measurement, as they are written on the command line."""
        given = f" --episodes {self.episodes}" if self.episodes != ReleaseCfg.episodes else ""
        return given + (f" --sims {' '.join(self.sims)}" if self.sims != ReleaseCfg.sims else "")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A training run of a stage."""

    config: str
    """Name of a configuration in ``cfg/``."""
    overrides: tuple[str, ...] = ()
    """Differences from it."""


class Progress(NamedTuple):
    """How far a piece is."""

    done: float
    total: float
    text: str
    """Both, with their unit."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.done >= self.total


class Gate(Protocol):
    """Thresholds of a stage; a dataclass of numbers, which the card shows."""

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed, in words; empty where the gate holds."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One thing that is made, a checkpoint that ships or what the next stage learns from."""

    name: str
    inputs: tuple[str, ...]
    """Motions to learn from, for the card."""
    output: str
    """File in ``humanoid/pretrained``; empty: the run folder is all there is, for the next stage."""
    gate: Any
    """Of the type :class:`Gate`, a dataclass."""
    gpu: tuple[Piece, ...]
    """Pieces on a CUDA machine, one after the other."""
    cpu: tuple[Piece, ...] = ()
    """Pieces elsewhere; none where two cores cannot."""
    measures: tuple[str, ...] = ()
    """Measurements."""
    needs: tuple[str, ...] = ()
    """Shipped checkpoints that it is made with, and is outdated without."""
    motions: str = "humanoid3d"
    """Motion set that the shipped copy names: one that everybody has who has the package."""
    cpu_shows: tuple[str, ...] = ()
    """Clips of it that the copy names where the CPU's pieces were learned; all if empty."""

    @abstractmethod
    def configure(self, index: int, piece: Piece, before: str, cfg: ReleaseCfg) -> Any:  # noqa: ANN401
        """Return the configuration of piece ``index`` (from 1), after the run folder ``before``."""

    @abstractmethod
    def train(self, config: Any, runs: str) -> Progress:  # noqa: ANN401 - what configure returns
        """Train a piece until it is done or its minutes are over; nothing where it is done."""

    @abstractmethod
    def finish(self, folder: Path) -> Path:
        """Return the file that is measured and ships, of the folder of the last piece."""

    @abstractmethod
    def measure(self, what: str, sim: str, product: Path, cfg: ReleaseCfg) -> dict[str, Any]:
        """Return the metrics of one simulator."""

    @abstractmethod
    def content(self, product: Path, on_gpu: bool) -> dict[str, Any]:
        """Return what is written into the package."""

    @abstractmethod
    def facts(self, product: Path) -> dict[str, Any]:
        """Return what the card says of the training: ``learned``, ``samples``, ``train_seconds``."""

    def sims(self, what: str, cfg: ReleaseCfg) -> tuple[str, ...]:
        """Return the simulators that measure ``what``."""
        return cfg.sims

    def folder(self, runs: str) -> Path:
        """Return the run folder of a stage of one piece."""
        return Path(runs) / f"release_{self.name}"

    def card(self, runs: str) -> Path:
        """Return where the card is."""
        if self.output:
            return (data_dir("pretrained") / self.output).with_suffix(".json")
        return self.folder(runs) / "card.json"

    def require(self) -> None:
        """Refuse to begin without the checkpoints that it needs.

        Raises:
            InputError: naming the first that is missing.
        """
        for name in self.needs:
            if not (data_dir("pretrained") / name).is_file():
                raise InputError(
                    f"stage '{self.name}' needs humanoid/pretrained/{name}; make that stage first"
                )


def device_of(sim: str) -> str:
    """Return the device that a simulator measures on: MuJoCo is on the CPU only."""
    return "cuda" if sim == "genesis" and torch.cuda.is_available() else "cpu"


def learned(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run learned from, as its configuration says it; of folders their names."""
    given = config["motions"]
    sets = [Path(motions).stem for motions in ([given] if isinstance(given, str) else given)]
    said = ("clips", "split", "mirror", "tempos")
    return {"motions": sets, **{key: config[key] for key in said if key in config}}
