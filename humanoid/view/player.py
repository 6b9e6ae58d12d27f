"""Playing a take: which frame is shown when. No browser, no clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from humanoid.core.errors import InputError, nearest

BODY, STANDS = (231, 145, 71), (46, 158, 107)
"""Colours of a body and of one in contact, RGB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton:
    """A captured skeleton, frame by frame, at the rate of the motion beside it.

    Attributes:
        pos: (T, J, 3) [m] joints, world.
        quat: (T, J, 4) rotations of the joints, world.
        offsets: (J, 3) [m] of each joint in its parent's frame.
        parents: J parent indices, -1 for the root.
    """

    pos: np.ndarray
    quat: np.ndarray
    offsets: np.ndarray
    parents: tuple[int, ...]

    def bones(self, joint: int) -> np.ndarray:
        """Return the ends (K, 3) [m], in a joint's frame, of the bones that begin at it."""
        return self.offsets[[child for child, parent in enumerate(self.parents) if parent == joint]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prop:
    """A thing beside the person.

    Attributes:
        pos: (T, 3) [m], world.
        quat: (T, 4), world.
        half: (3,) [m] half extents.
        touched: (T,) bool.
        ball: whether it is round.
    """

    pos: np.ndarray
    quat: np.ndarray
    half: tuple[float, float, float]
    touched: np.ndarray
    ball: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """All that is shown of one motion.

    Attributes:
        name: of the clip.
        fps: frames per second.
        pos: (T, N, 3) [m] origins of the bodies, world.
        quat: (T, N, 4) rotations of the bodies, world.
        body_names: N names.
        contact: (T, F) bool.
        contact_names: F names of bodies.
        source: the captured skeleton, if there is one.
        props: things of the capture.
        notes: label, value and whether it is within its limit, for the panel.
    """

    name: str
    fps: float
    pos: np.ndarray
    quat: np.ndarray
    body_names: tuple[str, ...]
    contact: np.ndarray
    contact_names: tuple[str, ...]
    source: Skeleton | None = None
    props: tuple[Prop, ...] = ()
    notes: tuple[tuple[str, str, bool], ...] = field(default_factory=tuple)

    @property
    def frames(self) -> int:
        """Number T of frames."""
        return len(self.pos)

    def standing(self, frame: int) -> set[str]:
        """Return the names of what is in contact."""
        row = self.contact[frame]
        return {name for name, on in zip(self.contact_names, row, strict=True) if on}

    def colors(self, frame: int) -> list[tuple[int, int, int]]:
        """Return the colour of each of the N bodies."""
        standing = self.standing(frame)
        return [STANDS if name in standing else BODY for name in self.body_names]

    def beside(self, gap: float) -> np.ndarray:
        """Return by how much (3,) [m] the source is moved to walk ``gap`` to the left of the body.

        Left of the way it goes on the whole; left of x where it stays on the spot.
        """
        if self.source is None:
            return np.zeros(3)
        way = self.pos[-1, 0, :2] - self.pos[0, 0, :2]
        length = float(np.linalg.norm(way))
        x, y = way / length if length > gap else (1.0, 0.0)
        start = self.pos[0, 0] - self.source.pos[0, 0]
        return np.array((start[0] - gap * y, start[1] + gap * x, 0.0))


class Player:
    """The frame that is shown of one of several takes."""

    def __init__(self, takes: Sequence[Take]) -> None:
        """Show the first frame of the first take, playing.

        Raises:
            InputError: no takes.
        """
        if not takes:
            raise InputError("nothing to view: no motion given")
        self.takes = tuple(takes)
        self.take = self.takes[0]
        self.playing, self.loop, self.speed = True, True, 1.0
        self._phase = 0.0

    @property
    def frame(self) -> int:
        """Number of the frame that is shown, from 0."""
        return int(self._phase)

    @property
    def seconds(self) -> float:
        """Time [s] of that frame."""
        return self.frame / self.take.fps

    def advance(self, seconds: float) -> bool:
        """Let time pass; return whether another frame is shown.

        At the end of a take that does not loop playing stops.
        """
        if not self.playing:
            return False
        before = self.frame
        self._phase += seconds * self.speed * self.take.fps
        if self._phase >= self.take.frames:
            if self.loop:
                self._phase %= self.take.frames
            else:
                self._phase, self.playing = float(self.take.frames - 1), False
        return self.frame != before

    def toggle(self) -> None:
        """Play or pause; at the end playing starts over."""
        self.playing = not self.playing
        if self.playing and not self.loop and self.frame == self.take.frames - 1:
            self._phase = 0.0

    def seek(self, frame: int) -> None:
        """Show a frame, clamped to the take."""
        self._phase = float(min(max(frame, 0), self.take.frames - 1))

    def step(self, count: int) -> None:
        """Pause and go some frames on or, negative, back; around the ends of a loop."""
        self.playing = False
        self.seek((self.frame + count) % self.take.frames if self.loop else self.frame + count)

    def choose(self, name: str) -> None:
        """Show the first frame of another take.

        Raises:
            InputError: no take of that name.
        """
        names = [take.name for take in self.takes]
        if name not in names:
            raise InputError(f"no take '{name}'{nearest(name, names)}")
        self.take = self.takes[names.index(name)]
        self._phase = 0.0
