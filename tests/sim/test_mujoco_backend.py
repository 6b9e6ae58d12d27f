"""MuJoCo alone: what it does when a body diverges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.sim import SimCfg, make_sim


def test_a_body_that_diverges_leaves_no_file_and_no_output(
    body: Embodiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """MuJoCo once left MUJOCO_LOG.TXT wherever a command was started."""
    monkeypatch.chdir(tmp_path)
    sim = make_sim(SimCfg(threads=1), body, 2)
    state = sim.state()
    state.joint_vel[0] = 1e7
    sim.reset(torch.tensor([True, False]), state)
    sim.step()
    out, err = capfd.readouterr()
    assert out == "" and "unstable" in err
    assert list(tmp_path.iterdir()) == []
    for _ in range(3):  # MuJoCo has put it back to its zero pose; here it waits for a reset
        sim.step()
        assert sim.state().body_pos_w.isfinite().flatten(1).all(-1).tolist() == [False, True]
    assert capfd.readouterr().err == ""
