"""Evaluation of skill boundary detection: synthetic takes with known boundaries, and F1.

A take concatenates clips with different tags, aligned and blended so that no jump marks a
boundary; the true boundaries are the centres of the blends.
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
"""Range of time scales of a varied clip."""
LEAST_LOOP = 2.0
"""Shortest segment [s] cut from a varied looping clip."""


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """A motion and its tags."""

    motion: Motion
    tags: frozenset[str]
    loop: bool


@dataclass(frozen=True)
class BoundaryScore:
    """Counts of boundaries over one or more takes.

    Attributes:
        hits: detected boundaries matched one-to-one to a true one within the tolerance.
        found: detected boundaries.
        true: true boundaries.
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        """Add the counts of other takes."""
        return BoundaryScore(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Share of detected boundaries that are true; 1 if none was detected."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of true boundaries that were detected; 1 if there are none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 if both sets are empty."""
        total = self.found + self.true
        return 2 * self.hits / total if total else 1.0


def match(found: Sequence[float], true: Sequence[float], tolerance: float) -> BoundaryScore:
    """Count hits under the largest one-to-one matching of times [s] within ``tolerance`` [s].

    Greedy matching in time order is optimal, since the tolerance is constant.
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
    entries = [entry for entry in manifest.clips if entry.tags and not entry.exclude]
    if not entries:
        raise InputError(f"manifest '{manifest.name}' has no clip with tags; takes need clips that differ")
    loaded = load_motions(source, body, [f"clip:{entry.name}" for entry in entries])
    by_name = {motion.name: motion for motion in loaded.motions}
    return [
        LabelledClip(motion=by_name[entry.name], tags=frozenset(entry.tags), loop=bool(entry.loop))
        for entry in entries
    ]


def halves(clips: Sequence[LabelledClip]) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Split clips into two sets of similar composition: alternating in the order of tags and names."""
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
    """Return synthetic takes; :func:`true_boundaries` gives their boundaries.

    Args:
        clips: to sample from; a clip repeats only after all other candidates were used.
        body: the embodiment.
        count: number of takes.
        length: clips per take.
        seed: of the sampling.
        blend_seconds: overlap of consecutive clips [s].
        vary: randomise time scale, mirroring and, of looping clips, phase and duration, so that
            nothing recurs exactly.

    Raises:
        InputError: no clip has other tags than the previous one.
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
    """Return the centres [s] of the blends of a take."""
    return list(take.provenance["seams_s"])


def evenly(take: Motion, count: int) -> list[float]:
    """Return ``count`` evenly spaced boundaries [s]: the baseline that knows only their number."""
    return [take.duration * (i + 1) / (count + 1) for i in range(count)]


def _next(clips: Sequence[LabelledClip], row: list[LabelledClip], draw: random.Random) -> LabelledClip:
    """Sample one of the least used clips whose tags differ from the last clip's."""
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
