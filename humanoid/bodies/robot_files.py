"""Finding a robot's MJCF on the user's machine: none is shipped with this package.

A path wins over the environment variable (``HUMANOID_G1``: a file or folder), that over the user's cache
(where ``humanoid motions fetch`` unpacks wheels), that over installed packages. Packages are found without
being imported, except ``robot_descriptions``, whose modules exist to name a path.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from humanoid.core.errors import InputError, one_line
from humanoid.core.paths import cache_dir

ROBOTS_FOLDER = "robots"
"""Folder of the user's cache that holds robots."""


@dataclass(frozen=True, kw_only=True)
class RobotFiles:
    """Where the MJCF of a robot may lie.

    Attributes:
        places: how its path may end, inside a cache, an unpacked wheel or a repository.
        packages: package -> path inside it.
        remedy: what a user who has none can do.
    """

    places: tuple[str, ...]
    packages: dict[str, str]
    remedy: str


def find_mjcf(robot: str, files: RobotFiles, given: str | Path | None = None) -> Path:
    """Return the path of a robot's MJCF.

    Args:
        robot: short name, for messages.
        files: where to look.
        given: the only file or folder to look at.

    Raises:
        InputError: none found; the message names the remedy.
    """
    variable = f"HUMANOID_{robot.upper()}"
    named = os.environ.get(variable, "")
    if given is not None or named:
        path = Path(named if given is None else given).expanduser()
        origin = f" (from ${variable})" if given is None else ""
        if not path.exists():
            raise InputError(f"{path}{origin}: no such file; give an MJCF of '{robot}' or a folder with one")
        found = path if path.is_file() else _inside(files, path)
        if found is None:
            raise InputError(f"{path}{origin}: holds no MJCF of '{robot}' ({' or '.join(files.places)})")
        return found
    cache = cache_dir() / ROBOTS_FOLDER
    for folder in (cache, *_package_folders(files)):
        found = _inside(files, folder)
        if found is not None:
            return found
    described, why = _described(f"{robot}_mj_description")
    if described is not None:
        return described
    looked = ", ".join((f"${variable}", str(cache), *(f"package {name}" for name in files.packages)))
    raise InputError(
        f"robot '{robot}': no MJCF found in {looked} or robot_descriptions{why}; {files.remedy}, "
        f"or give its path: {robot}:PATH"
    )


def _inside(files: RobotFiles, folder: Path) -> Path | None:
    """Return the first file below a folder whose path ends with one of the places."""
    for place in files.places:
        for candidate in sorted(folder.rglob(Path(place).name)):
            if candidate.is_file() and candidate.as_posix().endswith(f"/{place}"):
                return candidate
    return None


def _package_folders(files: RobotFiles) -> Iterator[Path]:
    for package, inside in files.packages.items():
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            yield Path(location) / inside


def _described(module: str) -> tuple[Path | None, str]:
    """Return the path of ``robot_descriptions``, which may clone the repository, or None and the reason."""
    if importlib.util.find_spec("robot_descriptions") is None:
        return None, ""
    try:
        path = Path(importlib.import_module(f"robot_descriptions.{module}").MJCF_PATH)
    except Exception as error:  # it clones with git: network, disk and git fail in their own ways
        return None, f" ({one_line(error)})"
    return (path, "") if path.is_file() else (None, f" ({path} is missing)")
