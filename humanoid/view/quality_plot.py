"""Motion quality over time: foot heights with contact bands, and one panel per metric."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from humanoid.view.plots import BLUE, FAINT, INK, ORANGE, RED, blank, escaped, png, style

GREEN, PURPLE = "#2e9e6b", "#7a4fa3"
_COLORS = (BLUE, ORANGE, GREEN, PURPLE)
_COLUMNS = 1500
"""Points per line, about the pixels of a page."""


Foot = tuple[np.ndarray, np.ndarray]
"""Height (T,) [mm] of a foot's lowest point above the floor; contact label (T,) bool."""
Metric = tuple[np.ndarray, float | None]
"""One value per frame (T,); limit, drawn as a line, or None."""


def quality_over_time(
    title: str, fps: float, feet: Mapping[str, Foot], metrics: Mapping[str, Metric]
) -> bytes:
    """Return a PNG of foot heights and metrics of one motion, one panel per metric.

    Args:
        title: name of the motion.
        fps: frames per second.
        feet: by name; bars below the zero line mark contact labels.
        metrics: by name and unit.
    """
    figure = blank(9.0, 2.4 + 1.15 * len(metrics))
    ratios = [2.0] + [1.0] * len(metrics)
    panels = figure.subplots(len(metrics) + 1, 1, sharex=True, squeeze=False, height_ratios=ratios).ravel()
    panels[0].set_title(escaped(title), fontsize=10, color=INK, loc="left", pad=4)
    _feet(panels[0], fps, feet)
    for panel, (label, (values, limit)) in zip(panels[1:], metrics.items(), strict=True):
        _metric(panel, fps, label, values, limit)
    panels[-1].set_xlabel("time [s]", fontsize=9, color=INK)
    panels[-1].set_xlim(left=0)
    return png(figure)


def _feet(panel: Axes, fps: float, feet: Mapping[str, Foot]) -> None:
    style(panel)
    highest = max((float(height.max()) for height, _ in feet.values()), default=100.0)
    top = min(max(highest, 50.0), 300.0)
    for index, (name, (heights, contact)) in enumerate(feet.items()):
        color = _COLORS[index % len(_COLORS)]
        time, height = _thinned(heights, fps)
        panel.plot(time, height, color=color, lw=1.1, label=name)
        base, width = -0.06 * top * (index + 1.6), 0.05 * top
        panel.broken_barh(_spans(contact, fps), (base, width), facecolors=color, lw=0)
    panel.axhline(0.0, color=INK, lw=0.8)
    panel.set_ylim(-0.06 * top * (len(feet) + 1.4), 1.05 * top)
    panel.set_ylabel("height [mm]\ncontact below", fontsize=8, color=INK)
    if feet:
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=8)


def _metric(panel: Axes, fps: float, label: str, values: np.ndarray, limit: float | None) -> None:
    style(panel)
    time, shown = _thinned(values, fps)
    panel.plot(time, shown, color=BLUE, lw=1.0)
    if limit is not None:
        over = bool((values > limit).any())
        panel.axhline(limit, color=RED if over else FAINT, lw=1.0, ls=":")
        if over:
            panel.fill_between(time, limit, np.maximum(shown, limit), color=RED, alpha=0.35, lw=0)
    panel.set_ylim(0, 1.1 * max(float(np.nanmax(values, initial=0.0)), limit or 0.0, 1e-9))
    panel.set_ylabel(label, fontsize=8, color=INK)


def _thinned(values: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times [s] and values, decimated to the maximum of each group of frames."""
    size = max(1, math.ceil(len(values) / _COLUMNS))
    starts = np.arange(0, len(values), size)
    return starts / fps, np.maximum.reduceat(values, starts)


def _spans(on: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Return start and duration [s] of each interval."""
    edge = np.diff(np.concatenate(([0], on.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edge > 0), np.flatnonzero(edge < 0)
    return [(start / fps, (stop - start) / fps) for start, stop in zip(starts, stops, strict=True)]
