"""``humanoid motions check``: quality of motions against thresholds (:mod:`humanoid.retarget.quality`).

Captures are retargeted first. Violations are marked in the table and listed with the worst frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError, InputError
from humanoid.core.runs import atomic_write_bytes
from humanoid.datasets.sources import perform, resolve
from humanoid.motion.motion import Motion
from humanoid.retarget.quality import Quality, broken, measure
from humanoid.retarget.thresholds import QualityCfg
from humanoid.retarget.trace import Trace, trace
from humanoid.scripts.verbs import CheckCfg
from humanoid.view.progress import Bar

COLUMNS = {
    "skate_mm": ("skate mm", ".2f"),
    "penetration_mm": ("penetr. mm", ".1f"),
    "float_mm": ("float mm", ".1f"),
    "limit_rad": ("limit rad", ".3f"),
    "joint_speed": ("speed rad/s", ".1f"),
    "jerk": ("jerk m/s3", ".0f"),
    "jumps": ("jumps", "d"),
    "frozen": ("frozen", "d"),
    "flight_mm": ("flight mm", ".0f"),
    "hover_s": ("hover s", ".2f"),
    "effort": ("effort", ".2f"),
    "error_mm": ("error mm", ".1f"),
}
"""Measure -> its heading and format in the table."""


def main(cfg: CheckCfg, body: Embodiment | None = None) -> dict[str, Any]:
    """Check motions.

    Args:
        cfg: what to check.
        body: whose motions they are, or who performs captures; that of ``cfg.embodiment`` if None.

    Returns:
        ``clips``: measures of each motion, with ``file`` and the list ``broken``; ``failed``:
        file and error of each of several files that could not be read; ``ok``: whether
        nothing is broken or failed. Exit code 1 where it is false.

    Raises:
        InputError: a source that does not exist or is malformed; one PNG file for many motions.
    """
    if not cfg.sources:
        raise InputError("check needs at least one motion, capture file, folder or manifest")
    body = catalogue.embodiment(cfg.embodiment) if body is None else body
    clips: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for file, motion in _motions(cfg, body, failed):
        of = trace(motion, body)
        quality = measure(motion, body, of)
        lines = broken(quality, cfg)
        row = {"file": file, **quality.to_dict(), "broken": lines}
        if cfg.plot:
            whole = cfg.plot.lower().endswith(".png")
            path = Path(cfg.plot) if whole else Path(cfg.plot) / f"{motion.name}.png"
            atomic_write_bytes(path, plot(motion, of, quality, cfg))
            row["plot"] = str(path)
        clips.append(row)
    return {"clips": clips, "failed": failed, "ok": not failed and not any(row["broken"] for row in clips)}


def plot(motion: Motion, of: Trace, quality: Quality, cfg: QualityCfg) -> bytes:
    """Return the measures of a motion over time as a PNG picture."""
    from humanoid.view import quality_over_time  # matplotlib takes long to import

    height, contact = 1e3 * of.height.numpy(), of.contact.numpy()
    feet = {name: (height[:, i], contact[:, i]) for i, name in enumerate(of.feet)}
    limits = cfg.limits(quality.embodiment)
    metrics = {
        "skate\n[mm]": (1e3 * _largest(of.slide * of.skates), limits["skate_mm"]),
        "depth\n[mm]": (1e3 * _largest(-of.clearance), limits["penetration_mm"]),
        "joints\n[rad/s]": (_largest(of.speed), limits["joint_speed"]),
        "jerk\n[m/s³]": (_largest(of.jerk), limits["jerk"]),
    }
    if quality.limit_count:
        metrics["over limit\n[rad]"] = _largest(of.excess), limits["limit_rad"]
    if quality.jumps:
        metrics["jumps"] = _largest(of.jumped), 1.0
    return quality_over_time(motion.name, motion.fps, feet, metrics)


def figures(quality: Quality, cfg: QualityCfg) -> list[tuple[str, str, bool]]:
    """Return heading, value as text and whether it is within its threshold, for each measure."""
    limits, rows = cfg.limits(quality.embodiment), []
    for key, (heading, _) in COLUMNS.items():
        value = getattr(quality, key)
        rows.append((heading, _cell(key, value), value is None or value <= limits[key]))
    return rows


def table(result: dict[str, Any]) -> str:
    """Return the result as text: a line a motion, ``*`` at what is broken, then the details."""
    lines = [["clip", "frames", *(heading for heading, _ in COLUMNS.values())]]
    for row in result["clips"]:
        over = {line.split(" ")[0] for line in row["broken"]}
        values = [_cell(key, row[key]) + ("*" if key in over else " ") for key in COLUMNS]
        lines.append([row["clip"], str(row["frames"]), *values])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))])
        for name, *cells in lines
    ]
    details = [f"  {row['clip']}: {line}" for row in result["clips"] for line in row["broken"]]
    missing = [f"  {row['file']}: {row['error']}" for row in result["failed"]]
    for heading, rows in (("broken (*):", details), ("not read:", missing)):
        text += ["", heading, *rows] if rows else []
    good = sum(not row["broken"] for row in result["clips"])
    return "\n".join([*text, "", f"{good} of {len(result['clips'])} motions within all thresholds"])


def _motions(cfg: CheckCfg, body: Embodiment, failed: list[dict[str, str]]) -> Iterator[tuple[str, Motion]]:
    """Yield file and motion; what cannot be read is noted, and an error if it is all there is."""
    items, missing = resolve(cfg.sources, cfg.clips)
    failed += missing
    if cfg.plot.lower().endswith(".png") and len(items) > 1:
        raise InputError(f"--plot {cfg.plot}: one picture for {len(items)} motions; give a folder")
    bar = Bar("motion")
    for index, item in enumerate(items):
        try:
            motion, _ = perform(item, body)
        except HumanoidError as error:
            if len(items) == 1 and not missing:
                raise
            failed.append({"file": str(item.file), "error": str(error)})
        else:
            yield str(item.file), motion
        bar(index + 1, len(items))


def _largest(values: Any) -> np.ndarray:  # noqa: ANN401 - a tensor of any width
    """Return the maximum (T,) of ``values (T, M)`` over its columns, not below 0."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    return values.amax(-1).clamp_min(0).numpy()


def _cell(key: str, value: float | None) -> str:
    return "-" if value is None else format(value, COLUMNS[key][1])
