"""Make what is shipped: a list of resumable stages, each with a gate.

    python tools/release.py                      # go on with the first unfinished stage
    python tools/release.py tracker --minutes 9  # stop by itself, go on later
    python tools/release.py --list               # stages, inputs, outputs, gates, state

A stage trains in pieces in ``runs/release_STAGE_N`` (a second call resumes), evaluates in both
simulators, and ships its checkpoint with a JSON card into ``humanoid/pretrained`` where
the gate holds. ``--below-gate`` ships what was reached and says so in the card. On a
CUDA machine a stage uses its GPU recipe, elsewhere its CPU recipe. Needs an editable
installation (``make``), or ``PYTHONPATH=.``. Exit code 1: the gate is missed and nothing shipped.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from humanoid.apps import train
from humanoid.core.config import load_config
from humanoid.core.errors import HumanoidError, InputError, nearest, one_line
from humanoid.core.paths import data_dir, data_file
from humanoid.core.runs import atomic_path, atomic_write_text, versions
from humanoid.eval.perturb import PerturbCfg, perturb
from humanoid.eval.recover import RecoverCfg, recover
from humanoid.eval.tracking import EvalCfg, evaluate
from humanoid.nn.policy import Checkpoint, read_torch
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from tools.release_stages import STAGES, Piece, Stage

SIZE_LIMIT = 15 * 2**20
"""Largest checkpoint that ships [bytes]."""
TOTAL_LIMIT = 24 * 2**20
"""Largest folder of shipped checkpoints [bytes]."""


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
    recipe: Literal["", "gpu", "cpu"] = ""
    """Recipe to follow; by default the one for this machine."""
    machine: str = ""
    """What trained it, for the card; needed where that was a GPU of another machine."""
    note: str = ""
    """Sentence for the card: what a reader must know of this training."""
    starts: int = 8
    """Seeded starts of each clip in the evaluation."""
    runs: str = "runs"
    """Folder of run folders."""
    motions: tuple[str, ...] = ()
    """Folders of npz motions to use instead of the manifests, one a set and called as it is
    (``humanoid motions convert SET --split train --out DIR/SET``), for a machine that cannot
    install the package the captures come in."""
    held_out: tuple[str, ...] = ()
    """The same for the clips that are kept back (``--split test``)."""


def main(stage: tyro.conf.Positional[str] = "", *, cfg: tyro.conf.OmitArgPrefixes[ReleaseCfg]) -> int:
    """Run one stage; return the exit code."""
    if cfg.list:
        for each in STAGES:
            print(json.dumps(describe(each)))
        return 0
    known = {each.name: each for each in STAGES}
    if stage and stage not in known:
        raise InputError(f"unknown stage '{stage}'{nearest(stage, known)}")
    todo = known[stage] if stage else next((s for s in STAGES if not passed(s)), None)
    if todo is None:
        print("every stage has passed its gate; name one to make it again", file=sys.stderr)
        return 0
    return run(todo, cfg)


def run(stage: Stage, cfg: ReleaseCfg) -> int:
    """Train, evaluate, and ship where the gate holds."""
    on_gpu = cfg.recipe == "gpu" if cfg.recipe else torch.cuda.is_available()
    machine = machine_name(on_gpu, cfg.machine)  # first: nobody trains for hours to be asked then
    pieces = stage.gpu if on_gpu else stage.cpu
    if not pieces:
        raise InputError(f"stage '{stage.name}' has no recipe for a CPU; run it on a CUDA machine")
    started, folder = time.monotonic(), ""
    for index, piece in enumerate(pieces, 1):
        train_cfg = piece_config(stage, index, piece, folder, cfg)
        folder = f"{cfg.runs}/{train_cfg.name}"
        if cfg.only_evaluate or _samples(folder) >= train_cfg.samples:
            continue
        if cfg.minutes:
            left = cfg.minutes - (time.monotonic() - started) / 60
            train_cfg = replace(train_cfg, minutes=max(left, 0.01))
        train.main(train_cfg, cfg.runs)
        done = _samples(folder)
        if done < train_cfg.samples:
            of = f"{done / 1e6:.2f} of {train_cfg.samples / 1e6:.2f} M samples of piece {index}"
            print(f"stopped at {of}, of {len(pieces)}; run again to go on")
            return 0
    checkpoint = Path(folder) / CHECKPOINT
    measured = {what: measure(what, stage, checkpoint, cfg) for what in stage.measures}
    missed = stage.gate.failures(measured)
    for line in missed:
        print(f"gate missed: {line}", file=sys.stderr)
    if missed and not cfg.below_gate:
        return 1
    facts = {
        "machine": machine,
        "recipe": [vars(piece) for piece in pieces],
        "note": cfg.note,
        "gate": {**vars(stage.gate), "passed": not missed, "missed": missed},
        "metrics": measured,
    }
    ship(stage, checkpoint, facts, () if on_gpu else stage.cpu_shows)
    return 0


def _samples(folder: str) -> float:
    """Return how many samples the run of a folder has learned from, 0 where there is none."""
    path = Path(folder) / CHECKPOINT
    return Checkpoint.load(path, KIND).header["samples"] if path.is_file() else 0.0


def piece_config(stage: Stage, index: int, piece: Piece, before: str, cfg: ReleaseCfg) -> train.TrainCfg:
    """Return the configuration of a stage's piece, which goes on from the run ``before`` it."""
    extra = [f"name=release_{stage.name}_{index}", f"start_from='{before}'", *piece.overrides]
    if cfg.motions:
        extra += [f"motions=[{','.join(cfg.motions)}]", "clips=[]", "split=''", "mirror=false"]
    return load_config(train.TrainCfg, data_file("cfg", piece.config), extra)


