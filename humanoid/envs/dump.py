"""Dump of a diverged control step, for its replay: an npz of plain arrays and one JSON text.

States hold joints and root, the arguments of :meth:`Simulator.reset`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError
from humanoid.core.io import read_npz
from humanoid.core.runs import atomic_path, versions

KIND, VERSION = "humanoid dump", 1
"""Kind and version of the JSON text."""
ROOT = {"root_pos_w": 3, "root_quat_w": 4, "root_lin_vel_w": 3, "root_ang_vel_w": 3}
"""Width of each of the root's parts of a state."""
STATES = ("before", "after", "ref")
"""The states of a dump: names of arrays begin with these."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Place and cause of a divergence.

    Attributes:
        reason: violated limit in the state after the step.
        clip: name of the clip.
        seconds: time in the clip at the end of the step [s].
        episode_seconds: time since the environment was reset [s].
        row: of the library's table.
        env: index of the environment.
        control_dt: control period [s].
        limits: ``GuardCfg`` as plain values.
        physics: randomised physics of the environment: fields of ``PhysicsChange``, without
            the batch axis.
        body: signature of the body.
        config: the run's configuration as plain values, empty where there is none.
    """

    reason: str
    clip: str
    seconds: float
    episode_seconds: float
    row: int
    env: int
    control_dt: float
    body: dict[str, Any]
    limits: dict[str, Any]
    physics: dict[str, Any]
    config: dict[str, Any]


FIELDS = {name: get_origin(kind) or kind for name, kind in get_type_hints(Incident).items()}
"""Type of each field of an incident in the file."""


@dataclass(frozen=True, kw_only=True)
class Dump:
    """One control step of one environment; states have the root as their only body.

    Attributes:
        incident: place and cause.
        before: the state that the step started from, after any push.
        after: the state that it led to; may hold NaN.
        ref: the reference at the end of the step.
        action: (D,) of the policy.
        targets: (D,) [rad] that the servos followed.
    """

    incident: Incident
    before: BodyState
    after: BodyState
    ref: BodyState
    action: Tensor
    targets: Tensor

    def save(self, path: str | Path) -> None:
        """Write the file in one piece.

        Raises:
            InputError: it cannot be written.
        """
        arrays: dict[str, Any] = {"action": _array(self.action), "targets": _array(self.targets)}
        for name in STATES:
            arrays |= {f"{name}_{part}": value for part, value in _parts(getattr(self, name)).items()}
        text = {"kind": KIND, "version": VERSION, "versions": versions(), **vars(self.incident)}
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, incident=np.array(json.dumps(text)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Dump:
        """Read a dump.

        Raises:
            InputError: no such file, or something else than a whole dump of this version.
        """
        path = Path(path)
        incident = _incident(path)
        names = incident.body.get("joint_names")
        if not isinstance(names, list):
            raise InputError(f"{path}: the dump does not list the joints of its body")
        joints = len(names)
        widths = {"joint_pos": joints, "joint_vel": joints, **ROOT}
        wanted = {f"{name}_{part}": width for name in STATES for part, width in widths.items()}
        wanted |= {"action": joints, "targets": joints}
        arrays = read_npz(path, wanted)
        tensors: dict[str, Tensor] = {}
        for name, width in wanted.items():
            array = arrays.get(name)
            if array is None or array.dtype.kind != "f" or array.shape != (width,):
                raise InputError(f"{path}: a dump of this body holds '{name}', {width} numbers; it does not")
            tensors[name] = torch.tensor(array, dtype=torch.float32)
        states = {name: _state({part: tensors[f"{name}_{part}"] for part in widths}) for name in STATES}
        return cls(incident=incident, action=tensors["action"], targets=tensors["targets"], **states)


def _incident(path: Path) -> Incident:
    """Read the text of a dump."""
    array = read_npz(path, ("incident",)).get("incident")
    try:
        if array is None or array.dtype.kind != "U" or array.shape:
            raise ValueError
        text = json.loads(str(array[()]))
        if not isinstance(text, dict) or text.get("kind") != KIND:
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a dump; give a file of the folder 'dumps' of a run") from error
    if text.get("version") != VERSION:
        raise InputError(f"{path}: a dump of version {text.get('version')}; version {VERSION} is read")
    for name, kind in FIELDS.items():
        if not isinstance(text.get(name), kind):
            raise InputError(f"{path}: the dump's '{name}' is {text.get(name)!r:.40}, no {kind.__name__}")
    return Incident(**{name: text[name] for name in FIELDS})


def _parts(state: BodyState) -> dict[str, np.ndarray]:
    parts = {"joint_pos": state.joint_pos, "joint_vel": state.joint_vel}
    parts |= {name: getattr(state, name) for name in ROOT}
    return {name: _array(value) for name, value in parts.items()}


def _state(parts: Mapping[str, Tensor]) -> BodyState:
    root = (parts[name].unsqueeze(0) for name in ROOT)
    return BodyState(parts["joint_pos"], parts["joint_vel"], *root)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)
