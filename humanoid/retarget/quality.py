"""Quality of a retargeted motion: contacts, floor, limits, discontinuities, feasibility.

:func:`humanoid.retarget.trace.trace` measures every frame, :func:`measure` aggregates, :func:`broken`
compares with thresholds. Contact labels are those of the captured take: a sliding foot counts as standing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.motion.motion import Motion
from humanoid.retarget.feasibility import GRAVITY, Flight, ballistic_speed, flights, servo_load
from humanoid.retarget.thresholds import QualityCfg
from humanoid.retarget.trace import Trace, runs, trace


@dataclass(frozen=True, kw_only=True)
class Worst:
    """Frame, from 0, at which a measure is worst, and the body, joint or event."""

    frame: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Measures of one motion; None where there is nothing to measure.

    Attributes:
        clip: name.
        embodiment: name of the body.
        frames: number of frames.
        fps: frame rate.
        skate_mm: mean horizontal displacement [mm] of a foot between frames labelled as contact.
        penetration_mm: depth [mm] of the lowest point under the floor: maximum.
        penetration_p99_mm: 99th percentile over frames.
        penetration_mean_mm: mean over frames.
        float_mm: height [mm] of a standing foot's lowest point: mean.
        float_max_mm: maximum.
        limit_rad: greatest excess over a joint limit [rad].
        limit_count: number of (frame, joint) beyond a limit.
        joint_speed: greatest joint speed [rad/s].
        jerk: of the tracked bodies [m/s^3], 99th percentile.
        jumps: frames with a discontinuity of a body or joint.
        frozen: frames that repeat the one before, in runs of ``STILL_FRAMES`` or more.
        flight_mm: greatest deviation [mm] of the centre of mass in flight from free fall.
        hover_s: time [s] in flight beyond that of leaps of the same height.
        effort: share of the torque limit of the most loaded joint, 99th percentile.
        ballistic_speed: time scale at which every flight is a free fall; None if 1 or none is.
        error_mm: mean distance [mm] of key bodies from the take, noted by the retargeter.
        contact_share: foot -> share of frames in contact.
        worst: measure -> where it is worst.
    """

    clip: str
    embodiment: str
    frames: int
    fps: float
    skate_mm: float | None
    penetration_mm: float
    penetration_p99_mm: float
    penetration_mean_mm: float
    float_mm: float | None
    float_max_mm: float | None
    limit_rad: float
    limit_count: int
    joint_speed: float
    jerk: float
    jumps: int
    frozen: int
    flight_mm: float
    hover_s: float
    effort: float
    ballistic_speed: float | None
    error_mm: float | None
    contact_share: dict[str, float]
    worst: dict[str, Worst] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)


