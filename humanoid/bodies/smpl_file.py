"""Reading SMPL, SMPL-H and SMPL-X model files without executing anything in them.

Of an npz only the seven arrays needed are read, pickles forbidden: published SMPL-X files hold pickled
tables, too. SMPL's own file is a Python 2 pickle of chumpy objects and scipy matrices; it is read only if
trusted, by :func:`humanoid.core.io.load_pickle`, which keeps the state of foreign objects.
"""

from __future__ import annotations

import zipfile
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from humanoid.core.constraints import Among, check
from humanoid.core.errors import InputError, one_line
from humanoid.core.io import Record, load_pickle, read_bytes, read_npz

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_BODY = (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
"""Parents of joints 1-21, the same in the three models."""


def _fingers(wrist: int, first: int) -> tuple[int, ...]:
    return tuple(wrist if k % 3 == 0 else first + k - 1 for k in range(15))


@dataclass(frozen=True, kw_only=True)
class SmplLayout:
    """Sizes and tree of one model type.

    Attributes:
        vertices: number V of vertices.
        parents: parents of joints 1 to K-1.
        hands: joints at which L_Hand and R_Hand stand (base of the middle finger).
        fold: for joints 22 to K-1, the joint of SMPL's 24 that takes their vertices.
    """

    vertices: int
    parents: tuple[int, ...]
    hands: tuple[int, int]
    fold: tuple[int, ...]

    @property
    def joints(self) -> int:
        """Number K of joints."""
        return len(self.parents) + 1

    def max_betas(self, columns: int) -> int:
        """Return how many columns of ``shapedirs`` are shape; SMPL-X appends expression."""
        if self.joints != LAYOUTS["smplx"].joints:
            return columns
        return 300 if columns >= 400 else min(columns, 10)


LAYOUTS = {
    "smpl": SmplLayout(vertices=6890, parents=(*_BODY, 20, 21), hands=(22, 23), fold=(22, 23)),
    "smplh": SmplLayout(
        vertices=6890, parents=(*_BODY, *_fingers(20, 22), *_fingers(21, 37)),
        hands=(25, 40), fold=(22,) * 15 + (23,) * 15,
    ),
    "smplx": SmplLayout(
        vertices=10475, parents=(*_BODY, 15, 15, 15, *_fingers(20, 25), *_fingers(21, 40)),
        hands=(28, 43), fold=(15,) * 3 + (22,) * 15 + (23,) * 15,
    ),
}  # fmt: skip
Kind = Annotated[str, Among(tuple(LAYOUTS))]
"""Model type."""


@dataclass(frozen=True, kw_only=True)
class SmplFile:
    """The validated arrays of one file, in SMPL's axes (y up, z forward, x left).

    Attributes:
        path: where it was read.
        model_type: key of :data:`LAYOUTS`.
        v_template: (V, 3) [m].
        shapedirs: (V, 3, S) [m] displacement a unit of each shape coefficient.
        J_regressor: (K, V) joints from vertices.
        weights: (V, K) skinning weights, rows sum to 1.
        f: (F, 3) triangles.
    """

    path: Path
    model_type: str
    v_template: np.ndarray
    shapedirs: np.ndarray
    J_regressor: np.ndarray
    weights: np.ndarray
    f: np.ndarray

    @property
    def layout(self) -> SmplLayout:
        """The layout of this model type."""
        return LAYOUTS[self.model_type]


def load_file(
    path: str | Path, model_type: str | None = None, gender: str = "neutral", trust_pickle: bool = False
) -> SmplFile:
    """Read and validate a model file.

    Args:
        path: the file, or a folder with files named as published (``SMPL_NEUTRAL.npz``).
        model_type: ``smpl``, ``smplh``, ``smplx``, or None to infer it from the number of joints.
        gender: picks the file when ``path`` is a folder.
        trust_pickle: whether a pickle may be opened.

    Raises:
        ConfigError: an unknown model type.
        InputError: no such file, damaged file, untrusted pickle, or arrays that do not fit.
    """
    check(Kind | None, model_type, "model_type")
    file = _find(Path(path).expanduser(), model_type, gender)
    if file.suffix.lower() == ".npz" or zipfile.is_zipfile(file):
        arrays = read_npz(file, KEYS)
        _require_keys(file, arrays)
    elif trust_pickle:
        arrays = _unpickled(file, read_bytes(file))
    else:
        raise InputError(f"{file}: a pickle, not an npz; set trust_pickle=True if its origin is trusted")
    return _validate(file, arrays, model_type)


def _find(path: Path, model_type: str | None, gender: str) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: no such body model file")
        return path
    kinds = [model_type] if model_type else list(LAYOUTS)
    names = [f"{kind.upper()}_{gender.upper()}.{ext}" for kind in kinds for ext in ("npz", "pkl")]
    for name in names:
        if (path / name).is_file():
            return path / name
    raise InputError(f"{path}: the folder has none of {', '.join(names)}; name the file itself")


def _unpickled(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of SMPL's pickle; foreign objects are inert records."""
    key = ""
    try:
        stored = load_pickle(data, foreign=lambda _: True)
        if not isinstance(stored, dict):
            raise InputError(f"{path}: holds a {type(stored).__name__}, not a dict with {', '.join(KEYS)}")
        _require_keys(path, stored)
        arrays = {}
        for key in KEYS:
            arrays[key] = _dense(stored[key])
    except InputError:
        raise
    except Exception as error:  # the state of a foreign object can be anything
        raise InputError(f"{path}: {key}: damaged or not a pickled array: {one_line(error)}") from error
    return arrays


def _dense(value: object) -> np.ndarray:
    """Return an array, a chumpy object or a scipy matrix of a pickle as a dense array."""
    if not isinstance(value, Record):
        return np.asarray(value)
    name, state = value.origin, value.state
    kind = name.rpartition(".")[2]
    if name.startswith("scipy.sparse") and kind in ("csc_matrix", "csc_array", "csr_matrix", "csr_array"):
        # not by scipy, which does not check the indices
        major = np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
        place = (state["indices"], major) if kind.startswith("csc") else (major, state["indices"])
        dense = np.zeros(state.get("_shape") or state["shape"])
        np.add.at(dense, place, state["data"])
        return dense
    if name.startswith("chumpy.") and "x" in state:
        return _dense(state["x"])
    if name == "chumpy.reordering.Select":
        picked = _dense(state["a"]).ravel()[_dense(state["idxs"])]
        return picked.reshape(state.get("preferred_shape", picked.shape))
    raise TypeError(f"holds a '{name}'")


def _require_keys(path: Path, stored: Container[str]) -> None:
    missing = [key for key in KEYS if key not in stored]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; a body model has {', '.join(KEYS)}")


def _validate(path: Path, arrays: dict[str, np.ndarray], model_type: str | None) -> SmplFile:
    regressor, joints = arrays["J_regressor"], {layout.joints: kind for kind, layout in LAYOUTS.items()}
    kind = joints.get(len(regressor)) if regressor.ndim == 2 else None
    if kind is None or model_type not in (None, kind):
        known = ", ".join(f"{count} ({kind})" for count, kind in joints.items())
        wanted = f"{model_type} is wanted" if kind else "joints come first"
        raise InputError(f"{path}: J_regressor: shape {regressor.shape}, {wanted}: {known}")
    layout = LAYOUTS[kind]
    v, k = layout.vertices, layout.joints
    expected: dict[str, tuple[int | None, ...]] = {
        "v_template": (v, 3), "shapedirs": (v, 3, None), "posedirs": (v, 3, 9 * (k - 1)),
        "J_regressor": (k, v), "weights": (v, k), "kintree_table": (2, k), "f": (None, 3),
    }  # fmt: skip
    for key, shape in expected.items():
        _check_array(path, key, arrays[key], shape, kind)
    tree = arrays["kintree_table"][0, 1:].astype(np.int64)
    if (wrong := np.flatnonzero(tree != layout.parents)).size:
        joint = int(wrong[0]) + 1
        raise InputError(
            f"{path}: kintree_table: the parent of joint {joint} is {tree[joint - 1]}, "
            f"in {kind} it is {layout.parents[joint - 1]}"
        )
    if (bad := np.argwhere((arrays["f"] < 0) | (arrays["f"] >= v))).size:
        vertex = arrays["f"][tuple(bad[0])]
        raise InputError(f"{path}: f[{bad[0][0]}, {bad[0][1]}]: vertex {vertex} is outside 0-{v - 1}")
    weights = arrays["weights"].astype(np.float64)
    if (bad := np.flatnonzero((np.abs(weights.sum(1) - 1) > 1e-3) | (weights.min(1) < -1e-6))).size:
        row = bad[0]
        raise InputError(
            f"{path}: weights[{row}]: must be positive and sum to 1, the sum is {weights[row].sum():.4g}"
        )
    return SmplFile(
        path=path, model_type=kind, weights=weights, f=arrays["f"].astype(np.int64),
        v_template=arrays["v_template"].astype(np.float64), shapedirs=arrays["shapedirs"],
        J_regressor=arrays["J_regressor"].astype(np.float64),
    )  # fmt: skip


def _check_array(path: Path, key: str, array: np.ndarray, shape: tuple[int | None, ...], kind: str) -> None:
    fits = len(shape) == array.ndim and all(
        want in (None, got) and got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise InputError(f"{path}: {key}: shape {array.shape}, {kind} has ({wanted})")
    kinds, allowed = ("iu", "whole numbers") if key == "f" else ("fiu", "real numbers")
    if array.dtype.kind not in kinds:
        raise InputError(f"{path}: {key}: type {array.dtype}, must be {allowed}")
    if not np.isfinite(array).all():
        place = ", ".join(str(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{path}: {key}[{place}]: not a finite number")
