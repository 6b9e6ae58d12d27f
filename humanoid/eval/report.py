"""Reports of an evaluation: a table, a page that stands alone, a JSON file.

Everything here takes the object that ``humanoid eval track --json`` prints.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from humanoid.core.errors import InputError, nearest
from humanoid.core.runs import atomic_write_text
from humanoid.view.plots import Curves, clip_bars, data_uri, error_over_time

Metrics = Mapping[str, Any]
"""``sim``, ``checkpoint``, ``starts``, ``seed``, the keys of :data:`COLUMNS`, and ``clips``."""

COLUMNS = {
    "success": ("success", "%"),
    "success_strict": ("strict", "%"),
    "survived": ("survived", "%"),
    "mpjpe_g_mm": ("global", "mm"),
    "mpjpe_l_mm": ("local", "mm"),
    "mpjpe_l_success_mm": ("successes", "mm"),
    "vel_mm": ("vel", "mm/f"),
    "acc_mm": ("acc", "mm/f²"),
}
"""Heading and unit of every number of a clip."""
LEGEND = (
    "success: share of runs in which the mean distance of all bodies from the reference never exceeds 0.5 m "
    "(strict: 0.25 m). survived: mean share of a clip before that happens. global: mean distance up to "
    "failure. local: the same with both roots at the origin, over all runs and over successes. vel, acc: "
    "mean difference of velocities and accelerations per frame at 30 frames a second."
)
NONE = "-"
"""Shown where there is no number."""
_PROVENANCE = ("sim", "checkpoint", "starts", "seed")


def table(metrics: Metrics) -> str:
    """Return the metrics as an aligned Markdown table: a row a clip, one for all, one a tag or split.

    Those of several simulators are tables one after the other. A tag's or split's row says how
    many clips it has; of one split there is no row, it is all.

    Raises:
        InputError: a key is missing.
    """
    if "sims" in metrics:
        return in_turn(metrics, table)
    _check(metrics)
    head = ["clip", "s", *(f"{name} {unit}" for name, unit in COLUMNS.values())]
    rows = [[_cell(name), *_numbers(clip)] for name, clip in metrics["clips"].items()]
    rows.append(["all", *_numbers(metrics)])
    groups = {"tag": metrics.get("tags", {}), "split": metrics.get("splits", {})}
    for kind, found in groups.items():
        if len(found) > 1:
            rows += [[_cell(f"{kind} {label} ({of['clips']})"), *_numbers(of)] for label, of in found.items()]
    return grid(head, rows)


def grid(head: list[str], rows: list[list[str]]) -> str:
    """Return an aligned Markdown table, the first column left and the others right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (head, rule, *rows))


def in_turn(metrics: Metrics, one: Callable[[Metrics], str]) -> str:
    """Return the results of several simulators, each under its name."""
    return "\n\n".join(f"{sim}\n\n{one(found)}" for sim, found in metrics["sims"].items())


def percent(share: float | None) -> str:
    """Return a share in percent, a dash for none."""
    return _number(share, "%")


def rounded(value: float | None, digits: int) -> str:
    """Return a number with so many digits after the point, a dash for none."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def page(metrics: Metrics, curves: Curves | None = None, video: str | None = None) -> str:
    """Return a page of HTML that needs no other file but the video.

    Args:
        metrics: of the evaluation.
        curves: errors of every frame by clip, or None for a page without them.
        video: file name of a film in the same folder, or None.

    Raises:
        InputError: a key is missing.
    """
    _check(metrics)
    clips = metrics["clips"]
    values = {name: clip["mpjpe_l_mm"] for name, clip in clips.items()}
    success = {name: clip["success"] for name, clip in clips.items()}
    parts = [f"<h1>Motion tracking in {_escape(metrics['sim'])}</h1>", _tiles(metrics)]
    if video is not None:
        parts.append(f'<video src="{_escape(video)}" controls loop muted playsinline></video>')
    parts.append(f"<h2>Every clip</h2>{_html_table(metrics)}<p class=note>{_escape(LEGEND)}</p>")
    if clips:
        bars = clip_bars(values, success, "root-relative error [mm]")
        parts.append(_plot("Root-relative error", bars, "Root-relative error of every clip, best at the top"))
    if curves:
        parts.append(_plot("Error over time", error_over_time(curves), "Errors over time, a panel a clip"))
    if "guided" in metrics:
        parts.append(_guided_demo(metrics["guided"]))
    facts = "".join(f"<dt>{key}</dt><dd>{_escape(metrics[key])}</dd>" for key in _PROVENANCE)
    parts.append(f"<h2>Provenance</h2><dl>{facts}</dl>")
    return _PAGE.replace("@STYLE@", _STYLE).replace("@BODY@", "\n".join(parts))


def write_report(
    folder: str | Path, metrics: Metrics, curves: Curves | None = None, video: str | None = None
) -> Path:
    """Write ``metrics.json`` and ``report.html``, each in one piece; return the page's path.

    Args:
        folder: made where needed.
        metrics: of the evaluation.
        curves: errors of every frame by clip.
        video: file name of a film in ``folder``.

    Raises:
        InputError: a key is missing, or the folder cannot be written.
    """
    content = page(metrics, curves, video)
    path = Path(folder) / "report.html"
    write_json(Path(folder) / "metrics.json", metrics)
    atomic_write_text(path, content)
    return path


def write_json(path: str | Path, metrics: Metrics) -> None:
    """Write metrics as JSON in one piece; a number that is not finite becomes null."""
    text = json.dumps(_strict(metrics), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write_text(path, text + "\n")


def _check(metrics: Metrics) -> None:
    for key in (*_PROVENANCE, *COLUMNS, "clips"):
        if key not in metrics:
            raise InputError(f"metrics have no '{key}'{nearest(key, metrics)}")
    for name, clip in metrics["clips"].items():
        for key in (*COLUMNS, "seconds"):
            if key not in clip:
                raise InputError(f"metrics of clip '{name}' have no '{key}'{nearest(key, clip)}")


def _numbers(row: Metrics) -> list[str]:
    """Format the seconds (none for the totals) and every column of a row."""
    values = (_number(row[key], unit) for key, (_, unit) in COLUMNS.items())
    return [_number(row.get("seconds"), "s"), *values]


def _number(value: float | None, unit: str) -> str:
    if value is None or not math.isfinite(value):
        return NONE
    if unit == "%":
        return f"{100 * value:.0f}"
    return f"{value:.1f}"


def _cell(text: str) -> str:
    """Keep a name from breaking a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")


