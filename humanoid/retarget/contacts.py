"""Contact labels from the source: which feet stand, by height and speed with hysteresis.

Labels come from the captured skeleton and never from the retargeted body, so that a foot
that should stand is judged as standing whatever the retargeter made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from humanoid.spatial.signals import derivative


@dataclass(frozen=True, kw_only=True)
class ContactCfg:
    """When a point counts as standing. Heights are over its own lowest resting height."""

    enter_height: float = 0.03
    """[m] A point this low may begin to stand."""
    leave_height: float = 0.05
    """[m] A standing point higher than this has left."""
    enter_speed: float = 0.38
    """[m/s] A point this slow may begin to stand."""
    leave_speed: float = 0.72
    """[m/s] A standing point faster than this has left."""
    min_seconds: float = 0.06
    """[s] Shorter stands and shorter gaps between them are dropped."""


def standing(pos: Tensor, ground: Tensor, fps: float, scale: float, cfg: ContactCfg) -> Tensor:
    """Label the frames in which points stand.

    Args:
        pos: (T, P, 3) [m], world.
        ground: (P,) [m] height at which each point rests.
        fps: rate of the frames.
        scale: leg length of the body over that of the source; thresholds hold for the body.
        cfg: thresholds.

    Returns:
        (T, P) bool.
    """
    height = (pos[..., 2] - ground) * scale
    speed = derivative(pos, fps).norm(dim=-1) * scale
    on = torch.logical_and(height < cfg.enter_height, speed < cfg.enter_speed)
    off = torch.logical_or(height > cfg.leave_height, speed > cfg.leave_speed)
    return steadied(hysteresis(on, off), fps, cfg)


def steadied(label: Tensor, fps: float, cfg: ContactCfg) -> Tensor:
    """Return labels (T, P) without gaps, then without stands, shorter than the shortest."""
    frames = max(1, round(cfg.min_seconds * fps))
    return _opened(_closed(label, frames), frames)


def hysteresis(on: Tensor, off: Tensor) -> Tensor:
    """Return the state (T, P) of a switch that ``on`` sets and ``off`` clears; off wins, starting off."""
    event = on.long() - 2 * off.long()  # > 0 set, < 0 cleared, 0 unchanged
    index = torch.arange(len(on), device=on.device).unsqueeze(-1)
    last = torch.where(event != 0, index, -1).cummax(0).values
    held = torch.gather(event, 0, last.clamp_min(0)) > 0
    return torch.logical_and(held, last >= 0)


def eased(label: Tensor) -> Tensor:
    """Return how firmly points stand (T, P) in 0-1: labels that set in and let go over three frames."""
    window = torch.tensor((0.1, 0.2, 0.4, 0.2, 0.1))
    row = functional.pad(label.T.float().unsqueeze(1), (2, 2), mode="replicate")
    return functional.conv1d(row, window[None, None]).squeeze(1).T * label


def _closed(label: Tensor, frames: int) -> Tensor:
    """Fill gaps shorter than ``frames``."""
    return ~_opened(~label, frames)


def _opened(label: Tensor, frames: int) -> Tensor:
    """Drop runs shorter than ``frames``."""
    row = label.T.float().unsqueeze(1)
    pad = (frames - 1, frames - 1)
    eroded = -functional.max_pool1d(-functional.pad(row, pad, mode="replicate"), frames, stride=1)
    return functional.max_pool1d(eroded, frames, stride=1).squeeze(1).T > 0.5
