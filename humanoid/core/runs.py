"""Run folders and files that are never half-written.

A run lives in ``runs/NAME/``. Every file in it is written under a temporary
name beside its place and then renamed, so that a process killed at any moment
leaves the old file or the new one.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from humanoid.core.config import PROVENANCE, to_dict
from humanoid.core.errors import InputError

PACKAGES = ("humanoid", "torch", "numpy", "mujoco", "genesis-world", "rsl-rl-lib", "tensordict")
"""Distributions whose versions a run records."""
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

    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def open_run(folder: str | Path) -> Path:
    """Create a run folder, or open the one of a run that goes on.

    Files that a killed process left under temporary names are removed.

    Raises:
        InputError: the folder cannot be created or written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, a run needs a folder; choose another name")
    atomic_write_text(folder / ".writable", "")
    (folder / ".writable").unlink(missing_ok=True)
    for leftover in folder.glob(".*"):
        if _TEMPORARY.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)
    return folder


def write_config(folder: str | Path, cfg: Any, seed: int) -> Path:  # noqa: ANN401 - any config dataclass
    """Write ``config.yaml``: the resolved configuration with its seed and versions.

    The file is itself a configuration that ``load_config`` reads again.

    Returns:
        The path written.
    """
    from omegaconf import OmegaConf

    tree = {**to_dict(cfg), PROVENANCE: {"seed": seed, "versions": versions()}}
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
