"""``humanoid export``: one call from checkpoint to a file that is proven equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.export import OnnxPolicy
from humanoid.nn import read_torch
from humanoid.scripts import export
from humanoid.scripts.verbs import ExportCfg
from tests.g1_samples import squat


def _cfg(run: Path, tmp_path: Path, **parts: Any) -> ExportCfg:
    return ExportCfg(checkpoint=str(run / "checkpoint.pt"), out=str(tmp_path / "policy.onnx"), **parts)


def test_a_g1_gets_beyondmimics_form(g1_run: Path, tmp_path: Path) -> None:
    result = export.main(_cfg(g1_run, tmp_path))
    assert (result["format"], result["body"], result["motion"]) == ("beyondmimic", "g1", "squat")
    assert sum(result["observation"].values()) == 160
    assert max(result["difference"].values()) <= 1e-4
    policy = OnnxPolicy(result["file"])
    assert policy.has_motion
    assert policy.metadata.run_path == (g1_run / "checkpoint.pt").as_posix()
    lines = export.table(result).splitlines()
    assert "beyondmimic, g1 with 'squat' inside" in lines[0] and "160: command 58" in lines[1]
    assert [path.name for path in tmp_path.iterdir()] == ["policy.onnx"]


def test_another_body_gets_its_policy(tiny_run: Path, tmp_path: Path) -> None:
    result = export.main(_cfg(tiny_run, tmp_path))
    assert (result["format"], result["body"], result["motion"]) == ("policy", "smpl", "")
    meta = OnnxPolicy(result["file"]).metadata
    assert (meta.action_around, meta.velocity_lead) == ("reference", True)
    assert meta.observation_names[:2] == ("joint_pos_ref", "joint_vel_ref")


def test_the_policy_alone(g1_run: Path, tmp_path: Path) -> None:
    result = export.main(_cfg(g1_run, tmp_path, format="policy"))
    assert not OnnxPolicy(result["file"]).has_motion


def test_the_motion_by_its_name(g1_run: Path, g1_like: Embodiment, tmp_path: Path) -> None:
    folder = tmp_path / "motions"
    for name, depth in (("low", 0.5), ("high", 0.2)):
        squat(g1_like, name, depth=depth).save(folder / f"{name}.npz")
    result = export.main(_cfg(g1_run, tmp_path, motions=str(folder), motion="high"))
    middle = OnnxPolicy(result["file"]).run(np.zeros(160), 30)
    np.testing.assert_array_equal(middle["joint_pos"], squat(g1_like, depth=0.2).states.joint_pos[30])
    with pytest.raises(ConfigError, match="motion"):
        export.main(_cfg(g1_run, tmp_path, motions=str(folder)))
    with pytest.raises(InputError, match="hihg"):
        export.main(_cfg(g1_run, tmp_path, motions=str(folder), motion="hihg"))


def test_a_motion_at_another_rate_is_refused(g1_run: Path, g1_like: Embodiment, tmp_path: Path) -> None:
    path = tmp_path / "slow.npz"
    replace(squat(g1_like), fps=30.0).save(path)
    with pytest.raises(MismatchError, match="'slow'"):
        export.main(_cfg(g1_run, tmp_path, motions=str(path)))


def test_a_form_that_means_another_pose_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="BeyondMimic"):
        export.main(_cfg(tiny_run, tmp_path, motion="squat"))
    with pytest.raises(ConfigError, match="'policy'"):
        export.main(_cfg(tiny_run, tmp_path, motion="squat", format="policy"))
    assert list(tmp_path.iterdir()) == []


def test_another_robot_than_it_learned_on_is_refused(g1_run: Path, tmp_path: Path) -> None:
    content = read_torch(g1_run / "checkpoint.pt")
    content["header"]["body"]["kp"][0] += 1.0
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(MismatchError, match="kp"):
        export.main(ExportCfg(checkpoint=str(tmp_path / "other.pt"), out=str(tmp_path / "policy.onnx")))
    assert not (tmp_path / "policy.onnx").exists()


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pt"):
        export.main(ExportCfg(checkpoint=str(tmp_path / "none.pt")))
