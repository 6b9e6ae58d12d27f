"""ONNX files of policies, latent skills and guided plans; the runtime needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.export.metadata import PlanMetadata, PolicyMetadata, SkillsMetadata
    from humanoid.export.onnx import write_policy
    from humanoid.export.plan import OnnxPlan, OnnxPlanner
    from humanoid.export.plan_onnx import write_plan
    from humanoid.export.runtime import OnnxPolicy, OnnxSkills
    from humanoid.export.skills_onnx import write_skills

__all__ = [
    "OnnxPlan", "OnnxPlanner", "OnnxPolicy", "OnnxSkills", "PlanMetadata", "PolicyMetadata",
    "SkillsMetadata", "write_plan", "write_policy", "write_skills",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "metadata": (
            "PlanMetadata",
            "PolicyMetadata",
            "SkillsMetadata",
        ),
        "onnx": ("write_policy",),
        "plan": (
            "OnnxPlan",
            "OnnxPlanner",
        ),
        "plan_onnx": ("write_plan",),
        "runtime": (
            "OnnxPolicy",
            "OnnxSkills",
        ),
        "skills_onnx": ("write_skills",),
    },
)
