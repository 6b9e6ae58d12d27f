"""Smooth follow camera for one or two bodies, and the pinhole projection of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Eye:
    """Pinhole camera pose.

    Attributes:
        pos: (3,) [m], world.
        forward: (3,) unit viewing direction, world.
        up: (3,) unit vector, world.
        fovy: vertical field of view [rad].
    """

    pos: np.ndarray
    forward: np.ndarray
    up: np.ndarray
    fovy: float

    def window(self, points: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Return the pixel bounding box of world points (n, 3) [m].

        Returns:
            Left, bottom, width and height [pixels]; None if no point is in the picture.
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
    """Target point and distance of the camera, smoothed over frames."""

    def __init__(self, distance: float, gain: float, cut: float, apart: float) -> None:
        """Set up the filter.

        Args:
            distance: from the target [m] while the bodies keep their nominal distance.
            gain: share of the error corrected per frame, in 0-1.
            cut: jump of the first body [m] between frames from which on the camera jumps too.
            apart: nominal distance [m] of the two bodies.
        """
        self._near, self._gain, self._cut, self._apart = distance, gain, cut, apart
        self._last: np.ndarray | None = None
        self.lookat = np.zeros(3)
        self.distance = distance

    def follow(self, roots: list[np.ndarray]) -> None:
        """Move towards the centre of bodies with these roots (3,) [m], world."""
        x, y, z = np.mean(roots, axis=0)
        # only part of the height, so that a jump stays visible
        target = np.array((x, y, 0.45 + 0.45 * max(z, 0.0)))
        parted = max(0.0, float(np.linalg.norm(roots[-1] - roots[0])) - self._apart)
        jumped = self._last is None or np.linalg.norm(roots[0] - self._last) > self._cut
        gain = 1.0 if jumped else self._gain
        self._last = roots[0]
        self.lookat = self.lookat + gain * (target - self.lookat)
        self.distance += gain * (self._near + 0.8 * parted - self.distance)
