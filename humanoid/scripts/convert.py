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
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from humanoid.core.errors import InputError
from humanoid.core.runs import open_run
from humanoid.datasets.convert import (
    MEASURES,
    Outcome,
    TaskCfg,
    body_of,
    failure,
    is_done,
    run,
    start_worker,
)
from humanoid.datasets.gather import Job, gather
from humanoid.mocap import LoadCfg
from humanoid.motion.robot import RobotCfg
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.scripts.verbs import ConvertCfg
from humanoid.view.progress import Bar

GROUP_FILES = 64
"""Most files of a group."""
GROUP_BYTES = (1 << 18, 1 << 24)
"""[bytes] Least and most of a group, unless one file is more: about 10,000 frames at most."""


def main(cfg: ConvertCfg, retarget: RetargetCfg | None = None) -> dict[str, Any]:
    """Convert capture files.

    Args:
        cfg: sources and settings.
        retarget: further settings; rate and map are those of ``cfg``.

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
    jobs, failed = gather(cfg.sources, cfg.clips, cfg.split, cfg.out)
    task = TaskCfg(
        out=cfg.out,
        embodiment=cfg.embodiment,
        load=LoadCfg(
            units=cfg.units, up=cfg.up, fps=cfg.fps, skeleton=cfg.skeleton, smpl_model=cfg.smpl_model
        ),
        robot=RobotCfg(
            fps=cfg.rate,
            source_fps=cfg.fps or RobotCfg.source_fps,
            quat=cfg.quat,
            layout=cfg.layout,
            names_from=cfg.names_from,
            trust_pickle=cfg.trust_pickle,
        ),
        made_for=cfg.made_for,
        retarget=replace(retarget or RetargetCfg(), fps=cfg.rate, skeleton_map=cfg.map),
    )
    body = body_of(cfg.embodiment)
    if cfg.made_for:
        body_of(cfg.made_for)  # an unknown one is a mistake of the command, not of a thousand files
    done = {job for job in jobs if not cfg.force and is_done(job, body, task)}
    left = [job for job in jobs if job not in done]
    start, fresh = time.monotonic(), not Path(cfg.out).exists()
    outcomes = list(_convert(left, task, cfg.workers))
    seconds = time.monotonic() - start
    if fresh:
        with suppress(OSError):  # nothing became a motion: leave no empty folder
            Path(cfg.out).rmdir()
    order = {job.name: index for index, job in enumerate(jobs)}
    rows = sorted(outcomes, key=lambda outcome: order[outcome.name])
    converted = [outcome.row for outcome in rows if not outcome.failed]
    frames = sum(row["frames"] for row in converted)
    return {
        "converted": converted,
        "skipped": [{"file": str(job.file), "clip": job.name} for job in jobs if job in done],
        "failed": [*failed, *(outcome.row for outcome in rows if outcome.failed)],
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


def _convert(jobs: Sequence[Job], task: TaskCfg, workers: int) -> Iterator[Outcome]:
    if not jobs:
        return
    open_run(task.out)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = workers or cores
    groups = grouped(jobs, most)
    bar, done = Bar("file"), 0
    if min(most, len(groups)) == 1:
        for group in groups:
            outcomes = run(group, task)
            done += len(outcomes)
            bar(done, len(jobs))
            yield from outcomes
        return
    for outcomes in _parallel(groups, task, min(most, len(groups))):
        done += len(outcomes)
        bar(done, len(jobs))
        yield from outcomes


def _parallel(groups: list[list[Job]], task: TaskCfg, workers: int) -> Iterator[list[Outcome]]:
    """Run groups in processes started afresh: nothing is inherited that a fork could break."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker, (task.threads,))
    waiting: dict[Future[list[Outcome]], list[Job]] = {}
    try:
        waiting = {pool.submit(run, group, task): group for group in groups}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                group = waiting.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    death = InputError("a worker process died, out of memory perhaps; try --workers 1")
                    yield [failure(job, death) for job in group]
        pool.shutdown()
    except BaseException:  # Ctrl-C above all: nobody waits for what is not wanted any more
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        open_run(task.out)  # removes what they were writing under temporary names
        raise


def grouped(jobs: Sequence[Job], workers: int) -> list[list[Job]]:
    """Return the jobs in groups of about equal size, large files first.

    There are a few groups for each worker, so that none waits long for the last.
    """
    sizes = {job: job.file.stat().st_size for job in jobs}
    low, high = GROUP_BYTES
    aim = min(max(math.ceil(sum(sizes.values()) / (4 * workers)), low), high)
    groups: list[list[Job]] = []
    room = 0
    for job in sorted(jobs, key=lambda job: (-sizes[job], job.name)):
        if not groups or room < sizes[job] or len(groups[-1]) >= GROUP_FILES:
            groups.append([])
            room = aim
        groups[-1].append(job)
        room -= sizes[job]
    return groups
