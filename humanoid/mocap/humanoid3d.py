"""The DeepMimic / humanoid3d JSON format.

A file holds ``{"Loop": "wrap" | "none", "Frames": [[...44 numbers...], ...]}``. A frame
is its duration [s], the root position [m], and rotations as wxyz quaternions (or one
angle [rad] for knees and elbows), y up, x forward, z to the right. Skeleton and column
order are those of DeepMimic's ``humanoid3d`` character (Peng et al. 2018).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, read_text
from humanoid.mocap.checks import LARGEST, MIN_NORM, checked
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

COLUMNS = 44
"""Numbers in a frame."""
JOINTS: tuple[tuple[str, str, tuple[float, float, float], int], ...] = (
    ("root", "", (0.0, 0.0, 0.0), 4),
    ("chest", "root", (0.0, 0.236151, 0.0), 4),
    ("neck", "chest", (0.0, 0.223894, 0.0), 4),
    ("right_hip", "root", (0.0, 0.0, 0.084887), 4),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0), 1),
    ("right_ankle", "right_knee", (0.0, -0.40987, 0.0), 4),
    ("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311), 4),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), 1),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0), 0),
    ("left_hip", "root", (0.0, 0.0, -0.084887), 4),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0), 1),
    ("left_ankle", "left_knee", (0.0, -0.40987, 0.0), 4),
    ("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311), 4),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), 1),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0), 0),
)
"""Joint, parent, offset in the file's frame [m], number of columns (0: an end point)."""
_MIN_FRAMES = 3
_DURATIONS = (1e-4, 10.0)
"""[s] Shortest and longest frame that is accepted."""


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one humanoid3d file; metres and axes are the format's own.

    Raises:
        InputError: missing, empty, truncated or not JSON; wrong number of columns;
            a number that is not finite; a quaternion without length; an absurd duration.
    """
    del cfg
    tree = _read_json(path)
    frames = _frames(path, tree)
    table = torch.tensor(frames, dtype=torch.float64)
    durations = table[:-1, 0]
    shortest, longest = _DURATIONS
    absurd = torch.logical_or(durations < shortest, durations > longest)
    if absurd.any():
        bad = int(absurd.nonzero()[0, 0])
        raise InputError(
            f"{path}: frame {bad}: duration {float(durations[bad]):g} s must be positive, "
            f"{shortest:g} to {longest:g} s"
        )
    clip = Clip(
        name=path.stem.removeprefix("humanoid3d_"),
        fps=1.0 / float(durations.median()),
        joint_names=tuple(joint[0] for joint in JOINTS),
        parents=tuple(_parent(joint[1]) for joint in JOINTS),
        offsets=torch.stack([_to_z_up(torch.tensor(joint[2])) for joint in JOINTS]),
        root_pos_w=_to_z_up(table[:, 1:4]).float(),
        local_quat=_rotations(path, table).float(),
        loop=tree.get("Loop") == "wrap",
        source=f"humanoid3d:{path.name}",
    )
    return checked(path, _uniform(clip, durations))


def _read_json(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise InputError(f"{path}: not valid JSON (truncated?): {error}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("Frames"), list):
        raise InputError(f"{path}: expected an object with a list 'Frames'")
    if tree.get("Loop", "none") not in ("wrap", "none"):
        raise InputError(f"{path}: 'Loop' is {tree['Loop']!r}; allowed: 'wrap', 'none'")
    return tree


def _frames(path: Path, tree: dict[str, Any]) -> list[list[float]]:
    frames = tree["Frames"]
    if len(frames) < _MIN_FRAMES:
        raise InputError(f"{path}: {len(frames)} frames; at least {_MIN_FRAMES} are needed")
    for index, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != COLUMNS:
            found = len(frame) if isinstance(frame, list) else type(frame).__name__
            raise InputError(f"{path}: frame {index}: {COLUMNS} columns expected, found {found}")
        for column, value in enumerate(frame):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not abs(value) <= LARGEST:
                given = repr(value) if isinstance(value, float) else f"{value!r:.40}"
                where = f"frame {index}, column {column}"
                raise InputError(f"{path}: {where}: {given} is not a finite number of sensible size")
    return frames


def _rotations(path: Path, table: Tensor) -> Tensor:
    """Return local rotations (T, J, 4), z up."""
    column, rotations = 4, []
    for name, _, _, width in JOINTS:
        if width == 4:
            raw = table[:, column : column + 4]
            norm = raw.norm(dim=-1)
            if (norm < MIN_NORM).any():
                bad = int((norm < MIN_NORM).nonzero()[0, 0])
                where = f"frame {bad}, column {column} ({name})"
                raise InputError(f"{path}: {where}: quaternion of length {float(norm[bad]):.3g}")
            quat = rot.normalize(raw)
            rotations.append(torch.cat((quat[:, :1], _to_z_up(quat[:, 1:])), dim=-1))
        elif width == 1:  # hinges turn about the file's z axis (right), our -y
            axis = torch.tensor((0.0, -1.0, 0.0), dtype=table.dtype)
            rotations.append(rot.about_axis(axis, table[:, column]))
        else:
            identity = torch.tensor((1.0, 0.0, 0.0, 0.0), dtype=table.dtype)
            rotations.append(identity.expand(len(table), 4))
        column += width
    return rot.unwrap_sign(torch.stack(rotations, dim=1))


def _uniform(clip: Clip, durations: Tensor) -> Clip:
    """Resample to an even rate where the frames' durations differ."""
    if float((durations * clip.fps - 1).abs().max()) < 0.01:
        return clip
    starts = torch.cat((torch.zeros(1, dtype=torch.float64), durations.cumsum(0)))
    even = torch.arange(int(float(starts[-1]) * clip.fps) + 1, dtype=torch.float64) / clip.fps
    after = torch.searchsorted(starts, even, right=True).clamp(1, len(starts) - 1)
    phase = after - 1 + (even - starts[after - 1]) / (starts[after] - starts[after - 1])
    pos, quat = clip.sample(phase / clip.fps)
    return replace(clip, root_pos_w=pos, local_quat=quat)


def _to_z_up(v: Tensor) -> Tensor:
    """Turn (x, y, z) with y up and z right into z up and y left. (..., 3)."""
    x, y, z = v.unbind(-1)
    return torch.stack((x, -z, y), dim=-1)


def _parent(name: str) -> int:
    return [joint[0] for joint in JOINTS].index(name) if name else -1
