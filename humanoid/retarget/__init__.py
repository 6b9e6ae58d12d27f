"""Retargeting: a captured skeleton -> the motion of an embodiment, and its quality.

Names are imported on first use: thresholds and their help need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.retarget.contacts import ContactCfg
    from humanoid.retarget.from_motion import as_clip
    from humanoid.retarget.ik import IkCfg
    from humanoid.retarget.pipeline import RetargetCfg, retarget, retarget_all
    from humanoid.retarget.presets import LANDMARKS, PRESETS, REQUIRED, SkeletonMap
    from humanoid.retarget.quality import Quality, broken, measure
    from humanoid.retarget.skeletons import skeleton_map
    from humanoid.retarget.thresholds import QualityCfg

__all__ = [
    "LANDMARKS", "PRESETS", "REQUIRED", "ContactCfg", "IkCfg", "Quality", "QualityCfg", "RetargetCfg",
    "SkeletonMap", "as_clip", "broken", "measure", "retarget", "retarget_all", "skeleton_map",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "contacts": ("ContactCfg",),
        "from_motion": ("as_clip",),
        "ik": ("IkCfg",),
        "pipeline": ("RetargetCfg", "retarget", "retarget_all"),
        "presets": ("LANDMARKS", "PRESETS", "REQUIRED", "SkeletonMap"),
        "quality": ("Quality", "broken", "measure"),
        "skeletons": ("skeleton_map",),
        "thresholds": ("QualityCfg",),
    },
)
