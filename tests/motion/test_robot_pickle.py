"""Robot pickles: opened only on the user's word, and even then nothing in them runs."""

from __future__ import annotations

import os
import pickle
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanoid.bodies import Embodiment, g1
from humanoid.core import InputError, LoadCfg
from humanoid.motion import load_robot
from tests.motion.robot_takes import joblib_bytes, table

TRUST = LoadCfg(trust_pickle=True)


@pytest.fixture
def clip(g1_like: Embodiment) -> dict[str, Any]:
    """A clip with ASAP's keys: quaternions xyzw, 23 joints."""
    rows = table(g1_like)
    return {
        "root_trans_offset": rows[:, :3].astype(np.float32),
        "root_rot": rows[:, [4, 5, 6, 3]],
        "dof": rows[:, 7:][:, [g1.JOINTS.index(name) for name in g1.JOINTS_23_WAIST]],
        "fps": 30,
    }


def save(path: Path, tree: object, protocol: int = 4) -> Path:
    """Write a pickle."""
    path.write_bytes(pickle.dumps(tree, protocol))
    return path


def test_is_refused_without_the_users_word(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="--trust-pickle"):
        load_robot(save(tmp_path / "a.pkl", {"walk": clip}), g1_like)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_asaps_keys(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any], protocol: int) -> None:
    motion = load_robot(save(tmp_path / "a.pkl", {"walk": clip}, protocol), g1_like, TRUST, 30.0)
    rows = table(g1_like)
    assert motion.name == "walk"
    np.testing.assert_allclose(motion.qpos[:, :7].numpy(), rows[:, :7], atol=1e-5)
    known = g1_like.joint_ids(g1.JOINTS_23_WAIST)
    np.testing.assert_allclose(motion.states.joint_pos[:, known], rows[:, [7 + j for j in known]], atol=1e-5)
    assert len(motion.provenance["joints_set_to_zero"]) == 6


def test_gmrs_keys_in_one_table(tmp_path: Path, g1_like: Embodiment) -> None:
    rows = table(g1_like)
    tree = {
        "fps": np.float64(30.0), "root_pos": rows[:, :3], "root_rot": rows[:, [4, 5, 6, 3]],
        "dof_pos": rows[:, 7:], "local_body_pos": None, "link_body_list": None,
    }  # fmt: skip
    motion = load_robot(save(tmp_path / "walk.pkl", tree), g1_like, TRUST, 30.0)
    np.testing.assert_allclose(motion.qpos.numpy(), rows, atol=1e-5)
    compressed = tmp_path / "b.pkl"
    compressed.write_bytes(zlib.compress(pickle.dumps(tree)))
    np.testing.assert_allclose(load_robot(compressed, g1_like, TRUST, 30.0).qpos, motion.qpos)


@pytest.mark.parametrize("compress", [False, True])
def test_joblibs_arrays_between_the_opcodes(
    tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any], compress: bool
) -> None:
    content = joblib_bytes({"walk": clip})
    (tmp_path / "a.pkl").write_bytes(zlib.compress(content) if compress else content)
    motion = load_robot(tmp_path / "a.pkl", g1_like, TRUST, 30.0)
    same = load_robot(save(tmp_path / "b.pkl", {"walk": clip}), g1_like, TRUST, 30.0)
    assert motion.name == "walk"
    np.testing.assert_array_equal(motion.qpos, same.qpos)


@pytest.mark.parametrize("shape", [(10**9, 23), (-1, 23), (1,) * 40, (2**62, 2**62)])
def test_joblibs_shapes_are_not_believed(
    tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any], shape: tuple[int, ...]
) -> None:
    (tmp_path / "a.pkl").write_bytes(joblib_bytes({"walk": clip}, {"dof": shape}))
    with pytest.raises(InputError, match="a.pkl"):
        load_robot(tmp_path / "a.pkl", g1_like, TRUST, 30.0)


