"""Playback of recordings: frame, speed, loop. Independent of browser and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from humanoid.bodies.props import PropTrack
from humanoid.core.errors import InputError, nearest

BODY, IN_CONTACT = (231, 145, 71), (46, 158, 107)
"""RGB colour of a body, and of one in contact."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CapturedSkeleton:
    """Joint poses of a captured skeleton, resampled to the frame rate of the motion.

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
class Recording:
    """One motion as the player shows it: body poses, contacts, and the capture it came from.

    Attributes:
        name: of the clip.
        fps: frames per second.
        pos: (T, N, 3) [m] origins of the bodies, world.
        quat: (T, N, 4) rotations of the bodies, world.
        body_names: N names.
        contact: (T, F) bool.
        contact_names: F names of bodies.
        source: the captured skeleton, if known.
        objects: captured objects.
        notes: rows of the panel: label, value, within its limit.
    """

    name: str
    fps: float
    pos: np.ndarray
    quat: np.ndarray
    body_names: tuple[str, ...]
    contact: np.ndarray
    contact_names: tuple[str, ...]
    source: CapturedSkeleton | None = None
    objects: tuple[PropTrack, ...] = ()
    notes: tuple[tuple[str, str, bool], ...] = ()

    @property
    def frames(self) -> int:
        """Number T of frames."""
        return len(self.pos)

    def contacts(self, frame: int) -> set[str]:
        """Return the names of the bodies in contact."""
        row = self.contact[frame]
        return {name for name, on in zip(self.contact_names, row, strict=True) if on}

    def colors(self, frame: int) -> list[tuple[int, int, int]]:
        """Return the colour of each of the N bodies."""
        contacts = self.contacts(frame)
        return [IN_CONTACT if name in contacts else BODY for name in self.body_names]

    def source_offset(self, gap: float) -> np.ndarray:
        """Return the offset (3,) [m] that draws the source ``gap`` to the left of the body.

        Left of its overall displacement, or of world x where that is shorter than ``gap``.
        """
        if self.source is None:
            return np.zeros(3)
        travel = self.pos[-1, 0, :2] - self.pos[0, 0, :2]
        length = float(np.linalg.norm(travel))
        x, y = travel / length if length > gap else (1.0, 0.0)
        start = self.pos[0, 0] - self.source.pos[0, 0]
        return np.array((start[0] - gap * y, start[1] + gap * x, 0.0))


class Player:
    """Playback state over several recordings."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        """Start playing the first recording.

        Raises:
            InputError: no recordings.
        """
        if not recordings:
            raise InputError("nothing to view: no motion given")
        self.recordings = tuple(recordings)
        self.recording = self.recordings[0]
        self.playing, self.loop, self.speed = True, True, 1.0
        self._phase = 0.0

    @property
    def frame(self) -> int:
        """Index of the current frame."""
        return int(self._phase)

    @property
    def seconds(self) -> float:
        """Time [s] of the current frame."""
        return self.frame / self.recording.fps

    def advance(self, seconds: float) -> bool:
        """Advance playback; return whether the frame changed.

        Without loop, playback stops at the last frame.
        """
        if not self.playing:
            return False
        before = self.frame
        self._phase += seconds * self.speed * self.recording.fps
        if self._phase >= self.recording.frames:
            if self.loop:
                self._phase %= self.recording.frames
            else:
                self._phase, self.playing = float(self.recording.frames - 1), False
        return self.frame != before

    def toggle(self) -> None:
        """Play or pause; from the last frame without loop, restart."""
        self.playing = not self.playing
        if self.playing and not self.loop and self.frame == self.recording.frames - 1:
            self._phase = 0.0

    def seek(self, frame: int) -> None:
        """Go to a frame, clamped to the recording."""
        self._phase = float(min(max(frame, 0), self.recording.frames - 1))

    def step(self, count: int) -> None:
        """Pause and step by ``count`` frames, of either sign; wraps around in a loop."""
        self.playing = False
        self.seek((self.frame + count) % self.recording.frames if self.loop else self.frame + count)

    def choose(self, name: str) -> None:
        """Go to the first frame of another recording.

        Raises:
            InputError: no recording has that name.
        """
        named = {recording.name: recording for recording in reversed(self.recordings)}
        if name not in named:
            raise InputError(f"no recording '{name}'{nearest(name, named)}")
        self.recording, self._phase = named[name], 0.0
