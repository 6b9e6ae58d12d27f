"""``humanoid motions segment``: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from humanoid.bodies import Embodiment
from humanoid.motion import Motion
from humanoid.scripts.segment import main
from humanoid.scripts.verbs import SegmentationCfg


def test_segments_cover_the_motion_and_are_written(
    motion_folder: Path, body: Embodiment, tmp_path: Path
) -> None:
    rows = main(SegmentationCfg(source=str(motion_folder), clips=("dip",), out=str(tmp_path / "cut")), body)
    assert {row["clip"] for row in rows} == {"dip"}
    assert rows[0]["start_s"] == 0.0 and rows[-1]["stop_s"] == pytest.approx(0.8, abs=0.01)
    assert [row["start_s"] for row in rows[1:]] == [row["stop_s"] for row in rows[:-1]]
    for row in rows:
        written = Motion.load(row["file"])
        assert written.duration == pytest.approx(row["stop_s"] - row["start_s"], abs=0.03)
