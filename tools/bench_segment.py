"""Benchmark of skill boundary detection: precision and recall on synthetic takes.

    python tools/bench_segment.py [--source humanoid3d] [--vary] [--json]

A take concatenates clips with different tags, aligned and blended so that no jump marks a boundary; the true
boundaries are the centres of the blends. The tagged clips of a manifest are split into two halves of similar
composition; the baseline is tuned on takes of the first, scores are those of the second. Rows:

- ``detection``: :func:`humanoid.motion.segment.segment` on all takes together, without labels.
- ``detection, each take alone``: the same on one take of half a minute at a time.
- ``speed threshold``: minima of the speed below the best threshold of the first half.
- ``even spacing``: the true number of boundaries at even distances, the level of chance.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from humanoid.bodies import smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.constraints import AtLeast, Checked, Count, NonNegative
from humanoid.core.errors import HumanoidError, InputError
from humanoid.datasets.manifest import load_manifest
from humanoid.datasets.sources import load_motions
from humanoid.motion.edit import concatenate, cut, mirror, retimed
from humanoid.motion.motion import Motion
from humanoid.motion.segment import SegmentCfg, segment, speed_boundaries

SPEEDS = (0.9, 1.1)
"""Range of time scales of a varied clip."""
LEAST_LOOP = 2.0
"""Shortest segment [s] cut from a varied looping clip."""
THRESHOLDS = tuple(0.05 * step for step in range(1, 41))
"""[m/s] Candidate thresholds of the speed baseline."""


@dataclass(frozen=True, kw_only=True)
class BenchSegmentCfg(Checked):
    """Measure how well boundaries between skills are found without labels."""

    source: str = "humanoid3d"
    """Manifest whose clips carry tags."""
    takes: Count = 10
    """Takes of each half."""
    length: Annotated[int, AtLeast(2)] = 8
    """Clips a take."""
    blend: NonNegative = 0.3
    """Overlap of neighbours [s]."""
    tolerance: NonNegative = 0.25
    """Largest distance of a boundary that counts as found [s]."""
    vary: bool = False
    """Mirror, retime and cut clips at random."""
    alone: bool = True
    """Also detect on each take alone."""
    seed: int = 0
    """Seed of the takes."""
    json: bool = False
    """Print one JSON object instead of a table."""


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


def measure(cfg: BenchSegmentCfg, settings: SegmentCfg | None = None) -> dict[str, Any]:
    """Return ``{"minutes", "boundaries", "rows": [{"method", "f1", "precision", "recall", "seconds"}]}``.

    Raises:
        InputError: the manifest or its clips are missing, or no two clips differ in tags.
    """
    body, settings = smpl.build(), settings or SegmentCfg()
    tuning, testing = (
        make_takes(
            half, body, count=cfg.takes, length=cfg.length, seed=2 * cfg.seed + index,
            blend_seconds=cfg.blend, vary=cfg.vary,
        )
        for index, half in enumerate(halves(labelled_clips(cfg.source, body)))
    )  # fmt: skip
    rows = [_detection("detection", [testing], cfg, settings)]
    if cfg.alone:
        rows.append(_detection("detection, each take alone", [[take] for take in testing], cfg, settings))
    best = max(THRESHOLDS, key=lambda speed: _score(tuning, _slow(tuning, speed, settings), cfg).f1)
    started = time.perf_counter()
    score = _score(testing, _slow(testing, best, settings), cfg)
    rows.append(_row(f"speed threshold ({best:.2f} m/s)", score, time.perf_counter() - started))
    even = [evenly(take, len(true_boundaries(take))) for take in testing]
    rows.append(_row("even spacing", _score(testing, even, cfg), 0.0))
    return {
        "minutes": round(sum(take.duration for take in testing) / 60, 2),
        "boundaries": sum(len(true_boundaries(take)) for take in testing),
        "tolerance_s": cfg.tolerance,
        "blend_s": cfg.blend,
        "vary": cfg.vary,
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    """Return the rows as aligned text."""
    lines = [
        f"{r['method']:28s}  {r['f1']:5.3f}  {r['precision']:9.3f}  {r['recall']:6.3f}  {r['seconds']:7.1f}"
        for r in result["rows"]
    ]
    return "\n".join((
        f"{'method':28s}  {'F1':5s}  precision  recall  seconds",
        *lines,
        f"{result['boundaries']} boundaries in {result['minutes']:g} min, within "
        f"{result['tolerance_s']:g} s, blends of {result['blend_s']:g} s"
        + (", clips varied" if result["vary"] else ""),
    ))  # fmt: skip


def _detection(
    method: str, groups: Sequence[list[Motion]], cfg: BenchSegmentCfg, settings: SegmentCfg
) -> dict[str, Any]:
    """Return the row of the detection, learning from each group of takes by itself."""
    print(f"measuring {method}", file=sys.stderr)
    started = time.perf_counter()
    score = BoundaryScore()
    for group in groups:
        found = [list(result.boundaries) for result in segment(group, settings)]
        score = score + _score(group, found, cfg)
    return _row(method, score, time.perf_counter() - started)


def _slow(takes: Sequence[Motion], speed: float, settings: SegmentCfg) -> list[list[float]]:
    return [speed_boundaries(take, speed, settings.min_seconds) for take in takes]


def _score(takes: Sequence[Motion], found: Sequence[Sequence[float]], cfg: BenchSegmentCfg) -> BoundaryScore:
    pairs = zip(takes, found, strict=True)
    return sum(
        (match(times, true_boundaries(take), cfg.tolerance) for take, times in pairs), start=BoundaryScore()
    )


def _row(method: str, score: BoundaryScore, seconds: float) -> dict[str, Any]:
    return {
        "method": method,
        "f1": round(score.f1, 4),
        "precision": round(score.precision, 4),
        "recall": round(score.recall, 4),
        "seconds": round(seconds, 2),
    }


def main(cfg: BenchSegmentCfg) -> int:
    """Measure and print; return the exit code."""
    try:
        result = measure(cfg)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if cfg.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(BenchSegmentCfg)))
