"""Genesis in a process of its own whose kernel cache is empty, as on a fresh machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import torch
from humanoid.bodies import smpl
from humanoid.sim import SimCfg, make_sim

sim = make_sim(SimCfg(backend="genesis"), smpl.build(), 2)
for _ in range(40):
    sim.step()
sim.reset(torch.ones(2, dtype=torch.bool), sim.state())
for _ in range(10):
    sim.step()
print(bool(sim.state().joint_pos.isfinite().all()))
"""


@pytest.mark.genesis
def test_steps_with_an_empty_kernel_cache(tmp_path: Path) -> None:
    """Writing the cache from a running process made a later step crash, on a cold cache only."""
    environ = os.environ | {"QD_OFFLINE_CACHE_FILE_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "True"
    assert any(tmp_path.rglob("*")), "the cache is written at the end of a process"
