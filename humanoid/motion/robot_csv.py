"""Robot motions as tables of text: root position, root quaternion, joint angles.

Without a header the columns are x, y, z, four of a quaternion whose order the user
declares, and the joints in the maker's order (Unitree's files of LAFAN1 are of this kind).
With a header every column is matched by name and may stand anywhere.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError, nearest, one_line
from humanoid.core.io import LoadCfg, read_bytes
from humanoid.motion.robot_take import SOURCE_FPS, RobotTake, as_wxyz, layout_joints, quat_order

MAX_COLUMNS = 1_000
_ROOT = 7
_BASE = r"(?:(?:root|base|pelvis|floating|free|world|body|global|link)_)*"
_POSITION = re.compile(
    _BASE + r"(?:(?:pos|position|trans|translation|translate|xyz|location)_?(?:w_)?([xyz012])|p?([xyz]))"
)
_QUATERNION = re.compile(
    _BASE + r"(?:quat|quaternion|q|rot|rotation|rotate|orientation|orn|ori|r)_?(?:w_)?([wxyz0123])"
)
_TIME = {"time", "timestamp", "t", "time_s", "seconds", "sec"}
_COUNTER = {"", "frame", "frames", "frame_id", "frame_idx", "index", "idx", "step", "id"}
_OTHER = re.compile(r"(^|_)(vel|velocity|acc|acceleration|torque|effort|tau|contact|force)(_|$)")
_AROUND_JOINT = re.compile(r"^(?:joint_pos|joint|dof_pos|dof|q)_|_(?:dof|pos|position|angle|rad|q)$")
_EVEN = 0.05


def read(path: Path, body: Embodiment, cfg: LoadCfg) -> RobotTake:
    """Read a robot CSV.

    Args:
        path: the file; separated by commas, semicolons, tabs or spaces.
        body: the robot whose joints the columns are.
        cfg: order of quaternions, rate and layout of a file that does not state them.

    Raises:
        InputError: not a table of numbers, columns that do not fit the robot, no declared
            order of the quaternion.
    """
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    first = next(
        (line for line in io.StringIO(text) if line.strip() and not line.startswith("#")), ""
    ).strip()
    separator = next((mark for mark in (",", ";", "\t") if mark in first), None)
    fields = [field.strip().strip("\"'") for field in first.split(separator)]
    if len(fields) > MAX_COLUMNS:
        raise InputError(f"{path}: {len(fields)} columns; at most {MAX_COLUMNS} are read")
    named = not all(map(_is_number, fields))
    table = _table(path, text[text.index(first) + len(first) :] if named else text, separator, len(fields))
    return _by_name(path, table, fields, body, cfg) if named else _by_place(path, table, body, cfg)


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _table(path: Path, text: str, separator: str | None, columns: int) -> np.ndarray:
    if not text.strip():
        raise InputError(f"{path}: a header but no frames")
    try:
        table = np.loadtxt(io.StringIO(text), delimiter=separator, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: not a table of numbers: {one_line(error)}") from error
    if table.shape[1] != columns:
        raise InputError(f"{path}: {columns} columns in the header, {table.shape[1]} in the frames")
    return table


def _by_place(path: Path, table: np.ndarray, body: Embodiment, cfg: LoadCfg) -> RobotTake:
    count = table.shape[1] - _ROOT
    if count < 1:
        raise InputError(
            f"{path}: {table.shape[1]} columns without names; expected 7 of the root and then joints"
        )
    joints = layout_joints(path, body, count, cfg.layout)
    return RobotTake(
        name=path.stem,
        fps=cfg.fps or SOURCE_FPS,
        root_pos_w=table[:, :3],
        root_quat_w=as_wxyz(table[:, 3:_ROOT], quat_order(path, table[:, 3:_ROOT], cfg)),
        joint_names=joints,
        joint_pos=table[:, _ROOT:],
        provenance={"format": "robot CSV without names", "quat": cfg.quat, "source_fps_from": "cfg"},
    )


def _plain(name: str) -> str:
    """Return a name in lower case with single underscores: ``root_translateX -> root_translate_x``."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


def _by_name(path: Path, table: np.ndarray, fields: list[str], body: Embodiment, cfg: LoadCfg) -> RobotTake:
    joints = {_plain(name).removesuffix("_joint"): name for name in body.joint_names}
    place: dict[str, int] = {}
    for column, label in enumerate(fields):
        kind = _kind(_plain(label), joints)
        if kind is None:
            raise InputError(
                f"{path}: column '{label}' is neither of the root nor a joint of '{body.name}'"
                f"{nearest(label, body.joint_names)}"
            )
        if kind in place:
            raise InputError(f"{path}: columns '{fields[place[kind]]}' and '{label}' are both the {kind}")
        if kind:
            place[kind] = column
    components = "wxyz" if "quaternion w" in place else "0123"
    needed = [f"position {axis}" for axis in "xyz"] + [f"quaternion {part}" for part in components]
    missing = [kind for kind in needed if kind not in place]
    if missing:
        raise InputError(
            f"{path}: no column is the root's {missing[0]}; needed are x, y, z and a quaternion "
            "(root_pos_x, ..., root_quat_w, ...); Euler angles are not read"
        )
    quat = table[:, [place[f"quaternion {part}"] for part in components]]
    if components != "wxyz":
        quat = as_wxyz(quat, quat_order(path, quat, cfg))
    found = tuple(name for name in body.joint_names if name in place)
    if not found:
        raise InputError(f"{path}: no column is named after a joint of '{body.name}'")
    fps, origin = cfg.fps or SOURCE_FPS, "cfg"
    if "time" in place:
        fps, origin = _rate(path, table[:, place["time"]]), "time"
    return RobotTake(
        name=path.stem,
        fps=fps,
        root_pos_w=table[:, [place[f"position {axis}"] for axis in "xyz"]],
        root_quat_w=quat,
        joint_names=found,
        joint_pos=table[:, [place[name] for name in found]],
        provenance={"format": "robot CSV with names", "source_fps_from": origin},
    )


def _kind(label: str, joints: dict[str, str]) -> str | None:
    """Return what a column is: a joint's name, a part of the root, "" for nothing needed, None unknown."""
    if _OTHER.search(label):
        return ""
    if label in _TIME:
        return "time"
    if label in _COUNTER:
        return ""
    bare = label
    for _ in range(3):
        joint = joints.get(bare.removesuffix("_joint"))
        if joint is not None:
            return joint
        bare = _AROUND_JOINT.sub("", bare)
    found = _POSITION.fullmatch(label)
    if found:
        axis = found[1] or found[2]
        return f"position {'xyz'[int(axis)] if axis.isdigit() else axis}"
    found = _QUATERNION.fullmatch(label)
    return f"quaternion {found[1]}" if found else None


def _rate(path: Path, time: np.ndarray) -> float:
    """Return frames per second of a column of times [s]."""
    steps = np.diff(time)
    if len(steps) == 0:
        return 0.0
    middle = float(np.median(steps))
    if not middle > 0 or not (np.abs(steps - middle) <= _EVEN * middle).all():
        raise InputError(f"{path}: the times are not even steps of seconds (median step {middle:.4g})")
    return 1.0 / float(np.mean(steps))
