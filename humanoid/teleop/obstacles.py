"""Obstacles that a user places and drags on the floor while the body walks between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import torch

from humanoid.core.errors import InputError, nearest
from humanoid.spatial import geometry

Kind = Literal["pillar", "sphere", "box"]
KINDS: tuple[Kind, ...] = ("pillar", "sphere", "box")
"""Shapes of obstacles."""
PILLAR_RADIUS, PILLAR_HALF = 0.2, 0.9
"""[m] of a pillar: a capsule whose axis goes from the floor up."""
SPHERE_RADIUS = 0.3
"""[m] of a ball."""
BOX_HALF = (0.3, 0.3, 0.4)
"""[m] half widths of a box."""
CLEARANCE = 0.1
"""[m] that the middle of a body keeps from an obstacle that is put up, where its radius is not known."""
MOST = 16
"""Obstacles at once; each costs the planner time."""
REACH = 100.0
"""[m] from the middle of the floor to the farthest place of anything."""


@dataclass(frozen=True)
class Obstacle:
    """One of them, upright, its shape given by its kind.

    Attributes:
        name: e.g. ``pillar 1``.
        kind: its shape.
        pos_w: (3,) [m] its middle, world.
        active: whether it is to be gone round; else it is only drawn, pale.
    """

    name: str
    kind: Kind
    pos_w: tuple[float, float, float]
    active: bool = True

    def distance(self, points_w: np.ndarray) -> np.ndarray:
        """Return how far points (P, 3) [m] are outside of it, (P,) [m]; negative inside."""
        points, centre = torch.from_numpy(points_w).double(), torch.tensor(self.pos_w, dtype=torch.double)
        if self.kind == "pillar":
            up, radius = centre.new_tensor((0.0, 0.0, PILLAR_HALF)), centre.new_tensor(PILLAR_RADIUS)
            return geometry.capsule_distance(points, centre - up, centre + up, radius).numpy()
        if self.kind == "sphere":
            return geometry.sphere_distance(points, centre, centre.new_tensor(SPHERE_RADIUS)).numpy()
        upright = centre.new_tensor((1.0, 0.0, 0.0, 0.0)).expand(len(points), 4)
        return geometry.box_distance(points, centre, upright, centre.new_tensor(BOX_HALF)).numpy()


_HEIGHT: dict[Kind, float] = {"pillar": PILLAR_HALF, "box": BOX_HALF[2], "sphere": 1.0}
"""[m] of the middle above the floor; a sphere may be lifted."""


class Arena:
    """All obstacles, by name."""

    def __init__(self, radii: Sequence[float] = ()) -> None:
        """Begin with an empty floor.

        Args:
            radii: [m] of the bodies whose places :meth:`move` is given; :data:`CLEARANCE` by default.
        """
        self._radii = np.array(radii) if len(radii) else CLEARANCE
        self._found: dict[str, Obstacle] = {}
        self._count = 0

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """All of them, oldest first."""
        return tuple(self._found.values())

    def add(self, kind: str, place: Sequence[float], points_w: np.ndarray) -> tuple[Obstacle, str]:
        """Put one up.

        Args:
            kind: its shape.
            place: (2,) [m] on the floor, world.
            points_w: (P, 3) [m] of the body that must stay outside.

        Returns:
            The obstacle, and a message for the user ("" for none).

        Raises:
            InputError: an unknown kind, a place that is none, or too many of them.
        """
        if kind not in KINDS:
            raise InputError(f"obstacle '{kind}' is unknown{nearest(kind, KINDS)}")
        if len(self._found) >= MOST:
            raise InputError(f"{MOST} obstacles are the most; remove some first")
        self._count += 1
        shape = cast(Kind, kind)
        made = Obstacle(f"{kind} {self._count}", shape, (0.0, 0.0, _HEIGHT[shape]))
        self._found[made.name] = made
        try:
            return self.move(made.name, (*place, _HEIGHT[shape]), points_w)
        except InputError:
            del self._found[made.name]
            raise

    def move(self, name: str, pos_w: Sequence[float], points_w: np.ndarray) -> tuple[Obstacle, str]:
        """Put one somewhere else; where the body is, it is drawn but not to be gone round.

        Args:
            name: which.
            pos_w: (3,) [m] its middle, world; only a sphere's height counts.
            points_w: (P, 3) [m] of the body.

        Returns:
            The obstacle, and a message for the user ("" for none).

        Raises:
            InputError: no such obstacle, or a place that is none; it stays where it was.
        """
        if name not in self._found:
            raise InputError(f"there is no obstacle '{name}'{nearest(name, self._found)}")
        before = self._found[name]
        x, y, z = require_place(name, pos_w, 3)
        height = max(z, 0.0) if before.kind == "sphere" else _HEIGHT[before.kind]
        moved = replace(before, pos_w=(x, y, height))
        gap = float((moved.distance(points_w) - self._radii).min()) if len(points_w) else math.inf
        moved = replace(moved, active=gap >= 0.0)
        self._found[name] = moved
        if moved.active:
            return moved, "" if before.active else f"{name} counts again"
        return moved, f"{name} would stand in the body: refused. It is pale and does not count; drag it away"

    def clear(self) -> None:
        """Remove all."""
        self._found.clear()


def require_place(name: str, place: Sequence[float], axes: int) -> tuple[float, ...]:
    """Return a place as floats.

    Raises:
        InputError: not so many ``axes``, a coordinate that is not finite, or farther than :data:`REACH`.
    """
    if len(place) != axes:
        raise InputError(f"{name}: {len(place)} coordinates given, {axes} are needed; it stays put")
    if not all(math.isfinite(value) and abs(value) <= REACH for value in place):
        given = ", ".join(f"{value:g}" for value in place)
        raise InputError(f"{name}: ({given}) m is no place within {REACH:g} m of the middle; it stays put")
    return tuple(float(value) for value in place)
