"""Thousands of damaged array files a format: a clean error or a valid clip, nothing else."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanoid import mocap
from humanoid.core import InputError
from tests.mocap.array_samples import poselib_tree, save_npy, save_npz, save_pt, skillmimic_table, smpl_arrays

MUTANTS = 2_000
SHARE = 0.2
"""Of the mutants at least, that must still be read: cruder damage would test the zip alone."""
MEMORY = 200e6
"""[bytes] More than this for a file of a few kilobytes is a blow-up."""
Rng = np.random.Generator
ODD = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-30, 1e9, 1e300, 3.5)


def _numbers(array: np.ndarray, rng: Rng) -> np.ndarray:
    """Change a few numbers, the type or the shape of an array."""
    array, kind = np.array(array), rng.integers(10)
    if kind < 6 and array.size and array.dtype.kind == "f":  # a small change leaves a valid file
        flat = array.reshape(-1).copy()
        places = rng.integers(array.size, size=rng.integers(1, 6))
        with np.errstate(over="ignore"):
            flat[places] = rng.choice(ODD) if kind == 0 else flat[places] + rng.normal(0, 0.3, len(places))
        return flat.reshape(array.shape)
    if kind == 6 and array.ndim:
        return array[: rng.integers(len(array) + 1)]
    if kind == 7 and array.ndim > 1:
        return array[..., : rng.integers(array.shape[-1] + 1)]
    if kind == 8 and array.dtype.kind == "f":
        return array.astype(rng.choice(["f2", "f4", ">f8", "i2", "c8", "U8", "?"]))
    return array.reshape(-1) if kind == 9 and rng.integers(2) else array


def _bytes(path: Path, rng: Rng) -> None:
    """Change some bytes of a file in its place, cut it or put some in."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(data)))
        kind = rng.integers(8)
        if kind == 0:
            del data[place:]
            data += b"\0"
        elif kind == 1:
            data[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            data[place] = int(rng.integers(256))
    path.write_bytes(data)


def _smpl(path: Path, rng: Rng) -> None:
    arrays = smpl_arrays(int(rng.choice([72, 156, 165])))
    key = str(rng.choice(list(arrays)))
    kind = rng.integers(8)
    if kind < 6:
        arrays[key] = _numbers(arrays[key], rng)
    elif kind == 6:
        del arrays[key]
    else:
        arrays[str(rng.choice(["root_orient", "pose_body", "fps", "extra"]))] = arrays[key]
    save_npz(path, arrays)


def _skillmimic(path: Path, rng: Rng) -> None:
    table = _numbers(skillmimic_table(), rng)
    if table.dtype.kind in "fiub" and table.dtype.isnative:
        save_pt(path, table)
    else:
        save_pt(path, skillmimic_table())


def _skillmimic_pickle(path: Path, rng: Rng) -> None:
    """Damage the description of the tensor under a good checksum."""
    save_pt(path, skillmimic_table())
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    index = next(name for name in members if name.endswith("data.pkl"))
    _damaged(members, index, rng)
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)


def _damaged(members: dict[str, bytes], name: str, rng: Rng) -> None:
    data = bytearray(members[name])
    for _ in range(rng.integers(1, 4)):
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    members[name] = bytes(data)


def _poselib(path: Path, rng: Rng) -> None:
    tree: dict[str, Any] = copy.deepcopy(poselib_tree())
    skeleton = tree["skeleton_tree"]
    places = [
        (tree["rotation"], "arr"), (tree["root_translation"], "arr"), (skeleton["local_translation"], "arr"),
        (skeleton["parent_indices"], "arr"), (tree, "fps"), (tree, "is_local"), (skeleton, "node_names"),
        (tree, "skeleton_tree"), (tree, "rotation"),
    ]  # fmt: skip
    holder, key = places[int(rng.choice(len(places), p=[0.35, 0.25, 0.1, *[0.05] * 6]))]
    if isinstance(holder[key], np.ndarray):
        holder[key] = _numbers(holder[key], rng)
    elif rng.integers(4) == 0:
        del holder[key]
    else:
        odd = (
            None,
            True,
            0,
            -3,
            2.5,
            np.nan,
            "text",
            b"bytes",
            [],
            ["a"] * 4,
            {},
            (1,),
            np.zeros(3),
            10**400,
        )
        holder[key] = odd[int(rng.integers(len(odd)))]
    save_npy(path, tree)


def _poselib_pickle(path: Path, rng: Rng) -> None:
    save_npy(path, poselib_tree())
    data = bytearray(path.read_bytes())
    for _ in range(rng.integers(1, 3)):
        data[int(rng.integers(128, len(data)))] = int(rng.integers(256))
    path.write_bytes(data)


Maker = Callable[[Path, Rng], None]
FORMATS: dict[str, tuple[str, Maker, Maker]] = {
    "smpl": ("npz", _smpl, _smpl), "skillmimic": ("pt", _skillmimic, _skillmimic_pickle),
    "poselib": ("npy", _poselib, _poselib_pickle),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore:.*cast:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*imaginary")
def test_damage_is_an_error_or_a_valid_clip(tmp_path: Path, name: str) -> None:
    ending, values, inner = FORMATS[name]
    rng, read = np.random.default_rng(0), 0
    path = tmp_path / f"003_mutant.{ending}"
    tracemalloc.start()
    for mutant in range(MUTANTS):
        (inner if mutant % 4 == 0 else values)(path, rng)
        if mutant % 4 == 1:
            _bytes(path, rng)
        try:
            clip = mocap.load(path)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error), error
            continue
        read += 1
        _valid(clip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read >= SHARE * MUTANTS, f"only {read} of {MUTANTS} were read"
    assert peak < MEMORY


def _valid(clip: mocap.Clip) -> None:
    frames, joints = clip.num_frames, len(clip.joint_names)
    assert frames >= 2 and clip.fps > 0 and len(set(clip.joint_names)) == joints
    assert clip.local_quat.shape == (frames, joints, 4) and clip.offsets.shape == (joints, 3)
    pos, quat = clip.global_poses()
    assert torch.isfinite(pos).all()
    torch.testing.assert_close(quat.norm(dim=-1), torch.ones(frames, joints), atol=1e-3, rtol=0)
    assert all(len(prop.pos_w) == frames for prop in clip.props)


def test_samples_are_valid(tmp_path: Path) -> None:
    for columns in (72, 156, 165):
        _valid(mocap.load(save_npz(tmp_path / "003_a.npz", smpl_arrays(columns))))
    _valid(mocap.load(save_pt(tmp_path / "003_a.pt", skillmimic_table())))
    _valid(mocap.load(save_npy(tmp_path / "003_a.npy", poselib_tree())))
    assert pickle.loads(pickle.dumps(poselib_tree()))["fps"] == 60
