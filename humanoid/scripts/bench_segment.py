"""``humanoid bench segment``: how well boundaries between skills are found without labels.

The tagged clips of a manifest are divided into two halves of like composition. Of each half
takes are made: clips in random order whose tags differ from neighbour to neighbour, aligned
and blended so that no jump gives a boundary away. Scores are those of the second half; what
needs tuning is tuned on the first. Rows:

- ``detection``: :func:`humanoid.motion.segment.segment` on all takes together. Its
  models learn from these takes, without labels; its settings are fixed.
- ``detection, each take alone``: the same, learning from one take of half a minute only.
- ``speed threshold``: moments of least speed, below the threshold that is best on the first half.
- ``even spacing``: the true number of boundaries at even distances: what chance gives.

With ``vary`` no clip recurs exactly: each is mirrored or not and performed at a speed of its
own, looping ones from a phase of their own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from humanoid.bodies import smpl
from humanoid.eval.boundaries import (
    BoundaryScore,
    evenly,
    halves,
    labelled_clips,
    make_takes,
    match,
    true_boundaries,
)
from humanoid.motion.motion import Motion
from humanoid.motion.segment import SegmentCfg, segment, speed_boundaries
from humanoid.scripts.verbs import BenchSegmentCfg

_SPEEDS = tuple(0.05 * step for step in range(1, 41))
"""[m/s] Thresholds that the baseline is tried with."""


def main(cfg: BenchSegmentCfg, settings: SegmentCfg | None = None) -> dict[str, Any]:
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
    best = max(_SPEEDS, key=lambda speed: _score(tuning, _slow(tuning, speed, settings), cfg).f1)
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
