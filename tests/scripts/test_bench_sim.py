"""The benchmark's rows: their keys, and that the overhead is what it says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from humanoid.core import to_yaml
from humanoid.scripts.bench_sim import Stopwatch, table
from humanoid.scripts.main import main

KEYS = [
    "sim", "device", "num_envs", "sim_steps_per_s", "env_steps_per_s", "train_steps_per_s", "overhead",
    "share_simulator", "share_environment", "share_ppo", "start_s", "torch_gib", "device_gib",
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
    # a training step is the simulator, the rest of the environment, and PPO
    shares = [row[f"share_{part}"] for part in ("simulator", "environment", "ppo")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)
    assert all(0.0 < share < 1.0 for share in shares)
    assert row["start_s"] > 0.0 and row["torch_gib"] == row["device_gib"] == 0.0


def test_table_has_a_line_a_row() -> None:
    row = dict.fromkeys(KEYS, 0.5) | {"sim": "mujoco", "device": "cpu", "num_envs": 64}
    lines = table({"rows": [row, row]}).splitlines()
    assert len(lines) == 4
    assert "50%" in lines[1] and lines[1] == lines[2]


def test_a_stopwatch_counts_a_method_and_gives_it_back() -> None:
    class Sleeper:
        def nap(self, seconds: float) -> float:
            time.sleep(seconds)
            return seconds

    sleeper, watch = Sleeper(), Stopwatch(torch.device("cpu"))
    with watch.on(sleeper, "nap", "sleep"):
        assert sleeper.nap(0.01) == 0.01
    sleeper.nap(0.01)
    assert 0.01 <= watch.spent["sleep"] < 0.02
    assert "nap" not in vars(sleeper)
