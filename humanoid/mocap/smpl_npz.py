"""Motion of SMPL, SMPL-H and SMPL-X bodies in npz files, as AMASS publishes them.

A frame is the root's rotation vector and one rotation vector a joint, each in its parent's
frame, and a translation. The model's own axes are y up, z forward, x left (Loper et al. 2015);
the world is z up in AMASS (Mahmood et al. 2019), often y up in what comes from video. The
pelvis turns about its own rest place, so it stands at ``trans + rest place``, not at ``trans``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.smpl import PARTS, SmplCfg
from humanoid.bodies.smpl_file import LAYOUTS, load_file
from humanoid.bodies.smpl_model import FROM_SMPL_AXES, SMPL_JOINTS, shaped
from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, npz_names, read_npz
from humanoid.mocap.checks import LARGEST, checked, rebased, to_z_up
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

Model = Literal["smpl", "smplh", "smplx"]

NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's joints in order; SMPL-H and SMPL-X share the first 22 and have fingers for the hands."""
BODY_JOINTS = 22
WIDTHS: dict[int, Model] = {72: "smpl", 156: "smplh", 165: "smplx"}
"""Columns of ``poses`` of each model: 24, 52 and 55 joints."""
PELVIS: dict[Model, tuple[float, float, float]] = {
    "smpl": (0.0, -0.22, 0.03), "smplh": (0.0, -0.22, 0.03), "smplx": (0.0, -0.35, 0.01),
}  # fmt: skip
"""[m] Rest place of the pelvis of a mean body in the model's axes, for want of the model.

Approximate: rounded, and different for each body. It only shifts the whole take by a constant, which
retargeting takes out again: it starts a motion over the origin and finds the floor by the feet."""
_PARENTS = (-1, *LAYOUTS["smpl"].parents)
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "framerate", "frame_rate")
_WHOLE, _ROOT, _BODY, _TRANS = (
    ("poses",),
    ("root_orient", "global_orient"),
    ("pose_body", "body_pose"),
    ("trans", "transl"),
)
_KEYS = (*_WHOLE, *_ROOT, *_BODY, *_TRANS, *_RATES, "betas", "gender")


@dataclass(frozen=True, kw_only=True)
class _Take:
    """The arrays of one file: rotation vectors (T, J, 3), translations (T, 3), shape."""

    model: Model | None
    rotvec: np.ndarray
    trans: np.ndarray
    betas: np.ndarray
    gender: str
    fps: float


def matches(path: Path, head: bytes) -> bool:
    """Whether an npz has poses; a damaged zip matches too, for the error of the loader."""
    try:
        found = set(npz_names(path))
    except InputError:
        return head[:2] == b"PK"
    return bool(found & {*_WHOLE, *_BODY})


def load(path: Path, cfg: LoadCfg | None = None) -> Clip:
    """Read one take; metres, z up by default.

    Joints stand where ``cfg.smpl_model`` has them for the file's betas. Without a model they
    stand where the parametric body of 1.70 m has them: betas are ignored then, and the pelvis
    is known to a few centimetres. SMPL keeps its two hands; fingers, jaw and eyes of SMPL-H
    and SMPL-X are dropped.

    Raises:
        InputError: damaged or hostile file, missing array or frame rate, wrong shape, numbers
            that are not finite, or a body model of another kind.
    """
    cfg = cfg or LoadCfg()
    take = _read(path, cfg)
    count = BODY_JOINTS if take.model in ("smplh", "smplx") else take.rotvec.shape[1]
    places, pelvis = _rest(path, take, cfg, count)
    model_axes, world = to_z_up("y"), to_z_up("z" if cfg.up == "auto" else cfg.up)
    quat = rot.exp(torch.from_numpy(take.rotvec[:, :count]))
    local = rebased(model_axes, quat)
    turned = rot.mul(world.expand_as(quat[:, 0]), quat[:, 0])
    local[:, 0] = rot.mul(turned, rot.conjugate(model_axes).expand_as(turned))
    parents = _PARENTS[:count]
    offsets = places - places[[max(parent, 0) for parent in parents]]
    clip = Clip(
        name=path.stem,
        fps=take.fps,
        joint_names=NAMES[:count],
        parents=parents,
        offsets=offsets,
        root_pos_w=rot.rotate(world, torch.from_numpy(take.trans) + pelvis),
        local_quat=local,
        source=f"{take.model or 'smpl'}:{path.name}",
    )
    return checked(path, clip)


