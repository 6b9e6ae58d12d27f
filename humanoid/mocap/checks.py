"""The border: how loaders read files, and what every clip has to satisfy.

Inside the package a clip is trusted; everything that a damaged or hostile file could
claim is refused here, with the file and the place in one line.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from humanoid.core.errors import InputError
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

LARGEST = 1e6
"""A number beyond this is no length, angle or time of a person."""
FPS = (0.1, 10_000.0)
"""[1/s] Rates that are believed."""
MIN_FRAMES = 2
MAX_JOINTS = 1_000
MIN_NORM = 0.5
"""A quaternion shorter than this is a broken file, not rounding."""


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
        raise InputError(f"{path}: {clip.fps:g} frames per second; {FPS[0]:g} to {FPS[1]:g} are believed")
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
