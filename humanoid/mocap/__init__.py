"""Captured motion: one loader a format, one entry point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from humanoid.core.errors import InputError
from humanoid.mocap import humanoid3d
from humanoid.mocap.skeleton import Clip

__all__ = ["LOADERS", "Clip", "load"]

LOADERS: dict[str, Callable[[str | Path], Clip]] = {".txt": humanoid3d.load, ".json": humanoid3d.load}
"""File ending -> loader."""


def load(path: str | Path) -> Clip:
    """Read a capture file of any known format.

    Raises:
        InputError: unknown ending, or the loader refuses the file.
    """
    ending = Path(path).suffix.lower()
    if ending not in LOADERS:
        raise InputError(f"{path}: unknown capture format '{ending}'; allowed: {', '.join(LOADERS)}")
    return LOADERS[ending](path)
