"""Tracking metrics of SMPLSim and PHC as pure functions of body positions.

Positions are (T, N, 3) [m] in the world, simulated and reference, over one run. Errors are in
millimetres; velocities and accelerations are differences between frames at 30 fps, the
literature's convention (mm/frame, mm/frame^2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SUCCESS_M = 0.5
"""Mean body distance [m] above which a run fails (PHC)."""
STRICT_M = 0.25
"""Stricter threshold [m]."""
REPORT_FPS = 30.0
"""Rate of the velocity and acceleration errors."""


@dataclass(frozen=True)
class RunMetrics:
    """Metrics of one run of one clip.

    Attributes:
        success: no frame's mean body distance exceeds 0.5 m.
        success_strict: none exceeds 0.25 m.
        mpjpe_g_mm: mean body distance in the world, up to failure.
        mpjpe_l_mm: the same after moving both roots to the origin.
        vel_mm: mean difference of velocities [mm/frame at 30 fps], NaN under 2 frames.
        acc_mm: mean difference of accelerations [mm/frame^2], NaN under 3 frames.
        survived: share of the frames before the first whose distance exceeds 0.5 m.
    """

    success: bool
    success_strict: bool
    mpjpe_g_mm: float
    mpjpe_l_mm: float
    vel_mm: float
    acc_mm: float
    survived: float


def body_distance(pos_w: Tensor, pos_w_ref: Tensor) -> Tensor:
    """Return the mean distance of bodies in each frame, (T, ...) [m], world."""
    return (pos_w - pos_w_ref).norm(dim=-1).mean(-1)


def local_distance(pos_w: Tensor, pos_w_ref: Tensor) -> Tensor:
    """Return the mean distance with both roots (body 0) at the origin, (T, ...) [m]."""
    return body_distance(pos_w - pos_w[..., :1, :], pos_w_ref - pos_w_ref[..., :1, :])


def run_metrics(pos_w: Tensor, pos_w_ref: Tensor, fps: float) -> RunMetrics:
    """Return the metrics of one run.

    Args:
        pos_w: (T, N, 3) [m], simulated.
        pos_w_ref: (T, N, 3) [m], reference of the same instants.
        fps: frames per second of both.
    """
    distance = body_distance(pos_w, pos_w_ref)
    distance = torch.where(distance.isfinite(), distance, math.inf)
    over = (distance > SUCCESS_M).nonzero()
    end = int(over[0, 0]) + 1 if len(over) else len(distance)
    kept, kept_ref = pos_w[:end], pos_w_ref[:end]
    good = torch.isfinite(distance[:end])
    kept, kept_ref = kept[good], kept_ref[good]
    step = at_rate(kept, fps, REPORT_FPS), at_rate(kept_ref, fps, REPORT_FPS)
    vel = step[0].diff(dim=0) - step[1].diff(dim=0)
    acc = vel.diff(dim=0)
    return RunMetrics(
        success=not len(over),
        success_strict=bool((distance <= STRICT_M).all()),
        mpjpe_g_mm=_mm(body_distance(kept, kept_ref)),
        mpjpe_l_mm=_mm(local_distance(kept, kept_ref)),
        vel_mm=_mm(vel.norm(dim=-1)),
        acc_mm=_mm(acc.norm(dim=-1)),
        survived=int(over[0, 0]) / len(distance) if len(over) else 1.0,
    )


def at_rate(pos: Tensor, fps: float, target: float) -> Tensor:
    """Return positions (S, ...) of ``pos (T, ...)``, linearly interpolated at another rate."""
    if len(pos) < 2:
        return pos
    count = int((len(pos) - 1) / fps * target + 1e-6) + 1
    phase = torch.arange(count, dtype=pos.dtype, device=pos.device) * (fps / target)
    low = phase.floor().long().clamp(max=len(pos) - 2)
    blend = (phase - low).reshape(-1, *([1] * (pos.ndim - 1)))
    return torch.lerp(pos[low], pos[low + 1], blend)


def summarize(runs: list[RunMetrics]) -> dict[str, float | None]:
    """Return rates and means over runs; an empty mean is None."""
    good = [run for run in runs if run.success]
    return {
        "success": sum(run.success for run in runs) / len(runs),
        "success_strict": sum(run.success_strict for run in runs) / len(runs),
        "survived": sum(run.survived for run in runs) / len(runs),
        "mpjpe_g_mm": _mean([run.mpjpe_g_mm for run in runs]),
        "mpjpe_l_mm": _mean([run.mpjpe_l_mm for run in runs]),
        "mpjpe_l_success_mm": _mean([run.mpjpe_l_mm for run in good]),
        "vel_mm": _mean([run.vel_mm for run in runs]),
        "acc_mm": _mean([run.acc_mm for run in runs]),
    }


def _mm(values: Tensor) -> float:
    return 1000.0 * float(values.mean()) if values.numel() else math.nan


def _mean(values: list[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None
