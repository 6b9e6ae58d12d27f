"""``humanoid train latent``: distil a tracker into latent skills.

Reads a YAML file (see ``cfg/latent.yaml``) and ``key=value`` overrides. The teacher is a checkpoint
of ``humanoid train track``; it performs its own motions unless others are named. Everything
lands in ``runs/NAME``; run the same command again to go on after a kill or a limit.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.core.config import first_difference, to_dict
from humanoid.core.errors import ConfigError
from humanoid.core.runs import atomic_write_text, claim_run, write_config
from humanoid.diffusion.trajectory import TrajectoryCfg
from humanoid.nn.checkpoint import Checkpoint, Header, digest
from humanoid.rl import checkpoints
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.sim import SimCfg, require_device
from humanoid.skills.distill import DistillCfg, Distiller
from humanoid.skills.distill_env import DAGGER_EVENT, DaggerEnv
from humanoid.skills.model import PROPRIOCEPTION, REFERENCE, LatentCfg, LatentModel
from humanoid.skills.skills import KIND as LATENT
from humanoid.skills.skills import STARTS
from humanoid.skills.teacher import PerformCfg, TeacherMotions, load_teacher, load_teacher_motions
from humanoid.tasks.starts import few_starts
from humanoid.view.progress import say

REPORT_S = 10.0
"""[s] between lines of progress."""
MOST_STARTS = 16
"""Walking frames that a checkpoint brings along, for those who have no motions at hand."""
COUNTS = ("iteration", "samples", "seconds")
"""Fields of the header that a resumed run continues."""
SPACE = 256 * 2**20
"""Bytes that must be free where a run is written."""


@dataclass(frozen=True, kw_only=True)
class TrainLatentCfg:
    """A distillation."""

    name: str = "latent"
    """Run name; results go to ``runs/NAME``."""
    teacher: str = ""
    """Tracker to distil; the shipped one by default."""
    perform: PerformCfg = field(default_factory=PerformCfg)
    seed: int = 1
    num_envs: int = 4096
    samples: float = 2e8
    """Control steps after which training ends."""
    minutes: float = 0.0
    """Wall minutes after which this process stops (resumable); 0 for no limit."""
    save_seconds: float = 60.0
    torch_threads: int = 0
    """CPU threads of torch; 0: as many as ``OMP_NUM_THREADS`` names, by default one."""
    sim: SimCfg = field(default_factory=SimCfg)
    latent: LatentCfg = field(default_factory=LatentCfg)
    distill: DistillCfg = field(default_factory=DistillCfg)


def main(cfg: TrainLatentCfg, runs: str = "runs") -> None:
    """Distil, resuming where the run folder holds a checkpoint.

    Raises:
        HumanoidError: a configuration, motion, checkpoint, device or disk that does not do.
    """
    if cfg.torch_threads:
        torch.set_num_threads(cfg.torch_threads)
    require_device(cfg.sim.device)
    with claim_run(Path(runs) / cfg.name, SPACE) as folder:
        _train(cfg, folder)


def _train(cfg: TrainLatentCfg, folder: Path) -> None:
    checkpoint = load_teacher(cfg.teacher)
    show = load_teacher_motions(cfg.perform, checkpoint, cfg.sim.device, cfg.seed)
    body, library = show.body, show.library
    say(
        f"{library.num_clips} motions, {library.num_frames / library.fps:.0f} s; "
        f"building {cfg.num_envs} environments"
    )
    torch.manual_seed(cfg.seed)
    room = DaggerEnv(checkpoint, library, cfg.sim, cfg.num_envs, cfg.seed, DAGGER_EVENT)
    model = LatentModel(cfg.latent, *room.columns.widths, body.num_joints).to(cfg.sim.device)
    student = Distiller(room, model, cfg.distill, cfg.seed)
    dt = checkpoint.header.control_dt
    header = Header(
        kind=LATENT,
        body=checkpoint.header.body,
        observation=tuple((name, room.columns.layout[name]) for name in (*REFERENCE, *PROPRIOCEPTION)),
        control_dt=dt,
        config={**to_dict(cfg), **_body_of(checkpoint)},
        parent=digest(checkpoint.path),
        details={"event": to_dict(DAGGER_EVENT)},
    )
    if (folder / CHECKPOINT).exists():
        header = _resume(folder, header, model, student)
    write_config(folder, cfg, cfg.seed)
    _loop(cfg, folder, header, student, starts_of(show, cfg.latent.hold * dt, cfg.seed))


def starts_of(show: TeacherMotions, dt: float, seed: int) -> dict[str, dict[str, Tensor]]:
    """Return the table of a checkpoint with walking frames of the motions; empty where none walks.

    Args:
        show: what is performed.
        dt: time between the frames of a history [s].
        seed: of the draw.
    """
    found = few_starts(show.motions, show.body, TrajectoryCfg(dt=dt).past, MOST_STARTS, seed)
    return {} if found is None else {STARTS: {name: value.clone() for name, value in vars(found).items()}}


def _loop(
    cfg: TrainLatentCfg, folder: Path, header: Header, student: Distiller, tables: dict[str, Any]
) -> None:
    """Iterate until samples or minutes are used up, saving as it goes."""
    begun = saved = told = time.monotonic()
    spent, scalars = header.seconds, dict[str, float]()
    batch = student.room.env.num_envs * cfg.distill.frames * cfg.latent.hold
    first = header.samples
    try:
        while header.samples < cfg.samples and not (
            cfg.minutes and time.monotonic() - begun > 60 * cfg.minutes
        ):
            scalars = student.iterate(header.samples / cfg.samples)
            now = time.monotonic()
            header = replace(
                header,
                samples=header.samples + batch,
                iteration=header.iteration + 1,
                seconds=spent + now - begun,
            )
            if now - saved > cfg.save_seconds:
                _save(folder, header, student, tables)
                saved = now
            if now - told > REPORT_S:
                told = now
                _report(header, scalars, (header.samples - first) / (now - begun), cfg)
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
    _save(folder, header, student, tables)
    if scalars:  # a run that was finished before keeps what it measured
        metrics = {"samples": header.samples, **scalars}
        atomic_write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    say(f"saved {folder / CHECKPOINT}")


def _report(header: Header, scalars: dict[str, float], rate: float, cfg: TrainLatentCfg) -> None:
    left = (cfg.samples - header.samples) / max(rate, 1.0) / 60
    say(
        f"it {header.iteration:5d}  {header.samples / 1e6:8.2f} M  {rate:6.0f} steps/s  "
        f"left {left:6.1f} min  action {scalars['action']:.3f}  kl {scalars['kl']:.2f}  "
        f"smooth {scalars['smooth']:.2f}  "
        f"failed {100 * scalars['failed']:.2f} %  body {1000 * scalars['body_error']:.0f} mm"
    )


def _save(folder: Path, header: Header, student: Distiller, tables: dict[str, Any]) -> None:
    weights = {name: value.cpu() for name, value in student.model.state_dict().items()}
    checkpoints.write(folder, header, weights, student.state_dict(), tables)


def _resume(folder: Path, header: Header, model: LatentModel, student: Distiller) -> Header:
    """Take over an earlier process's weights, optimiser and counts; return the header with these."""
    checkpoint, state = checkpoints.read(folder, student.room.env.device, LATENT)
    theirs, mine = (_fixed(one) for one in (checkpoint.header, header))
    for key, value in mine.items():
        first_difference(key, theirs[key], value, str(folder / CHECKPOINT))
    try:
        model.load_state_dict(checkpoint.weights)
        student.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: holds a run of other sizes; choose another name") from error
    say(f"resumed {folder} at {checkpoint.header.samples / 1e6:.2f} M samples")
    return replace(header, **{key: getattr(checkpoint.header, key) for key in COUNTS})


def _fixed(header: Header) -> dict[str, Any]:
    """Return the values that a resumed run must share, plain."""
    named = {"teacher": header.parent, "body": header.body, "observation": header.observation}
    more = {"event": header.details.get("event"), "latent": header.config["latent"]}
    return json.loads(json.dumps({**named, **more}))


def _body_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the teacher's choice of body, which its student has."""
    trained = checkpoint.header.config
    return {key: trained[key] for key in ("embodiment", "body") if key in trained}
