"""Measurements of trackers, latent skills and guided tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.eval.config import EvalCfg, LatentEvalCfg, PerturbCfg, RecoverCfg, TaskEvalCfg
    from humanoid.eval.perturb import perturb
    from humanoid.eval.recover import recover
    from humanoid.eval.rollout import Rollout, perform
    from humanoid.eval.setup import Setup, build_setup, make_setup
    from humanoid.eval.tasks import GuideCfg, guide
    from humanoid.eval.tracking import evaluate

__all__ = [
    "EvalCfg", "GuideCfg", "LatentEvalCfg", "PerturbCfg", "RecoverCfg", "Rollout", "Setup", "TaskEvalCfg",
    "build_setup", "evaluate", "guide", "make_setup", "perform", "perturb", "recover",
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
        "perturb": ("perturb",),
        "recover": ("recover",),
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