def test_a_deflate_bomb_is_refused(tmp_path: Path, g1_like: Embodiment) -> None:
    (tmp_path / "a.pkl").write_bytes(zlib.compress(bytes(1 << 27), 9))
    with pytest.raises(InputError, match="zip bomb"):
        load_robot(tmp_path / "a.pkl", g1_like, TRUST, 30.0)


def test_several_clips_need_a_choice(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any]) -> None:
    path = save(tmp_path / "a.pkl", {"walk": clip, "run": clip})
    with pytest.raises(InputError, match="'clip'"):
        load_robot(path, g1_like, TRUST, 30.0)
    assert load_robot(path, g1_like, replace(TRUST, clip="run"), 30.0).name == "run"
    with pytest.raises(InputError, match="'rum'"):
        load_robot(path, g1_like, replace(TRUST, clip="rum"), 30.0)


class Trap:
    """Runs a command when it is unpickled in the usual way."""

    def __init__(self, path: Path, function: Any) -> None:
        """Remember what to do."""
        self.path, self.function = path, function

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, (
            (["touch", str(self.path)],) if self.function is subprocess.call else (f"touch {self.path}",)
        )


@pytest.mark.parametrize("function", [os.system, subprocess.call, eval])
def test_nothing_runs(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any], function: Any) -> None:
    sprung = tmp_path / "sprung"
    clip["fps"] = Trap(sprung, function)
    with pytest.raises(InputError, match="system|call|eval"):
        load_robot(save(tmp_path / "a.pkl", {"walk": clip}), g1_like, TRUST, 30.0)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dof": np.zeros((61, 22))}, "22"),
        ({"dof": [[0.0] * 23] * 61}, "'dof'"),
        ({"dof": np.array([["a"] * 23] * 61)}, "'dof'"),
        ({"root_rot": np.zeros((61, 4))}, "quaternion"),
        ({"root_rot": np.zeros((60, 4))}, "root_rot"),
        ({"root_trans_offset": np.full((61, 3), np.nan)}, "frame 0"),
        ({"fps": "fast"}, "'fps'"),
        ({"fps": -30}, "30"),
    ],
)
def test_bad_clips_are_refused(
    tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_robot(save(tmp_path / "a.pkl", {"walk": {**clip, **change}}), g1_like, TRUST, 30.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tree", [[1, 2], {"walk": {"poses": np.zeros((3, 3))}}, None])
def test_other_trees_are_refused(tmp_path: Path, g1_like: Embodiment, tree: object) -> None:
    with pytest.raises(InputError, match=r"a\.pkl"):
        load_robot(save(tmp_path / "a.pkl", tree), g1_like, TRUST, 30.0)


def test_the_wrong_order_is_noticed(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any]) -> None:
    clip["root_rot"] = table(g1_like)[:, 3:7]
    path = save(tmp_path / "a.pkl", {"walk": clip})
    with pytest.raises(InputError, match="declare wxyz"):
        load_robot(path, g1_like, TRUST, 30.0)
    assert load_robot(path, g1_like, replace(TRUST, quat="wxyz"), 30.0).num_frames == 61


def test_the_formats_order_counts(tmp_path: Path, g1_like: Embodiment, clip: dict[str, Any]) -> None:
    """What is declared for the CSVs of a folder is not for its pickles."""
    motion = load_robot(save(tmp_path / "a.pkl", clip), g1_like, replace(TRUST, quat="wxyz"), 30.0)
    np.testing.assert_allclose(motion.states.root_quat_w, table(g1_like)[:, 3:7], atol=1e-5)
    assert motion.provenance["quat"] == "xyzw"


@pytest.mark.parametrize("name", ["CR7", "squat", "walk"])
def test_real_files(mocap_data: Path, g1_like: Embodiment, name: str) -> None:
    motion = load_robot(mocap_data / "g1" / f"asap_{name}_level1.pkl", g1_like, TRUST, 30.0)
    assert motion.num_frames > 100
    assert motion.provenance["source_fps"] == 30
    up = 1 - 2 * motion.states.root_quat_w[:, 1:3].square().sum(-1)
    assert (up > 0.5).float().mean() > 0.9
