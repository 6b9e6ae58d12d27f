"""Environments by the name of their task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.config import to_dict
from humanoid.core.errors import ConfigError
from humanoid.datasets.sources import body_of, load_motion, load_motions
from humanoid.envs.env import Env, EnvCfg
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.sim import SimCfg, make_sim
from humanoid.tasks.task import TASKS


def make_env(
    task: str = "tracking",
    *,
    motions: Sequence[Motion | str | Path] = (),
    num_envs: int = 64,
    body: str | Embodiment = "smpl",
    cfg: EnvCfg | None = None,
    sim: SimCfg | None = None,
    seed: int = 0,
) -> Env:
    """Build the environment of a task.

    Args:
        task: registered name, see :data:`humanoid.tasks.TASKS`.
        motions: of the body, or files and manifests to load; for tasks that follow motions.
        num_envs: bodies simulated at once.
        body: the embodiment or its name.
        cfg: instance of the task's configuration; its defaults by default.
        sim: simulator; MuJoCo on the CPU by default. What the task needs is switched on.
        seed: of everything random.

    Raises:
        ConfigError: unknown task, a configuration of another task, or fewer than one environment.
        InputError: a motion is missing or malformed.
        MismatchError: a motion of another body.
    """
    kind = TASKS[task]
    cfg, sim = cfg or kind.cfg(), sim or SimCfg()
    if not isinstance(cfg, kind.cfg):
        raise ConfigError(f"task '{task}' takes a {kind.cfg.__name__}, not a {type(cfg).__name__}")
    if num_envs < 1:
        raise ConfigError(f"num_envs is {num_envs}; at least 1 is needed")
    embodiment = body_of(body) if isinstance(body, str) else body
    loaded = _loaded(motions, embodiment)
    if kind.needs_motions and not loaded:
        raise ConfigError(f"task '{task}' follows motions; give motions=[...]")
    library = MotionLibrary(loaded, embodiment, sim.device) if loaded else None
    sim = cfg.simulated(sim)
    env = kind.make_env(cfg, make_sim(sim, embodiment, num_envs, seed, cfg.scene), library, seed)
    files = [str(motion) for motion in motions if not isinstance(motion, Motion)]
    env.origin = _origin(task, body, files, sim, cfg)
    return env


def _loaded(motions: Sequence[Motion | str | Path], body: Embodiment) -> list[Motion]:
    found: list[Motion] = []
    for motion in motions:
        if isinstance(motion, Motion):
            found.append(motion)
        elif Path(motion).is_file() and Path(motion).suffix not in (".yaml", ".yml"):
            found.append(load_motion(motion, body))
        else:
            found += load_motions(motion, body).motions
    return found


def _origin(
    task: str, body: str | Embodiment, motions: list[str], sim: SimCfg, cfg: EnvCfg
) -> dict[str, Any]:
    """Return the configuration of the environment as plain values, for checkpoints."""
    name = body if isinstance(body, str) else body.name
    return {
        "task_name": task,
        "embodiment": name,
        "motions": motions,
        "sim": to_dict(sim),
        "task": to_dict(cfg),
    }
