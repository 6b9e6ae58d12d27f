"""The bench beside mjlab, without mjlab: what it hands over, what it prints, what it says is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from humanoid.core import ConfigError, InputError
from humanoid.motion import MotionLibrary
from tools.bench_peers import PeersCfg, export, main, table


def test_the_motion_has_beyondmimics_keys_and_names(library: MotionLibrary, tmp_path: Path) -> None:
    with np.load(export(library, tmp_path / "motion.npz"), allow_pickle=False) as data:
        frames, bodies, joints = int(library.length[0]), library.body.num_bodies, library.body.num_joints
        assert data["fps"].tolist() == [50]
        assert data["joint_pos"].shape == data["joint_vel"].shape == (frames, joints)
        assert data["body_quat_w"].shape == (frames, bodies, 4)
        for name in ("body_pos_w", "body_lin_vel_w", "body_ang_vel_w"):
            assert data[name].shape == (frames, bodies, 3)
        assert tuple(data["joint_names"]) == library.body.joint_names
        assert tuple(data["body_names"]) == library.body.body_names
        expected = library.rows(library.start[:1] + 7).body_pos_w[0]
        np.testing.assert_array_equal(data["body_pos_w"][7], expected.numpy())


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("/nowhere/python", "mjlab"),
        (sys.executable, "mjlab.*pip install"),
    ],
)
def test_a_missing_mjlab_is_told(python: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        main(PeersCfg(python=python, device="cpu"))


def test_numbers_that_measure_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="seconds"):
        main(PeersCfg(python=sys.executable, device="cpu", seconds=0.0))


def test_ratio_is_ours_over_theirs() -> None:
    ours = {"env_steps_per_s": 300_000.0, "train_steps_per_s": 200_000.0}
    theirs = {"env_steps_per_s": 200_000.0, "train_steps_per_s": 160_000.0, "version": "1.6.0"}
    row = {"num_envs": 4096, "clip": "walk", "ours": ours, "mjlab": theirs}
    lines = table({"rows": [row]}).splitlines()
    assert lines[1].split() == ["4096", "environment", "300,000", "200,000", "1.50"]
    assert lines[2].split() == ["4096", "training", "200,000", "160,000", "1.25"]
    assert lines[3].endswith("mjlab 1.6.0, clip walk")
