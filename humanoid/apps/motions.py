"""``humanoid motions``: look at a motion set, or write it as npz files.

``list`` shows what a manifest holds and whether the files are there. ``convert`` puts
every clip on the default body and writes ``NAME.npz`` with BeyondMimic's and mjlab's
keys, plus joint and body names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from humanoid.bodies import smpl
from humanoid.core.errors import InputError
from humanoid.core.runs import open_run
from humanoid.motion.manifest import find_clip, load_manifest
from humanoid.retarget.source import load_motions
from humanoid.view.progress import Bar


def list_clips(source: str, clips: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return name, tags, file and whether it is found, for each clip of a manifest."""
    manifest = load_manifest(source)
    rows = []
    for entry in manifest.select(clips):
        try:
            path, found = str(find_clip(manifest, entry)), True
        except InputError:
            path, found = entry.file, False
        rows.append({"clip": entry.name, "tags": " ".join(entry.tags), "found": found, "file": path})
    return rows


def convert(source: str, out: str, clips: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Write each clip of ``source`` as ``out/NAME.npz``.

    Raises:
        InputError: no output folder given or one that cannot be written; a clip is missing,
            malformed, of the name of another, or of a name that is no file name.
    """
    if not out:
        raise InputError("convert needs a folder: --out DIR")
    motions, _ = load_motions(source, smpl.build(), clips)
    names = [motion.name for motion in motions]
    for name in names:
        if "/" in name or "\\" in name or names.count(name) > 1:
            raise InputError(f"{source}: motion '{name}' cannot become '{name}.npz'; names must be unique "
                             "and without slashes")  # fmt: skip
    folder = open_run(out)  # after the motions: what is wrong there leaves no folder
    rows, bar = [], Bar("clip")
    for index, motion in enumerate(motions):
        path = folder / f"{motion.name}.npz"
        motion.save(path)
        bar(index + 1, len(motions))
        rows.append({"clip": motion.name, "frames": motion.num_frames, "fps": motion.fps, "file": str(path)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows of equal keys as aligned text."""
    if not rows:
        return "no clips"
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