def measure(motion: Motion, body: Embodiment, of: Trace | None = None) -> Quality:
    """Aggregate the measures of a motion.

    Args:
        motion: on ``body``, joints and bodies matched by name.
        body: the embodiment.
        of: its trace, computed if None.

    Raises:
        MismatchError: the motion lacks a joint or body of ``body``.
    """
    if (motion.joint_names, motion.body_names) != (body.joint_names, body.body_names):
        motion = motion.for_body(body)
    t = trace(motion, body) if of is None else of
    flown = flights(motion, body, t.clearance)
    miss, limit = max((flight.miss() for flight in flown), default=0.0), 1e-3 * QualityCfg.flight_mm
    speed = ballistic_speed(flown, limit) if miss > limit else None
    load = servo_load(motion, body, t.clearance)
    depth = (-t.clearance).clamp_min(0)
    deepest, gap = depth.amax(-1), t.height.clamp_min(0)
    names = (*body.body_names, *body.joint_names)
    error = motion.provenance.get("error_mm")
    measured = {
        "skate_mm": (torch.where(t.skates, t.slide, 0.0), t.feet),
        "penetration_mm": (depth, body.body_names),
        "float_mm": (torch.where(t.contact, gap, 0.0), t.feet),
        "limit_rad": (t.excess, body.joint_names),
        "joint_speed": (t.speed, body.joint_names),
        "jerk": (t.jerk, body.tracked),
        "jumps": (t.jumped, names),
        "frozen": (t.frozen.double().unsqueeze(-1), ("all bodies",)),
        "effort": (load, body.joint_names),
    }
    worst = {key: place for key, (values, what) in measured.items() if (place := _worst(values, what))}
    return Quality(
        clip=motion.name,
        embodiment=body.name,
        frames=motion.num_frames,
        fps=motion.fps,
        skate_mm=_mean(t.slide, t.skates, len(t.feet)),
        penetration_mm=1e3 * float(deepest.max()),
        penetration_p99_mm=1e3 * _quantile(deepest),
        penetration_mean_mm=1e3 * float(deepest.mean()),
        float_mm=_mean(gap, t.contact, len(t.feet)),
        float_max_mm=1e3 * float(torch.where(t.contact, gap, 0.0).max()) if t.feet else None,
        limit_rad=float(t.excess.max()),
        limit_count=int((t.excess > 0).sum()),
        joint_speed=float(t.speed.max()),
        jerk=_quantile(t.jerk[3:]),
        jumps=len(runs(t.jumped.amax(-1) > 0)[0]),
        frozen=int(t.frozen.sum()),
        flight_mm=1e3 * miss,
        hover_s=sum(flight.hover for flight in flown),
        effort=_quantile(load.amax(-1)),
        ballistic_speed=speed,
        error_mm=float(error) if isinstance(error, int | float) else None,
        contact_share=dict(zip(t.feet, t.contact.double().mean(0).tolist(), strict=True)),
        worst=worst | _worst_flight(flown, speed),
    )


def broken(quality: Quality, cfg: QualityCfg | None = None) -> list[str]:
    """Return one line for each measure beyond its limit: what, value, limit, where worst."""
    lines = []
    for key, limit in (cfg or QualityCfg()).limits(quality.embodiment).items():
        value = getattr(quality, key)
        if value is None or value <= limit:
            continue
        line = f"{key} {value:.4g} > {limit:g}"
        if key in quality.worst:
            place = quality.worst[key]
            line += f"; worst at frame {place.frame} ({place.frame / quality.fps:.2f} s), {place.what}"
        lines.append(line)
    return lines


def _worst_flight(flown: list[Flight], speed: float | None) -> dict[str, Worst]:
    """Return the flight farthest from free fall, and the longest hover."""
    if not flown:
        return {}
    wrong, long = max(flown, key=Flight.miss), max(flown, key=lambda flight: flight.hover)
    remedy = "" if speed is None else f"; {speed:g} times as fast it would be a fall"
    fall = f"{wrong.seconds:.2f} s with {wrong.acceleration:.1f} m/s^2, not {-GRAVITY:g}{remedy}"
    hover = f"{long.seconds:.2f} s off the floor; a leap of that height lasts {long.longest:.2f} s"
    found = {"flight_mm": Worst(frame=wrong.start, what=fall)}
    return found | ({"hover_s": Worst(frame=long.start, what=hover)} if long.hover else {})


def _mean(values: Tensor, where: Tensor, feet: int) -> float | None:
    """Return the mean [mm] of ``values`` [m] where true; 0 if never, None without labels."""
    if feet == 0:
        return None
    return 1e3 * float(values[where].mean()) if bool(where.any()) else 0.0


def _quantile(values: Tensor) -> float:
    # numpy's has no limit of 2^24 elements
    return float(np.quantile(values.numpy(), 0.99)) if values.numel() else 0.0


def _worst(values: Tensor, names: tuple[str, ...]) -> Worst | None:
    """Return where ``values (T, M)`` is largest; None where it is nowhere above 0."""
    if values.numel() == 0 or not float(values.max()) > 0:
        return None
    frame, column = divmod(int(values.argmax()), values.shape[1])
    return Worst(frame=frame, what=names[column])
