"""Where things lie: shipped data, the user's cache and the user's motions.

``cfg/`` and ``motions/`` stand at the top of the repository and are installed
inside the package; only :func:`data_dir` knows about the two places.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from humanoid.core.errors import InputError, nearest

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of the installed package."""
DATA_VARIABLE = "HUMANOID_DATA"
"""Environment variable: folders of ``cfg``, ``motions`` and ``pretrained``, in place of the shipped ones."""
MOTIONS_VARIABLE = "HUMANOID_MOTIONS"
"""Environment variable: folders of motion files, separated as in ``PATH``."""


def data_dir(kind: Literal["cfg", "motions", "pretrained"]) -> Path:
    """Return a folder of shipped data: of ``$HUMANOID_DATA``, else of the package, else of the repository.

    Raises:
        InputError: it is in neither place, so the installation is broken.
    """
    candidates = [root / kind for root in _data_roots()]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise InputError(f"no folder '{kind}' at {' or '.join(map(str, candidates))}; reinstall humanoid")


def data_file(kind: Literal["cfg", "motions"], name: str | Path) -> Path:
    """Find a file that the user gave as a path or by the name of a shipped one.

    Args:
        kind: shipped folder to look in when ``name`` is not an existing path.
        name: e.g. ``cfg/track.yaml``, ``my/own.yaml``, ``track.yaml`` or ``track``.

    Raises:
        InputError: there is no such file; the message names the shipped ones.
    """
    given = Path(name)
    if given.is_file():
        return given
    folder = data_dir(kind)
    inside = given.relative_to(kind) if given.parts[:1] == (kind,) else given
    for candidate in (folder / inside, folder / f"{inside}.yaml"):
        if not given.is_absolute() and candidate.is_file():
            return candidate
    shipped = [p.relative_to(folder).as_posix() for p in folder.rglob("*.yaml")]
    known = nearest(inside.as_posix(), shipped)
    raise InputError(f"{name}: no such file, nor a shipped one in {kind}/{known}")


def shipped_policy(name: str) -> Path:
    """Return a checkpoint that comes with the package, whatever the current folder holds.

    Raises:
        InputError: this version ships none of that name.
    """
    path = _data_roots()[0] / "pretrained" / name
    if path.is_file():
        return path
    raise InputError(f"this version ships no '{name}'; train one (humanoid train) and give --checkpoint FILE")


def cache_dir() -> Path:
    """Return the user's cache: ``$XDG_CACHE_HOME/humanoid`` or ``~/.cache/humanoid`` (not created)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "humanoid"


def motion_roots() -> list[Path]:
    """Return the folders to look for motion files in, first match wins.

    Those of ``$HUMANOID_MOTIONS``, then ``motions`` in the cache, then the shipped folder.
    """
    given = os.environ.get(MOTIONS_VARIABLE, "")
    return [*_folders(given), cache_dir() / "motions", data_dir("motions")]


def _data_roots() -> list[Path]:
    return _folders(os.environ.get(DATA_VARIABLE, "")) or [PACKAGE, PACKAGE.parent]


def _folders(given: str) -> list[Path]:
    return [Path(part).expanduser() for part in given.split(os.pathsep) if part]
