"""A trajectory of one embodiment, and its file format.

The npz keys are those of BeyondMimic and mjlab (``fps, joint_pos, joint_vel,
body_pos_w, body_quat_w, body_lin_vel_w, body_ang_vel_w``), so their tools read our
files; ``joint_names`` and ``body_names`` are added, and are required
because columns are matched by name.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.props import PropTrack
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError, MismatchError
from humanoid.core.io import read_npz
from humanoid.core.runs import atomic_path
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative

_ARRAYS = {  # key -> width of the last axis, None where it is the number of joints
    "joint_pos": None,
    "joint_vel": None,
    "body_pos_w": 3,
    "body_quat_w": 4,
    "body_lin_vel_w": 3,
    "body_ang_vel_w": 3,
}
_PROP = tuple(f"object_{part}" for part in ("name", "pos_w", "quat_w", "touched", "size"))
_KEYS = ("fps", "joint_names", "body_names", "contact", "contact_names", "provenance", *_ARRAYS, *_PROP)
_MIN_NORM = 0.5
_LARGEST = 1e6
"""A number beyond this is no length, angle or speed of a person."""
_FASTEST = 1e5


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One clip on one embodiment at an even rate.

    Attributes:
        name: clip name.
        fps: frames per second.
        joint_names: D names, the order of the joint columns.
        body_names: N names, the order of the body rows; row 0 is the root.
        states: all frames, leading axis T.
        contact: (T, F) bool, whether each of ``contact_names`` stands on the ground.
        contact_names: F landmarks: heels (ankles) and toes that stand, wrists of hands that support.
        prop: what is handled, if anything is.
        provenance: where it comes from and how it was made; plain JSON values.
    """

    name: str
    fps: float
    joint_names: tuple[str, ...]
    body_names: tuple[str, ...]
    states: BodyState
    contact: Tensor
    contact_names: tuple[str, ...]
    prop: PropTrack | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """Number T of frames."""
        return self.states.joint_pos.shape[0]

    @property
    def duration(self) -> float:
        """Time [s] from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    @property
    def qpos(self) -> Tensor:
        """(T, 7 + D): root position [m], root quaternion, joint angles [rad]."""
        s = self.states
        return torch.cat((s.root_pos_w, s.root_quat_w, s.joint_pos), dim=-1)

    @property
    def qvel(self) -> Tensor:
        """(T, 6 + D): root velocity [m/s] and angular velocity [rad/s], world; joint rates."""
        s = self.states
        return torch.cat((s.root_lin_vel_w, s.root_ang_vel_w, s.joint_vel), dim=-1)

    def at(self, times: Tensor) -> BodyState:
        """Interpolate at ``times (...,)`` [s], clamped to the ends of the clip.

        Vectors are interpolated on straight lines, rotations by slerp.
        """
        phase = (times * self.fps).clamp(0, self.num_frames - 1)
        low = phase.floor().long().clamp(max=max(self.num_frames - 2, 0))
        high = (low + 1).clamp(max=self.num_frames - 1)
        return interpolate(self.states[low], self.states[high], phase - low)

    def for_body(self, body: Embodiment) -> Motion:
        """Return the motion with columns in the order of ``body``, matched by name.

        Raises:
            MismatchError: a joint or body of ``body`` is missing.
        """
        joints = _order(self.name, "joint", self.joint_names, body.joint_names)
        bodies = _order(self.name, "body", self.body_names, body.body_names)
        s = self.states
        states = BodyState(
            s.joint_pos[:, joints],
            s.joint_vel[:, joints],
            *(getattr(s, key)[:, bodies] for key in list(_ARRAYS)[2:]),
        )
        return replace(self, joint_names=body.joint_names, body_names=body.body_names, states=states)

    def save(self, path: str | Path) -> None:
        """Write the npz in one piece.

        Raises:
            InputError: the folder cannot be written.
        """
        arrays = {key: getattr(self.states, key).cpu().numpy() for key in _ARRAYS}
        if self.prop is not None:
            arrays |= _prop_arrays(self.prop, self.fps)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                fps=np.array([self.fps]),
                joint_names=np.array(self.joint_names),
                body_names=np.array(self.body_names),
                contact=self.contact.cpu().numpy(),
                contact_names=np.array(self.contact_names, dtype=np.str_),
                provenance=np.array(json.dumps({"name": self.name, **self.provenance})),
                **arrays,
            )

    @classmethod
    def load(cls, path: str | Path) -> Motion:
        """Read an npz of this package, BeyondMimic or mjlab that has names.

        Raises:
            InputError: missing or broken file, missing key, wrong shape, number that is
                not finite, quaternion without length, no names.
        """
        path = Path(path)
        data = _read_npz(path)
        joints, bodies = _names(path, data, "joint_names"), _names(path, data, "body_names")
        frames = len(np.atleast_1d(data.get("joint_pos", ())))
        tensors = {}
        for key, width in _ARRAYS.items():
            shape = (frames, len(joints)) if width is None else (frames, len(bodies), width)
            tensors[key] = _checked(path, data, key, shape)
        norms = tensors["body_quat_w"].norm(dim=-1)
        if (norms < _MIN_NORM).any():
            frame, row = (norms < _MIN_NORM).nonzero()[0].tolist()
            raise InputError(f"{path}: 'body_quat_w' frame {frame}, body '{bodies[row]}': zero quaternion")
        tensors["body_quat_w"] = rot.normalize(tensors["body_quat_w"])
        contact, contact_names = _contact(path, data, frames)
        provenance = _provenance(path, data)
        return cls(
            name=str(provenance.pop("name", path.stem)),
            fps=_fps(path, data),
            joint_names=joints,
            body_names=bodies,
            states=BodyState(**tensors),
            contact=contact,
            contact_names=contact_names,
            prop=_prop(path, data, frames),
            provenance={"file": path.name, **provenance},
        )


def interpolate(a: BodyState, b: BodyState, t: Tensor) -> BodyState:
    """Interpolate two states of equal leading axes, ``t (...,)`` in [0, 1]."""
    t = t.to(a.joint_pos.dtype)  # times may be of double precision
    one, two = t.unsqueeze(-1), t[..., None, None]
    return BodyState(
        torch.lerp(a.joint_pos, b.joint_pos, one),
        torch.lerp(a.joint_vel, b.joint_vel, one),
        torch.lerp(a.body_pos_w, b.body_pos_w, two),
        rot.slerp(a.body_quat_w, b.body_quat_w, one.expand(a.body_quat_w.shape[:-1])),
        torch.lerp(a.body_lin_vel_w, b.body_lin_vel_w, two),
        torch.lerp(a.body_ang_vel_w, b.body_ang_vel_w, two),
    )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: no such motion file")
    return read_npz(path, _KEYS)


def _checked(path: Path, data: dict[str, np.ndarray], key: str, shape: tuple[int, ...]) -> Tensor:
    if key not in data:
        raise InputError(f"{path}: no '{key}'; needed: fps, {', '.join(_ARRAYS)}")
    array = data[key]
    if array.shape != shape or shape[0] == 0:
        raise InputError(f"{path}: '{key}' has shape {array.shape}, expected {shape} with at least one frame")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: '{key}' holds {array.dtype}, expected real numbers")
    bad = ~(np.abs(array) <= _LARGEST)
    if bad.any():
        frame = int(np.argwhere(bad)[0][0])
        raise InputError(f"{path}: '{key}' frame {frame} holds a number that is not finite or absurdly large")
    return torch.from_numpy(array.astype(np.float32))


def _names(path: Path, data: dict[str, np.ndarray], key: str) -> tuple[str, ...]:
    if key not in data:
        raise InputError(f"{path}: no '{key}'; a motion is matched by name")
    array = data[key]
    if array.ndim != 1 or array.dtype.kind != "U" or len(array) == 0:
        raise InputError(f"{path}: '{key}' is {array.dtype} of shape {array.shape}, expected a list of texts")
    names = tuple(str(name) for name in array)
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: '{key}' holds '{name}' twice")
    return names


def _fps(path: Path, data: dict[str, np.ndarray]) -> float:
    array = data.get("fps", np.array(np.nan))
    fps = float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "fiu" else math.nan
    if not 0 < fps < _FASTEST:
        raise InputError(f"{path}: 'fps' is {fps}; one positive number is needed")
    return fps


def _contact(path: Path, data: dict[str, np.ndarray], frames: int) -> tuple[Tensor, tuple[str, ...]]:
    """Return contact labels and their bodies; none for a file that has none."""
    if "contact" not in data or "contact_names" not in data or data["contact_names"].size == 0:
        return torch.zeros(frames, 0, dtype=torch.bool), ()
    names = _names(path, data, "contact_names")
    array, shape = data["contact"], (frames, len(names))
    if array.shape != shape or array.dtype.kind not in "biu":
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{path}: 'contact' is {found}, expected true or false of shape {shape}")
    return torch.from_numpy(array.astype(bool)), names


def _prop_arrays(prop: PropTrack, fps: float) -> dict[str, np.ndarray]:
    """Return holosoma's keys of a handled object, and our name, size and touch."""
    return {
        "object_pos_w": prop.pos_w.cpu().numpy(),
        "object_quat_w": prop.quat_w.cpu().numpy(),
        "object_lin_vel_w": derivative(prop.pos_w, fps).cpu().numpy(),
        "object_ang_vel_w": angular_velocity(prop.quat_w, fps).cpu().numpy(),
        "object_touched": prop.touched.cpu().numpy(),
        "object_size": np.array(prop.size),
        "object_name": np.array(prop.name),
    }