def _line(cells: list[str], widths: list[int]) -> str:
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "| " + " | ".join((cells[0].ljust(widths[0]), *rest)) + " |"


def _escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def _tiles(metrics: Metrics) -> str:
    shown = {
        "runs that succeed": ("success", "%"),
        "within 0.25 m": ("success_strict", "%"),
        "root-relative error": ("mpjpe_l_mm", "mm"),
        "the same, runs that succeed": ("mpjpe_l_success_mm", "mm"),
    }
    tiles = (
        f"<div><b>{_number(metrics[key], unit)}<small> {unit}</small></b>{label}</div>"
        for label, (key, unit) in shown.items()
    )
    runs = len(metrics["clips"]) * int(metrics["starts"])
    each = f"{_escape(metrics['starts'])} start{'' if metrics['starts'] == 1 else 's'} each"
    line = f"{len(metrics['clips'])} clips, {each}, {runs} runs."
    return f"<p class=note>{line}</p><div class=tiles>{''.join(tiles)}</div>"


def _html_table(metrics: Metrics) -> str:
    heads = "".join(f"<th>{name}<small>{unit}</small></th>" for name, unit in COLUMNS.values())
    rows = [f"<thead><tr><th>clip</th><th>length<small>s</small></th>{heads}</tr></thead><tbody>"]
    for name, clip in metrics["clips"].items():
        mark = "" if clip["success"] >= 1.0 else " class=failed"
        cells = "".join(f"<td>{text}</td>" for text in _numbers(clip))
        rows.append(f"<tr{mark}><th scope=row>{_escape(name)}</th>{cells}</tr>")
    cells = "".join(f"<td>{text}</td>" for text in _numbers(metrics))
    rows.append(f"</tbody><tfoot><tr><th scope=row>all</th>{cells}</tr></tfoot>")
    return f"<div class=scroll><table>{''.join(rows)}</table></div>"


def _guided_demo(figures: Metrics) -> str:
    """Return the section of what was planned instead of tracked."""
    shown = {
        "falls": "falls",
        "clearance_m": "least gap to a pillar [m]; negative within",
        "waypoint_m": "distance to the waypoint at its end [m]",
        "keyframe_error_m": "mean distance from keyframes 1 s apart [m]",
        "plan_ms_median": "median time of a plan [ms]",
        "seconds": "length [s]",
        "try": "which try is shown",
        "tries": "tries",
    }
    facts = "".join(
        f"<dt>{text}</dt><dd>{_escape(NONE if figures[key] is None else figures[key])}</dd>"
        for key, text in shown.items()
    )
    said = (
        "Without a reference, in MuJoCo: the shipped planner and skills follow a stick past pillars, walk to "
        "a waypoint and pass through keyframes of a clip. Pillars are not in the simulation; contact is "
        "decided on the body's shapes. The body starts in the middle of a step. Of several tries the best is "
        "shown."
    )
    return f"<h2>Guided demo</h2><dl>{facts}</dl><p class=note>{_escape(said)}</p>"


def _plot(title: str, png: bytes, description: str) -> str:
    return f'<h2>{title}</h2><img class=plot src="{data_uri(png)}" alt="{description}">'


def _strict(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value with null for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_STYLE = """
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#1d2430;--soft:#5a6475;--line:#dfe3ea;
  --bad:#a8481a}
@media(prefers-color-scheme:dark){:root{--ground:#14171d;--card:#1d222b;--ink:#e6e9ef;--soft:#9aa5b6;
  --line:#323a47;--bad:#f2a56b}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:2rem 1.2rem 4rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.4rem 0 .7rem}
.note{color:var(--soft);font-size:.88rem;margin:.4rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.8rem;margin:1.1rem 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.7rem 1rem;
  color:var(--soft);font-size:.85rem}
.tiles b{display:block;color:var(--ink);font-size:1.7rem;line-height:1.2}
small{font-weight:400;font-size:.62em;color:var(--soft)}
video,.plot{display:block;width:100%;border:1px solid var(--line);border-radius:10px;background:#fff}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.36rem .8rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child{text-align:left}tbody th{font-weight:500}thead small{display:block;font-size:.8em}
tfoot th,tfoot td{font-weight:700;border-bottom:0}.failed th,.failed td{color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:0;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){.plot{filter:invert(.88) hue-rotate(180deg);border-color:#fff}}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Motion tracking</title><style>@STYLE@</style></head><body><main>
@BODY@
</main></body></html>
"""
