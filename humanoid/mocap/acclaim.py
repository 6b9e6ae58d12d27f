"""The Acclaim format (ASF/AMC), in which CMU's motion capture database comes.

A bone rotates about its start by ``C M C^-1`` in the axes of the skeleton, where ``C`` are
its axes at rest and ``M`` is the rotation of the motion, so that at zero every bone has the
direction of the skeleton file. A joint of the clip is named after the bone that starts
there: ``lfemur`` is the hip, ``ltibia`` the knee. Ends of limbs are joints ``NAME_end``.

The number ``length`` of ``:units`` is one inch in the file's unit (CMU: 0.45).
Where that makes a person smaller than a hand or taller than a house door it is metres,
centimetres or millimetres; :class:`LoadCfg` has the last word. The y axis is up. No rate is
written in most motion files; CMU's are of 120 Hz. Translation and
stretch is replaced by its mean, for a clip's bones are rigid.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg
from humanoid.mocap import amc, asf
from humanoid.mocap.checks import checked, to_z_up
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

FPS = 120.0
"""[1/s] Rate of CMU's takes."""
METRES = {"inch": 0.0254, "m": 1.0, "cm": 0.01, "mm": 0.001}
"""[m] Units of length, the format's own first."""
SPAN = (0.3, 3.0)
"""[m] Range of the largest extent at rest of a person's skeleton."""
_CHUNK = 1024
"""Frames that are turned into quaternions at once: what is computed stays in the cache."""


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """One rotation of every bone that has so many.

    Attributes:
        bones: their indices; of the bones of the turn before, the first ones.
        axes: (bones, 3) unit axes, in the clip's axes.
        angles: (bones, T) [rad].
    """

    bones: list[int]
    axes: Tensor
    angles: Tensor


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one take and the skeleton beside it.

    The skeleton is ``cfg.skeleton``, else the .asf of the same name, else that of the
    subject (``02.asf`` of ``02_01.amc``), else the only one in the folder.

    Raises:
        InputError: no skeleton is found, or an invalid file (see :mod:`asf`, :mod:`amc`).
    """
    cfg = cfg or LoadCfg()
    skeleton = asf.read(find_skeleton(path, cfg))
    bones = skeleton.bones
    take = amc.read(path, {bone.name: len(bone.dofs) for bone in bones})
    frames = len(take.values[asf.ROOT])
    basis = rot.to_matrix(to_z_up("y" if cfg.up == "auto" else cfg.up)).numpy()
    ends = [i for i in range(len(bones)) if all(bone.parent != i for bone in bones)]
    scale = _scale(skeleton, cfg)
    offsets, tips = _offsets(skeleton, take)
    root = skeleton.position + _translations(bones[0], take)
    clip = Clip(
        name=path.stem,
        fps=cfg.fps or take.fps or FPS,
        joint_names=(*(bone.name for bone in bones), *(f"{bones[i].name}_end" for i in ends)),
        parents=(*(bone.parent for bone in bones), *ends),
        offsets=torch.from_numpy(np.concatenate((offsets, tips[ends])) @ basis.T * scale),
        root_pos_w=torch.from_numpy(root @ basis.T * scale),
        local_quat=_rotations(_turns(skeleton, take, basis), frames, len(bones) + len(ends)),
        source=f"amc:{path.name}",
    )
    return checked(path, clip)


def find_skeleton(path: Path, cfg: LoadCfg) -> Path:
    """Return the skeleton file of a motion file.

    Raises:
        InputError: there is none, or several of which none has the take's name.
    """
    if cfg.skeleton:
        return Path(cfg.skeleton)
    folder = path.parent
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".asf" and file.is_file())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from error
    stem = path.stem.lower()
    named = [file for file in files if stem == file.stem.lower()]
    named += [
        file
        for file in sorted(files, key=lambda file: -len(file.stem))
        if stem.startswith((f"{file.stem}_".lower(), f"{file.stem}-".lower()))
    ]
    if named or len(files) == 1:
        return (named or files)[0]
    subject = path.stem.partition("_")[0]
    found = f"{len(files)} others" if files else "none"
    raise InputError(
        f"{path}: no skeleton '{path.stem}.asf' or '{subject}.asf' in {folder} (.asf there: {found}); "
        "name one with skeleton="
    )


def _scale(skeleton: asf.AsfSkeleton, cfg: LoadCfg) -> float:
    """Return the metres of one unit of the skeleton."""
    if cfg.units != "auto":
        return METRES[cfg.units] / skeleton.length
    ends = np.zeros((len(skeleton.bones), 3))
    for index, bone in enumerate(skeleton.bones):
        ends[index] = bone.end + (ends[bone.parent] if index else 0.0)
    span = float(np.ptp(ends, axis=0).max()) / skeleton.length
    fits = (metres for metres in METRES.values() if SPAN[0] <= span * metres <= SPAN[1])
    return next(fits, METRES["inch"]) / skeleton.length


def _translations(bone: asf.Bone, take: amc.AmcMotion) -> NDArray[np.float64]:
    """Return the translation of a bone (T, 3), zero where the take has none."""
    values = take.values.get(bone.name)
    moved = np.zeros((1 if values is None else len(values), 3))
    for column, dof in enumerate(bone.dofs if values is not None else ()):
        if values is not None and dof[0] == "t":
            moved[:, "xyz".index(dof[1])] = values[:, column]
    return moved


def _offsets(
    skeleton: asf.AsfSkeleton, take: amc.AmcMotion
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return start (bones, 3) of each bone seen from its parent's, and its end from its own."""
    tips = np.stack([bone.end for bone in skeleton.bones])
    for index, bone in enumerate(skeleton.bones):
        length = float(np.linalg.norm(bone.end))
        if "l" in bone.dofs and bone.name in take.values and length > asf.SMALLEST:
            stretch = float(take.values[bone.name][:, bone.dofs.index("l")].mean())
            tips[index] *= 1.0 + stretch / length
    offsets = np.zeros_like(tips)
    for index, bone in enumerate(skeleton.bones[1:], 1):
        offsets[index] = tips[bone.parent]
        if any(dof[0] == "t" for dof in bone.dofs):
            offsets[index] += bone.axes @ _translations(bone, take).mean(0)
    return offsets, tips


