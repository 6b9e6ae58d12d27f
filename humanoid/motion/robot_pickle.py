"""Robot motions as pickles: ASAP's (written by joblib) and those of GMR and its kin.

Nothing that a pickle names is looked up or called: only plain data and arrays are read.
The user has to vouch for the file all the same, because a pickle that another program opens
in the usual way can do anything.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError, nearest, one_line
from humanoid.core.io import LARGEST_FILE, LoadCfg, PickleError, Record, load_pickle, read_bytes
from humanoid.motion.robot_take import SOURCE_FPS, RobotTake, as_wxyz, layout_joints, quat_order

_KEYS = {
    "root_pos": ("root_trans_offset", "root_pos", "root_trans"),
    "root_rot": ("root_rot", "root_quat"),
    "joints": ("dof", "dof_pos", "joint_pos"),
}
"""Needed part -> its keys."""
_QUAT = "xyzw"
"""Order of root quaternions by the format, SciPy's; what a user declares is for formats without one."""
_NAMES = ("dof_names", "joint_names")
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_MAX_DIMS = 8
_INFLATED = 1 << 26
_RATIO = 200


def read(path: Path, body: Embodiment, cfg: LoadCfg) -> RobotTake:
    """Read one clip of a pickle: root positions, root quaternions (xyzw), joint angles, fps.

    Args:
        path: the file.
        body: the robot whose joints it holds.
        cfg: whether the user vouches for the file, which clip, layout of the joints.

    Raises:
        InputError: not vouched for, damaged, more than plain data, several clips and none
            chosen, or a part that is missing.
    """
    if not cfg.trust_pickle:
        raise InputError(
            f"{path}: is a pickle, which can run anything when it is opened in the usual way; if you know "
            "where it comes from, set trust_pickle=true (--trust-pickle)"
        )
    try:
        tree = load_pickle(_inflated(path, read_bytes(path)), _WRAPPER.__eq__, _joblib_array)
    except PickleError as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    name, clip = _clip(path, tree, cfg.clip)
    arrays = {part: _array(path, name, clip, part) for part in _KEYS}
    frames = len(arrays["joints"])
    joints = arrays["joints"].reshape(frames, -1)
    for part, width in (("root_pos", 3), ("root_rot", 4)):
        if arrays[part].shape != (frames, width):
            shape = arrays[part].shape
            raise InputError(f"{path}: '{name}': {part} has shape {shape}, expected ({frames}, {width})")
    names = _names(clip) or layout_joints(path, body, joints.shape[1], cfg.layout, "g1_23_waist")
    if len(set(names)) != joints.shape[1] or len(names) != joints.shape[1]:
        raise InputError(
            f"{path}: '{name}': {joints.shape[1]} joint columns, {len(set(names))} different names"
        )
    order = quat_order(path, arrays["root_rot"], cfg, _QUAT)
    return RobotTake(
        name=name,
        fps=_fps(path, name, clip, cfg),
        root_pos_w=arrays["root_pos"],
        root_quat_w=as_wxyz(arrays["root_rot"], order),
        joint_names=names,
        joint_pos=joints,
        provenance={"format": "robot pickle", "quat": order},
    )


def _joblib_array(record: Record, take: Callable[[int], bytes]) -> object:
    """Return the array that joblib wrote behind its wrapper's state: padding, then the bytes."""
    if record.origin != _WRAPPER:
        return record
    state = record.state
    dtype, shape = (
        (getattr(state.get("dtype"), "dtype", None), state.get("shape"))
        if isinstance(state, dict)
        else (None, None)
    )
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(shape, tuple):
        raise PickleError("a joblib array of objects, or without shape or type")
    if len(shape) > _MAX_DIMS or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise PickleError(f"a joblib array of shape {shape}"[:80])
    if state.get("numpy_array_alignment_bytes") is not None:
        take(take(1)[0])
    size = math.prod(shape) * dtype.itemsize
    raw = take(size)
    if len(raw) != size:
        raise PickleError(f"a joblib array of shape {shape} in {len(raw)} bytes"[:80])
    if not raw:
        return np.zeros(0)
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if state.get("order") == "F" else "C")


def _inflated(path: Path, data: bytes) -> bytes:
    """Return the pickle of a file that joblib may have compressed with zlib."""
    if data[:1] != b"x":
        return data
    limit = min(LARGEST_FILE, max(_INFLATED, _RATIO * len(data)))
    try:
        machine = zlib.decompressobj()
        plain = machine.decompress(data, limit)
    except zlib.error as error:
        raise InputError(f"{path}: neither a pickle nor a compressed one: {error}") from error
    if machine.unconsumed_tail:
        raise InputError(f"{path}: {len(data)} bytes that unpack to more than {limit}; a zip bomb")
    return plain


def _clip(path: Path, tree: object, wanted: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the table of one clip; the tree is one, or maps names to some."""
    if _is_clip(tree):
        return path.stem, tree
    clips = (
        {str(name): clip for name, clip in tree.items() if _is_clip(clip)} if isinstance(tree, dict) else {}
    )
    if not clips:
        parts = "; ".join(" or ".join(keys) for keys in _KEYS.values())
        raise InputError(f"{path}: holds no clip of a robot: a table with {parts}")
    if not wanted and len(clips) > 1:
        raise InputError(
            f"{path}: holds {len(clips)} clips; choose one by 'clip': {', '.join(list(clips)[:8])}"
        )
    name = wanted or next(iter(clips))
    if name not in clips:
        raise InputError(f"{path}: no clip '{name}'{nearest(name, clips)}")
    return name, clips[name]


def _is_clip(table: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(table, dict) and all(any(key in table for key in keys) for keys in _KEYS.values())


def _array(path: Path, name: str, clip: dict[str, Any], part: str) -> np.ndarray:
    key = next(key for key in _KEYS[part] if key in clip)
    array = clip[key]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim < 2 or not array.size:
        found = (
            f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        )
        raise InputError(f"{path}: '{name}': '{key}' is {found}, expected an array of numbers, a row a frame")
    return array.astype(np.float64)


def _names(clip: dict[str, Any]) -> tuple[str, ...]:
    """Return the joint names that the clip carries, nothing if it has none."""
    for key in _NAMES:
        names = clip.get(key)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return ()


def _fps(path: Path, name: str, clip: dict[str, Any], cfg: LoadCfg) -> float:
    if "fps" not in clip:
        return cfg.fps or SOURCE_FPS
    fps = clip["fps"]
    fps = fps.reshape(-1)[0] if isinstance(fps, np.ndarray) and fps.size == 1 else fps
    if not isinstance(fps, int | float | np.integer | np.floating):
        raise InputError(f"{path}: '{name}': 'fps' is a {type(fps).__name__}, expected a number")
    return float(fps)
