"""The part of ``humanoid motions convert`` that runs in a worker process: load, retarget, save."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from humanoid import mocap
from humanoid.bodies.catalogue import embodiment
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError, one_line
from humanoid.datasets.gather import Job
from humanoid.mocap import Clip, LoadCfg
from humanoid.motion.motion import Motion
from humanoid.motion.robot import RobotCfg, is_robot_file, load_robot
from humanoid.retarget.from_motion import as_clip
from humanoid.retarget.pipeline import RetargetCfg, retarget_all
from humanoid.retarget.quality import measure

SETTINGS = "settings"
"""Key of a motion's provenance: what it was made with, so that it need not be made again."""
MEASURES = ("error_mm", "skate_mm", "penetration_mm")
CANDIDATES = ("g1", "h1", "smpl", "smpl_ball")
"""Bodies that a robot file may have been made for, tried in this order after the wanted one."""
_VERSION = 1
"""Raised when the same settings give another motion."""


@dataclass(frozen=True, kw_only=True)
class TaskCfg:
    """What a worker has to know besides its files."""

    out: str
    """Folder for the npz files."""
    embodiment: str = "smpl"
    """Name of the body."""
    load: LoadCfg = field(default_factory=LoadCfg)
    """What capture files do not say about themselves."""
    robot: RobotCfg = field(default_factory=RobotCfg)
    """What robot files do not say about themselves."""
    made_for: str = ""
    """Body that robot files were made for; found by trying if empty."""
    retarget: RetargetCfg = field(default_factory=RetargetCfg)
    """How clips become motions."""
    threads: int = 1
    """Torch threads of each worker."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file.

    Attributes:
        name: name of the job.
        row: ``file``, ``clip``, ``frames``, ``fps``, ``error_mm``, ``skate_mm``,
            ``penetration_mm``; or ``file`` and ``error``.
        failed: whether it is the latter.
    """

    name: str
    row: dict[str, Any]
    failed: bool = False


def start_worker(threads: int) -> None:
    """Prepare a worker: Ctrl-C is the parent's to handle, threads do not multiply."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


def run(jobs: Sequence[Job], cfg: TaskCfg) -> list[Outcome]:
    """Convert a group of files; each succeeds or fails for itself."""
    body = body_of(cfg.embodiment)
    outcomes: list[Outcome] = []
    clips: list[tuple[Job, Clip]] = []
    for job in jobs:
        try:
            take = _load(job, body, cfg)
            if isinstance(take, Clip):
                clips.append((job, take))
            else:
                outcomes.append(_save(job, take, body, cfg))
        except Exception as error:  # a bug that one file meets must not cost the other thousand
            outcomes.append(failure(job, error))
    if not clips:
        return outcomes
    try:
        motions = onto([clip for _, clip in clips], body, cfg.retarget)
    except Exception as error:  # as above; which clip it was shows when each is tried alone
        if len(clips) == 1:
            return [*outcomes, failure(clips[0][0], error)]
        for job, _ in clips:
            outcomes += run([job], cfg)
        return outcomes
    for (job, _), motion in zip(clips, motions, strict=True):
        try:
            outcomes.append(_save(job, motion, body, cfg))
        except Exception as error:  # as above
            outcomes.append(failure(job, error))
    return outcomes


def onto(clips: Sequence[Clip], body: Embodiment, cfg: RetargetCfg) -> list[Motion]:
    """Put clips on a body, all in one batch."""
    return retarget_all(clips, body, cfg)


@lru_cache(maxsize=4)
def body_of(name: str) -> Embodiment:
    """Return a body by name, built once a process."""
    return embodiment(name)


def settings(job: Job, body: Embodiment, cfg: TaskCfg) -> str:
    """Return a digest of all that decides what a file becomes, besides its content."""
    text = Path(cfg.retarget.skeleton_map).read_text() if cfg.retarget.skeleton_map else ""
    tree = {
        "version": _VERSION,
        "body": body.signature(),
        "job": [job.name, job.loop, job.source, job.licence, job.speed],
        "load": dataclasses.asdict(cfg.load),
        "robot": [cfg.made_for, dataclasses.asdict(cfg.robot)],
        "retarget": dataclasses.asdict(cfg.retarget),
        "map": text,
    }
    return hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode()).hexdigest()[:16]


def is_done(job: Job, body: Embodiment, cfg: TaskCfg) -> bool:
    """Return whether the output is there, newer than the file and made with these settings."""
    path = target(job, cfg)
    try:
        if path.stat().st_mtime_ns < job.file.stat().st_mtime_ns:
            return False
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            found = json.loads(str(data["provenance"])).get(SETTINGS)
    except Exception:  # whatever is wrong with it, it is made anew
        return False
    return found == settings(job, body, cfg)


def target(job: Job, cfg: TaskCfg) -> Path:
    """Return where a job's motion goes."""
    return Path(cfg.out) / f"{job.name}.npz"


def failure(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a file that could not be converted."""
    kind = "" if isinstance(error, HumanoidError) else f"{type(error).__name__}: "
    text = f"{kind}{one_line(error)}".removeprefix(f"{job.file}: ")
    return Outcome(name=job.name, row={"file": str(job.file), "error": text}, failed=True)


def _load(job: Job, body: Embodiment, cfg: TaskCfg) -> Clip | Motion:
    """Return a motion of this body, or else a clip that is to be put on it."""
    if not is_robot_file(job.file):
        clip = mocap.load(job.file, cfg.load)
        return replace(
            clip,
            name=job.name,
            loop=clip.loop if job.loop is None else job.loop,
            source=clip.source if job.source is None else job.source,
            licence=clip.licence if job.licence is None else job.licence,
        ).retimed(job.speed)
    motion, made_for = _robot_motion(job, cfg)
    motion = replace(motion, name=job.name)
    return motion if made_for == cfg.embodiment else as_clip(motion, body_of(made_for))


def _robot_motion(job: Job, cfg: TaskCfg) -> tuple[Motion, str]:
    """Return a robot file's motion and the name of the body it fits: the wanted one if it does."""
    names = (cfg.made_for,) if cfg.made_for else tuple(dict.fromkeys((cfg.embodiment, *CANDIDATES)))
    errors: dict[str, HumanoidError] = {}
    for name in names:
        try:
            return load_robot(job.file, body_of(name), cfg.robot), name
        except HumanoidError as error:
            errors[name] = error
    # what a robot says to its own file tells more than what a person's body says to it
    robots = [name for name in names if not name.startswith("smpl")]
    raise errors[(robots or list(names))[0]]


def _save(job: Job, motion: Motion, body: Embodiment, cfg: TaskCfg) -> Outcome:
    quality = measure(motion, body).to_dict()
    measured = {key: None if quality[key] is None else round(quality[key], 3) for key in MEASURES}
    provenance = {
        **motion.provenance,
        **measured,
        "embodiment": body.name,
        SETTINGS: settings(job, body, cfg),
    }
    replace(motion, provenance=provenance).save(target(job, cfg))
    row = {"file": str(job.file), "clip": job.name, "frames": motion.num_frames, "fps": motion.fps}
    return Outcome(name=job.name, row={**row, **measured})
