"""Training in one call."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from humanoid.core.config import to_dict
from humanoid.core.errors import ConfigError
from humanoid.core.runs import atomic_write_text, claim_run, write_config
from humanoid.envs.env import Env
from humanoid.nn.checkpoint import CHECKPOINT
from humanoid.rl.checkpoints import bytes_needed
from humanoid.rl.ppo import PpoCfg
from humanoid.rl.runner import Budget, Progress, Runner


def train(
    env: Env,
    run: str | Path,
    *,
    minutes: float = 0.0,
    samples: float = math.inf,
    ppo: PpoCfg | None = None,
    seed: int = 1,
    save_seconds: float = 60.0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a policy with PPO, resuming where the run folder holds a checkpoint; return the checkpoint.

    The folder holds ``config.yaml``, TensorBoard events, ``checkpoint.pt`` and ``metrics.json``. On
    Ctrl-C the run is saved before the exception goes on.

    Args:
        env: the environment.
        run: run folder.
        minutes: wall time after which training stops; 0 for no limit.
        samples: control steps of all environments in all, resumed ones included.
        ppo: the algorithm's numbers; the defaults if None.
        seed: of weights and actions.
        save_seconds: time between checkpoints.
        on_progress: called once an iteration.

    Raises:
        ConfigError: neither minutes nor samples limit the training.
        TrainingError: numbers are no longer finite, or the disk is full.
        MismatchError: the folder holds a run of another environment.
    """
    if not minutes and not math.isfinite(samples):
        raise ConfigError("the training has no end; give minutes or samples")
    ppo, folder = ppo or PpoCfg(), Path(run)
    budget = Budget(samples=samples, minutes=minutes, save_seconds=save_seconds)
    config = {**env.origin, "task": to_dict(env.cfg), "ppo": to_dict(ppo), "seed": seed}
    latest: list[Progress] = []

    def observe(progress: Progress) -> None:
        latest[:] = [progress]
        if on_progress is not None:
            on_progress(progress)

    with claim_run(folder, bytes_needed(ppo)):
        runner = Runner(env, ppo, folder, config, seed)
        if (folder / CHECKPOINT).exists():
            runner.resume()
        write_config(folder, config, seed)
        try:
            runner.train(budget, observe)
        except KeyboardInterrupt:
            runner.save_run()
            raise
        finally:
            if latest:
                write_metrics(folder / "metrics.json", latest[0])
    return folder / CHECKPOINT


def write_metrics(path: Path, progress: Progress) -> None:
    """Write the scalars of an iteration as JSON; a number that is not finite becomes null."""
    finite = {name: value if math.isfinite(value) else None for name, value in progress.scalars.items()}
    content = {"iteration": progress.iteration, "samples": progress.samples, **finite}
    atomic_write_text(path, json.dumps(content, indent=2) + "\n")
