"""A camera that follows one or two bodies smoothly and keeps both in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Eye:
    """Where a picture is taken from.

    Attributes:
        pos: (3,) [m], world.
        forward: (3,) unit vector into the picture, world.
        up: (3,) unit vector, world.
        fovy: vertical field of view [rad].
    """

    pos: np.ndarray
    forward: np.ndarray
    up: np.ndarray
    fovy: float

    def window(self, points: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Return the part of a picture that holds world points (n, 3) [m].

        Returns:
            Left, bottom, width and height [pixels]; None where nothing is in the picture.
        """
        seen = points - self.pos
        depth = np.maximum(seen @ self.forward, 1e-2)[:, None]
        axes = np.stack((np.cross(self.forward, self.up), self.up), axis=1)
        size = np.array((width, height))
        pixels = seen @ axes / depth * (0.5 * height / math.tan(0.5 * self.fovy)) + 0.5 * size
        low = np.clip(np.floor(pixels.min(axis=0)), 0, size).astype(int)
        extent = np.clip(np.ceil(pixels.max(axis=0)), 0, size).astype(int) - low
        if (extent < 1).any():
            return None
        return int(low[0]), int(low[1]), int(extent[0]), int(extent[1])


class FollowCamera:
    """What to look at and from how far, frame after frame."""

    def __init__(self, distance: float, gain: float, cut: float, apart: float) -> None:
        """Set it up.

        Args:
            distance: from what it looks at [m] while the bodies keep their places.
            gain: part of the way to its aim that it goes in a frame, in 0-1.
            cut: jump of the first body [m] between frames at which the camera jumps too.
            apart: distance [m] of two bodies that keep their places.
        """
        self._near, self._gain, self._cut, self._apart = distance, gain, cut, apart
        self._last: np.ndarray | None = None
        self.lookat = np.zeros(3)
        self.distance = distance

    def follow(self, roots: list[np.ndarray]) -> None:
        """Move towards the middle of bodies with these roots (3,) [m], world."""
        x, y, z = np.mean(roots, axis=0)
        # a jump should be seen as a jump: the camera takes only part of the height
        target = np.array((x, y, 0.45 + 0.45 * max(z, 0.0)))
        parted = max(0.0, float(np.linalg.norm(roots[-1] - roots[0])) - self._apart)
        jumped = self._last is None or np.linalg.norm(roots[0] - self._last) > self._cut
        gain = 1.0 if jumped else self._gain
        self._last = roots[0]
        self.lookat = self.lookat + gain * (target - self.lookat)
        self.distance += gain * (self._near + 0.8 * parted - self.distance)
