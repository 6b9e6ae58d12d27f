"""Public sources into the user's cache: checked, resumable, with their licence beside them.

Beside the files stand ``LICENCE.txt`` and ``SHA256SUMS``. A file that is there and has its
checksum is not fetched again. Where the table of sources knows no checksum, that of the
first download stands in ``SHA256SUMS`` and is what later ones must have.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from humanoid.core.errors import InputError, nearest
from humanoid.core.paths import cache_dir
from humanoid.core.runs import atomic_write_text
from humanoid.datasets.download import DownloadCfg, download, file_sha256
from humanoid.datasets.fetch_table import Archive, Remote, Source, source
from humanoid.datasets.index import wheel_url
from humanoid.datasets.unpack import read_member, unpack

SUMS = "SHA256SUMS"
LICENCE = "LICENCE.txt"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
Progress = Callable[[str, int, int], None]
"""Called with a file, its bytes so far and its bytes in all (0: not known)."""


@dataclass(frozen=True, kw_only=True)
class FetchCfg:
    """How a source is fetched."""

    folder: str = ""
    """Where to put it; its place in the user's cache by default."""
    only: tuple[str, ...] = ()
    """Patterns (``*/02_01*``) of the files that are wanted; all by default."""
    index: str = ""
    """Package index of wheels; ``$PIP_INDEX_URL`` or PyPI by default."""
    force: bool = False
    """Fetch again what is there, and take over checksums that the table does not know."""
    download: DownloadCfg = field(default_factory=DownloadCfg)
    """Limits of each download."""


def fetch(name: str, cfg: FetchCfg | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Fetch a source by name.

    Returns:
        ``source``, ``folder``, ``licence``, ``files`` (``file``, ``state`` fetched or kept,
        ``checksum`` pinned or recorded) and ``failed`` (``file``, ``error``).

    Raises:
        InputError: no such source, no such file of it, an archive that is refused, or a
            folder that cannot be written.
    """
    return fetch_source(name, source(name), cfg or FetchCfg(), progress)


def fetch_source(
    name: str, wanted: Source, cfg: FetchCfg, progress: Progress | None = None
) -> dict[str, Any]:
    """Fetch a source that need not stand in the table; see :func:`fetch`."""
    folder = Path(cfg.folder).expanduser() if cfg.folder else cache_dir() / wanted.folder
    cfg = replace(cfg, download=replace(cfg.download, largest=min(cfg.download.largest, wanted.largest)))
    progress = progress or (lambda file, done, total: None)
    notice = f"{wanted.what}\nSource: {wanted.home}\nLicence: {wanted.licence}\n"
    if wanted.archive is not None:
        _refuse_foreign(folder, wanted)
        files, failed = _archive(wanted.archive, folder, cfg, progress, notice), []
    else:
        files, failed = _each(name, wanted.files, folder, cfg, progress)
        if files:
            atomic_write_text(folder / LICENCE, notice)
    return {
        "source": name,
        "folder": str(folder),
        "licence": wanted.licence,
        "files": files,
        "failed": failed,
    }


def _each(
    name: str, remotes: Sequence[Remote], folder: Path, cfg: FetchCfg, progress: Progress
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Fetch file after file; one that fails does not stop the others."""
    chosen = [remote for remote in remotes if _wanted(remote.path, cfg.only)]
    if not chosen:
        known = [remote.path for remote in remotes]
        raise InputError(
            f"source '{name}' has no file like {', '.join(cfg.only)}{nearest(cfg.only[0], known)}"
        )
    sums = _read_sums(folder)
    files, failed = [], []
    for remote in chosen:
        recorded = "" if cfg.force else sums.get(remote.path, "")
        try:
            state, found = _one(remote, folder, remote.sha256 or recorded, cfg, progress)
        except InputError as error:
            hint = (
                "" if remote.sha256 or not recorded else f" (recorded in {folder / SUMS}; --force takes it)"
            )
            failed.append({"file": remote.path, "error": f"{error}{hint}"})
            continue
        if sums.get(remote.path) != found:
            sums[remote.path] = found
            _write_sums(folder, sums)
        checksum = "pinned" if remote.sha256 else "recorded"
        files.append({"file": remote.path, "state": state, "checksum": checksum})
    return files, failed


def _one(remote: Remote, folder: Path, expected: str, cfg: FetchCfg, progress: Progress) -> tuple[str, str]:
    """Return "kept" or "fetched" and the checksum of one file."""
    path = folder / remote.path
    if expected and not cfg.force and path.is_file() and file_sha256(path) == expected:
        return "kept", expected

    def on_bytes(done: int, total: int) -> None:
        progress(remote.path, done, total)

    return "fetched", download(remote.url, path, expected, cfg.download, on_bytes)


def _archive(
    archive: Archive, folder: Path, cfg: FetchCfg, progress: Progress, notice: str
) -> list[dict[str, str]]:
    """Fetch an archive into the cache, unpack what is wanted, and throw the archive away."""
    if cfg.only:
        raise InputError(f"'{archive.filename}' comes in one piece; leave --only out")
    sums = _read_sums(folder)
    checksum = "pinned" if archive.sha256 else "recorded"
    if sums and not cfg.force and all(_intact(folder / file, known) for file, known in sums.items()):
        return [{"file": file, "state": "kept", "checksum": checksum} for file in sums]
    url, known = archive.url, archive.sha256
    if archive.project:
        url, told = wheel_url(archive.project, archive.filename, cfg.index, cfg.download)
        if told and known and told != known:
            raise InputError(f"{archive.filename}: the index says sha256 {told}, known is {known}; refused")
        known = known or told
    zipped = cache_dir() / "downloads" / archive.filename
    download(url, zipped, known, cfg.download, lambda d, t: progress(archive.filename, d, t))
    paths = unpack(zipped, archive.prefix, folder, archive.endings)
    if archive.licence_file:
        notice += f"\n{read_member(zipped, archive.licence_file)}"
    atomic_write_text(folder / LICENCE, notice)
    _write_sums(folder, {path.as_posix(): file_sha256(folder / path) for path in paths})
    zipped.unlink(missing_ok=True)
    return [{"file": path.as_posix(), "state": "fetched", "checksum": checksum} for path in paths]


def _refuse_foreign(folder: Path, wanted: Source) -> None:
    """An archive replaces its folder, so what is there must be of the same source."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    licence = folder / LICENCE
    text = licence.read_text(encoding="utf-8", errors="replace") if licence.is_file() else ""
    if f"Source: {wanted.home}\n" not in text:
        raise InputError(f"{folder}: holds something else, which would be replaced; give an empty folder")


def _intact(path: Path, known: str) -> bool:
    return path.is_file() and file_sha256(path) == known


def _wanted(path: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def _read_sums(folder: Path) -> dict[str, str]:
    """Return path -> checksum from the folder's list, in the format of ``sha256sum``."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in found if match}


def _write_sums(folder: Path, sums: dict[str, str]) -> None:
    text = "".join(f"{checksum}  {path}\n" for path, checksum in sorted(sums.items()))
    atomic_write_text(folder / SUMS, text)
