"""Root poses and joint angles of a robot file, their validation, and the motion they make.

Robot files hold root poses and joint angles; everything else in them (body poses,
velocities) follows from these by the body's kinematics and is recomputed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies import g1, h1
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.core.errors import InputError, nearest
from humanoid.core.io import LoadCfg
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative

ORDERS = ("wxyz", "xyzw")
LAYOUTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "g1": {"g1_29": g1.JOINTS, "g1_23": g1.JOINTS_23, "g1_23_waist": g1.JOINTS_23_WAIST},
    "h1": {"h1_19": h1.JOINTS},
}
"""Robot -> name of a layout -> joints of files without names, column after column."""
RATE = 50.0
"""[1/s] Control rate, at which motions are made."""
SOURCE_FPS = 30.0
"""[1/s] Usual rate of files that state none; LAFAN1 on Unitree's robots has 30."""
MAX_FRAMES = 500_000
"""Of a motion: nearly three hours at 50 frames per second."""
_FPS = (0.1, 10_000.0)
_LARGEST = 1e4
_NORM = (0.9, 1.1)
_MOST_TURN = 4 * np.pi
_MOST_HEIGHT = 5.0
_UPRIGHT = 0.5
_CLEARLY = 0.5


@dataclass(frozen=True, kw_only=True)
class RobotTake:
    """Root poses and joint angles of one robot file.

    Attributes:
        name: clip name.
        fps: frames per second of the file.
        root_pos_w: (T, 3) [m], world.
        root_quat_w: (T, 4) wxyz, world.
        joint_names: K names, all of the body's joints or some.
        joint_pos: (T, K) [rad].
        provenance: origin and remarks.
    """

    name: str
    fps: float
    root_pos_w: np.ndarray
    root_quat_w: np.ndarray
    joint_names: tuple[str, ...]
    joint_pos: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)


def layout_joints(
    path: Path, body: Embodiment, count: int, layout: str, default: str = ""
) -> tuple[str, ...]:
    """Return the joints of ``count`` columns without names.

    Args:
        path: the file, for messages.
        body: whose joints they are.
        count: number of joint columns.
        layout: name of a layout, "" to go by the count.
        default: layout to prefer where the count leaves a choice.

    Raises:
        InputError: unknown layout, another count, or a choice that the user has to make.
    """
    known = LAYOUTS.get(body.name, {body.name: body.joint_names})
    if layout:
        if layout not in known:
            raise InputError(f"{path}: '{layout}' is no layout of '{body.name}'{nearest(layout, known)}")
        if len(known[layout]) != count:
            raise InputError(f"{path}: {count} joint columns, layout '{layout}' has {len(known[layout])}")
        return known[layout]
    fitting = [name for name, joints in known.items() if len(joints) == count]
    if default in fitting:
        fitting = [default]
    if len(fitting) == 1:
        return known[fitting[0]]
    if fitting:
        raise InputError(f"{path}: {count} joint columns fit {' and '.join(fitting)}; choose one by 'layout'")
    sizes = ", ".join(f"{len(joints)} ({name})" for name, joints in known.items())
    raise InputError(
        f"{path}: {count} joint columns; '{body.name}' has {sizes}; another robot or a wrong file?"
    )


def quat_order(path: Path, quat: np.ndarray, cfg: LoadCfg, order: str = "") -> str:
    """Return the order of root quaternions: the format's if it has one, else what the user declares.

    A robot is upright much of the time: an order under which it is not, while it is under
    the other, is refused. Neither order is ever taken in silence. The user's word counts
    against the format's where the format's is refused.

    Args:
        path: the file, for messages.
        quat: (T, 4) as in the file.
        cfg: the user's declaration.
        order: order of the format, "" where it defines none.

    Raises:
        InputError: no order declared, or the other is clearly more plausible.
    """
    upright = {name: _upright(quat, name) for name in ORDERS}
    facts = ", ".join(
        f"{name} has the root upright in {share:.0%} of the frames" for name, share in upright.items()
    )
    declared = order or cfg.quat
    if not declared:
        raise InputError(
            f"{path}: its root quaternions have no stated order; declare quat=wxyz or quat=xyzw ({facts})"
        )
    if declared not in ORDERS:
        raise InputError(f"{path}: quaternion order '{declared}'{nearest(declared, ORDERS)}")
    other = next(name for name in ORDERS if name != declared)
    if not cfg.check_quat or upright[other] - upright[declared] <= _CLEARLY:
        return declared
    if order and cfg.quat == other:
        return other
    stated = f"its format has {order}" if order else f"declared quat={declared}"
    raise InputError(f"{path}: {stated}, but {facts}; declare {other}, or check_quat=false to insist")


def as_wxyz(quat: np.ndarray, order: str) -> np.ndarray:
    """Return quaternions (T, 4) of one of :data:`ORDERS` as wxyz."""
    return quat if order == "wxyz" else np.roll(quat, 1, axis=-1)


def _upright(quat: np.ndarray, order: str) -> float:
    """Return the share of frames whose z axis points up to within 60 degrees."""
    quat = np.nan_to_num(np.clip(quat, -_LARGEST, _LARGEST))  # larger ones are an error later
    x, y = (quat[:, order.index(axis)] for axis in "xy")
    norm = np.maximum((quat * quat).sum(-1), 1e-12)
    return float((1 - 2 * (x * x + y * y) / norm > _UPRIGHT).mean())


