"""Generated clips of the humanoid3d skeleton: motion with no data at hand.

Legs are given by angles and the root goes where the standing foot, planted exactly, puts
it. Simple enough to reason about, real enough to retarget and to simulate.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanoid.core import InputError
from humanoid.mocap import Clip
from humanoid.mocap.humanoid3d import JOINTS
from humanoid.spatial import rotation as rot

ANKLE_HEIGHT = 0.07
"""[m] Height at which the standing ankle is held."""
_HIP, _KNEE, _ARM, _ELBOW = 0.4, 1.0, 0.3, 0.3
"""[rad] Amplitudes of a walk; elbows stay bent."""


def walk(*, cycle: float = 1.0, turn: float = 0.0, fps: float = 30.0) -> Clip:
    """Return one cycle of two steps along x, which loops.

    Args:
        cycle: its duration [s].
        turn: heading gained in the cycle [rad], positive to the left.
        fps: frames per second.
    """
    time = torch.linspace(0, 2 * math.pi, round(cycle * fps) + 1, dtype=torch.float64)
    pitch = {}
    for side, phase in (("left", time), ("right", time + math.pi)):
        swings = phase.remainder(2 * math.pi) > math.pi
        hip = -_HIP * phase.cos()
        knee = torch.where(swings, _KNEE * phase.sin().square(), torch.zeros_like(phase))
        pitch |= _leg(side, hip, knee)
        pitch[f"{side}_shoulder"] = _ARM * phase.cos()
        pitch[f"{side}_elbow"] = torch.full_like(phase, -_ELBOW)
    return _planted("walk", fps, pitch, turn * time / (2 * math.pi))


def squat(*, seconds: float = 2.0, depth: float = 1.0, fps: float = 30.0) -> Clip:
    """Return one squat on the spot, which loops.

    Args:
        seconds: its duration.
        depth: flexion of the hips at the bottom [rad]; knees bend twice as far.
        fps: frames per second.
    """
    time = torch.linspace(0, 2 * math.pi, round(seconds * fps) + 1, dtype=torch.float64)
    bend = 0.5 * depth * (1 - time.cos())
    pitch = _leg("left", -bend, 2 * bend) | _leg("right", -bend, 2 * bend)
    return _planted("squat", fps, pitch, torch.zeros_like(time))


def write(clip: Clip, path: str | Path) -> None:
    """Write a clip of the humanoid3d skeleton as a file that its loader reads.

    Raises:
        InputError: another skeleton.
    """
    path = Path(path)
    if clip.joint_names != tuple(joint[0] for joint in JOINTS):
        raise InputError(f"clip '{clip.name}' has not the joints of humanoid3d, in their order")
    durations = torch.full((clip.num_frames, 1), 1 / clip.fps, dtype=torch.float64)
    durations[-1] = 0.0  # the last frame of a cycle is the first of the next
    columns = [durations, _to_y_up(clip.root_pos_w.double())]
    for joint, (_, _, _, width) in enumerate(JOINTS):
        quat = clip.local_quat[:, joint].double()
        if width == 4:
            columns.append(torch.cat((quat[:, :1], _to_y_up(quat[:, 1:])), dim=-1))
        elif width == 1:
            columns.append(-2 * torch.atan2(quat[:, 2:3], quat[:, :1]))
    tree = {"Loop": "wrap" if clip.loop else "none", "Frames": torch.cat(columns, dim=-1).tolist()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(tree), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _leg(side: str, hip: Tensor, knee: Tensor) -> dict[str, Tensor]:
    """Return the pitch of a leg's joints; the foot stays level."""
    return {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": -(hip + knee)}


def _planted(name: str, fps: float, pitch: dict[str, Tensor], heading: Tensor) -> Clip:
    """Return the clip of joint angles ``pitch`` (T,) [rad] about y (left), lower foot planted."""
    frames = len(heading)
    quat = torch.zeros(frames, len(JOINTS), 4, dtype=torch.float64)
    quat[..., 0] = 1.0
    left, up = (torch.tensor(axis, dtype=torch.float64) for axis in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    names = tuple(joint[0] for joint in JOINTS)
    for joint, angle in pitch.items():
        quat[:, names.index(joint)] = rot.about_axis(left, angle)
    quat[:, 0] = rot.about_axis(up, heading)
    offsets = torch.tensor([(x, -z, y) for _, _, (x, y, z), _ in JOINTS], dtype=torch.float64)
    clip = Clip(
        name=name,
        fps=fps,
        joint_names=names,
        parents=tuple(names.index(joint[1]) if joint[1] else -1 for joint in JOINTS),
        offsets=offsets,
        root_pos_w=torch.zeros(frames, 3, dtype=torch.float64),
        local_quat=quat,
        loop=True,
        source=f"generated:{name}",
    )
    feet = clip.global_poses()[0][:, [clip.joint_id("left_ankle"), clip.joint_id("right_ankle")]]
    stands = feet[..., 2].argmin(1)[:-1]
    row = torch.arange(frames - 1)
    path = torch.zeros(frames, 3, dtype=torch.float64)
    path[1:] = (feet[row, stands] - feet[row + 1, stands]).cumsum(0)
    path[:, 2] = ANKLE_HEIGHT - feet[..., 2].amin(1)
    return replace(clip, offsets=offsets.float(), root_pos_w=path.float(), local_quat=quat.float())


def _to_y_up(v: Tensor) -> Tensor:
    """Turn (x, y, z) with z up and y left into y up and z right. (..., 3)."""
    x, y, z = v.unbind(-1)
    return torch.stack((x, z, -y), dim=-1)