def _rest(path: Path, take: _Take, cfg: LoadCfg, count: int) -> tuple[Tensor, Tensor]:
    """Return rest places (J, 3) [m] in our axes and that of the pelvis (3,) in the model's."""
    if not cfg.smpl_model:
        height = SmplCfg().height
        places: dict[str, np.ndarray] = {}
        for name, part in PARTS.items():
            places[name] = places.get(part.parent, np.zeros(3)) + height * np.array(part.offset)
        table = np.stack([places[name] for name in SMPL_JOINTS[:count]])
        return torch.from_numpy(table), torch.tensor(PELVIS[take.model or "smplh"], dtype=torch.float64)
    folder = Path(cfg.smpl_model).expanduser().is_dir()
    file = load_file(cfg.smpl_model, take.model if folder else None, take.gender)
    if take.model and (take.model == "smplx") != (file.model_type == "smplx"):
        raise InputError(
            f"{path}: motion of {take.model}, but {file.path} is a body model of {file.model_type}; "
            f"give a {take.model} model"
        )
    betas = take.betas[: file.layout.max_betas(file.shapedirs.shape[2])]
    joints = shaped(file, tuple(betas.tolist()))[1]
    rows = [*range(BODY_JOINTS), *file.layout.hands][:count]
    model_axes = np.argsort(FROM_SMPL_AXES)
    return torch.from_numpy(joints[rows]), torch.from_numpy(joints[0][model_axes].copy())


def _read(path: Path, cfg: LoadCfg) -> _Take:
    arrays = read_npz(path, _KEYS)
    model, rotvec = _poses(path, arrays)
    key = _first(arrays, _TRANS)
    if key is None:
        raise InputError(f"{path}: no 'trans'; the translation of the body [m] is needed, (frames, 3)")
    trans = _numbers(path, key, arrays[key])
    if trans.shape != (len(rotvec), 3):
        raise InputError(f"{path}: '{key}' has shape {trans.shape}, expected {(len(rotvec), 3)}")
    betas = _numbers(path, "betas", arrays.get("betas", np.zeros(0)))
    gender = arrays.get("gender", np.array("")).reshape(-1)[:1].astype("U16")
    known = str(gender[0]).lower() if len(gender) else ""
    return _Take(
        model=model,
        rotvec=rotvec,
        trans=trans,
        betas=betas.reshape(-1, betas.shape[-1])[0] if betas.size else np.zeros(0),
        gender=known if known in ("male", "female") else "neutral",
        fps=_rate(path, arrays, cfg),
    )


def _poses(path: Path, arrays: dict[str, np.ndarray]) -> tuple[Model | None, np.ndarray]:
    """Return the model and rotation vectors (T, J, 3); None where the fingers are not in the file."""
    whole, root, body = (_first(arrays, keys) for keys in (_WHOLE, _ROOT, _BODY))
    if whole is not None:
        table = _flat(path, whole, arrays[whole])
    elif root is not None and body is not None:
        parts = [_flat(path, key, arrays[key]) for key in (root, body)]
        if len(parts[0]) != len(parts[1]):
            raise InputError(f"{path}: '{root}' has {len(parts[0])} frames, '{body}' {len(parts[1])}")
        table = np.concatenate(parts, axis=1)
    else:
        raise InputError(f"{path}: no poses; needed: 'poses', or 'root_orient' and 'pose_body'")
    width = table.shape[1]
    if width not in WIDTHS and width != 3 * BODY_JOINTS:
        allowed = ", ".join(f"{n} ({model})" for n, model in WIDTHS.items())
        raise InputError(f"{path}: poses of {width} columns; known: {allowed}, {3 * BODY_JOINTS} (body only)")
    return WIDTHS.get(width), table.reshape(len(table), width // 3, 3)


def _flat(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Return rotation vectors as (T, 3 J), also from (T, J, 3)."""
    table = _numbers(path, key, array)
    if table.ndim == 3 and table.shape[2] == 3:
        return table.reshape(len(table), 3 * table.shape[1])
    if table.ndim != 2:
        raise InputError(f"{path}: '{key}' has shape {table.shape}, expected (frames, columns)")
    return table


def _rate(path: Path, arrays: dict[str, np.ndarray], cfg: LoadCfg) -> float:
    key = _first(arrays, _RATES)
    if key is None and not cfg.fps:
        raise InputError(f"{path}: names no frame rate ({', '.join(_RATES[:2])}); give it as 'fps'")
    if key is None:
        return cfg.fps
    rate = _numbers(path, key, arrays[key])
    if rate.size != 1:
        raise InputError(f"{path}: '{key}' has shape {rate.shape}, expected one number")
    return float(rate.reshape(-1)[0])


def _numbers(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: '{key}' holds {array.dtype}, expected real numbers")
    numbers = array.astype(np.float64)
    bad = ~(np.abs(numbers) <= LARGEST)  # also true of NaN
    if bad.any():
        place = ", ".join(str(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{path}: '{key}'[{place}] is not finite or absurdly large")
    return numbers


def _first(arrays: dict[str, np.ndarray], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in arrays), None)
