"""A gamepad at the machine that serves the page, through Linux' joystick interface.

``/dev/input/js*`` gives events of eight bytes: time [ms], value, kind and number
(``linux/joystick.h``). Any user may usually read it, and no library is needed. Elsewhere, or
with no pad plugged in, there is none.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("/dev/input")
"""Where Linux lists gamepads as ``js0``, ``js1``, ..."""
_EVENT = struct.Struct("=IhBB")
_BUTTON, _AXIS, _INITIAL = 0x01, 0x02, 0x80
_FULL = 32767.0
_LEFT_X, _LEFT_Y, _RIGHT_X = 0, 1, 3
"""Axes of the kernel's ``xpad`` layout, which most pads follow."""
_STOP = 0
"""Button "A" or "cross"."""
DEAD_ZONE = 0.15
"""Part of a stick's way that counts as its middle."""


@dataclass(frozen=True)
class Sticks:
    """Where the sticks are, each in -1..1, and whether stop was pressed since the last look.

    Attributes:
        forward: left stick, up is positive.
        left: left stick, left is positive.
        turn: right stick, left is positive.
        stop: whether the stop button went down.
    """

    forward: float = 0.0
    left: float = 0.0
    turn: float = 0.0
    stop: bool = False


class Gamepad:
    """One pad, read without waiting."""

    def __init__(self, descriptor: int) -> None:
        """Read from an open, non-blocking file descriptor of events; it is closed with the pad."""
        self._file: int | None = descriptor
        self._axes: dict[int, float] = {}

    @classmethod
    def find(cls, folder: Path = DEVICES) -> Gamepad | None:
        """Return the first pad that can be opened, None where there is none."""
        for path in sorted(folder.glob("js*")):
            with suppress(OSError):
                return cls(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        return None

    def poll(self) -> Sticks | None:
        """Return where the sticks are while somebody holds or has just let go of one, else None.

        A pad that is unplugged asks to stop, once, and stays silent.
        """
        if self._file is None:
            return None
        moved = stop = False
        try:
            while len(event := os.read(self._file, _EVENT.size)) == _EVENT.size:
                _, value, kind, number = _EVENT.unpack(event)
                if kind & ~_INITIAL == _AXIS:
                    # what it says of itself on opening is where it rests, not what somebody did
                    moved = moved or not kind & _INITIAL
                    self._axes[number] = _free(value / _FULL)
                stop = stop or (kind == _BUTTON and number == _STOP and value == 1)
        except BlockingIOError:
            sticks = self._sticks(stop)
            return sticks if moved or sticks != Sticks() else None
        except OSError:
            pass  # unplugged, as is what ends
        self.close()
        return Sticks(stop=True)

    def close(self) -> None:
        """Let go of the device."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _sticks(self, stop: bool) -> Sticks:
        axis = self._axes.get
        # sticks report right and down as positive
        return Sticks(0.0 - axis(_LEFT_Y, 0.0), 0.0 - axis(_LEFT_X, 0.0), 0.0 - axis(_RIGHT_X, 0.0), stop)


def _free(value: float) -> float:
    """Return a deflection without the dead zone, still reaching -1 and 1."""
    size = max(abs(value) - DEAD_ZONE, 0.0) / (1.0 - DEAD_ZONE)
    return min(size, 1.0) * (1.0 if value > 0 else -1.0)
