"""``humanoid motions convert``: any capture files onto a body, as npz motions.

Files, folders and manifests are gathered into a list, files are grouped so that a group's
frames are solved in one batch, and worker processes take group after group. A file that
fails is named in the summary and stops no other; a file whose motion is already there,
newer and made with the same settings, is skipped.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg
from humanoid.core.runs import open_run
from humanoid.datasets.convert import MEASURES, ConversionCfg, Converted, convert, failure, is_done
from humanoid.datasets.sources import SourceFile, body_of, resolve
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.scripts.verbs import ConvertCfg
from humanoid.view import Bar

GROUP_FILES = 64
"""Most files of a group."""
GROUP_BYTES = 1 << 24
"""[bytes] Most of a group, unless one file is more: about 10,000 frames."""


def main(cfg: ConvertCfg, retarget: RetargetCfg | None = None, group_bytes: int = 1 << 18) -> dict[str, Any]:
    """Convert capture files.

    Args:
        cfg: sources and settings.
        retarget: further settings; rate and map are those of ``cfg``.
        group_bytes: least size of the files that are solved in one batch.

    Returns:
        ``converted``: file, clip, frames, fps, error_mm, skate_mm and penetration_mm of each
        motion written; ``skipped``: file and clip of each that was there; ``failed``: file and
        error; ``frames_per_s``.

    Raises:
        InputError: nothing to convert, unknown body, or a folder that cannot be written.
    """
    if not cfg.sources:
        raise InputError("convert needs at least one capture file, folder or manifest")
    if not cfg.out:
        raise InputError("convert needs a folder: --out DIR")
    if Path(cfg.out).exists() and not Path(cfg.out).is_dir():
        raise InputError(f"{cfg.out}: is a file, --out needs a folder; choose another name")
    if cfg.map and not Path(cfg.map).is_file():
        raise InputError(f"{cfg.map}: no such skeleton map")
    items, failed = resolve(cfg.sources, cfg.clips, cfg.split, cfg.out)
    load = LoadCfg(**{option.name: getattr(cfg, option.name) for option in fields(LoadCfg)})
    task = ConversionCfg(
        out=cfg.out,
        embodiment=cfg.embodiment,
        load=replace(load, made_for=cfg.made_for or "auto"),
        retarget=replace(retarget or RetargetCfg(), fps=cfg.rate, skeleton_map=cfg.map),
    )
    body = body_of(cfg.embodiment)
    if cfg.made_for not in ("", "auto"):
        body_of(cfg.made_for)  # an unknown one is a mistake of the command, not of a thousand files
    done = {item.name for item in items if not cfg.force and is_done(item, body, task)}
    left = [item for item in items if item.name not in done]
    start, fresh = time.monotonic(), not Path(cfg.out).exists()
    results = list(_convert(left, task, cfg.workers, group_bytes))
    seconds = time.monotonic() - start
    if fresh:
        with suppress(OSError):  # nothing became a motion: leave no empty folder
            Path(cfg.out).rmdir()
    order = {item.name: index for index, item in enumerate(items)}
    rows = sorted(results, key=lambda result: order[result.name])
    converted = [result.row for result in rows if not result.failed]
    frames = sum(row["frames"] for row in converted)
    return {
        "converted": converted,
        "skipped": [{"file": str(item.file), "clip": item.name} for item in items if item.name in done],
        "failed": [*failed, *(result.row for result in rows if result.failed)],
        "frames_per_s": round(frames / max(seconds, 1e-9), 1),
    }


def table(result: dict[str, Any]) -> str:
    """Return the summary as text."""
    heads = ("clip", "frames", "fps", *(name.replace("_", " ") for name in MEASURES), "file")
    lines: list[tuple[str, ...]] = [heads]
    for row in result["converted"]:
        measured = ("-" if row[key] is None else f"{row[key]:.1f}" for key in MEASURES)
        lines.append((row["clip"], str(row["frames"]), f"{row['fps']:g}", *measured, row["file"]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
        if len(lines) > 1
    ]
    if result["failed"]:
        text += ["", "failed:", *(f"  {row['file']}: {row['error']}" for row in result["failed"])]
    count = f"{len(result['converted'])} converted, {len(result['skipped'])} were there"
    speed = f", {result['frames_per_s']:g} frames/s" if result["converted"] else ""
    return "\n".join([*text, "", f"{count}, {len(result['failed'])} failed{speed}"]).lstrip("\n")


def _convert(
    items: Sequence[SourceFile], task: ConversionCfg, workers: int, group_bytes: int
) -> Iterator[Converted]:
    if not items:
        return
    open_run(task.out)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    groups = grouped(items, workers or cores, group_bytes)
    workers = min(workers or cores, len(groups))
    bar, done = Bar("file"), 0
    parts = (convert(group, task) for group in groups) if workers == 1 else _parallel(groups, task, workers)
    for results in parts:
        done += len(results)
        bar(done, len(items))
        yield from results


def _start_worker() -> None:
    """Leave Ctrl-C to the parent process; one thread a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _parallel(groups: list[list[SourceFile]], task: ConversionCfg, workers: int) -> Iterator[list[Converted]]:
    """Convert groups in new processes: nothing is inherited that a fork could break."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    waiting: dict[Future[list[Converted]], list[SourceFile]] = {}
    try:
        waiting = {pool.submit(convert, group, task): group for group in groups}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                group = waiting.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    death = InputError("a worker process died, out of memory perhaps; try --workers 1")
                    yield [failure(item, death) for item in group]
        pool.shutdown()
    except BaseException:  # Ctrl-C above all
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        open_run(task.out)  # removes what they were writing under temporary names
        raise


def grouped(items: Sequence[SourceFile], workers: int, least: int = 1 << 18) -> list[list[SourceFile]]:
    """Return files in groups of about equal size of at least so many bytes, large files first.

    There are a few groups for each worker, so that none waits long for the last.
    """
    sizes = {item.name: item.file.stat().st_size for item in items}
    aim = min(max(math.ceil(sum(sizes.values()) / (4 * workers)), least), GROUP_BYTES)
    groups: list[list[SourceFile]] = []
    room = 0
    for item in sorted(items, key=lambda item: (-sizes[item.name], item.name)):
        if not groups or room < sizes[item.name] or len(groups[-1]) >= GROUP_FILES:
            groups.append([])
            room = aim
        groups[-1].append(item)
        room -= sizes[item.name]
    return groups