def _prop(path: Path, data: dict[str, np.ndarray], frames: int) -> PropTrack | None:
    """Return the handled object; one of holosoma's has neither size nor touch."""
    if "object_pos_w" not in data:
        return None
    quat = _checked(path, data, "object_quat_w", (frames, 4))
    if (quat.norm(dim=-1) < _MIN_NORM).any():
        raise InputError(f"{path}: 'object_quat_w' holds a zero quaternion")
    touched = data.get("object_touched", np.zeros(frames, dtype=bool))
    if touched.shape != (frames,) or touched.dtype.kind not in "biu":
        raise InputError(f"{path}: 'object_touched' has shape {touched.shape}, expected ({frames},)")
    size = _checked(path, {"object_size": np.zeros(3), **data}, "object_size", (3,)).tolist()
    return PropTrack(
        name=str(data.get("object_name", "object")),
        pos_w=_checked(path, data, "object_pos_w", (frames, 3)),
        quat_w=rot.normalize(quat),
        touched=torch.from_numpy(touched.astype(bool)),
        size=(size[0], size[1], size[2]),
    )


def _provenance(path: Path, data: dict[str, np.ndarray]) -> dict[str, Any]:
    try:
        tree = json.loads(str(data.get("provenance", "{}")))
    except ValueError as error:
        raise InputError(f"{path}: 'provenance' is not valid JSON: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: 'provenance' must be a JSON object, found {type(tree).__name__}")
    return tree


def _order(motion: str, kind: str, have: tuple[str, ...], want: tuple[str, ...]) -> list[int]:
    missing = [name for name in want if name not in have]
    if missing:
        raise MismatchError(f"motion '{motion}' has no {kind} '{missing[0]}' that the body needs")
    return [have.index(name) for name in want]