def _turns(skeleton: asf.AsfSkeleton, take: amc.AmcMotion, basis: NDArray[np.float64]) -> list[_Turn]:
    """Return the first rotation of every bone, the second, and the third.

    ``C R(e) C^-1`` is the rotation by the same angle about ``C e``.
    """
    columns = {
        index: [column for column, dof in enumerate(bone.dofs) if dof[0] == "r"]
        for index, bone in enumerate(skeleton.bones)
        if bone.name in take.values
    }
    bones = sorted(columns, key=lambda index: -len(columns[index]))
    turns = []
    for number in range(max(map(len, columns.values()))):
        bones = [index for index in bones if len(columns[index]) > number]
        axes, angles = [], []
        for index in bones:
            bone, column = skeleton.bones[index], columns[index][number]
            axes.append(basis @ bone.axes[:, "xyz".index(bone.dofs[column][1])])
            angles.append(take.values[bone.name][:, column])
        radians = np.stack(angles) * (take.angle or skeleton.angle)
        turns.append(
            _Turn(bones=bones, axes=torch.from_numpy(np.stack(axes)), angles=torch.from_numpy(radians))
        )
    return turns


def _rotations(turns: list[_Turn], frames: int, joints: int) -> Tensor:
    """Return all rotations (T, joints, 4), the identity where nothing turns."""
    quat = torch.zeros(frames, joints, 4, dtype=torch.float64)
    quat[..., 0] = 1.0
    for start in range(0, frames, _CHUNK):
        product = torch.zeros(0)
        for turn in turns:
            half = 0.5 * turn.angles[:, start : start + _CHUNK]
            step = torch.stack((half.cos(), *(half.sin() * turn.axes.T[..., None])))
            if turn is turns[0]:
                product = step
            else:
                before = product[:, : len(turn.bones)]
                before[:] = _times(step, before)
        if turns:
            quat[start : start + _CHUNK, turns[0].bones] = product.permute(2, 1, 0)
    return quat


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Return the Hamilton product of quaternions (4, ...): a component is one piece of memory."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        )
    )
