"""Scoring of boundaries, and labelled takes to score on.

A take is a row of clips whose tags differ from neighbour to neighbour, aligned and blended
so that no jump gives a boundary away; the middles of the blends are the truth.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.datasets.manifest import load_manifest
from humanoid.datasets.sources import load_motions
from humanoid.motion.edit import concatenate, cut, mirror, retimed
from humanoid.motion.motion import Motion

SPEEDS = (0.9, 1.1)
"""Range of the speeds at which a varied clip is performed."""
LEAST_LOOP = 2.0
"""Shortest piece [s] that is cut out of a looping clip that is varied."""


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """A motion and what it shows."""

    motion: Motion
    tags: frozenset[str]
    loop: bool


@dataclass(frozen=True)
class BoundaryScore:
    """Counts over one take or many.

    Attributes:
        hits: found boundaries with a true one of their own within the tolerance.
        found: boundaries found.
        true: boundaries there are.
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        """Add the counts of other takes."""
        return BoundaryScore(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Share of the found ones that are true; 1 where none was found."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the true ones that were found; 1 where there are none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is nothing to find or found."""
        total = self.found + self.true
        return 2 * self.hits / total if total else 1.0


def match(found: Sequence[float], true: Sequence[float], tolerance: float) -> BoundaryScore:
    """Count hits under the largest one-to-one matching of times [s] within ``tolerance`` [s].

    In order of time, pairing each with the first that is near is the largest matching,
    because every tolerance is the same.
    """
    left, right, hits, i, j = sorted(found), sorted(true), 0, 0, 0
    while i < len(left) and j < len(right):
        if abs(left[i] - right[j]) <= tolerance + 1e-9:
            hits, i, j = hits + 1, i + 1, j + 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return BoundaryScore(hits, len(left), len(right))


def labelled_clips(source: str, body: Embodiment) -> list[LabelledClip]:
    """Return the clips of a manifest that carry tags.

    Raises:
        InputError: no such manifest, a clip is missing or malformed, or none has tags.
    """
    manifest = load_manifest(source)
    entries = [entry for entry in manifest.clips if entry.tags and not entry.aside]
    if not entries:
        raise InputError(f"manifest '{manifest.name}' has no clip with tags; takes need clips that differ")
    loaded = load_motions(source, body, [f"clip:{entry.name}" for entry in entries])
    by_name = {motion.name: motion for motion in loaded.motions}
    return [
        LabelledClip(motion=by_name[entry.name], tags=frozenset(entry.tags), loop=bool(entry.loop))
        for entry in entries
    ]


def halves(clips: Sequence[LabelledClip]) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Return two sets of clips of like composition: every other clip in the order of tags and names."""
    ranked = sorted(clips, key=lambda clip: (sorted(clip.tags), clip.motion.name))
    return ranked[0::2], ranked[1::2]


def make_takes(
    clips: Sequence[LabelledClip],
    body: Embodiment,
    *,
    count: int,
    length: int,
    seed: int,
    blend_seconds: float = 0.3,
    vary: bool = False,
) -> list[Motion]:
    """Return takes whose true boundaries are :func:`true_boundaries`.

    Args:
        clips: to choose from; no clip comes again before all that fit have come.
        body: the embodiment they are for.
        count: number of takes.
        length: clips a take.
        seed: of the choice.
        blend_seconds: overlap of neighbours [s].
        vary: perform each clip at a speed of its own, half of them mirrored, and looping
            ones from a phase and for a time of their own, so that nothing recurs exactly.

    Raises:
        InputError: no clip's tags differ from those of the one before.
    """
    draw = random.Random(seed)
    takes = []
    for index in range(count):
        row: list[LabelledClip] = []
        for _ in range(length):
            row.append(_next(clips, row, draw))
        motions = [_varied(clip, body, draw) if vary else clip.motion for clip in row]
        takes.append(concatenate(motions, body, blend_seconds, name=f"take_{index:02d}"))
    return takes


def true_boundaries(take: Motion) -> list[float]:
    """Return the middles [s] of the blends of a take."""
    return list(take.provenance["seams_s"])


def evenly(take: Motion, count: int) -> list[float]:
    """Return ``count`` boundaries [s] at even distances, what one gets knowing only the number."""
    return [take.duration * (i + 1) / (count + 1) for i in range(count)]


def _next(clips: Sequence[LabelledClip], row: list[LabelledClip], draw: random.Random) -> LabelledClip:
    """Choose, among the clips whose tags differ from the last one's, one that was used least."""
    fits = [clip for clip in clips if not row or not clip.tags & row[-1].tags]
    if not fits:
        raise InputError(f"no clip has other tags than '{row[-1].motion.name}'; takes need clips that differ")
    used = [sum(clip is other for other in row) for clip in fits]
    return draw.choice([clip for clip, times in zip(fits, used, strict=True) if times == min(used)])


def _varied(clip: LabelledClip, body: Embodiment, draw: random.Random) -> Motion:
    motion = retimed(clip.motion, draw.uniform(*SPEEDS), body)
    if draw.random() < 0.5:
        motion = mirror(motion, body)
    if clip.loop and motion.duration > LEAST_LOOP:
        seconds = draw.uniform(LEAST_LOOP, motion.duration)
        start = draw.uniform(0.0, motion.duration - seconds)
        motion = cut(motion, start, start + seconds)
    return motion
