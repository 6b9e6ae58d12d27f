"""``humanoid train diffusion``: learn to predict how a body goes on moving, with its latents.

Reads the rollouts that ``latent.collect`` wrote and trains a denoiser on windows of them.
Everything lands in ``runs/NAME``: ``config.yaml``, ``checkpoint.pt`` (the averaged weights,
which a planner loads) and ``metrics.json``. Run the same command again to go on after a
kill or a limit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from humanoid.core.config import to_dict
from humanoid.core.errors import ConfigError, InputError, nearest
from humanoid.core.runs import atomic_write_text, claim_run, write_config
from humanoid.diffusion.denoiser import PRESETS, Denoiser
from humanoid.diffusion.optim import OptimCfg
from humanoid.diffusion.shards import NoisingCfg, Rollouts, Windows, load_rollouts, read_header
from humanoid.diffusion.train import CHECKPOINT, Trainer, TrainerBudget, TrainerProgress
from humanoid.diffusion.trajectory import TrajectoryCfg
from humanoid.sim import require_device
from humanoid.view.progress import say


@dataclass(frozen=True, kw_only=True)
class TrainDiffusionCfg:
    """A training run of the trajectory denoiser."""

    name: str = "diffusion"
    """Run name; results go to ``runs/NAME``."""
    data: str = ""
    """Folder of rollouts to learn from."""
    preset: str = "small"
    """Size of the network: small (two CPU cores) or base (a GPU)."""
    levels: int = 20
    """Noise levels beside the clean one."""
    seed: int = 1
    """Seed of everything random."""
    steps: int = 0
    """Steps after which training is done; 0 for no limit."""
    total_minutes: float = 0.0
    """Minutes of training, all starts together, after which it is done; 0 for no limit."""
    minutes: float = 0.0
    """Wall minutes after which this process stops (resumable); 0 for no limit."""
    save_seconds: float = 60.0
    """Seconds between checkpoints, each with a validation."""
    validation_share: float = 0.05
    """Share of rollouts that is kept back for validation."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""
    torch_threads: int = 0
    """CPU threads of torch; 0: as many as ``OMP_NUM_THREADS`` names, by default one."""
    trajectory: TrajectoryCfg = field(default_factory=TrajectoryCfg)
    noising: NoisingCfg = field(default_factory=NoisingCfg)
    optim: OptimCfg = field(default_factory=OptimCfg)


def main(cfg: TrainDiffusionCfg, runs: str = "runs") -> dict[str, Any]:
    """Train, resuming where the run folder holds a checkpoint; return the last metrics.

    Raises:
        HumanoidError: a configuration, folder of rollouts, checkpoint or device that does not do.
    """
    _require(cfg)
    if cfg.torch_threads:
        torch.set_num_threads(cfg.torch_threads)
    folder = Path(runs) / cfg.name
    with claim_run(folder):
        trainer = build(cfg, folder)
        if (folder / CHECKPOINT).exists():
            trainer.resume()
            say(f"resumed {folder} at step {trainer.step}")
        write_config(folder, cfg, cfg.seed)
        report = PlannerReporter(folder / "metrics.json")
        budget = TrainerBudget(
            steps=cfg.steps,
            total_minutes=cfg.total_minutes,
            minutes=cfg.minutes,
            save_seconds=cfg.save_seconds,
        )
        try:
            trainer.train(budget, report)
        except KeyboardInterrupt:
            trainer.save_run()
            say("interrupted; run the same command again to go on")
        say(f"saved {folder / CHECKPOINT}")
    return report.latest


