"""Plots of tracking errors as PNG bytes, for HTML reports.

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
    figure = blank(2.6 * columns + 0.4, 1.7 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    highest = max(_finite(error for curve in curves.values() for error in curve["global_mm"]), default=0.0)
    top = max(20.0, 1.08 * min(highest, 1.2 * failure_mm))
    for panel, (name, curve) in zip(panels, curves.items(), strict=False):
        style(panel)
        panel.plot(curve["time_s"], curve["global_mm"], color=BLUE, lw=1.3, ls=(0, (4, 1.5)), label="global")
        panel.plot(curve["time_s"], curve["local_mm"], color=ORANGE, lw=1.5, label="root-relative")
        if max(_finite(curve["global_mm"]), default=0.0) > 0.8 * failure_mm:
            panel.axhline(failure_mm, color=RED, lw=1, ls=":")
        panel.set_title(escaped(name), fontsize=9, color=INK, loc="left", pad=3)
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
    return png(figure)


def clip_bars(values: Mapping[str, float | None], success: Mapping[str, float], label: str) -> bytes:
    """Plot one number per clip as bars, best first.

    Args:
        values: by clip; None if missing.
        success: rate in 0-1 by clip; bars of clips below 1 are hatched.
        label: quantity and unit.
    """
    names = sorted(values, key=lambda name: (_finite([values[name]]) or [math.inf])[0], reverse=True)
    figure = blank(7.0, 0.26 * len(names) + 0.9)
    axes = figure.subplots()
    style(axes)
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
    axes.set_yticks(range(len(names)), [escaped(name) for name in names])
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.set_xlim(0, 1.25 * max(_finite(values.values()), default=1.0))
    axes.set_xlabel(label, fontsize=9, color=INK)
    axes.grid(axis="y", visible=False)
    return png(figure)


def data_uri(png: bytes) -> str:
    """Return a PNG as a ``data:`` URL, for self-contained pages."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of a size [inch]."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style(axes: Axes) -> None:
    """Apply the style of this module to a panel."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(color=FAINT, lw=0.6)
    axes.set_axisbelow(True)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def escaped(name: str) -> str:
    """Escape a name for matplotlib's mathtext."""
    return name.replace("$", r"\$")


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]
