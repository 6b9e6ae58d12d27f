"""Checkpoints: three files that belong together, also when the disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from humanoid.core.errors import TrainingError
from humanoid.nn import Header
from humanoid.rl import PpoCfg, checkpoints
from humanoid.rl.checkpoints import CHECKPOINT

LAYER = nn.Linear(300, 100)
ROOT = Path(__file__).parents[2]


def _write(folder: Path, iteration: int) -> None:
    optimizer = torch.optim.Adam(LAYER.parameters())
    LAYER(torch.ones(300)).sum().backward()
    optimizer.step()
    header = Header(
        kind=checkpoints.KIND, body={}, observation=(), control_dt=0.02, config={}, iteration=iteration
    )
    state = {"optimizer": optimizer.state_dict(), "more": iteration, "large": torch.zeros(50_000)}
    checkpoints.write(folder, header, LAYER.state_dict(), state)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    for iteration in (1, 2):
        _write(tmp_path, iteration)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        CHECKPOINT, "moments_000002.pt", "training_000002.pt",
    ]  # fmt: skip
    checkpoint, state = checkpoints.read(tmp_path, "cpu")
    assert (checkpoint.header.iteration, state["more"]) == (2, 2)
    assert torch.equal(checkpoint.weights["weight"], LAYER.weight)
    assert set(state["optimizer"]["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    again = torch.optim.Adam(LAYER.parameters())
    again.load_state_dict(state["optimizer"])


LIMITED = """
import resource, sys
from pathlib import Path
from tests.rl.test_checkpoints import _write
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
_write(folder, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
_write(folder, 2)
"""


@pytest.mark.parametrize("limit", [100_000, 200_000])
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, limit: int) -> None:
    """A limit on the size of files stands for the disk: moments take 120 kB, the state more than 300."""
    words = [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    last = done.stderr.splitlines()[-1]
    assert "TrainingError: " in last and "cannot write" in last
    assert "iteration 2 is not saved, the checkpoint before it stays" in last
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        CHECKPOINT, "moments_000001.pt", "training_000001.pt",
    ]  # fmt: skip
    assert checkpoints.read(tmp_path, "cpu")[1]["more"] == 1


def test_a_failing_write_removes_only_what_it_wrote(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    (tmp_path / "training_000002.pt").mkdir()
    with pytest.raises(TrainingError, match="training_000002.pt"):
        _write(tmp_path, 2)
    assert checkpoints.read(tmp_path, "cpu")[1]["more"] == 1


def test_space_is_reckoned_above_what_a_run_writes(tiny_run: Path, tiny_cfg: Any) -> None:
    written = sum(path.stat().st_size for path in tiny_run.iterdir())
    assert checkpoints.bytes_needed(tiny_cfg.ppo) > 2 * written
    wide = replace(PpoCfg(), actor_hidden=(2048, 1024, 512), critic_hidden=(2048, 1024, 512))
    weights = sum(a * b for a, b in ((1500, 2048), (2048, 1024), (1024, 512), (512, 69))) * 2
    assert checkpoints.bytes_needed(wide) > 2 * 12 * weights
