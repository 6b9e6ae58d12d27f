"""``humanoid motions segment``: cut long motions into skills where what comes next is a surprise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.core.runs import open_run
from humanoid.datasets.sources import load_motions
from humanoid.motion.edit import cut
from humanoid.motion.segment import segment


def main(source: str, body: Embodiment, clips: Sequence[str] = (), out: str = "") -> list[dict[str, Any]]:
    """Return ``{"clip", "start_s", "stop_s", "file"}`` of each segment of each motion.

    Args:
        source: manifest, capture file, npz motion or folder of these.
        body: the embodiment.
        clips: names or tags to keep.
        out: folder that the segments are written to as ``NAME_01.npz``, ...; none if empty.

    Raises:
        InputError: nothing to segment, or a folder that cannot be written.
    """
    motions = load_motions(source, body, clips).motions
    rows = []
    folder = open_run(out) if out else None
    for motion, found in zip(motions, segment(motions), strict=True):
        for index, (start, stop) in enumerate(found.segments, 1):
            path = ""
            if folder is not None:
                name = f"{motion.name}_{index:02d}"
                if Path(name).name != name:
                    raise InputError(f"motion '{motion.name}' cannot become a file name")
                path = str(folder / f"{name}.npz")
                cut(motion, start, stop).save(path)
            rows.append(
                {"clip": motion.name, "start_s": round(start, 2), "stop_s": round(stop, 2), "file": path}
            )
    return rows