def build(cfg: TrainDiffusionCfg, folder: Path, tell: Callable[[str], None] = say) -> Trainer:
    """Load the rollouts and set up network and trainer.

    Raises:
        HumanoidError: rollouts or numbers that do not do.
    """
    torch.manual_seed(cfg.seed)
    device = require_device(cfg.device)
    header, rollouts = read_header(cfg.data), load_rollouts(cfg.data)
    layout = header.make_layout(cfg.trajectory)
    train, held_back = split(rollouts, cfg.validation_share)
    count, frames, _ = rollouts.states.shape
    tell(
        f"{count} rollouts of {frames * header.dt:.1f} s, {count * frames * header.dt / 3600:.2f} h, "
        f"{held_back.clip.shape[0]} kept back"
    )
    denoiser = Denoiser(PRESETS[cfg.preset], layout, header.latent_width, cfg.levels).to(device)
    size = sum(parameter.numel() for parameter in denoiser.parameters())
    tell(f"'{cfg.preset}': {size / 1e6:.2f} M weights")
    return Trainer(
        denoiser,
        header,
        Windows(train, layout, device),
        Windows(held_back, layout, device),
        folder,
        cfg.optim,
        cfg.noising,
        to_dict(cfg),
        cfg.seed,
    )


def split(rollouts: Rollouts, share: float) -> tuple[Rollouts, Rollouts]:
    """Return rollouts to learn from and at least one kept back, evenly spread.

    Which are kept back does not change when more are recorded, so that a run that goes on with
    them is not validated on what it has learned. Their clips and starts were drawn at random.

    Raises:
        InputError: fewer than two rollouts.
    """
    count = rollouts.clip.shape[0]
    if count < 2:
        raise InputError(f"{count} rollouts; at least 2 are needed, one of them for validation")
    passed = (torch.arange(-1, count, dtype=torch.float64) * share).floor()
    kept_back = passed.diff() > 0
    return rollouts.select((~kept_back).nonzero()[:, 0]), rollouts.select(kept_back.nonzero()[:, 0])


class PlannerReporter:
    """Prints a line for each report and keeps ``metrics.json`` up to date."""

    def __init__(self, path: Path) -> None:
        """Write the metrics to ``path``."""
        self.path = path
        self.latest: dict[str, Any] = {}

    def __call__(self, progress: TrainerProgress) -> None:
        """Report progress; a number that is not finite becomes null in the file."""
        finite = {name: value if math.isfinite(value) else None for name, value in progress.scalars.items()}
        self.latest |= {
            "step": progress.step,
            "seconds": progress.seconds,
            "step_ms": progress.step_ms,
            **finite,
        }
        atomic_write_text(self.path, json.dumps(self.latest, indent=2) + "\n")
        s = progress.scalars
        tried = {
            key.removeprefix("validation/"): value
            for key, value in s.items()
            if key.startswith("validation/")
        }
        say(
            f"step {progress.step:7d}  {100 * progress.done:5.1f} %  {progress.seconds / 60:6.1f} min  "
            f"{progress.step_ms:6.1f} ms/step  state {s['loss/state']:.4f}  latent {s['loss/latent']:.4f}  "
            f"lr {s['rate']:.1e}" + "".join(f"  {key} {value:.4f}" for key, value in tried.items())
        )


def _require(cfg: TrainDiffusionCfg) -> None:
    """Refuse numbers and names that no run can use.

    Raises:
        ConfigError: naming the first of them.
    """
    if cfg.preset not in PRESETS:
        raise ConfigError(f"preset '{cfg.preset}' is unknown{nearest(cfg.preset, PRESETS)}")
    if not cfg.data:
        raise ConfigError("data is empty; give the folder of rollouts to learn from")
    if not 0.0 < cfg.validation_share <= 0.5:
        raise ConfigError(
            f"validation_share is {cfg.validation_share}; more than 0 and at most 0.5 is needed"
        )
    if cfg.torch_threads < 0:
        raise ConfigError(f"torch_threads is {cfg.torch_threads}; 0 or more are needed")
    if min(cfg.steps, cfg.total_minutes, cfg.minutes) < 0:
        raise ConfigError("steps, total_minutes and minutes must not be negative; 0 is no limit")
    if cfg.steps == 0 and cfg.total_minutes == 0:
        raise ConfigError(
            "steps and total_minutes are both 0; one is needed, the learning rate falls towards it"
        )
