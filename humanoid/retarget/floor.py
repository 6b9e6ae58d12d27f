"""Where the floor of a take is: captured floors can lean, by calibration or by drift."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.spatial.signals import derivative

SLOW = 0.35
"""[m/s] A foot slower than this may be resting."""
LOW = 0.12
"""[m] A resting foot is at most this high over the lowest."""
LARGEST_SLOPE = 0.06
"""A floor that leans more is not believed to be a floor."""
LEAST_WAY = 1.0
"""[m] Feet that stay within less say nothing about a slope."""
LEAST_GAIN = 0.5
"""A slope is believed when it leaves at most this share of the spread of resting heights."""
LEAST_DROP = 0.02
"""[m] A lean that makes less of a difference over the take is left."""
_ROUNDS = 20


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
    believed only if it explains most of why they rest at different heights.

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
    believed = after < LEAST_GAIN * before and float(plane[:2].norm()) < LARGEST_SLOPE and drop > LEAST_DROP
    return plane[:2].float() if believed else level
