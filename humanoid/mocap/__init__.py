"""Captured motion: one loader a format, one entry point."""

from __future__ import annotations

from pathlib import Path

from humanoid.core.errors import InputError
from humanoid.mocap import acclaim, bvh, humanoid3d, poselib, skillmimic, smpl_npz
from humanoid.mocap.format import Format, LoadCfg, anything
from humanoid.mocap.skeleton import Clip, PropTrack

__all__ = ["FORMATS", "Clip", "Format", "LoadCfg", "PropTrack", "endings", "load"]

FORMATS: tuple[Format, ...] = (
    Format(name="acclaim", endings=(".amc",), matches=anything, load=acclaim.load),
    Format(name="bvh", endings=(".bvh",), matches=bvh.matches, load=bvh.load),
    Format(name="smpl", endings=(".npz",), matches=smpl_npz.matches, load=smpl_npz.load),
    Format(name="skillmimic", endings=(".pt",), matches=anything, load=skillmimic.load),
    Format(name="poselib", endings=(".npy",), matches=poselib.matches, load=poselib.load),
    Format(name="humanoid3d", endings=(".txt", ".json"), matches=anything, load=humanoid3d.load),
)
"""Every capture format; of those that claim an ending the first that matches is taken."""
_COMPANIONS = {".asf": "a skeleton without a take; name the .amc"}
"""Files that belong to a format but are no take."""
_HEAD = 4096


def endings() -> tuple[str, ...]:
    """Return every file ending that some format claims."""
    return tuple(dict.fromkeys(ending for form in FORMATS for ending in form.endings))


def load(path: str | Path, cfg: LoadCfg | None = None) -> Clip:
    """Read a capture file of any known format.

    Args:
        path: the file.
        cfg: what the file does not say about itself.

    Raises:
        InputError: unknown ending, content of no format, or the loader refuses the file.
    """
    path, cfg = Path(path), cfg or LoadCfg()
    claims = [form for form in FORMATS if path.suffix.lower() in form.endings]
    if path.suffix.lower() in _COMPANIONS:
        raise InputError(f"{path}: {_COMPANIONS[path.suffix.lower()]}")
    if not claims:
        raise InputError(f"{path}: unknown capture format '{path.suffix}'; allowed: {', '.join(endings())}")
    head = _head(path)
    for form in claims:
        if form.matches(path, head):
            return form.load(path, cfg)
    tried = ", ".join(form.name for form in claims)
    raise InputError(f"{path}: content of no known format of ending '{path.suffix}'; tried: {tried}")


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path}: no such motion file")
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
