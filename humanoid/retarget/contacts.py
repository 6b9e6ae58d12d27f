"""Contact labels of a take by height and speed with hysteresis, and the floor under it.

Labels come from the captured skeleton, not from the retargeted body: they are the target of
retargeting. Captured floors can lean, by calibration or by drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from humanoid.spatial.signals import derivative

SLOW = 0.35
"""[m/s] A foot slower than this may be resting."""
LOW = 0.12
"""[m] A resting foot is at most this high over the lowest."""
LARGEST_SLOPE = 0.06
"""Largest slope of a floor."""
LEAST_WAY = 1.0
"""[m] Least extent of the feet's way for an estimate of the slope."""
LEAST_GAIN = 0.5
"""Largest share of the spread of resting heights that an accepted slope leaves."""
LEAST_DROP = 0.02
"""[m] Least difference of height over the take that is corrected."""
_ROUNDS = 20


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
    return _opened(~_opened(~label, frames), frames)


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


def _opened(label: Tensor, frames: int) -> Tensor:
    """Drop runs shorter than ``frames``."""
    row = label.T.float().unsqueeze(1)
    pad = (frames - 1, frames - 1)
    eroded = -functional.max_pool1d(-functional.pad(row, pad, mode="replicate"), frames, stride=1)
    return functional.max_pool1d(eroded, frames, stride=1).squeeze(1).T > 0.5


def resting_height(pos: Tensor, fps: float) -> Tensor:
    """Return the height (P,) [m] at which points ``pos (T, P, 3)`` rest: a low quantile of slow frames."""
    speed = derivative(pos, fps).norm(dim=-1)
    floor = torch.quantile(pos[..., 2], 0.02, dim=0)
    slow = torch.logical_and(speed < SLOW, pos[..., 2] < floor + 0.08)
    height = torch.where(slow, pos[..., 2], torch.nan)
    resting = torch.nanquantile(height, 0.25, dim=0)
    return torch.where(slow.sum(0) >= 3, resting, floor)


def floor_slope(pos: Tensor, fps: float) -> Tensor:
    """Return by how much the floor rises (2,) [m per m] along x and y under resting feet.

    A plane is laid through the feet where they rest, by least absolute distances, and
    accepted only if it explains most of the spread of resting heights.

    Args:
        pos: (T, P, 3) [m], world: the ankles.
        fps: rate of the frames.
    """
    level = torch.zeros(2)
    speed = derivative(pos, fps).norm(dim=-1)
    rests = torch.logical_and(speed < SLOW, pos[..., 2] < torch.quantile(pos[..., 2], 0.02) + LOW)
    points = pos[rests].double()
    if len(points) < 10:
        return level
    way = points[:, :2] - points[:, :2].mean(0)
    if float(2 * way.norm(dim=-1).amax()) < LEAST_WAY:
        return level
    rows = torch.cat((way, torch.ones(len(way), 1, dtype=way.dtype)), -1)
    weight, plane = torch.ones(len(points), dtype=rows.dtype), torch.zeros(3, dtype=rows.dtype)
    ridge = torch.diag(torch.tensor((1e-2, 1e-2, 1e-9), dtype=rows.dtype)) * len(points)
    for _ in range(_ROUNDS):
        weighted = rows * weight[:, None]
        plane = torch.linalg.solve(rows.T @ weighted + ridge * weight.mean(), weighted.T @ points[:, 2])
        weight = 1 / (points[:, 2] - rows @ plane).abs().clamp_min(2e-3)
    before = (points[:, 2] - points[:, 2].median()).abs().mean()
    after = (points[:, 2] - rows @ plane).abs().mean()
    drop = float((way @ plane[:2]).aminmax().max - (way @ plane[:2]).aminmax().min)
    accepted = after < LEAST_GAIN * before and float(plane[:2].norm()) < LARGEST_SLOPE and drop > LEAST_DROP
    return plane[:2].float() if accepted else level
