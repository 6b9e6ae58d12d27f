"""Diffusion of trajectories: tokens of states and latents, denoiser, training data and training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.diffusion.denoiser import PRESETS, Denoiser, DenoiserCfg
    from humanoid.diffusion.model import DiffusionModel, make_header
    from humanoid.diffusion.optim import OptimCfg
    from humanoid.diffusion.schedule import Schedule
    from humanoid.diffusion.shards import (
        NoisingCfg,
        Rollouts,
        ShardHeader,
        ShardWriter,
        Windows,
        draw_levels,
        load_rollouts,
        read_header,
    )
    from humanoid.diffusion.train import Trainer, TrainerBudget, TrainerProgress
    from humanoid.diffusion.trajectory import Frame, Layout, Trajectory, TrajectoryCfg

__all__ = [
    "PRESETS", "Denoiser", "DenoiserCfg", "DiffusionModel", "Frame", "Layout", "NoisingCfg", "OptimCfg",
    "Rollouts", "Schedule", "ShardHeader", "ShardWriter", "Trainer", "TrainerBudget", "TrainerProgress",
    "Trajectory", "TrajectoryCfg", "Windows", "draw_levels", "load_rollouts", "make_header",
    "read_header",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "denoiser": ("PRESETS", "Denoiser", "DenoiserCfg"),
        "model": ("DiffusionModel", "make_header"),
        "optim": ("OptimCfg",),
        "schedule": ("Schedule",),
        "shards": (
            "NoisingCfg",
            "Rollouts",
            "ShardHeader",
            "ShardWriter",
            "Windows",
            "draw_levels",
            "load_rollouts",
            "read_header",
        ),
        "train": ("Trainer", "TrainerBudget", "TrainerProgress"),
        "trajectory": ("Frame", "Layout", "Trajectory", "TrajectoryCfg"),
    },
)
