"""What a capture format is to the registry, and what a user may tell a loader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from humanoid.mocap.skeleton import Clip


@dataclass(frozen=True, kw_only=True)
class LoadCfg:
    """What a file does not say about itself; ``auto`` tells it from the content."""

    units: Literal["auto", "m", "cm", "mm", "inch"] = "auto"
    """Unit of length of a file that names none."""
    up: Literal["auto", "x", "y", "z"] = "auto"
    """Axis that points up in the file."""
    fps: float = 0.0
    """[1/s] Frames per second of a format that names none, 0: its usual rate."""
    skeleton: str = ""
    """Skeleton file of a format that keeps it apart (.asf of an .amc); beside it by default."""
    smpl_model: str = ""
    """The user's SMPL, SMPL-H or SMPL-X file, for the exact joints of a body with these betas."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One capture format.

    Attributes:
        name: short name, as manifests and messages use it.
        endings: file endings, lower case with the dot.
        matches: whether a file of such an ending, of which the first 4 KiB are given, is of
            this format; the first that matches is taken.
        load: the loader.
    """

    name: str
    endings: tuple[str, ...]
    matches: Callable[[Path, bytes], bool]
    load: Callable[[Path, LoadCfg], Clip]


def anything(path: Path, head: bytes) -> bool:
    """Match every file: the ending says it all."""
    del path, head
    return True
