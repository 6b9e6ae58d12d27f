"""Robot motions as npz with BeyondMimic's keys: of BeyondMimic, mjlab, holosoma and this package.

They differ in their metadata. holosoma and this package store the names
of joints and bodies; the others rely on the order of the simulator they were made with,
which the user has to declare. holosoma puts the root's pose before the joint angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, npz_names, read_npz
from humanoid.motion.robot_take import RobotTake, checked

KEYS = ("fps", "joint_pos", "joint_names", "body_names", "body_pos_w", "body_quat_w")
REQUIRED = {"joint_pos", "body_pos_w", "body_quat_w"}
"""Arrays of such a file."""
_ROOT = 7
_LARGEST = 1e6
_AGREE = 0.01
_MOST_ERROR = 0.1
_PROBES = 100


def read(path: Path, body: Embodiment, cfg: LoadCfg) -> RobotTake:
    """Read a robot npz: the root's pose and the joint angles.

    Where the bodies have names, their positions are compared with what the body's own
    kinematics computes from the angles: a wrong order or another robot is an error.

    Args:
        path: the file.
        body: the robot whose joints it holds.
        cfg: the order of a file without names.

    Raises:
        InputError: damaged, an array missing or of a wrong shape, no names and no declared
            order, or joints that do not put the bodies where the file has them.
    """
    data = read_npz(path, KEYS)
    joint_pos = _numbers(path, data, "joint_pos", 2)
    body_pos, body_quat = _numbers(path, data, "body_pos_w", 3), _numbers(path, data, "body_quat_w", 3)
    if body_pos.shape[2:] != (3,) or body_quat.shape != (*body_pos.shape[:2], 4):
        raise InputError(
            f"{path}: bodies of shapes {body_pos.shape} and {body_quat.shape}, expected 3 and 4 wide"
        )
    frames = len(joint_pos)
    if len(body_pos) != frames:
        raise InputError(f"{path}: {frames} frames of joints, {len(body_pos)} of bodies")
    joints, bodies, source = _columns(path, data, body, cfg)
    if len(bodies) != body_pos.shape[1]:
        raise InputError(f"{path}: {body_pos.shape[1]} bodies, {len(bodies)} names ({source})")
    root = body.body_names[0]
    if root not in bodies:
        raise InputError(f"{path}: no body '{root}', the root of '{body.name}'")
    row = bodies.index(root)
    root_pos, root_quat = body_pos[:, row], body_quat[:, row]
    if joint_pos.shape[1] == len(joints) + _ROOT:
        if not np.abs(joint_pos[:, :3] - root_pos).max(initial=0.0) < _AGREE:
            raise InputError(f"{path}: 'joint_pos' begins with another position than that of '{root}'")
        joint_pos = joint_pos[:, _ROOT:]
    if joint_pos.shape[1] != len(joints):
        raise InputError(
            f"{path}: 'joint_pos' has {joint_pos.shape[1]} columns, {len(joints)} names ({source})"
        )
    take = checked(
        path,
        RobotTake(
            name=path.stem,
            fps=_fps(path, data),
            root_pos_w=root_pos,
            root_quat_w=root_quat,
            joint_names=joints,
            joint_pos=joint_pos,
            provenance={"format": "robot npz", "names_from": source},
        ),
        body,
    )
    error = _body_error(take, body, body_pos, bodies)
    if error > _MOST_ERROR:
        raise InputError(
            f"{path}: '{body.name}' has bodies up to {error:.2f} m from where the file has them "
            f"(names from {source}); another order of joints or another robot"
        )
    take.provenance["body_error_m"] = round(error, 4)
    extra = sorted({name.split("_")[0] for name in npz_names(path) if name.startswith("object_")})
    if extra:
        take.provenance["left_out"] = extra
    return take


def breadth_first(body: Embodiment) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return joints and bodies in Isaac Lab's order: generation after generation from the root."""
    order, index = [0], 0
    while index < len(order):
        order += [child for child, parent in enumerate(body.parents) if parent == order[index]]
        index += 1
    joints = [joint for place in order for joint in np.flatnonzero(body.joint_body == place)]
    return tuple(body.joint_names[j] for j in joints), tuple(body.body_names[b] for b in order)


def _columns(
    path: Path, data: dict[str, np.ndarray], body: Embodiment, cfg: LoadCfg
) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return names of joints and bodies, and their origin."""
    if "joint_names" in data and "body_names" in data:
        return _texts(path, data, "joint_names"), _texts(path, data, "body_names"), "file"
    if cfg.names_from == "mjcf":
        return body.joint_names, body.body_names, "mjcf"
    if cfg.names_from == "isaaclab":
        return (*breadth_first(body), "isaaclab")
    raise InputError(
        f"{path}: no 'joint_names' and 'body_names'; declare names_from=isaaclab (BeyondMimic's own files, "
        "breadth first) or names_from=mjcf (mjlab, depth first)"
    )


def _body_error(take: RobotTake, body: Embodiment, body_pos: np.ndarray, bodies: Sequence[str]) -> float:
    """Return the largest distance [m] between bodies of the file and of our kinematics, the root aside."""
    shared = [name for name in body.body_names[1:] if name in bodies]
    if not shared or set(body.joint_names) - set(take.joint_names):
        return 0.0
    probes = np.unique(np.linspace(0, len(body_pos) - 1, _PROBES).round().astype(int))
    columns = [take.joint_names.index(name) for name in body.joint_names]

    def rows(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[probes]))

    quat = take.root_quat_w / np.linalg.norm(take.root_quat_w, axis=-1, keepdims=True)
    kinematics = Kinematics(body, dtype=torch.float64)
    pos, _ = kinematics.poses(rows(take.root_pos_w), rows(quat), rows(take.joint_pos[:, columns]))
    away = (
        pos[:, body.body_ids(shared)].numpy() - body_pos[probes][:, [bodies.index(name) for name in shared]]
    )
    return float(np.linalg.norm(away, axis=-1).max())


def _numbers(path: Path, data: dict[str, np.ndarray], key: str, axes: int) -> np.ndarray:
    if key not in data:
        raise InputError(f"{path}: no '{key}'; a robot npz has {', '.join(sorted(REQUIRED))} and fps")
    array = data[key]
    if array.dtype.kind not in "fiu" or array.ndim != axes or not array.size:
        raise InputError(
            f"{path}: '{key}' is {array.dtype} of shape {array.shape}, expected numbers of {axes} axes"
        )
    array = array.astype(np.float64)
    bad = ~(np.abs(array) <= _LARGEST)  # also true of NaN
    if bad.any():
        frame = int(np.argwhere(bad)[0][0])
        raise InputError(f"{path}: '{key}' frame {frame} holds a number that is not finite or absurdly large")
    return array


def _texts(path: Path, data: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    array = data[key]
    if array.ndim != 1 or array.dtype.kind not in "US" or not array.size:
        raise InputError(f"{path}: '{key}' is {array.dtype} of shape {array.shape}, expected a list of texts")
    names = tuple(array.astype(np.str_).tolist())
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: '{key}' holds '{name}' twice")
        seen.add(name)
    return names


def _fps(path: Path, data: dict[str, np.ndarray]) -> float:
    array = data.get("fps", np.zeros(0))
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: 'fps' must be one number")
    return float(array.reshape(-1)[0])
