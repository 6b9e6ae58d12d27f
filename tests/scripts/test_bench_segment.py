"""The benchmark of boundaries: what it prints, and at full size the score it is judged by."""

from __future__ import annotations

import json

import pytest

from humanoid.core.errors import ConfigError
from humanoid.motion.segment import SegmentCfg
from humanoid.scripts.bench_segment import main, table
from humanoid.scripts.verbs import BenchSegmentCfg

pytest.importorskip("pybullet_data", reason="the captured clips come with the extra 'mocap'")


def test_rows_and_table() -> None:
    small = SegmentCfg(steps=20, hidden=16)
    result = main(BenchSegmentCfg(takes=1, length=3), small)
    assert json.loads(json.dumps(result)) == result
    methods = [row["method"].split(" (")[0] for row in result["rows"]]
    assert methods == ["detection", "detection, each take alone", "speed threshold", "even spacing"]
    assert result["boundaries"] == 2
    assert all(0.0 <= row[key] <= 1.0 for row in result["rows"] for key in ("f1", "precision", "recall"))
    assert len(table(result).splitlines()) == 2 + len(methods)


def test_takes_without_a_boundary_are_refused() -> None:
    with pytest.raises(ConfigError, match="length"):
        BenchSegmentCfg(length=1)


@pytest.mark.slow
@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_boundaries_are_found(seed: int, vary: bool) -> None:
    rows = main(BenchSegmentCfg(seed=seed, vary=vary, alone=False))["rows"]
    score = {row["method"].split(" (")[0]: row["f1"] for row in rows}
    assert score["detection"] >= 0.8
    assert score["speed threshold"] < 0.5
