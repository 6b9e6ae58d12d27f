"""The benchmark's rows: their keys, and that the overhead is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from humanoid.cli import main
from humanoid.core.config import to_yaml

KEYS = [
    "sim", "device", "num_envs", "sim_steps_per_s", "env_steps_per_s", "train_steps_per_s", "overhead",
]  # fmt: skip


def test_json_is_one_object_of_rows(tiny_cfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN001
    (tmp_path / "tiny.yaml").write_text(to_yaml(tiny_cfg))
    words = ["bench", "sim", "--backends", "mujoco", "--num-envs", "2", "--seconds", "0.2", "--json"]
    main([*words, "--config", str(tmp_path / "tiny.yaml")])
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["rows"] and len(result["rows"]) == 1
    row = result["rows"][0]
    assert list(row) == KEYS
    assert (row["sim"], row["device"], row["num_envs"]) == ("mujoco", "cpu", 2)
    assert row["train_steps_per_s"] > 0.0
    # the same steps on a CPU: what is not the simulator's is ours
    assert row["overhead"] == pytest.approx(row["sim_steps_per_s"] / row["env_steps_per_s"] - 1.0, rel=1e-2)
    assert row["overhead"] > 0.0
