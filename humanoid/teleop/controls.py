"""Stick command: the velocity that keys, sliders and sticks command, within its range.

A page reports key presses and not releases, so a tap changes the command by one step and
nothing wears off by itself; ``space`` stops. No key here is one that moves viser's camera
(W A S D Q E and the arrows).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from humanoid.core.errors import ConfigError, InputError, nearest

AXES: dict[str, str] = {"forward": "m/s", "left": "m/s", "turn": "rad/s"}
"""Component of a command -> unit."""
SLOWEST = 0.5
"""[m/s] A slower command leaves the pace to the body: the skills that ship walk, none of them stands."""
STOP = "space"
"""Key that stops."""
KEYS: dict[str, tuple[str, int]] = {
    "I": ("forward", 1),
    "K": ("forward", -1),
    "J": ("turn", 1),
    "L": ("turn", -1),
    "U": ("left", 1),
    "O": ("left", -1),
}
"""Key -> component of the command, and the sign of its step."""


@dataclass(frozen=True)
class StickCommand:
    """A wanted velocity of the root, in its heading frame or the one at the start.

    Attributes:
        forward: [m/s] along the heading of that frame.
        left: [m/s] to its left.
        turn: [rad/s] about z, to the left.
    """

    forward: float = 0.0
    left: float = 0.0
    turn: float = 0.0

    @property
    def stands(self) -> bool:
        """Whether the command is to stand."""
        return self == StickCommand()

    def __str__(self) -> str:
        """Return it as a line for people."""
        return f"{self.forward:+.1f} m/s forward, {self.left:+.1f} m/s left, {self.turn:+.1f} rad/s"


STANDING = StickCommand()
"""The command to stand."""


@dataclass(frozen=True, kw_only=True)
class ControlsCfg:
    """Ranges and steps of the command."""

    forward: tuple[float, float] = (0.0, 1.2)
    """Least and greatest speed along the heading [m/s]; what ships has learned 0.6 to 1.1 m/s."""
    left: tuple[float, float] = (0.0, 0.0)
    """Least and greatest speed to the left [m/s]; what ships has not learned any."""
    turn: tuple[float, float] = (-1.2, 1.2)
    """Least and greatest yaw rate to the left [rad/s]; what ships has learned up to 1.4 rad/s."""
    speed_step: float = 0.2
    """Change of a speed by one tap on a key [m/s]."""
    turn_step: float = 0.3
    """Change of the yaw rate by one tap [rad/s]."""

    def __post_init__(self) -> None:
        """Check that ranges hold 0 and steps are positive."""
        for axis in AXES:
            low, high = self.range(axis)
            if not -math.inf < low <= 0.0 <= high < math.inf:
                raise ConfigError(f"controls.{axis} is {low:g} to {high:g}; it must be finite and hold 0")
        if not (0.0 < self.speed_step < math.inf and 0.0 < self.turn_step < math.inf):
            raise ConfigError(
                f"controls: steps of {self.speed_step:g} m/s and {self.turn_step:g} rad/s; give positive ones"
            )

    def range(self, axis: str) -> tuple[float, float]:
        """Return the least and greatest value of a part of the command."""
        return getattr(self, axis)

    @property
    def axes(self) -> tuple[str, ...]:
        """Parts of the command that can be changed at all."""
        return tuple(axis for axis in AXES if self.range(axis) != (0.0, 0.0))

    def step(self, axis: str) -> float:
        """Return by how much one tap changes a part of the command."""
        return self.turn_step if axis == "turn" else self.speed_step


WORLD = ControlsCfg(forward=(-1.2, 1.2), left=(-1.2, 1.2), turn=(0.0, 0.0))
"""Ranges of a command in the world frame: the body turns to where it goes."""


class Controls:
    """The present command."""

    def __init__(self, cfg: ControlsCfg) -> None:
        """Stand."""
        self.cfg, self.command = cfg, STANDING

    def press(self, key: str) -> str:
        """Take one press of a key of :data:`KEYS` or :data:`STOP`.

        Returns:
            Message for the user, "" for none.

        Raises:
            InputError: another key.
        """
        if key == STOP:
            self.stop()
            return ""
        if key not in KEYS:
            raise InputError(f"key '{key}' does nothing{nearest(key, (*KEYS, STOP))}")
        axis, sign = KEYS[key]
        step = self.cfg.step(axis)
        # on the grid of steps, so that as many taps back as forth end at exactly zero
        steps = round(getattr(self.command, axis) / step) + sign
        return self.set({axis: steps * step})

    def set(self, values: Mapping[str, float]) -> str:
        """Set components of the command; those beyond their range are clamped.

        Returns:
            Message for the user, "" where all is within range.

        Raises:
            InputError: a part that is none, a value that is no number; the command stays.
        """
        said, asked = [], {}
        for axis, value in values.items():
            if axis not in AXES:
                raise InputError(f"command '{axis}' is unknown{nearest(axis, AXES)}")
            if not math.isfinite(value):
                raise InputError(f"command {axis}={value} is no finite number; the last command stays")
            low, high = self.cfg.range(axis)
            asked[axis] = min(max(value, low), high)
            if abs(asked[axis] - value) > 1e-9:
                unit = AXES[axis]
                said.append(f"{axis} {value:+.2f} {unit} is beyond {low:+.2f} to {high:+.2f}: "
                            f"clamped to {asked[axis]:+.2f} {unit}")  # fmt: skip
        self.command = replace(self.command, **asked)
        return "; ".join(said)

    def stop(self) -> None:
        """Stand."""
        self.command = STANDING
