"""Run folders and files that are never half-written.

A run lives in ``runs/NAME/``. Every file in it is written under a temporary
name beside its place and then renamed, so that a process killed at any moment
leaves the old file or the new one. A process that trains holds a lock on its folder.
"""

from __future__ import annotations

import io
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from humanoid.core.config import PROVENANCE, to_dict
from humanoid.core.errors import InputError

PACKAGES = ("humanoid", "torch", "numpy", "mujoco", "genesis-world", "rsl-rl-lib", "tensordict")
"""Distributions whose versions a run records."""
_LOCK = ".lock"
_TEMPORARY = re.compile(r"\..*\.\d+\.tmp(\.[^.]*)?")
"""Names that :func:`atomic_path` gives, and hardly anybody else."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends well.

    The temporary file lies in the same folder and keeps the suffix, so writers
    that look at it (video, npz) behave. After an error the old file stays.

    Raises:
        InputError: the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file in one piece."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: str | Path, content: str) -> None:
    """Write a text file, UTF-8, in one piece."""
    atomic_write_bytes(path, content.encode())


def atomic_save(content: object, path: str | Path) -> None:
    """``torch.save`` in one piece."""
    import torch  # here, so that commands which save nothing start without it

    buffer = io.BytesIO()  # torch's writer does not report a full disk
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def open_run(folder: str | Path) -> Path:
    """Create a run folder, or open that of a resumed run.

    Files that a killed process left under temporary names are removed.

    Raises:
        InputError: the folder cannot be created or written.
    """
    folder = Path(folder)
    _require_folder(folder)
    atomic_write_text(folder / ".writable", "")
    (folder / ".writable").unlink(missing_ok=True)
    for leftover in folder.glob(".*"):
        if _TEMPORARY.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)
    return folder


@contextmanager
def claim_run(folder: str | Path, needed: int = 0) -> Iterator[Path]:
    """Open a run folder for this process alone, as :func:`open_run` does.

    The kernel frees the folder when the process ends, however it does. One that the block
    left empty is removed, so that a start that fails leaves nothing.

    Args:
        folder: run folder.
        needed: bytes that must be free on its disk.

    Raises:
        InputError: the folder cannot be written, another process writes it, or the disk is
            too full.
    """
    folder = Path(folder)
    _require_folder(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}") from error
    try:
        require_space(folder, needed)
        yield open_run(folder)
    finally:
        (folder / _LOCK).unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def require_space(folder: Path, needed: int, free: int | None = None) -> None:
    """Check that ``needed`` bytes are free on a disk.

    Args:
        folder: a folder on it.
        needed: bytes.
        free: bytes that are free; those of the disk by default.

    Raises:
        InputError: both numbers, in MB.
    """
    free = shutil.disk_usage(folder).free if free is None else free
    if free < needed:
        raise InputError(
            f"{folder}: {free / 1e6:.0f} MB are free on its disk, checkpoints and logs need "
            f"{needed / 1e6:.0f} MB; free some or write elsewhere"
        )


def _require_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, a run needs a folder; choose another name")


def _lock(folder: Path) -> int:
    """Lock a folder for as long as the returned file descriptor is open."""
    import fcntl  # here, for it is absent on Windows

    path = folder / _LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise InputError(f"{folder}: {holder} is writing there; stop it or choose another name") from None
        except OSError:  # a file system that has no locks
            return descriptor
        if _same_file(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
            return descriptor
        os.close(descriptor)  # its last holder removed it before we had it


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_config(folder: str | Path, cfg: Any, seed: int) -> Path:  # noqa: ANN401 - dataclass or dict
    """Write ``config.yaml``: the resolved configuration with its seed and versions.

    The file is itself a configuration that ``load_config`` reads again.

    Returns:
        The path written.
    """
    from omegaconf import OmegaConf

    tree = {
        **(cfg if isinstance(cfg, dict) else to_dict(cfg)),
        PROVENANCE: {"seed": seed, "versions": versions()},
    }
    path = Path(folder) / "config.yaml"
    atomic_write_text(path, OmegaConf.to_yaml(OmegaConf.create(tree)))
    return path


def versions() -> dict[str, str]:
    """Return the versions of Python, the system and the packages that decide a result."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