def machine_name(on_gpu: bool, given: str) -> str:
    """Return what the card calls the machine that trains.

    Raises:
        InputError: a GPU trained, this machine has none, and nobody says which it was.
    """
    if given:
        return given
    if not on_gpu:
        return f"CPU, {os.cpu_count()} cores, {platform.machine()}"
    if not torch.cuda.is_available():
        raise InputError("the GPU recipe, but torch sees no GPU here; say what trained it: --machine TEXT")
    return torch.cuda.get_device_name()


def measure(what: str, stage: Stage, checkpoint: Path, cfg: ReleaseCfg) -> dict[str, Any]:
    """Return the metrics of each simulator.

    Args:
        what: ``train`` or ``test`` (clips to learn, clips kept back; in both simulators),
            ``pushed`` or ``recovered`` (in MuJoCo and, on a GPU, in Genesis).
        stage: names the motions.
        checkpoint: the tracker.
        cfg: number of starts, and where motions are that no manifest can find.
    """
    on_gpu = torch.cuda.is_available()
    sims = ("genesis", "mujoco") if on_gpu or what in ("train", "test") else ("mujoco",)
    folders = cfg.held_out if what == "test" else cfg.motions
    common: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "motions": folders or stage.sets,
        "split": "all" if folders or what not in ("train", "test") else what,
        "device": "cuda" if on_gpu else "cpu",
        "starts": cfg.starts,
    }
    found = {}
    for sim in sims:
        own = {**common, "sim": sim, "device": common["device"] if sim == "genesis" else "cpu"}
        with redirect_stdout(sys.stderr):
            if what == "pushed":
                result = perturb(PerturbCfg(**own))
            elif what == "recovered":
                result = recover(RecoverCfg(**own))
            else:
                result = evaluate(EvalCfg(**own))
        result = {**result, "checkpoint": f"humanoid/pretrained/{stage.output}"}
        totals = {key: value for key, value in result.items() if not isinstance(value, (dict, list))}
        print(f"{what}, {sim}: {json.dumps(totals)}")
        found[sim] = result
    return found


def ship(stage: Stage, checkpoint: Path, facts: dict[str, Any], shows: tuple[str, ...] = ()) -> None:
    """Put the checkpoint into the package and write its card.

    The shipped copy names the stage's first motion set, and of it the clips ``shows``: that is
    what the demo performs, on machines that have neither the other sets nor a folder of ours.

    Raises:
        InputError: it is too large, alone or with the others; nothing is written then.
    """
    header = Checkpoint.load(checkpoint, KIND).header
    content = read_torch(checkpoint)
    shown = {"motions": stage.sets[0], "clips": list(shows), "split": "", "mirror": False, "weights": {}}
    content["config"] = {**content["config"], **shown, "start_from": ""}
    target = data_dir("pretrained") / stage.output
    with atomic_path(target) as temporary:
        torch.save(content, temporary)
        _check_size(checkpoint, target, temporary.stat().st_size)
    card = {
        "name": stage.output,
        "command": f"python tools/release.py {stage.name}"
        + ("" if facts["gate"]["passed"] else " --below-gate"),
        "data": list(stage.inputs),
        "learned": learned(header["config"]),
        "samples": header["samples"],
        "train_seconds": round(header["seconds"]),
        "versions": versions(),
        **facts,
    }
    atomic_write_text(target.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    print(f"shipped {target}")


def learned(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a run learned from, as its configuration says it; of folders their names."""
    given = config["motions"]
    sets = [Path(motions).stem for motions in ([given] if isinstance(given, str) else given)]
    return {"motions": sets, **{key: config[key] for key in ("clips", "split", "mirror") if key in config}}


def _check_size(checkpoint: Path, target: Path, size: int) -> None:
    """Refuse a file of ``size`` bytes, or one too many beside the others."""
    others = [path for path in target.parent.glob("[!.]*.pt") if path != target]
    total = size + sum(path.stat().st_size for path in others)
    for what, found, limit in (("ships with", size, SIZE_LIMIT), ("and all others have", total, TOTAL_LIMIT)):
        if found > limit:
            raise InputError(
                f"{checkpoint}: {what} {found / 2**20:.1f} MiB, at most {limit / 2**20:.0f} MiB are allowed"
            )


def passed(stage: Stage) -> bool:
    """Return whether a stage's card says that its gate holds.

    Raises:
        InputError: the card is not one of this tool.
    """
    card = data_dir("pretrained") / Path(stage.output).with_suffix(".json")
    try:
        return card.is_file() and bool(json.loads(card.read_text())["gate"]["passed"])
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{card}: not a card with a gate ({one_line(error)}); remove it") from error


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
