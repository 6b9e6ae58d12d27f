"""Ablations of the tracker: equal budgets, several seeds, one table.

    python tools/ablate.py --samples 4e5 --seeds 3 --jobs 2 --out docs/ablations.json
    python tools/ablate.py --only baseline uniform --samples 1e7   # some variants, more of it

Every variant is ``cfg/track_cpu.yaml`` with a few overrides (see ``VARIANTS``), trained from
scratch on the same motions for the same number of control steps, once per seed, in
``runs/ablate/VARIANT_SEED``; finished runs are skipped, killed ones resume. Each is evaluated in
MuJoCo on its training clips twice: from seeded starts as ``humanoid eval track``, and from *wild*
starts (root +-0.1 m, +-0.2 rad, +-1 m/s, joints +-0.2 rad), where off-reference initialisation
should help. Small budgets compare learning speed, not final performance.
Needs the package installed, or ``PYTHONPATH=.``.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

from humanoid.core.errors import HumanoidError, InputError, TrainingError, nearest
from humanoid.core.runs import atomic_write_text, versions
from humanoid.eval.report import grid
from humanoid.eval.tracking import SEEDED_STARTS, EvalCfg, evaluation, make_setup
from humanoid.nn.checkpoint import Checkpoint

GROUPS = {
    "pose": ("anchor_pos", "anchor_rot", "body_pos", "body_rot"),
    "speed": ("body_lin_vel", "body_ang_vel"),
    "cost": ("action_rate", "joint_limit", "undesired_contact"),
}
VARIANTS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "uniform sampling": ("task.sampler.uniform=1.0",),
    "sampling by reward": ("task.sampler.by=reward", "task.sampler.uniform=0.1"),
    "off-reference starts": ("task.start.off_reference=0.1",),
    "cross-clip starts": ("task.start.cross_clip=0.1",),
    "history encoder": ("task.observation.history_steps=30",),
    "critic a group": tuple(
        f"task.reward.{name}.group={group}" for group, names in GROUPS.items() for name in names
    ),
    "next frame only": ("task.observation.future_steps=[1]",),
    "1, 2, 4, 8 ahead": ("task.observation.future_steps=[1,2,4,8]",),
    "curriculum 1 to 0.4 m": (
        "task.curriculum.termination.body_distance=[1.0,0.4]",
        "task.curriculum.samples={half}",
    ),
}
"""Variant -> what differs from the baseline; ``{half}`` is half of the budget."""
WILD = replace(
    SEEDED_STARTS,
    start_pose=(0.1, 0.1, 0.02, 0.2, 0.2, 0.2),
    start_twist=(1.0, 1.0, 0.3, 0.5, 0.5, 0.5),
    start_joints=0.2,
)
"""Starts beside the reference."""
COLUMNS = {
    "survived": ("frames before failing %", 100.0),
    "success": ("success %", 100.0),
    "mpjpe_l_mm": ("local mm", 1.0),
    "wild_survived": ("wild: frames %", 100.0),
    "wild_success": ("wild: success %", 100.0),
    "wild_mpjpe_l_mm": ("wild: local mm", 1.0),
    "reward": ("reward a step", 1.0),
}
"""Measure -> heading of its column and factor."""


@dataclass(frozen=True, kw_only=True)
class AblateCfg:
    """Command line of this tool."""

    only: tuple[str, ...] = ()
    """Variants to run; all by default."""
    samples: float = 4e5
    """Control steps of each run."""
    seeds: int = 3
    """Runs of each variant."""
    jobs: int = 1
    """Runs at once, a CPU thread each."""
    starts: int = 8
    """Starts of each clip in an evaluation."""
    overrides: tuple[str, ...] = ("clips=[]", "num_envs=256")
    """Differences of every variant, the baseline too, from ``cfg/track_cpu.yaml``."""
    runs: str = "runs/ablate"
    """Folder of run folders."""
    out: str = ""
    """JSON file for the measurements."""


def main(cfg: tyro.conf.OmitArgPrefixes[AblateCfg]) -> None:
    """Train, evaluate, print the table."""
    for name in cfg.only:
        if name not in VARIANTS:
            raise InputError(f"unknown variant '{name}'{nearest(name, VARIANTS)}")
    names = cfg.only or tuple(VARIANTS)
    jobs = [(name, seed) for seed in range(1, cfg.seeds + 1) for name in names]
    with ThreadPoolExecutor(cfg.jobs) as pool:
        list(pool.map(lambda job: train(cfg, *job), jobs))
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for name, seed in jobs:
        measured[name].append(measure(cfg, name, seed))
        print(f"{name}, seed {seed}: {json.dumps(measured[name][-1])}", file=sys.stderr)
    facts = {"samples": cfg.samples, "seeds": cfg.seeds, "starts": cfg.starts, "overrides": cfg.overrides}
    if cfg.out:
        content = {**facts, "versions": versions(), "variants": measured}
        atomic_write_text(cfg.out, json.dumps(content, indent=1) + "\n")
    print(table(measured))


def folder(cfg: AblateCfg, name: str, seed: int) -> Path:
    """Return the run folder of a variant and seed."""
    return Path(cfg.runs) / f"{name.replace(' ', '_').replace(',', '')}_{seed}"


def train(cfg: AblateCfg, name: str, seed: int) -> None:
    """Train one run in a process of its own, unless it is done.

    Raises:
        TrainingError: it failed; its output stays beside the run.
    """
    place = folder(cfg, name, seed)
    checkpoint = place / "checkpoint.pt"
    if checkpoint.is_file() and Checkpoint.load(checkpoint, "tracker").header.samples >= cfg.samples:
        return
    changes = [change.replace("{half}", f"{cfg.samples / 2:g}") for change in VARIANTS[name]]
    place.parent.mkdir(parents=True, exist_ok=True)
    log = place.parent / f"{place.name}.log"
    command = [sys.executable, "-m", "humanoid", "train", "track", "track_cpu", *cfg.overrides, *changes]
    command += [f"name={place.name}", f"seed={seed}", f"samples={cfg.samples:g}"]
    command += ["torch_threads=1", "sim.threads=1", "save_seconds=600", "--runs", cfg.runs]
    with log.open("w") as output:
        code = subprocess.run(command, stdout=output, stderr=output, env=dict(os.environ)).returncode
    if code:
        raise TrainingError(f"{log}: training ended with exit code {code}; see there why")
    print(f"trained {place}", file=sys.stderr)


def measure(cfg: AblateCfg, name: str, seed: int) -> dict[str, float]:
    """Evaluate a run from seeded and from wild starts; add what it earned at the end."""
    place = folder(cfg, name, seed)
    torch.set_num_threads(1)
    checkpoint = Checkpoint.load(place / "checkpoint.pt", "tracker")
    trained, found = checkpoint.header.config, dict[str, Any]()
    for prefix, event in (("", SEEDED_STARTS), ("wild_", WILD)):
        with redirect_stdout(sys.stderr):
            setting = EvalCfg(
                checkpoint=str(checkpoint.path),
                clips=tuple(trained["clips"]),
                split=trained["split"] or "all",
                starts=cfg.starts,
            )
            setup = make_setup(setting, event)
            result = evaluation(setting, setup, setup.play())
        found |= {prefix + key: result[key] for key in ("survived", "success", "mpjpe_l_mm")}
    found["reward"] = json.loads((place / "metrics.json").read_text())["episode/reward"]
    return found


def table(measured: dict[str, list[dict[str, float]]]) -> str:
    """Return a markdown table: mean and, of several seeds, standard deviation."""
    rows = [["variant", *(heading for heading, _ in COLUMNS.values())]]
    for name, runs in measured.items():
        cells = [_cell([run[key] * factor for run in runs]) for key, (_, factor) in COLUMNS.items()]
        rows.append([name, *cells])
    return grid(rows[0], rows[1:])


def _cell(values: Sequence[float]) -> str:
    digits = 4 if max(map(abs, values)) < 1 else 1
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):.{digits}f}" + (f" ± {spread:.{digits}f}" if len(values) > 1 else "")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
