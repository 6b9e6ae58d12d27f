"""``humanoid collect``: record a latent model's rollouts, the data of ``humanoid train diffusion``.

Shards land in ``OUT/shard_00000.pt`` and so on with an ``index.json``; run the same command
again to go on after a kill. A frame of the motions is covered ``collect.cover`` times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from humanoid.core.config import to_dict
from humanoid.core.errors import MismatchError
from humanoid.core.paths import shipped_policy
from humanoid.core.runs import claim_run
from humanoid.diffusion.shards import ShardHeader, ShardWriter
from humanoid.diffusion.trajectory import Layout, TrajectoryCfg
from humanoid.nn.checkpoint import digest
from humanoid.sim import SimCfg, require_device
from humanoid.skills.distill_env import DaggerEnv
from humanoid.skills.rollouts import START, CollectCfg, Collector
from humanoid.skills.skills import Skills
from humanoid.skills.teacher import PerformCfg, load_teacher, load_teacher_motions, require_teacher
from humanoid.view.progress import say

SPACE = 2**30
"""Bytes that must be free where shards are written."""


@dataclass(frozen=True, kw_only=True)
class RecordCfg:
    """A recording."""

    name: str = "rollouts"
    """Folder of the shards in ``runs``."""
    latent: str = ""
    """Checkpoint of ``humanoid train latent``; the shipped one by default."""
    teacher: str = ""
    """Tracker it was distilled from, whose task is performed; the shipped one by default."""
    perform: PerformCfg = field(default_factory=PerformCfg)
    seed: int = 1
    num_envs: int = 1024
    """Rollouts recorded at once; one shard."""
    minutes: float = 0.0
    """Wall minutes after which this process stops (resumable); 0 for no limit."""
    torch_threads: int = 0
    """CPU threads of torch; 0: as many as ``OMP_NUM_THREADS`` names, by default one."""
    sim: SimCfg = field(default_factory=SimCfg)
    collect: CollectCfg = field(default_factory=CollectCfg)


def main(cfg: RecordCfg, runs: str = "runs") -> dict[str, Any]:
    """Record, going on where shards of the same recording are.

    Raises:
        HumanoidError: a configuration, motion, checkpoint, device or disk that does not do.
    """
    if cfg.torch_threads:
        torch.set_num_threads(cfg.torch_threads)
    require_device(cfg.sim.device)
    path = cfg.latent or shipped_policy("latent.pt")
    skills = Skills.load(path, cfg.sim.device)
    teacher = load_teacher(cfg.teacher)
    require_teacher(skills.header, teacher.path, str(path))
    show = load_teacher_motions(cfg.perform, teacher, cfg.sim.device, cfg.seed)
    show.body.require_signature(skills.header.body, str(path))
    if abs(skills.control_dt - show.teacher.header.control_dt) > 1e-6:
        raise MismatchError(
            f"{path}: made for a control period of {skills.control_dt:g} s, the teacher's is "
            f"{show.teacher.header.control_dt:g} s"
        )
    say(f"{show.library.num_clips} motions, {show.library.num_frames / show.library.fps:.0f} s")
    layout = Layout.of(show.body, TrajectoryCfg(dt=skills.hold * skills.control_dt))
    facts = {
        key: value for key, value in to_dict(cfg).items() if key not in ("minutes", "torch_threads", "name")
    }
    facts["event"] = to_dict(START)
    header = ShardHeader.of(layout, show.body, skills.width, digest(path), show.library.names, facts)
    with claim_run(Path(runs) / cfg.name, SPACE) as folder:
        writer = ShardWriter(folder, header)
        room = DaggerEnv(show.teacher, show.library, cfg.sim, cfg.num_envs, cfg.seed, START)
        collector = Collector(room, skills.model, layout, cfg.collect, cfg.seed)
        begun = time.monotonic()

        def tell(done: int, total: int, kept: float) -> bool:
            say(f"shard {done} of {total}, {100 * kept:.0f} % kept, {time.monotonic() - begun:.0f} s")
            return not (cfg.minutes and time.monotonic() - begun > 60 * cfg.minutes)

        collector.run(writer, tell)
        return {
            "folder": str(folder),
            "shards": writer.num_shards,
            "of": collector.num_shards,
            "rollouts": writer.num_rollouts,
        }


def table(result: dict[str, Any]) -> str:
    """Return what was recorded as text."""
    return f"{result['rollouts']} rollouts in {result['shards']} shards, {result['folder']}"
