"""Shared parts of the loaders: options, numbers in text, axes, and validation of every clip.

Inside the package a clip is trusted; damaged or hostile content ends here with one line that
names the file and the place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

LARGEST = 1e6
"""Largest length, angle or time that is accepted."""
FPS = (0.1, 10_000.0)
"""[1/s] Frame rates that are accepted."""
MIN_FRAMES = 2
MAX_JOINTS = 1_000
MIN_NORM = 0.5
"""A quaternion shorter than this is a broken file, not rounding."""


_TURN = {"z": (1.0, 0.0, 0.0, 0.0), "y": (0.5, 0.5, 0.5, 0.5), "x": (0.5, -0.5, -0.5, -0.5)}


def always(path: Path, head: bytes) -> bool:
    """Match every file: the ending decides."""
    del path, head
    return True


@dataclass(frozen=True, kw_only=True)
class Format:
    """One capture format.

    Attributes:
        endings: file endings, lower case with the dot.
        load: the loader.
        matches: whether a file of such an ending, of which the first 4 KiB are given, is of
            this format; the first that matches is taken.
    """

    endings: tuple[str, ...]
    load: Callable[[Path, LoadCfg], Clip]
    matches: Callable[[Path, bytes], bool] = always


def to_z_up(up: Literal["x", "y", "z"]) -> Tensor:
    """Return the rotation (4,) that takes the file's ``up`` to z, as float64.

    It permutes the axes cyclically: of y up and z forward (SMPL's model axes) it makes z up and
    x forward.
    """
    return torch.tensor(_TURN[up], dtype=torch.float64)


def rebased(turn: Tensor, quat: Tensor) -> Tensor:
    """Return rotations (..., 4) in axes that were turned by ``turn (4,)``."""
    vector = rot.rotate(turn.expand_as(quat), quat[..., 1:])
    return torch.cat((quat[..., :1], vector), dim=-1)


def parse_number(word: bytes) -> float:
    """Return a decimal number; NaN where the word is none."""
    try:
        return np.nan if b"_" in word else float(word)  # 1_0 is Python's notation, here damage
    except ValueError:
        return np.nan


def parse_rows(lines: Iterable[str] | BinaryIO, rows: int, columns: int) -> NDArray[np.float64] | None:
    """Return the numbers (rows, columns) of lines; None where they are no such table."""
    with warnings.catch_warnings(), suppress(ValueError):
        warnings.simplefilter("ignore", UserWarning)  # no lines at all
        table = np.loadtxt(lines, comments=None, encoding="ascii", ndmin=2)
        return table if table.shape == (rows, columns) else None


def checked(path: Path, clip: Clip) -> Clip:
    """Return a clip whose numbers are finite and whose skeleton is a tree.

    Quaternions are normalised and made continuous in sign, tensors become float32.

    Raises:
        InputError: too few frames, an absurd rate, a name twice, a number that is not finite
            or absurdly large, a quaternion without length, a child before its parent.
    """
    if clip.num_frames < MIN_FRAMES:
        raise InputError(f"{path}: {clip.num_frames} frames; at least {MIN_FRAMES} are needed")
    if not FPS[0] <= clip.fps <= FPS[1]:
        raise InputError(f"{path}: {clip.fps:g} frames per second; {FPS[0]:g} to {FPS[1]:g} are accepted")
    if not 1 <= len(clip.joint_names) <= MAX_JOINTS:
        raise InputError(f"{path}: {len(clip.joint_names)} joints; 1 to {MAX_JOINTS} are allowed")
    seen: set[str] = set()
    for name in clip.joint_names:
        if name in seen:
            raise InputError(f"{path}: two joints are called '{name}'")
        seen.add(name)
    for joint, parent in enumerate(clip.parents):
        if not (parent == -1 if joint == 0 else 0 <= parent < joint):
            raise InputError(f"{path}: joint '{clip.joint_names[joint]}' stands before its parent")
    _finite(path, "offset of a joint", clip.offsets, clip.joint_names)
    _finite(path, "root position", clip.root_pos_w)
    _finite(path, "rotation", clip.local_quat)
    local = clip.local_quat.double()
    norm = local.norm(dim=-1)
    if (norm < MIN_NORM).any():
        frame, joint = (norm < MIN_NORM).nonzero()[0].tolist()
        name = clip.joint_names[joint]
        raise InputError(
            f"{path}: frame {frame}, '{name}': quaternion of length {float(norm[frame, joint]):.3g}"
        )
    props = []
    for prop in clip.props:
        _finite(path, f"position of '{prop.name}'", prop.pos_w)
        _finite(path, f"rotation of '{prop.name}'", prop.quat_w)
        quat = rot.unwrap_sign(rot.normalize(prop.quat_w.double())).float()
        props.append(replace(prop, pos_w=prop.pos_w.float(), quat_w=quat))
    return replace(
        clip,
        offsets=clip.offsets.float(),
        root_pos_w=clip.root_pos_w.float(),
        local_quat=rot.unwrap_sign(local / norm[..., None]).float(),
        props=tuple(props),
    )


def _finite(path: Path, what: str, values: torch.Tensor, names: tuple[str, ...] = ()) -> None:
    bad = ~(values.abs() <= LARGEST)  # also true of NaN
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        where = f"'{names[row]}'" if names else f"frame {row}"
        raise InputError(f"{path}: {where}: {what} is not finite or absurdly large")
