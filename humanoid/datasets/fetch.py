"""Public sources into the user's cache: checked, with their licence beside them.

Files come by pooch, wheels by pip. Beside the files stand ``LICENCE.txt`` and ``SHA256SUMS``.
A file that is there and has its checksum is not fetched again. Where the table of sources has
no checksum, that of the first download stands in ``SHA256SUMS`` and binds later ones.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests

from humanoid.core.errors import InputError, nearest, one_line
from humanoid.core.paths import cache_dir
from humanoid.core.runs import atomic_write_text
from humanoid.datasets.fetch_table import Archive, Remote, Source, source

SUMS = "SHA256SUMS"
LICENCE = "LICENCE.txt"
LARGEST = 8 << 30
"""[bytes] Largest content of an archive, unpacked."""
MAX_RATIO = 500
"""Largest ratio of unpacked to packed size of a member (deflate's bound is 1,032)."""
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
    """Package index of wheels; pip's by default."""
    force: bool = False
    """Fetch again what is there, and accept new checksums that the table does not know."""
    timeout: float = 30.0
    """[s] without an answer, or without another byte."""
    attempts: int = 3
    """Attempts while the connection breaks, a second apart."""


class _Bar:
    """Progress of one download in the form that pooch expects; limits its size."""

    def __init__(self, url: str, largest: int, report: Callable[[int, int], None]) -> None:
        self.url, self.largest, self.report = url, largest, report
        self._total = self._done = 0

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, size: int) -> None:
        self._total = size
        self._limit(size)

    def update(self, size: int) -> None:
        self._done += size
        if not self._total:
            self._limit(self._done - size)  # the last piece may be shorter
        self.report(min(self._done, self._total or self._done), self._total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Do nothing: the caller's bar is done at 100 %."""

    def _limit(self, size: int) -> None:
        if size > self.largest:
            raise InputError(f"{shown(self.url)}: {size} bytes or more; the limit is {self.largest}")


def fetch(name: str, cfg: FetchCfg | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Fetch a source by name.

    Returns:
        ``source``, ``folder``, ``licence``, ``files`` (``file``, ``state`` fetched or kept,
        ``checksum`` pinned or recorded) and ``failed`` (``file``, ``error``).

    Raises:
        InputError: no such source, no such file of it, an invalid archive, or a folder that
            cannot be written.
    """
    return fetch_source(name, source(name), cfg or FetchCfg(), progress)


def fetch_source(
    name: str, wanted: Source, cfg: FetchCfg, progress: Progress | None = None
) -> dict[str, Any]:
    """Fetch a source that need not be in the table; see :func:`fetch`."""
    folder = Path(cfg.folder).expanduser() if cfg.folder else cache_dir() / wanted.folder
    progress = progress or (lambda file, done, total: None)
    notice = f"{wanted.what}\nSource: {wanted.home}\nLicence: {wanted.licence}\n"
    try:
        if wanted.archive is not None:
            files, failed = _archive(wanted, wanted.archive, folder, cfg, progress, notice), []
        else:
            files, failed = _each(name, wanted, folder, cfg, progress)
            if files:
                atomic_write_text(folder / LICENCE, notice)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}") from error
    return {
        "source": name,
        "folder": str(folder),
        "licence": wanted.licence,
        "files": files,
        "failed": failed,
    }


def shown(url: str) -> str:
    """Return an address for messages: without user, password and query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def download(
    url: str, path: Path, sha256: str, largest: int, cfg: FetchCfg, report: Callable[[int, int], None]
) -> str:
    """Put the content of an address at ``path``, whole or not at all, and return its checksum.

    Raises:
        InputError: no http(s) address, unreachable, cut short, too large, or of another checksum.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{shown(url)}: only http:// and https:// addresses are fetched")
    pooch.get_logger().setLevel("ERROR")
    path.parent.mkdir(parents=True, exist_ok=True)
    broken: Exception | None = None
    for attempt in range(cfg.attempts):
        time.sleep(min(attempt, 1))
        bar: Any = _Bar(url, largest, report)
        loader: Any = pooch.HTTPDownloader(
            timeout=cfg.timeout, progressbar=bar, headers={"User-Agent": "humanoid"}
        )
        with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=path.parent) as place:
            try:
                made = pooch.retrieve(url, f"sha256:{sha256}" if sha256 else None, path.name, place,
                                      downloader=loader)  # fmt: skip
                found = sha256 or pooch.file_hash(made)  # a known one was compared already
                os.replace(made, path)
                return found
            except requests.RequestException as error:
                broken = error
                if error.response is not None and error.response.status_code < 500:
                    break
            except ValueError as error:  # pooch's of a wrong checksum
                raise InputError(f"{shown(url)}: not the known file: sha256 {sha256} is expected") from error
    assert broken is not None
    raise InputError(f"{shown(url)}: {_reason(broken)}") from broken


def _reason(error: Exception) -> str:
    """Return why a request failed, without the address, which may hold a password."""
    if isinstance(error, requests.RequestException) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    kind = type(error).__name__
    return (
        "cut short" if isinstance(error, requests.exceptions.ChunkedEncodingError) else f"no answer: {kind}"
    )


def _each(
    name: str, wanted: Source, folder: Path, cfg: FetchCfg, progress: Progress
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Fetch file after file; one that fails does not stop the others."""
    chosen = [remote for remote in wanted.files if _wanted(remote.path, cfg.only)]
    if not chosen:
        known = [remote.path for remote in wanted.files]
        raise InputError(
            f"source '{name}' has no file like {', '.join(cfg.only)}{nearest(cfg.only[0], known)}"
        )
    sums = _read_sums(folder)
    files, failed = [], []
    for remote in chosen:
        recorded = "" if cfg.force else sums.get(remote.path, "")
        try:
            state, found = _one(remote, folder, remote.sha256 or recorded, wanted.largest, cfg, progress)
        except InputError as error:
            hint = (
                "" if remote.sha256 or not recorded else f" (recorded in {folder / SUMS}; --force accepts it)"
            )
            failed.append({"file": remote.path, "error": f"{error}{hint}"})
            continue
        if sums.get(remote.path) != found:
            sums[remote.path] = found
            _write_sums(folder, sums)
        checksum = "pinned" if remote.sha256 else "recorded"
        files.append({"file": remote.path, "state": state, "checksum": checksum})
    return files, failed


def _one(
    remote: Remote, folder: Path, expected: str, largest: int, cfg: FetchCfg, progress: Progress
) -> tuple[str, str]:
    """Return "kept" or "fetched" and the checksum of one file."""
    path = folder / remote.path
    if expected and not cfg.force and _intact(path, expected):
        return "kept", expected

    def report(done: int, total: int) -> None:
        progress(remote.path, done, total)

    return "fetched", download(remote.url, path, expected, largest, cfg, report)


def _archive(
    wanted: Source, archive: Archive, folder: Path, cfg: FetchCfg, progress: Progress, notice: str
) -> list[dict[str, str]]:
    """Fetch an archive, and replace the folder by its wanted files."""
    if cfg.only:
        raise InputError(f"'{archive.filename}' comes in one piece; leave --only out")
    _require_own(folder, wanted)
    sums = _read_sums(folder)
    checksum = "pinned" if archive.sha256 else "recorded"
    if sums and not cfg.force and all(_intact(folder / file, known) for file, known in sums.items()):
        return [{"file": file, "state": "kept", "checksum": checksum} for file in sums]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder.parent) as place:
        zipped, fresh = Path(place) / archive.filename, Path(place) / "fresh"
        if archive.project:
            _wheel(archive, zipped, cfg)
        else:
            download(archive.url, zipped, archive.sha256, wanted.largest, cfg,
                     lambda done, total: progress(archive.filename, done, total))  # fmt: skip
        paths = unpack(zipped, fresh, archive.prefix, archive.endings)
        if archive.licence_file:
            with zipfile.ZipFile(zipped) as content:
                notice += "\n" + content.read(archive.licence_file).decode("utf-8", errors="replace")
        atomic_write_text(fresh / LICENCE, notice)
        _write_sums(fresh, {path.as_posix(): pooch.file_hash(str(fresh / path)) for path in paths})
        if folder.exists():
            shutil.move(folder, Path(place) / "old")
        os.replace(fresh, folder)
    return [{"file": path.as_posix(), "state": "fetched", "checksum": checksum} for path in paths]


def _wheel(archive: Archive, path: Path, cfg: FetchCfg) -> None:
    """Download a wheel by pip, which compares it with the checksum of the index."""
    version = archive.filename.split("-")[1]
    words = [
        *("--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-cache-dir", "--no-input"),
        *("--quiet", "--disable-pip-version-check", "--timeout", f"{cfg.timeout:g}"),
        *("--retries", str(cfg.attempts - 1), "--dest", str(path.parent)),
    ]
    words += ["--index-url", cfg.index] if cfg.index else []
    command = [sys.executable, "-m", "pip", "download", *words, f"{archive.project}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no such wheel"]
        secret = urllib.parse.urlsplit(cfg.index).password
        reason = one_line(ValueError(lines[-1])).removeprefix("ERROR: ")
        reason = reason.replace(secret, "****") if secret else reason
        raise InputError(f"{archive.filename}: pip download: {reason}; name another index with --index URL")
    if archive.sha256 and pooch.file_hash(str(path)) != archive.sha256:
        raise InputError(f"{archive.filename}: not the known file: sha256 {archive.sha256} is expected")


def unpack(archive: Path, folder: Path, prefix: str, endings: Sequence[str] = ()) -> list[Path]:
    """Extract the files of a zip archive below a prefix; nothing leaves the folder.

    Args:
        archive: the zip file (a wheel is one).
        folder: new folder for the files.
        prefix: folder inside the archive, ``""`` for all of it.
        endings: file endings to keep, lower case with the dot; all if empty.

    Returns:
        The paths of the files, relative to ``folder``.

    Raises:
        InputError: no zip file, nothing below the prefix, a link, or a zip bomb.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = {
                info: path
                for info in content.infolist()
                if (path := _inside(info.filename, prefix)) and not info.is_dir()
                and (not endings or path.suffix.lower() in endings)
            }  # fmt: skip
            if not members:
                raise InputError(f"{archive.name}: nothing wanted below '{prefix}'")
            if sum(info.file_size for info in members) > LARGEST:
                raise InputError(f"{archive.name}: unpacks to more than {LARGEST} bytes")
            for info, path in members.items():
                if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                    raise InputError(f"{archive.name}: '{info.filename}' is a link or device")
                if info.file_size > (1 << 20) and info.file_size > MAX_RATIO * info.compress_size:
                    raise InputError(f"{archive.name}: '{info.filename}' is a zip bomb")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with content.open(info) as source_file, (folder / path).open("xb") as target:
                    shutil.copyfileobj(source_file, target)
            return sorted(members.values())
    except (InputError, OSError):
        raise
    except Exception as error:  # damaged zip and deflate data raise a dozen unrelated kinds
        raise InputError(f"{archive.name}: not a readable zip archive: {one_line(error)}") from error


def _inside(name: str, prefix: str) -> Path | None:
    """Return the path of a member below a prefix, None where it is not below it or would leave it."""
    path, root = Path(name), Path(prefix.strip("/"))
    odd = any(ord(letter) < 32 or letter in "\\:" for letter in name)
    if odd or path.is_absolute() or ".." in path.parts or not path.is_relative_to(root):
        return None
    return path.relative_to(root)


def _require_own(folder: Path, wanted: Source) -> None:
    """Check that the folder, which an archive replaces, is empty or of the same source."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    licence = folder / LICENCE
    text = licence.read_text(encoding="utf-8", errors="replace") if licence.is_file() else ""
    if f"Source: {wanted.home}\n" not in text:
        raise InputError(f"{folder}: holds something else, which would be replaced; give an empty folder")


def _intact(path: Path, known: str) -> bool:
    return path.is_file() and pooch.file_hash(str(path)) == known


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
