"""Plots of tracking errors and of motion quality as PNG bytes.

Drawn on matplotlib's Agg canvas directly: no window, no global state.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""Per clip ``time_s`` [s], ``global_mm`` and ``local_mm`` of every frame, of one length."""

BLUE, ORANGE, RED = "#3b6fb6", "#d9822b", "#b3261e"
"""Distinguishable with common colour blindness; hatches and dashes repeat the distinction."""
INK, FAINT = "#2b3240", "#d5d9e0"
GREEN, PURPLE = "#2e9e6b", "#7a4fa3"
_FOOT_COLORS = (BLUE, ORANGE, GREEN, PURPLE)
_POINTS = 1500
"""Points per line, about the pixels of a page."""


Foot = tuple[np.ndarray, np.ndarray]
"""Height (T,) [mm] of a foot's lowest point above the floor; contact label (T,) bool."""
Metric = tuple[np.ndarray, float | None]
"""One value per frame (T,); limit, drawn as a line, or None."""
_COLUMNS = 4
_TICKS = (0, 20, 100, 200, 400, 600)


def error_over_time(curves: Curves, failure_mm: float = 500.0) -> bytes:
    """Plot errors over time, one small panel per clip on a common square-root scale.

    The square root keeps small errors legible beside a failed clip.

    Args:
        curves: errors by clip.
        failure_mm: global error [mm] that ends a run; drawn in panels that come near it.
    """
    columns = max(1, min(_COLUMNS, len(curves)))
    rows = max(1, math.ceil(len(curves) / columns))
    figure = _blank(2.6 * columns + 0.4, 1.7 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    highest = max(_finite(error for curve in curves.values() for error in curve["global_mm"]), default=0.0)
    top = max(20.0, 1.08 * min(highest, 1.2 * failure_mm))
    for panel, (name, curve) in zip(panels, curves.items(), strict=False):
        _style(panel)
        panel.plot(curve["time_s"], curve["global_mm"], color=BLUE, lw=1.3, ls=(0, (4, 1.5)), label="global")
        panel.plot(curve["time_s"], curve["local_mm"], color=ORANGE, lw=1.5, label="root-relative")
        if max(_finite(curve["global_mm"]), default=0.0) > 0.8 * failure_mm:
            panel.axhline(failure_mm, color=RED, lw=1, ls=":")
        panel.set_title(_escaped(name), fontsize=9, color=INK, loc="left", pad=3)
        panel.set_yscale("function", functions=(lambda error: np.sqrt(np.maximum(error, 0.0)), np.square))
        panel.set_ylim(0, top)
        panel.set_yticks([tick for tick in _TICKS if tick <= top])
        panel.set_xlim(left=0)
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    if curves:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    figure.supylabel("error [mm], square-root scale", fontsize=9, color=INK)
    figure.supxlabel("time [s]", fontsize=9, color=INK)
    return _png(figure)


def clip_bars(values: Mapping[str, float | None], success: Mapping[str, float], label: str) -> bytes:
    """Plot one number per clip as bars, best first.

    Args:
        values: by clip; None if missing.
        success: rate in 0-1 by clip; bars of clips below 1 are hatched.
        label: quantity and unit.
    """
    names = sorted(values, key=lambda name: (_finite([values[name]]) or [math.inf])[0], reverse=True)
    figure = _blank(7.0, 0.26 * len(names) + 0.9)
    axes = figure.subplots()
    _style(axes)
    for row, name in enumerate(names):
        value, rate = values[name], success.get(name, 1.0)
        if value is None or not math.isfinite(value):
            axes.text(0.0, row, " none", va="center", fontsize=8, color=INK)
            continue
        good = rate >= 1.0
        axes.barh(row, value, height=0.7, color=BLUE if good else ORANGE, hatch="" if good else "///",
                  edgecolor="white", linewidth=0)  # fmt: skip
        text = f" {value:.0f}" if good else f" {value:.0f} · {100 * rate:.0f} % of runs succeed"
        axes.text(value, row, text, va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), [_escaped(name) for name in names])
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.set_xlim(0, 1.25 * max(_finite(values.values()), default=1.0))
    axes.set_xlabel(label, fontsize=9, color=INK)
    axes.grid(axis="y", visible=False)
    return _png(figure)


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
    figure = _blank(9.0, 2.4 + 1.15 * len(metrics))
    ratios = [2.0] + [1.0] * len(metrics)
    panels = figure.subplots(len(metrics) + 1, 1, sharex=True, squeeze=False, height_ratios=ratios).ravel()
    panels[0].set_title(_escaped(title), fontsize=10, color=INK, loc="left", pad=4)
    _feet(panels[0], fps, feet)
    for panel, (label, (values, limit)) in zip(panels[1:], metrics.items(), strict=True):
        _metric(panel, fps, label, values, limit)
    panels[-1].set_xlabel("time [s]", fontsize=9, color=INK)
    panels[-1].set_xlim(left=0)
    return _png(figure)


def _feet(panel: Axes, fps: float, feet: Mapping[str, Foot]) -> None:
    _style(panel)
    highest = max((float(height.max()) for height, _ in feet.values()), default=100.0)
    top = min(max(highest, 50.0), 300.0)
    for index, (name, (heights, contact)) in enumerate(feet.items()):
        color = _FOOT_COLORS[index % len(_FOOT_COLORS)]
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
    _style(panel)
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
    size = max(1, math.ceil(len(values) / _POINTS))
    starts = np.arange(0, len(values), size)
    return starts / fps, np.maximum.reduceat(values, starts)


def _spans(on: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Return start and duration [s] of each interval."""
    edge = np.diff(np.concatenate(([0], on.astype(np.int8), [0])))
    starts, stops = np.flatnonzero(edge > 0), np.flatnonzero(edge < 0)
    return [(start / fps, (stop - start) / fps) for start, stop in zip(starts, stops, strict=True)]


def data_uri(png: bytes) -> str:
    """Return a PNG as a ``data:`` URL, for self-contained pages."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _blank(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(color=FAINT, lw=0.6)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _escaped(name: str) -> str:
    """Escape a name for matplotlib's mathtext."""
    return name.replace("$", r"\$")


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
