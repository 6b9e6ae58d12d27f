"""``humanoid motions segment``: cut long motions into skills where what comes next is a surprise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.core.runs import open_run
from humanoid.datasets.sources import load_motions
from humanoid.motion.edit import cut
from humanoid.motion.segment import segment
from humanoid.scripts.verbs import SegmentationCfg


def main(cfg: SegmentationCfg, body: Embodiment | None = None) -> list[dict[str, Any]]:
    """Return ``{"clip", "start_s", "stop_s", "file"}`` of each segment of each motion.

    Args:
        cfg: motions, and the folder that the segments are written to as ``NAME_01.npz``, ....
        body: the embodiment; that of ``cfg.embodiment`` if None.

    Raises:
        InputError: nothing to segment, or a folder that cannot be written.
    """
    body = catalogue.embodiment(cfg.embodiment) if body is None else body
    motions = load_motions(cfg.source, body, cfg.clips).motions
    rows = []
    folder = open_run(cfg.out) if cfg.out else None
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
