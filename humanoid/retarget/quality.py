"""How good a retargeted motion is: feet that stand, a floor that holds, joints that stay in range.

A trace measures frame by frame, :func:`measure` sums up, :func:`broken` judges. Which
foot should stand is taken from the motion's labels, which come from the captured take:
labels made from the result would call a sliding foot a swinging one. Whether any body could
perform it is :mod:`humanoid.retarget.feasibility`.
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
    """Where a measure is worst: ``frame`` counts from 0, ``what`` is a body, a joint or what happens."""

    frame: int
    what: str


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The measures of one motion; None where there is nothing to measure.

    Attributes:
        clip: its name.
        embodiment: name of the body.
        frames: number of frames.
        fps: their rate.
        skate_mm: mean horizontal way of a foot's point from one frame to the next [mm], over
            all pairs of frames in which its label is on in both.
        penetration_mm: depth under the floor of the lowest point of any body [mm], maximum;
            ``penetration_p99_mm`` and ``penetration_mean_mm`` over frames.
        penetration_p99_mm: see there.
        penetration_mean_mm: see there.
        float_mm: height over the floor of a standing foot's lowest point [mm], mean;
            ``float_max_mm`` is the maximum.
        float_max_mm: see there.
        limit_rad: greatest excess over a joint's limit [rad]; ``limit_count`` joint frames have one.
        limit_count: see there.
        joint_speed: greatest speed of a joint between two frames [rad/s].
        jerk: third difference of the tracked bodies' positions [m/s^3], 99th percentile.
        jumps: frames at which a body or joint jumps away from its path.
        frozen: frames that repeat the one before, in runs of ``STILL_FRAMES`` or more.
        flight_mm: greatest distance of the centre of mass's height from that of a fall under
            gravity, while nothing is near the floor [mm].
        hover_s: time in the air beyond what leaps of that height last [s], sum over flights.
        effort: share of its torque limit that the joint needs which needs most, 99th percentile
            over frames, of joints beyond which nothing is near the floor.
        ballistic_speed: the speed at which every flight is a fall under gravity; None where it
            is one, or at no speed.
        error_mm: mean distance of key bodies from the take [mm], as the retargeter noted it.
        contact_share: foot -> share of frames in which it stands.
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
    """Sum up the measures of a motion.

    Args:
        motion: on ``body``, joints and bodies matched by name.
        body: the embodiment.
        of: its trace, if there is one already.

    Raises:
        MismatchError: the motion lacks a joint or body of ``body``.
    """
    if (motion.joint_names, motion.body_names) != (body.joint_names, body.body_names):
        motion = motion.for_body(body)
    t = trace(motion, body) if of is None else of
    flown = flights(motion, body, t.clearance)
    load = servo_load(motion, body, t.clearance)
    depth = (-t.clearance).clamp_min(0)
    deepest, gap = depth.amax(-1), t.height.clamp_min(0)
    jumps = _peaks(t.jumped.amax(-1))
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
        jumps=len(jumps),
        frozen=int(t.frozen.sum()),
        flight_mm=1e3 * max((flight.miss() for flight in flown), default=0.0),
        hover_s=sum(_hover(flight) for flight in flown),
        effort=_quantile(load.amax(-1)),
        ballistic_speed=_repair(flown),
        error_mm=float(error) if isinstance(error, int | float) else None,
        contact_share=dict(zip(t.feet, t.contact.double().mean(0).tolist(), strict=True)),
        worst=worst | _worst_flight(flown),
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


def _repair(flown: list[Flight]) -> float | None:
    limit = 1e-3 * QualityCfg.flight_mm
    wrong = any(flight.miss() > limit for flight in flown)
    return ballistic_speed(flown, limit) if wrong else None


def _hover(flight: Flight) -> float:
    """Return by how much [s] a stretch in the air is longer than a leap of its height."""
    return max(0.0, flight.seconds - flight.longest)


def _worst_flight(flown: list[Flight]) -> dict[str, Worst]:
    """Return what the evidence against a motion's flights is."""
    if not flown:
        return {}
    wrong, long = max(flown, key=Flight.miss), max(flown, key=_hover)
    speed = _repair(flown)
    remedy = "" if speed is None else f"; {speed:g} times as fast it would be a fall"
    fall = f"{wrong.seconds:.2f} s with {wrong.acceleration:.1f} m/s^2, not {-GRAVITY:g}{remedy}"
    hover = f"{long.seconds:.2f} s off the floor; a leap of that height lasts {long.longest:.2f} s"
    found = {"flight_mm": Worst(frame=wrong.start, what=fall)}
    return found | ({"hover_s": Worst(frame=long.start, what=hover)} if _hover(long) else {})


def _peaks(score: Tensor) -> list[int]:
    """Return the highest frame of each run of positive ``score (T,)``."""
    start, stop = runs(score > 0)
    return [a + int(score[a:b].argmax()) for a, b in zip(start.tolist(), stop.tolist(), strict=True)]


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
