"""poselib motions: kinematics in the file's own terms, and files that would be more than data."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import LoadCfg
from tests.core.test_io_npz import npy_bytes
from tests.mocap.array_samples import FRAMES, poselib_tree, save_npy

Tree = dict[str, Any]


def _positions(tree: Tree) -> np.ndarray:
    """Return joint positions (T, J, 3) [m] by forward kinematics with scipy."""
    quat, root = tree["rotation"]["arr"], tree["root_translation"]["arr"]
    skeleton = tree["skeleton_tree"]
    pos, turn = [root], [Rotation.from_quat(quat[:, 0])]
    for joint, parent in enumerate(skeleton["parent_indices"]["arr"]):
        if parent < 0:
            continue
        pos.append(pos[parent] + turn[parent].apply(skeleton["local_translation"]["arr"][joint]))
        local = Rotation.from_quat(quat[:, joint])
        turn.append(turn[parent] * local if tree["is_local"] else local)
    return np.stack(pos, axis=1)


@pytest.mark.parametrize("local", [True, False])
def test_joints_are_where_the_file_puts_them(tmp_path: Path, local: bool) -> None:
    tree = poselib_tree(local=local)
    clip = mocap.load(save_npy(tmp_path / "take.npy", tree))
    np.testing.assert_allclose(clip.global_poses()[0].numpy(), _positions(tree), atol=1e-5)
    assert clip.fps == 60.0 and clip.name == "take" and clip.joint_names[0] == "joint0"


def test_up_turns_world_and_joints(tmp_path: Path) -> None:
    tree = poselib_tree()
    path = save_npy(tmp_path / "take.npy", tree)
    turned = mocap.load(path, LoadCfg(up="y"))
    expected = _positions(tree)[..., [2, 0, 1]]
    np.testing.assert_allclose(turned.global_poses()[0].numpy(), expected, atol=1e-5)
    assert turned.offsets[1].tolist() == pytest.approx([0.3, 0.0, 0.1])


def test_real_clips(mocap_data: Path) -> None:
    paths = sorted((mocap_data / "poselib").glob("*.npy"))
    assert paths
    for path in paths:
        clip = mocap.load(path)
        pos = clip.global_poses()[0]
        tree = np.load(path, allow_pickle=True).item()
        np.testing.assert_allclose(pos.numpy(), _positions(tree), atol=1e-5)
        assert pos[0, clip.joint_id("head"), 2] > pos[0, clip.joint_id("left_foot"), 2] + 0.7
        assert -0.1 < float(pos[..., 2].min()) < 0.2


def test_rate_can_be_given_where_the_file_has_none(tmp_path: Path) -> None:
    tree = poselib_tree()
    del tree["fps"]
    path = save_npy(tmp_path / "take.npy", tree)
    with pytest.raises(InputError, match="frame rate"):
        mocap.load(path)
    assert mocap.load(path, LoadCfg(fps=30.0)).fps == 30.0


class _Bomb:
    """Leaves a folder behind when it is unpickled the ordinary way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for tree in (_Bomb(mark), poselib_tree() | {"extra": _Bomb(mark)}, {"fps": [_Bomb(mark)]}):
        _refused(save_npy(tmp_path / "bad.npy", tree), "mkdir.*nothing was executed")
    assert not mark.exists()


def _refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        mocap.load(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def _array(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tree], Tree]:
    return lambda tree: tree | {key: {"arr": change(tree[key]["arr"].copy())}}


def _skeleton(key: str, value: Any) -> Callable[[Tree], Tree]:
    return lambda tree: tree | {"skeleton_tree": tree["skeleton_tree"] | {key: value}}


def _put(place: tuple[int, ...], value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


def _cut(tree: Tree, frames: int) -> Tree:
    for key in ("rotation", "root_translation"):
        tree = _array(key, lambda array: array[:frames])(tree)
    return tree


BAD: dict[str, tuple[Callable[[Tree], Any], str]] = {
    "nan": (_array("rotation", _put((3, 1, 2), np.nan)), "'rotation'"),
    "infinity": (_array("root_translation", _put((3, 1), np.inf)), r"'root_translation'\[3, 1\]"),
    "zero quaternion": (_array("rotation", _put((3, 1), 0.0)), "'joint1'"),
    "duplicate names": (_skeleton("node_names", ["a", "b", "b", "c"]), "'b'"),
    "no frames": (lambda t: _cut(t, 0), "0 frames"),
    "one frame": (lambda t: _cut(t, 1), "1 frames"),
    "lengths": (_array("root_translation", lambda a: a[:3]), "'root_translation'"),
    "joints": (_array("rotation", lambda a: a[:, :2]), "'rotation'"),
    "negative rate": (lambda t: t | {"fps": -60}, "60"),
    "rate of text": (lambda t: t | {"fps": "60"}, "'fps'"),
    "rates": (lambda t: t | {"fps": np.ones(4)}, "expected one number"),
    "is_local": (lambda t: t | {"is_local": [1]}, "'is_local'"),
    "no skeleton": (lambda t: {k: v for k, v in t.items() if k != "skeleton_tree"}, "no 'rotation'"),
    "skeleton": (lambda t: t | {"skeleton_tree": 3}, "node_names"),
    "names": (_skeleton("node_names", [1, 2, 3, 4]), "node_names"),
    "parents": (_skeleton("parent_indices", {"arr": np.array([-1, 2, 1, 0])}), "'joint1'"),
    "parent": (_skeleton("parent_indices", {"arr": np.array([-1, 99, 1, 0])}), "before its parent"),
    "offsets": (_skeleton("local_translation", {"arr": np.zeros((3, 3))}), "they must fit"),
    "many joints": (_skeleton("node_names", ["a"] * 2000), "2000 joints"),
    "text": (_array("rotation", lambda a: a.astype(str)), "expected an array of real"),
    "objects": (_array("rotation", lambda a: np.array([{}], dtype=object)), "expected an array of real"),
    "list": (lambda t: [t], "expected|holds"),
    "text alone": (lambda t: "hello", "holds a str"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    path = tmp_path / "bad.npy"
    held = np.empty((), dtype=object)
    held[()] = change(dict(poselib_tree()))
    np.save(path, held, allow_pickle=True)
    _refused(path, message)


def test_headers_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    for shape in ("(1000000000,)", "(2, 3)", "(1000000000, 1000000000)"):
        path.write_bytes(npy_bytes(shape, "|O", pickle.dumps(1)))
        _refused(path, "shape")
    np.save(path, np.zeros((4, 3)))
    _refused(path, "format")


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = save_npy(tmp_path / "bad.npy", poselib_tree())
    data, rows = path.read_bytes(), b"K" + bytes([FRAMES])
    assert data.count(rows) == 2
    path.write_bytes(data.replace(rows, b"J" + (10**9).to_bytes(4, "little")))
    _refused(path, "1000000000, 4, 4")


@pytest.mark.parametrize("cut", [0, 5, 100, 200, -10])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = save_npy(tmp_path / "bad.npy", poselib_tree())
    path.write_bytes(path.read_bytes()[:cut])
    _refused(path, "bad.npy")


def test_clip_is_float32_and_unit(tmp_path: Path) -> None:
    clip = mocap.load(save_npy(tmp_path / "take.npy", poselib_tree()))
    assert clip.local_quat.dtype == torch.float32
    torch.testing.assert_close(clip.local_quat.norm(dim=-1), torch.ones(FRAMES, 4))
