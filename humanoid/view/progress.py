"""Progress on standard error: lines, and a bar that is silent unless it is a terminal."""

from __future__ import annotations

import sys
import time

_WIDTH = 30


def say(text: str) -> None:
    """Write a line to standard error; standard output carries results."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Bar:
    """Progress bar, called as ``bar(done, total)``; redraws at most ten times a second."""

    def __init__(self, unit: str = "step") -> None:
        """Start the clock; ``unit`` is the singular of the counted thing."""
        self.unit, self._start, self._last = unit, time.monotonic(), 0.0

    def __call__(self, done: int, total: int) -> None:
        """Draw ``done`` of ``total`` and the remaining time."""
        now = time.monotonic()
        if not sys.stderr.isatty() or (now - self._last < 0.1 and done < total):
            return
        self._last = now
        filled = _WIDTH * done // max(total, 1)
        left = (now - self._start) / max(done, 1) * (total - done)
        text = f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {done}/{total} {self.unit}s, {left:4.0f} s left"
        sys.stderr.write(text + ("\n" if done >= total else ""))
        sys.stderr.flush()
