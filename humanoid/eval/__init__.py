"""Measurements of trackers, latent skills and guided tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.eval.config import EvalCfg, LatentEvalCfg, PerturbCfg, RecoverCfg, TaskEvalCfg
    from humanoid.eval.rollout import Rollout, perform
    from humanoid.eval.setup import Setup, build_setup, make_setup
    from humanoid.eval.tasks import GuideCfg, guide
    from humanoid.eval.tracking import evaluate

__all__ = [
    "EvalCfg", "GuideCfg", "LatentEvalCfg", "PerturbCfg", "RecoverCfg", "Rollout", "Setup", "TaskEvalCfg",
    "build_setup", "evaluate", "guide", "make_setup", "perform",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "config": (
            "EvalCfg",
            "LatentEvalCfg",
            "PerturbCfg",
            "RecoverCfg",
            "TaskEvalCfg",
        ),
        "rollout": (
            "Rollout",
            "perform",
        ),
        "setup": (
            "Setup",
            "build_setup",
            "make_setup",
        ),
        "tasks": (
            "GuideCfg",
            "guide",
        ),
        "tracking": ("evaluate",),
    },
)
