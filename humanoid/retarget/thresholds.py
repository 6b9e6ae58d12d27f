"""Thresholds of a motion's quality, free of torch: the command line reads them for its help."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from humanoid.core.constraints import Checked, Constraint

Threshold = Annotated[float, Constraint("0 or more (inf: not checked)", lambda limit: limit >= 0)]


@dataclass(frozen=True, kw_only=True)
class QualityCfg(Checked):
    """Largest allowed value of each measure of a motion's quality, by its name."""

    skate_mm: Threshold = 3.0
    """Mean displacement of a standing foot between frames [mm]."""
    penetration_mm: Threshold = 5.0
    """Greatest depth of any body under the floor [mm]."""
    float_mm: Threshold = 10.0
    """Mean height of a standing foot over the floor [mm]."""
    limit_rad: Threshold = 0.0
    """Greatest excess over a joint's limit [rad]."""
    joint_speed: Threshold = 30.0
    """Greatest speed of a joint [rad/s]."""
    jerk: Threshold = 10_000.0
    """99th percentile of the jerk of the tracked bodies [m/s^3]."""
    jumps: Threshold = 0
    """Number of discontinuities."""
    frozen: Threshold = 0
    """Number of frames that repeat the one before."""
    flight_mm: Threshold = 75.0
    """Greatest distance of the centre of mass in the air from a fall under gravity [mm]."""
    hover_s: Threshold = 0.1
    """Time in the air beyond the duration of a leap of that height [s]."""
    effort: Threshold = 2.0
    """99th percentile of the share of its torque limit that a joint needs."""
    error_mm: Threshold | None = None
    """Mean distance of key bodies from the take [mm]; None: 25 on SMPL bodies, 60 on others."""

    def limits(self, embodiment: str) -> dict[str, float]:
        """Return measure -> largest allowed value on one body."""
        error_mm = 25.0 if embodiment.startswith("smpl") else 60.0
        given = {field.name: getattr(self, field.name) for field in fields(QualityCfg)}
        return {key: error_mm if limit is None else limit for key, limit in given.items()}
