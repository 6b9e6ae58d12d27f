"""Latent skills: encoder, prior and decoder, distilled from a tracker, and recordings of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.skills.distill import DistillCfg, Distiller, OrnsteinUhlenbeck
    from humanoid.skills.model import LatentCfg, LatentModel
    from humanoid.skills.rollouts import CollectCfg, Collector
    from humanoid.skills.skills import Skills
    from humanoid.skills.teacher import (
        PerformCfg,
        TeacherMotions,
        load_teacher,
        load_teacher_motions,
        require_teacher,
    )

__all__ = [
    "CollectCfg", "Collector", "DistillCfg", "Distiller", "LatentCfg", "LatentModel", "OrnsteinUhlenbeck",
    "PerformCfg", "Skills", "TeacherMotions", "load_teacher", "load_teacher_motions", "require_teacher",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "distill": ("DistillCfg", "Distiller", "OrnsteinUhlenbeck"),
        "model": ("LatentCfg", "LatentModel"),
        "rollouts": ("CollectCfg", "Collector"),
        "skills": ("Skills",),
        "teacher": (
            "PerformCfg",
            "TeacherMotions",
            "load_teacher",
            "load_teacher_motions",
            "require_teacher",
        ),
    },
)
