"""Make what is shipped: a list of resumable stages, each with a gate.

    python tools/release.py                      # go on with the first unfinished stage
    python tools/release.py tracker --minutes 9  # stop by itself, go on later
    python tools/release.py --list               # stages, inputs, outputs, gates, state

A stage trains in ``runs/release_STAGE`` (a second call resumes), evaluates in both
simulators, and ships its checkpoint with a JSON card into ``humanoid/pretrained`` where
the gate holds. ``--below-gate`` ships what was reached and says so in the card. On a
CUDA machine a stage uses its GPU recipe, elsewhere its CPU recipe.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from humanoid.apps import train
from humanoid.core.config import load_config
from humanoid.core.errors import HumanoidError, InputError, nearest
from humanoid.core.paths import data_dir, data_file
from humanoid.core.runs import atomic_write_bytes, atomic_write_text, versions
from humanoid.eval.tracking import EvalCfg, evaluate
from humanoid.nn.policy import Checkpoint
from humanoid.rl.runner import CHECKPOINT

SIZE_LIMIT = 15 * 2**20
"""Largest checkpoint that ships [bytes]."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a stage must reach, in every simulator."""

    success: float
    """Smallest share of runs within 0.5 m."""
    mpjpe_l_success_mm: float
    """Largest root-relative error of the runs that succeed [mm]."""

    def failures(self, metrics: dict[str, Any]) -> list[str]:
        """Return what is missed, in words; empty where the gate holds."""
        missed = []
        for sim, result in metrics.items():
            if result["success"] < self.success:
                missed.append(f"{sim}: success {result['success']:.3f} < {self.success}")
            error = result["mpjpe_l_success_mm"]
            if error is None or error > self.mpjpe_l_success_mm:
                missed.append(f"{sim}: mpjpe_l_success_mm {error} > {self.mpjpe_l_success_mm}")
        return missed


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One checkpoint that ships."""

    name: str
    inputs: tuple[str, ...]
    output: str
    gate: Gate
    gpu: tuple[str, tuple[str, ...]]
    """Configuration and overrides on a CUDA machine."""
    cpu: tuple[str, tuple[str, ...]]
    """Configuration and overrides elsewhere."""


STAGES = (
    Stage(
        name="tracker",
        inputs=("motions/humanoid3d.yaml",),
        output="tracker.pt",
        gate=Gate(success=0.8, mpjpe_l_success_mm=40.0),
        gpu=("track", ()),
        cpu=("track_cpu", ()),
    ),
)


@dataclass(frozen=True, kw_only=True)
class ReleaseCfg:
    """Command line of this tool."""

    minutes: float = 0.0
    """Stop training after so many minutes; the same command goes on later."""
    list: bool = False
    """Show the stages and stop."""
    below_gate: bool = False
    """Ship although the gate is missed; the card says so."""
    only_evaluate: bool = False
    """Do not train: evaluate and ship what the run folder holds."""
    note: str = ""
    """Sentence for the card: what a reader must know of this training."""
    starts: int = 8
    """Seeded starts of each clip in the evaluation."""
    runs: str = "runs"
    """Folder of run folders."""
    motions: str = ""
    """Folder of npz motions to use instead of the manifest (``humanoid motions convert``),
    for a machine that cannot install the package the captures come in."""


def main(stage: tyro.conf.Positional[str] = "", *, cfg: tyro.conf.OmitArgPrefixes[ReleaseCfg]) -> int:
    """Run one stage; return the exit code."""
    if cfg.list:
        for each in STAGES:
            print(json.dumps(describe(each)))
        return 0
    known = {each.name: each for each in STAGES}
    if stage and stage not in known:
        raise InputError(f"unknown stage '{stage}'{nearest(stage, known)}")
    todo = known[stage] if stage else next((s for s in STAGES if not passed(s)), STAGES[0])
    return run(todo, cfg)


def run(stage: Stage, cfg: ReleaseCfg) -> int:
    """Train, evaluate, and ship where the gate holds."""
    name, overrides = stage.gpu if torch.cuda.is_available() else stage.cpu
    run_name = f"release_{stage.name}"
    extra = (f"name={run_name}", *overrides, *([f"minutes={cfg.minutes}"] if cfg.minutes else []),
             *([f"motions={cfg.motions}"] if cfg.motions else []))  # fmt: skip
    train_cfg = load_config(train.TrainCfg, data_file("cfg", name), extra)
    folder = Path(cfg.runs) / run_name
    if not cfg.only_evaluate:
        train.main(train_cfg, cfg.runs)
        done = Checkpoint.load(folder / CHECKPOINT, "tracker").header["samples"]
        if done < train_cfg.samples and not cfg.below_gate:
            print(
                f"stopped at {done / 1e6:.1f} of {train_cfg.samples / 1e6:.0f} M samples; run again to go on"
            )
            return 0
    metrics = measure(folder / CHECKPOINT, train_cfg, (), cfg.starts)
    learned = (
        measure(folder / CHECKPOINT, train_cfg, train_cfg.clips, cfg.starts) if train_cfg.clips else metrics
    )
    missed = stage.gate.failures(metrics)
    for line in missed:
        print(f"gate missed: {line}", file=sys.stderr)
    if missed and not cfg.below_gate:
        return 1
    gate = {**vars(stage.gate), "passed": not missed, "missed": missed}
    ship(stage, folder / CHECKPOINT, {"config": f"cfg/{name}.yaml", "note": cfg.note, "gate": gate,
                                      "metrics": metrics, "metrics_learned_clips": learned})  # fmt: skip
    return 0


def measure(
    checkpoint: Path, train_cfg: train.TrainCfg, clips: tuple[str, ...], starts: int
) -> dict[str, Any]:
    """Evaluate in both simulators, on all clips of the motion set or on some."""
    metrics = {}
    for sim in ("genesis", "mujoco"):
        device = "cuda" if sim == "genesis" and torch.cuda.is_available() else "cpu"
        cfg = EvalCfg(
            checkpoint=str(checkpoint),
            motions=train_cfg.motions,
            clips=clips,
            sim=sim,
            device=device,
            starts=starts,
        )
        with redirect_stdout(sys.stderr):
            metrics[sim] = {**evaluate(cfg), "checkpoint": "humanoid/pretrained/tracker.pt"}
        totals = {key: value for key, value in metrics[sim].items() if key != "clips"}
        print(f"{', '.join(clips) or 'all clips'}: {json.dumps(totals)}")
    return metrics


def ship(stage: Stage, checkpoint: Path, facts: dict[str, Any]) -> None:
    """Copy the checkpoint into the package and write its card."""
    size = checkpoint.stat().st_size
    if size > SIZE_LIMIT:
        raise InputError(f"{checkpoint}: {size / 2**20:.1f} MiB, at most {SIZE_LIMIT / 2**20:.0f} MiB ship")
    target = data_dir("pretrained") / stage.output
    atomic_write_bytes(target, checkpoint.read_bytes())
    header = Checkpoint.load(target, "tracker").header
    cuda = torch.cuda.is_available()
    card = {
        "name": stage.output,
        "command": f"python tools/release.py {stage.name}",
        "data": list(stage.inputs),
        "learned_clips": list(header["config"]["clips"]) or "all",
        "samples": header["samples"],
        "train_seconds": round(header["seconds"]),
        "machine": torch.cuda.get_device_name()
        if cuda
        else f"CPU, {os.cpu_count()} cores, {platform.machine()}",
        "versions": versions(),
        **facts,
    }
    atomic_write_text(target.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    print(f"shipped {target}")


def passed(stage: Stage) -> bool:
    """Return whether a stage's card says that its gate holds."""
    card = data_dir("pretrained") / Path(stage.output).with_suffix(".json")
    return card.is_file() and bool(json.loads(card.read_text())["gate"]["passed"])


def describe(stage: Stage) -> dict[str, Any]:
    """Return a stage's facts and state."""
    return {
        "stage": stage.name,
        "inputs": list(stage.inputs),
        "output": f"humanoid/pretrained/{stage.output}",
        "gate": vars(stage.gate),
        "passed": passed(stage),
    }


if __name__ == "__main__":
    try:
        raise SystemExit(tyro.cli(main))
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
