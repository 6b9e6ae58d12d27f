"""Video, plots and browser player of motions and rollouts.

Names are imported on first use: the renderer needs MuJoCo and EGL, the plots matplotlib, the
browser page viser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.view.browser import Browser
    from humanoid.view.player import CapturedSkeleton, Player, Recording
    from humanoid.view.plots import clip_bars, data_uri, error_over_time, quality_over_time
    from humanoid.view.progress import Bar, say
    from humanoid.view.video import Marker, Renderer, VideoCfg, save_png, write_video

__all__ = [
    "Bar", "Browser", "CapturedSkeleton", "Marker", "Player", "Recording", "Renderer",
    "VideoCfg", "clip_bars", "data_uri", "error_over_time", "quality_over_time", "save_png", "say",
    "write_video",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "browser": ("Browser",),
        "player": ("CapturedSkeleton", "Player", "Recording"),
        "plots": ("clip_bars", "data_uri", "error_over_time", "quality_over_time"),
        "progress": ("Bar", "say"),
        "video": ("Marker", "Renderer", "VideoCfg", "save_png", "write_video"),
    },
)
