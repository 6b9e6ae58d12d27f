"""Train and ship the pretrained checkpoints in resumable stages, each with a gate.

    python tools/release.py                      # resume the first unfinished stage
    python tools/release.py tracker --minutes 9  # stop after 9 minutes, resume later
    python tools/release.py diffusion --episodes 20 --sims mujoco  # smaller evaluation for two cores
    python tools/release.py --list               # stages, inputs, outputs, gates, state

A stage trains in pieces in ``runs/release_STAGE``, evaluates the result, and ships its checkpoint
with a JSON card into ``humanoid/pretrained`` if the gate passes; each call resumes the last one.
``--below-gate`` ships anyway and records the misses in the card.
On a CUDA machine a stage uses its GPU recipe, elsewhere its CPU recipe. Needs an editable
installation (``make``), or ``PYTHONPATH=.``. Exit code 1: the gate is missed and nothing shipped.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

from humanoid.core.errors import HumanoidError, InputError, nearest, one_line
from humanoid.core.paths import data_dir
from humanoid.core.runs import atomic_write_bytes, atomic_write_text, versions
from humanoid.nn.checkpoint import digest
from tools.release_stage import Measured, Piece, ReleaseCfg, Stage
from tools.release_stages import STAGES

SIZE_LIMIT = 15 * 2**20
"""Largest checkpoint that ships [bytes]."""
TOTAL_LIMIT = 24 * 2**20
"""Largest folder of shipped checkpoints [bytes]."""
MEASURED = "measured.json"
"""In a run folder: what is measured already, until all is."""


def main(stage: tyro.conf.Positional[str] = "", *, cfg: tyro.conf.OmitArgPrefixes[ReleaseCfg]) -> int:
    """Run one stage; return the exit code."""
    if cfg.list:
        for each in STAGES:
            print(json.dumps(describe(each, cfg.runs)))
        return 0
    known = {each.name: each for each in STAGES}
    if stage and stage not in known:
        raise InputError(f"unknown stage '{stage}'{nearest(stage, known)}")
    todo = known[stage] if stage else first_unfinished(cfg.runs)
    if todo is None:
        print("every stage has passed its gate; name one to make it again", file=sys.stderr)
        return 0
    return run(todo, cfg)


def run(stage: Stage, cfg: ReleaseCfg) -> int:
    """Train, measure, and ship where the gate holds."""
    on_gpu = cfg.recipe == "gpu" if cfg.recipe else torch.cuda.is_available()
    machine = machine_name(on_gpu, cfg.machine)  # first: nobody trains for hours to be asked then
    pieces = stage.gpu if on_gpu else stage.cpu
    if not pieces:
        raise InputError(f"stage '{stage.name}' has no recipe for a CPU; run it on a CUDA machine")
    stage.require()
    clock = Clock(cfg.minutes)
    folder = train(stage, pieces, cfg, clock)
    if folder is None:
        return 0
    product = stage.finish(folder)
    measured = measure(stage, product, cfg, clock)
    if measured is None:
        return 0
    missed = stage.gate.failures(measured)
    for line in missed:
        print(f"gate missed: {line}", file=sys.stderr)
    if missed and not cfg.below_gate:
        return 1
    facts = {
        "machine": machine,
        "recipe": [vars(piece) for piece in pieces],
        "note": cfg.note,
        "gate": {**asdict(stage.gate), "passed": not missed, "missed": missed},
        "metrics": measured,
    }
    ship(stage, product, facts, cfg, on_gpu)
    return 0


def train(stage: Stage, pieces: Sequence[Piece], cfg: ReleaseCfg, clock: Clock) -> Path | None:
    """Train what is left of the pieces; return the last one's folder, None where time is up before."""
    folder = ""
    for index, piece in enumerate(pieces, 1):
        config = stage.configure(index, piece, folder, cfg)
        folder = f"{cfg.runs}/{config.name}"
        if cfg.only_evaluate:
            continue
        progress = stage.train(replace(config, minutes=clock.left), cfg.runs)
        if not progress.finished:
            print(f"stopped at {progress.text} of piece {index}, of {len(pieces)}; run again to go on")
            return None
    return Path(folder)


def measure(stage: Stage, product: Path, cfg: ReleaseCfg, clock: Clock) -> Measured | None:
    """Return what each simulator measures, None where time is up before all have.

    A call measures once at least; the next one takes that over, if it measures the same.
    """
    kept = product.parent / MEASURED
    of = hashlib.sha256(product.read_bytes()).hexdigest()
    same = {"of": of, "starts": cfg.starts, "episodes": cfg.episodes}
    same |= {"motions": list(cfg.motions), "held_out": list(cfg.held_out)}
    before = json.loads(kept.read_text()) if kept.is_file() else {}
    found: dict[str, dict[str, Any]] = before["found"] if before.get("same") == same else {}
    asked = [(what, sim) for what in stage.measures for sim in stage.sims(what, cfg)]
    todo = [(what, sim) for what, sim in asked if sim not in found.get(what, {})]
    for what, sim in todo:
        if clock.over and (what, sim) != todo[0]:
            done = sum(len(results) for results in found.values())
            print(f"stopped at {done} of {len(asked)} measurements; run again to go on")
            return None
        result = stage.measure(what, sim, product, cfg)
        print(f"{what}, {sim}: {json.dumps(totals(result))}")
        found.setdefault(what, {})[sim] = result
        atomic_write_text(kept, json.dumps({"same": same, "found": found}))
    kept.unlink(missing_ok=True)  # measured again by the next call, in case the measurement has changed
    return {what: {sim: found[what][sim] for sim in stage.sims(what, cfg)} for what in stage.measures}


