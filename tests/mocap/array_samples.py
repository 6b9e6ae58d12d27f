"""Small takes in the formats that hold arrays, and ways to write them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

Arrays = dict[str, np.ndarray]
FRAMES = 12


def waves(columns: int, size: float = 0.5, frames: int = FRAMES) -> np.ndarray:
    """Return smooth numbers (frames, columns), every column another."""
    phase = np.linspace(0, 2, frames)[:, None] + np.arange(columns) * 0.7
    return size * np.sin(phase)


def near(place: tuple[float, ...], size: float, frames: int) -> np.ndarray:
    """Return smooth places (frames, N) about one."""
    return np.array(place) + waves(len(place), size, frames)


def smpl_arrays(columns: int = 156, frames: int = FRAMES) -> Arrays:
    """Return the arrays of an AMASS npz: 156 columns are SMPL-H, 165 SMPL-X, 72 SMPL."""
    return {
        "poses": waves(columns, 0.4, frames), "trans": near((0, 0, 0.9), 0.2, frames),
        "betas": 0.1 * np.arange(10.0), "mocap_framerate": np.array(120.0), "gender": np.array("male"),
        "dmpls": np.zeros((frames, 8)),
    }  # fmt: skip


def save_npz(path: Path, arrays: Arrays) -> Path:
    """Write an npz."""
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def skillmimic_table(frames: int = FRAMES) -> np.ndarray:
    """Return a table (frames, 337): someone upright with a ball that is touched in the second half."""
    table = np.zeros((frames, 337), np.float32)
    table[:, :3] = near((0, 0, 1), 0.1, frames)
    table[:, 3:6] = (np.pi / 2, 0, 0)
    table[:, 6:9] = table[:, 3:6]
    table[:, 9:165] = waves(156, 0.2, frames)
    table[:, 324:327] = (0.5, 0.1, 1.2)
    table[frames // 2 :, 336] = 1.0
    return table


def save_pt(path: Path, table: np.ndarray) -> Path:
    """Write a torch file."""
    torch.save(torch.from_numpy(np.ascontiguousarray(table)), path)
    return path


def poselib_tree(frames: int = FRAMES, joints: int = 4, local: bool = True) -> OrderedDict[str, Any]:
    """Return poselib's dictionary of a chain of joints upwards; the last hangs on the root."""
    quat = near((0, 0, 0, 1) * joints, 0.3, frames).reshape(frames, joints, 4)
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    offsets = np.tile(np.array((0.0, 0.1, 0.3), np.float32), (joints, 1))
    parents = np.array([-1, *range(joints - 2), 0][:joints])

    def wrapped(array: np.ndarray) -> dict[str, Any]:
        return {"arr": array, "context": {"dtype": str(array.dtype)}}

    skeleton = OrderedDict(
        node_names=[f"joint{i}" for i in range(joints)], parent_indices=wrapped(parents),
        local_translation=wrapped(offsets),
    )  # fmt: skip
    return OrderedDict(
        rotation=wrapped(quat), root_translation=wrapped(near((0, 0, 1), 0.2, frames)),
        skeleton_tree=skeleton, is_local=local, fps=np.array(60, np.int32), __name__="SkeletonMotion",
    )  # fmt: skip


def save_npy(path: Path, tree: object) -> Path:
    """Write an npy with one pickled object."""
    np.save(path, np.array(tree, dtype=object), allow_pickle=True)
    return path
