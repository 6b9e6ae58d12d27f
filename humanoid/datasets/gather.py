"""What a user names to be converted, as a list of files with one output name each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from humanoid import mocap
from humanoid.core.errors import InputError
from humanoid.datasets.manifest import find_clip, load_manifest
from humanoid.motion import robot

_TEXTS = re.compile(r"(readme|licen[cs]e|copying|notice|changelog)\b.*", re.IGNORECASE)
"""Texts that lie beside captures and share an ending with some."""
_ODD = re.compile(r"[/\\:\x00-\x1f]|^\.|^$")
"""What a name must not have to be a file's name on every system."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to convert.

    Attributes:
        file: the capture or robot file.
        name: name of the motion; ``NAME.npz`` is written.
        loop: whether it repeats; None leaves it to the file.
        source: where it comes from; None leaves it to the file.
        licence: its terms; None leaves them to the file.
        speed: how many times as fast it is performed as its file says.
    """

    file: Path
    name: str
    loop: bool | None = None
    source: str | None = None
    licence: str | None = None
    speed: float = 1.0


def gather(
    sources: Sequence[str], clips: Sequence[str] = (), split: str = "", out: str | Path = ""
) -> tuple[list[Job], list[dict[str, str]]]:
    """Find the files of captures, folders and manifests.

    Args:
        sources: capture files, robot files, folders (searched below, too), manifests.
        clips: names or tags to keep of the manifests.
        split: ``train`` or ``test`` to keep that part of the manifests.
        out: folder that is written to, and so not searched.

    Returns:
        The jobs, names unique whatever the case of letters; and file and error of each clip
        of a manifest that is missing.

    Raises:
        InputError: a source that does not exist, a folder without a capture, a name that
            cannot become a file's.
    """
    jobs: list[Job] = []
    failed: list[dict[str, str]] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            jobs += _folder(path, Path(out).resolve() if out else None)
        elif path.suffix.lower() in (*mocap.endings(), *robot.ENDINGS):
            if not path.is_file():
                raise InputError(f"{path}: no such motion file")
            jobs.append(Job(file=path, name=path.stem))
        else:
            _manifest(source, clips, split, jobs, failed)
    found: dict[tuple[Path, str], Job] = {}
    for job in jobs:
        if _ODD.search(job.name):
            raise InputError(f"{job.file}: the name {job.name!r} cannot become a file's; rename it")
        found.setdefault((job.file.resolve(), job.name), job)
    return _unique(list(found.values())), failed


def _folder(path: Path, out: Path | None) -> list[Job]:
    endings = (*mocap.endings(), *robot.ENDINGS)
    jobs = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        ours = out is not None and file.resolve().is_relative_to(out) and out != path.resolve()
        hidden = any(part.startswith(".") for part in parts)
        if hidden or ours or file.suffix.lower() not in endings or not file.is_file():
            continue
        if not _TEXTS.fullmatch(file.name):
            jobs.append(Job(file=file, name=file.stem))
    if not jobs:
        raise InputError(
            f"{path}: no capture in this folder; known endings: {', '.join(sorted(set(endings)))}"
        )
    return jobs


def _manifest(
    source: str, clips: Sequence[str], split: str, jobs: list[Job], failed: list[dict[str, str]]
) -> None:
    manifest = load_manifest(source)
    for entry in manifest.select(clips, split):
        if _ODD.search(entry.name):
            raise InputError(f"{source}: the name {entry.name!r} cannot become a file's; rename the clip")
        try:
            file = find_clip(manifest, entry)
        except InputError as error:
            failed.append({"file": entry.file, "error": str(error)})
            continue
        text = f"{manifest.name}/{entry.file}: {manifest.source}"
        jobs.append(
            Job(file=file, name=entry.name, loop=entry.loop, source=text, licence=manifest.licence,
                speed=entry.speed)
        )  # fmt: skip


def _unique(jobs: list[Job]) -> list[Job]:
    """Give clips of one name the name of their folder as well, then their ending, then refuse."""
    for longer in (
        lambda job: f"{job.file.resolve().parent.name}_{job.name}",
        lambda job: f"{job.name}_{job.file.suffix[1:].lower()}",
    ):
        count = Counter(job.name.casefold() for job in jobs)
        jobs = [replace(job, name=longer(job)) if count[job.name.casefold()] > 1 else job for job in jobs]
    first: dict[str, Job] = {}
    for job in jobs:
        other = first.setdefault(job.name.casefold(), job)
        if other is not job:
            raise InputError(f"{job.file} and {other.file}: both would become '{job.name}.npz'; "
                             "convert them into two folders")  # fmt: skip
    return jobs