def totals(result: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a result without those of each clip."""
    inside = {
        key: totals(result[key]) for key in ("teacher", "student", "prior", "unguided") if result.get(key)
    }
    return {key: value for key, value in result.items() if not isinstance(value, (dict, list))} | inside


@dataclass(frozen=True)
class Clock:
    """How long this call may go on; ``minutes`` 0 is for ever."""

    minutes: float
    started: float = 0.0

    def __post_init__(self) -> None:
        """Start."""
        object.__setattr__(self, "started", time.monotonic())

    @property
    def left(self) -> float:
        """Minutes left as a configuration says them: 0 for no limit, never less than a moment."""
        passed_minutes = (time.monotonic() - self.started) / 60
        return max(self.minutes - passed_minutes, 0.01) if self.minutes else 0.0

    @property
    def over(self) -> bool:
        """Whether time is up."""
        return bool(self.minutes) and time.monotonic() - self.started >= 60 * self.minutes


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


def ship(
    stage: Stage, product: Path, facts: dict[str, Any], cfg: ReleaseCfg | None = None, on_gpu: bool = True
) -> None:
    """Put what a stage made into the package and write its card.

    Raises:
        InputError: it is too large, alone or with the others; nothing is written then.
    """
    cfg = cfg or ReleaseCfg()
    card = {
        "name": stage.output or stage.folder("").name,
        "command": f"python tools/release.py {stage.name}"
        + ("" if facts["gate"]["passed"] else " --below-gate")
        + cfg.options,
        "data": list(stage.inputs),
        "made_with": {name: digest(data_dir("pretrained") / name) for name in stage.needs},
        **stage.facts(product),
        "versions": versions(),
        **facts,
    }
    target = stage.folder(cfg.runs)
    if stage.output:
        target = data_dir("pretrained") / stage.output
        buffer = io.BytesIO()  # torch writes a file's temporary name into it
        torch.save(stage.content(product, on_gpu), buffer)
        _check_size(product, target, buffer.getbuffer().nbytes)
        atomic_write_bytes(target, buffer.getvalue())
    atomic_write_text(stage.card(cfg.runs), json.dumps(card, indent=2) + "\n")
    print(f"shipped {target}" if stage.output else f"finished {target}")


def _check_size(product: Path, target: Path, size: int) -> None:
    """Refuse a file of ``size`` bytes, or one too many beside the others."""
    others = [path for path in target.parent.glob("[!.]*.pt") if path != target]
    total = size + sum(path.stat().st_size for path in others)
    for what, found, limit in (("ships with", size, SIZE_LIMIT), ("and all others have", total, TOTAL_LIMIT)):
        if found > limit:
            raise InputError(
                f"{product}: {what} {found / 2**20:.1f} MiB, at most {limit / 2**20:.0f} MiB are allowed"
            )


def passed(stage: Stage, runs: str = "runs") -> bool:
    """Return whether a stage's card says that its gate holds, with what ships of the stages before.

    Raises:
        InputError: the card is not one of this tool.
    """
    path, folder = stage.card(runs), data_dir("pretrained")
    if not path.is_file():
        return False
    try:
        card = json.loads(path.read_text())
        made_with = dict(card.get("made_with", {}))
        holds = bool(card["gate"]["passed"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a card with a gate ({one_line(error)}); remove it") from error
    there = [(folder / name).is_file() and digest(folder / name) == of for name, of in made_with.items()]
    return holds and all(there)


def first_unfinished(runs: str) -> Stage | None:
    """Return the first stage that has not passed; one that ships nothing is there for the next one."""
    for index, stage in enumerate(STAGES):
        if passed(stage, runs) or (not stage.output and passed(STAGES[index + 1], runs)):
            continue
        return stage
    return None


def describe(stage: Stage, runs: str = "runs") -> dict[str, Any]:
    """Return a stage's facts and state."""
    return {
        "stage": stage.name,
        "inputs": list(stage.inputs),
        "output": f"humanoid/pretrained/{stage.output}" if stage.output else str(stage.folder(runs)),
        "gate": asdict(stage.gate),
        "passed": passed(stage, runs),
    }


if __name__ == "__main__":
    try:
        raise SystemExit(tyro.cli(main))
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
