"""Retargeting: a captured skeleton -> the motion of an embodiment, and its quality.

Names are imported on first use: thresholds and their help need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from humanoid.retarget.contacts import ContactCfg
    from humanoid.retarget.from_motion import as_clip
    from humanoid.retarget.ik import IkCfg
    from humanoid.retarget.pipeline import RetargetCfg, retarget, retarget_all
    from humanoid.retarget.presets import LANDMARKS, PRESETS, REQUIRED, SkeletonMap
    from humanoid.retarget.quality import Quality, broken, measure
    from humanoid.retarget.skeletons import skeleton_map
    from humanoid.retarget.thresholds import QualityCfg

_HOMES = {
    "ContactCfg": "contacts", "IkCfg": "ik", "LANDMARKS": "presets", "PRESETS": "presets",
    "Quality": "quality", "QualityCfg": "thresholds", "REQUIRED": "presets", "RetargetCfg": "pipeline",
    "SkeletonMap": "presets", "as_clip": "from_motion", "broken": "quality", "measure": "quality",
    "retarget": "pipeline", "retarget_all": "pipeline", "skeleton_map": "skeletons",
}  # fmt: skip
"""Public name -> module that holds it."""

__all__ = [
    "LANDMARKS", "PRESETS", "REQUIRED", "ContactCfg", "IkCfg", "Quality", "QualityCfg", "RetargetCfg",
    "SkeletonMap", "as_clip", "broken", "measure", "retarget", "retarget_all", "skeleton_map",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