def checked(path: Path, take: RobotTake, body: Embodiment) -> RobotTake:
    """Return a take whose numbers a robot can have, with unit quaternions of continuous sign.

    Raises:
        InputError: fewer than two frames, an absurd rate, numbers that are not finite, no
            quaternions, angles in degrees, centimetres, or most joints missing.
    """
    frames = len(take.joint_pos)
    if frames < 2:
        raise InputError(f"{path}: {frames} frame; at least 2 are needed")
    if not _FPS[0] <= take.fps <= _FPS[1]:
        raise InputError(f"{path}: {take.fps:g} frames per second; {_FPS[0]:g} to {_FPS[1]:g} are accepted")
    for what, values in (
        ("root position", take.root_pos_w),
        ("root quaternion", take.root_quat_w),
        ("joint angle", take.joint_pos),
    ):
        bad = ~(np.abs(values) <= _LARGEST)  # also true of NaN
        if bad.any():
            frame, column = np.argwhere(bad)[0]
            where = f" of '{take.joint_names[column]}'" if what == "joint angle" else ""
            raise InputError(f"{path}: frame {frame}: {what}{where} is not finite or absurdly large")
    norm = np.linalg.norm(take.root_quat_w, axis=-1)
    bad = (norm < _NORM[0]) | (norm > _NORM[1])
    if bad.any():
        frame = int(bad.argmax())
        raise InputError(
            f"{path}: frame {frame}: root quaternion of length {norm[frame]:.3g}, expected 1; wrong columns?"
        )
    if np.abs(take.joint_pos).max() > _MOST_TURN:
        raise InputError(
            f"{path}: joint angles up to {np.abs(take.joint_pos).max():.0f} rad; are these degrees?"
        )
    height = float(np.median(np.abs(take.root_pos_w[:, 2])))
    if height > _MOST_HEIGHT:
        raise InputError(f"{path}: the root is {height:.0f} m high; are these centimetres?")
    missing = [name for name in body.joint_names if name not in take.joint_names]
    if 2 * len(missing) > body.num_joints:
        raise InputError(
            f"{path}: has {body.num_joints - len(missing)} of the {body.num_joints} joints of '{body.name}'; "
            "is it of another robot?"
        )
    return take


def to_motion(path: Path, take: RobotTake, body: Embodiment, rate: float) -> Motion:
    """Return the motion of a take at the wanted rate.

    Positions and angles are interpolated on straight lines, the root's rotation by slerp;
    joints that the file lacks stay at zero. Nothing is clipped, moved or labelled.

    Raises:
        InputError: an absurd rate, or far too long.
    """
    if not _FPS[0] <= rate <= _FPS[1]:
        raise InputError(f"rate {rate:g}; {_FPS[0]:g} to {_FPS[1]:g} are allowed")
    frames = len(take.joint_pos)
    count = int((frames - 1) / take.fps * rate + 1e-6) + 1
    if count > MAX_FRAMES:
        raise InputError(f"{path}: {count} frames at {rate:g} per second; at most {MAX_FRAMES} are kept")
    columns = [index for index, name in enumerate(take.joint_names) if name in body.joint_names]
    joints = np.zeros((frames, body.num_joints))
    joints[:, body.joint_ids([take.joint_names[i] for i in columns])] = take.joint_pos[:, columns]
    missing = [name for name in body.joint_names if name not in take.joint_names]
    ignored = [name for name in take.joint_names if name not in body.joint_names]
    excess = np.maximum(body.joint_range[:, 0] - joints, joints - body.joint_range[:, 1]).max()

    phase = (torch.arange(count, dtype=torch.float64) * (take.fps / rate)).clamp(max=frames - 1)
    pos, angles = (_at(torch.from_numpy(values), phase) for values in (take.root_pos_w, joints))
    quat = rot.unwrap_sign(rot.normalize(torch.from_numpy(take.root_quat_w)))
    low = phase.floor().long().clamp(max=frames - 2)
    quat = rot.unwrap_sign(rot.normalize(rot.slerp(quat[low], quat[low + 1], phase - low)))
    states = Kinematics(body).state(
        pos.float(),
        quat.float(),
        angles.float(),
        derivative(pos, rate).float(),
        angular_velocity(quat, rate).float(),
        derivative(angles, rate).float(),
    )
    provenance = {"file": path.name, "embodiment": body.name, "source_fps": take.fps, **take.provenance}
    if missing:
        provenance["joints_set_to_zero"] = missing
    if ignored:
        provenance["joints_ignored"] = ignored
    provenance["limit_excess_rad"] = round(max(float(excess), 0.0), 4)
    return Motion(
        name=take.name,
        fps=rate,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=states,
        contact=torch.zeros(count, 0, dtype=torch.bool),
        contact_names=(),
        provenance=provenance,
    )


def _at(values: Tensor, phase: Tensor) -> Tensor:
    """Interpolate rows of ``values (T, K)`` at ``phase (S,)`` frames."""
    low = phase.floor().long().clamp(max=len(values) - 2)
    return torch.lerp(values[low], values[low + 1], (phase - low)[:, None])
