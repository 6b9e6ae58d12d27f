"""poselib's ``SkeletonMotion`` files, as IsaacGymEnvs ships them.

An npy with one pickled dictionary: ``rotation`` (T, J, 4) with the scalar last,
``root_translation`` (T, 3) [m], ``skeleton_tree`` (names, parents, offsets [m]), ``is_local``
and ``fps``; each array as ``{"arr": ..., "context": ...}``. z up. The pickle is read by
:func:`humanoid.core.io.load_pickle`, which executes nothing.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, PickleError, load_pickle, npy_header, read_bytes
from humanoid.mocap.checks import LARGEST, MAX_JOINTS, MIN_NORM, checked, rebased, to_z_up
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot


def matches(path: Path, head: bytes) -> bool:
    """Whether an npy holds Python objects; a table of numbers is something else."""
    del path
    return head[:6] == b"\x93NUMPY" and b"O'" in head[:128]


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one motion; metres, z up by default.

    ``cfg.up`` turns the world and every joint's frame alike. Rotations that are not local
    (``is_local`` false) are made so.

    Raises:
        InputError: damaged or hostile file, missing entry, wrong shape, numbers that are not
            finite, a quaternion without length.
    """
    cfg = cfg or LoadCfg()
    tree = _tree(path)
    if "rotation" not in tree or "root_translation" not in tree or "skeleton_tree" not in tree:
        raise InputError(f"{path}: no 'rotation', 'root_translation' or 'skeleton_tree'; a motion has all")
    names, parents, offsets = _skeleton(path, tree["skeleton_tree"])
    quat = _array(path, tree, "rotation")
    if quat.ndim != 3 or quat.shape[1:] != (len(names), 4):
        raise InputError(
            f"{path}: 'rotation' has shape {tuple(quat.shape)}, expected (frames, {len(names)}, 4)"
        )
    root = _array(path, tree, "root_translation")
    if root.shape != (len(quat), 3):
        raise InputError(
            f"{path}: 'root_translation' has shape {tuple(root.shape)}, expected {(len(quat), 3)}"
        )
    turn = to_z_up("z" if cfg.up == "auto" else cfg.up)
    clip = Clip(
        name=path.stem,
        fps=_rate(path, tree, cfg),
        joint_names=names,
        parents=parents,
        offsets=rot.rotate(turn, offsets),
        root_pos_w=rot.rotate(turn, root),
        local_quat=rebased(turn, _local(path, tree, quat, names, parents)),
        source=f"poselib:{path.name}",
    )
    return checked(path, clip)


def _tree(path: Path) -> dict[Any, Any]:
    """Return the dictionary of a file."""
    data = read_bytes(path)
    file = io.BytesIO(data)
    shape, _, dtype = npy_header(path, "npy", file, len(data))
    if not dtype.hasobject or shape not in ((), (1,)):
        raise InputError(f"{path}: holds {dtype} of shape {shape}, expected one poselib dictionary"[:300])
    try:
        held = load_pickle(data[file.tell() :])
    except PickleError as error:
        raise InputError(f"{path}: no pickle of plain data: {error}") from error
    if isinstance(held, np.ndarray) and held.dtype.hasobject and held.size == 1:
        held = held.reshape(-1)[0]
    if not isinstance(held, dict):
        raise InputError(f"{path}: holds a {type(held).__name__}, expected a poselib dictionary")
    return held


def _array(path: Path, tree: dict[Any, Any], key: str) -> Tensor:
    """Return an entry as float64, in or out of its ``{"arr": ...}``."""
    held = tree.get(key)
    array = held.get("arr") if isinstance(held, dict) else held
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{path}: '{key}' holds {found}, expected an array of real numbers")
    numbers = np.array(array, dtype=np.float64, order="C")
    bad = ~(np.abs(numbers) <= LARGEST)  # also true of NaN
    if bad.any():
        place = ", ".join(str(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{path}: '{key}'[{place}] is not finite or absurdly large")
    return torch.from_numpy(numbers)


def _skeleton(path: Path, tree: object) -> tuple[tuple[str, ...], tuple[int, ...], Tensor]:
    """Return names, parents and offsets (J, 3) [m]."""
    tree = tree if isinstance(tree, dict) else {}
    names = tree.get("node_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: 'skeleton_tree' has no list 'node_names' of texts")
    if not 1 <= len(names) <= MAX_JOINTS:
        raise InputError(f"{path}: {len(names)} joints; 1 to {MAX_JOINTS} are allowed")
    offsets, parents = _array(path, tree, "local_translation"), _array(path, tree, "parent_indices")
    if parents.shape != (len(names),) or offsets.shape != (len(names), 3):
        raise InputError(
            f"{path}: 'skeleton_tree' has {len(names)} names, parents {tuple(parents.shape)} and "
            f"offsets {tuple(offsets.shape)}; they must fit"
        )
    above = tuple(int(parent) for parent in parents.tolist())
    for joint, parent in enumerate(above):
        if not (parent == -1 if joint == 0 else 0 <= parent < joint):
            raise InputError(f"{path}: joint '{names[joint]:.60}' stands before its parent")
    offsets[0] = 0.0  # root_translation has the place of the root
    return tuple(names), above, offsets


def _local(
    path: Path, tree: dict[Any, Any], xyzw: Tensor, names: tuple[str, ...], parents: tuple[int, ...]
) -> Tensor:
    """Return rotations (T, J, 4) wxyz, each in its parent's frame."""
    norm = xyzw.norm(dim=-1)
    if (norm < MIN_NORM).any():
        frame, joint = (norm < MIN_NORM).nonzero()[0].tolist()
        length = float(norm[frame, joint])
        raise InputError(f"{path}: frame {frame}, '{names[joint]:.60}': quaternion of length {length:.3g}")
    quat = rot.normalize(xyzw.roll(1, dims=-1))
    flag = tree.get("is_local", True)
    if not isinstance(flag, (bool, int, np.generic, np.ndarray)) or np.size(flag) != 1:
        raise InputError(f"{path}: 'is_local' is a {type(flag).__name__}, expected true or false")
    if np.asarray(flag).all():
        return quat
    above = quat[:, [max(parent, 0) for parent in parents]]
    local = rot.mul(rot.conjugate(above), quat)
    local[:, 0] = quat[:, 0]
    return local


def _rate(path: Path, tree: dict[Any, Any], cfg: LoadCfg) -> float:
    held = tree.get("fps", cfg.fps or None)
    if held is None:
        raise InputError(f"{path}: names no frame rate; give it as 'fps'")
    plain = isinstance(held, (int, float, np.generic, np.ndarray)) and not isinstance(held, bool)
    rate = np.asarray(held) if plain else np.zeros(0)
    if rate.size != 1 or rate.dtype.kind not in "fiu":
        raise InputError(f"{path}: 'fps' is a {type(held).__name__}, expected one number")
    return float(rate.reshape(-1)[0])
