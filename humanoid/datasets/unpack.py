"""Some files of a zip archive from outside, into a folder and nowhere else."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from humanoid.core.errors import InputError, one_line

LARGEST = 8 << 30
"""[bytes] Unpacked size beyond which an archive is refused."""
MOST_FILES = 100_000
BEST_RATIO = 500
"""Unpacked over packed size of a member; more is a bomb (deflate's bound is 1,032)."""
_CHUNK = 1 << 20


def unpack(
    archive: Path, prefix: str, folder: Path, endings: Sequence[str] = (), largest: int = LARGEST
) -> list[Path]:
    """Replace ``folder`` by what the archive holds below ``prefix``.

    The whole archive is looked at before a byte is written, and the files get their place by
    one renaming at the end: the folder is the old one or the new one.

    Args:
        archive: the zip file (a wheel is one).
        prefix: folder inside the archive, ``""`` for all of it.
        folder: where its content shall be.
        endings: file endings to keep, lower case with the dot; all if empty.
        largest: most bytes to write.

    Returns:
        The paths of the files, relative to ``folder``.

    Raises:
        InputError: no zip file, a member that would leave the folder or is no plain file, a
            bomb, nothing below the prefix, or the folder cannot be written.
    """
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(archive) as content:
            members = _wanted(archive, content, prefix.strip("/"), endings, largest)
            for path, member in members.items():
                _extract(archive, content, member, fresh / path)
        _swap(fresh, folder)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{folder}: cannot unpack {archive.name}: {error.strerror or error}") from error
    except Exception as error:  # damaged zip and deflate data raise a dozen unrelated kinds
        raise InputError(f"{archive}: not a readable zip archive: {one_line(error)}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return sorted(members)


def read_member(archive: Path, name: str, largest: int = 1 << 20) -> str:
    """Return a text file of the archive; no more than ``largest`` bytes of it.

    Raises:
        InputError: no zip file, or without this member.
    """
    try:
        with zipfile.ZipFile(archive) as content, content.open(name) as file:
            return file.read(largest).decode("utf-8", errors="replace")
    except Exception as error:  # as above
        raise InputError(f"{archive}: cannot read '{name}': {one_line(error)}") from error


def _wanted(
    archive: Path, content: zipfile.ZipFile, prefix: str, endings: Sequence[str], largest: int
) -> dict[Path, zipfile.ZipInfo]:
    infos = content.infolist()
    if len(infos) > MOST_FILES:
        raise InputError(f"{archive}: {len(infos)} members; at most {MOST_FILES} are unpacked")
    found: dict[Path, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for info in infos:
        path = _safe(archive, info)
        if info.is_dir():
            continue
        if path.as_posix().casefold() in seen:
            raise InputError(f"{archive}: holds '{path}' twice; refused")
        seen.add(path.as_posix().casefold())
        if prefix and not path.is_relative_to(prefix):
            continue
        if not endings or path.suffix.lower() in endings:
            found[Path(path.relative_to(prefix) if prefix else path)] = info
    if not found:
        raise InputError(f"{archive}: holds nothing wanted below '{prefix}'")
    size = sum(info.file_size for info in found.values())
    if size > largest:
        raise InputError(f"{archive}: unpacks to {size} bytes; at most {largest} are allowed")
    return found


def _safe(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    """Return the path of a member that stays inside and is a plain file of honest size."""
    name, path = info.filename, PurePosixPath(info.filename)
    odd = "\\" in name or ":" in name or any(ord(letter) < 32 for letter in name)
    if odd or path.is_absolute() or ".." in path.parts or not path.parts:
        raise InputError(f"{archive}: member {name!r} would leave the folder; refused")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{archive}: member '{name}' is a link or device; refused")
    if info.file_size > _CHUNK and info.file_size > BEST_RATIO * max(info.compress_size, 1):
        raise InputError(f"{archive}: member '{name}' unpacks to {info.file_size} bytes from "
                         f"{info.compress_size}; refused as a bomb")  # fmt: skip
    return path


def _extract(archive: Path, content: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with content.open(member) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise InputError(f"{archive}: member '{member.filename}' is longer than it says; refused")
            target.write(chunk)


def _swap(fresh: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(fresh, folder)
    except OSError:
        with suppress(OSError):
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
