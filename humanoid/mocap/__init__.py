"""Motion capture files: one loader a format, one entry point.

A format of one's own: ``mocap.register("name", mocap.Format(endings=(".xyz",), load=load))``.
"""

from __future__ import annotations

from pathlib import Path

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg
from humanoid.mocap import acclaim, bvh, humanoid3d, poselib, skillmimic, smpl_npz
from humanoid.mocap.checks import Format, checked
from humanoid.mocap.skeleton import Clip, PropTrack

__all__ = ["FORMATS", "Clip", "Format", "LoadCfg", "PropTrack", "checked", "endings", "load", "register"]

FORMATS: dict[str, Format] = {
    "acclaim": Format(endings=(".amc",), load=acclaim.load),
    "bvh": Format(endings=(".bvh",), load=bvh.load, matches=bvh.matches),
    "smpl": Format(endings=(".npz",), load=smpl_npz.load, matches=smpl_npz.matches),
    "skillmimic": Format(endings=(".pt",), load=skillmimic.load),
    "poselib": Format(endings=(".npy",), load=poselib.load, matches=poselib.matches),
    "humanoid3d": Format(endings=(".txt", ".json"), load=humanoid3d.load),
}
"""Every capture format; of those with a file's ending the last registered that matches is taken."""
_COMPANIONS = {".asf": "a skeleton without a take; name the .amc"}
"""Endings of files that belong to a format but are no take."""
_HEAD = 4096


def register(name: str, form: Format) -> None:
    """Add a capture format; it is tried before those that were there.

    Raises:
        ValueError: an ending that is not lower case with a dot.
    """
    for ending in form.endings:
        if not ending.startswith(".") or ending != ending.lower():
            raise ValueError(f"format '{name}': ending {ending!r}; lower case with a dot is needed")
    FORMATS[name] = form


def endings() -> tuple[str, ...]:
    """Return the file endings of all formats."""
    return tuple(dict.fromkeys(ending for form in FORMATS.values() for ending in form.endings))


def load(path: str | Path, cfg: LoadCfg | None = None) -> Clip:
    """Read a capture file of any known format.

    Args:
        path: the file.
        cfg: properties that the file does not state.

    Raises:
        InputError: unknown ending, content of no format, or damaged content.
    """
    path, cfg = Path(path), cfg or LoadCfg()
    ending = path.suffix.lower()
    if ending in _COMPANIONS:
        raise InputError(f"{path}: {_COMPANIONS[ending]}")
    claims = {name: form for name, form in reversed(FORMATS.items()) if ending in form.endings}
    if not claims:
        raise InputError(f"{path}: unknown capture format '{path.suffix}'; allowed: {', '.join(endings())}")
    head = _head(path)
    for form in claims.values():
        if form.matches(path, head):
            return form.load(path, cfg)
    raise InputError(
        f"{path}: content of no known format of ending '{path.suffix}'; tried: {', '.join(claims)}"
    )


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such motion file")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
