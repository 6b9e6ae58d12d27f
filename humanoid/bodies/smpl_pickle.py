"""Numpy arrays out of SMPL's own pickles, without running what the pickle names.

The published files are Python-2 pickles with chumpy objects and scipy matrices.
Neither library is needed to read them: only numpy's pieces are looked up, and
every other class or function becomes an inert record of its state.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np


class _Inert:
    """Stands for an object of a class that is not loaded; only its state is kept."""

    origin = ""
    state: dict[str, Any]

    def __init__(self, *_: object) -> None:
        self.state = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore items of a foreign container."""

    def append(self, value: object) -> None:
        """Ignore elements of a foreign container."""


def _reconstructed(cls: type, *_: object) -> object:
    """Stand in for ``copyreg._reconstructor``."""
    return object.__new__(cls)


def _latin1(text: str, *_: object) -> bytes:
    """Stand in for ``_codecs.encode``, which Python 3 uses for the bytes of an array."""
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "_frombuffer"): np.empty(1).__reduce_ex__(5)[0],
    ("numpy", "scalar"): np.float64(0).__reduce__()[0],
    ("copyreg", "_reconstructor"): _reconstructed,
    ("_codecs", "encode"): _latin1,
}
"""What may be called, by top package and name: numpy has moved its modules over the years."""


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays; every other class or function named becomes :class:`_Inert`."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return the numpy piece, or an inert class of that name."""
        known = _ALLOWED.get((module_name.partition(".")[0], global_name))
        return known or type(global_name, (_Inert,), {"origin": f"{module_name}.{global_name}"})


def read_pickle(path: Path) -> object:
    """Return what a pickle holds, with an inert record for every object that is not numpy's.

    Raises:
        Exception: anything, if the file is damaged.
    """
    with path.open("rb") as file:
        return _ArrayUnpickler(file, encoding="latin1").load()


def to_array(value: object) -> np.ndarray:
    """Turn an array, a chumpy object or a scipy matrix of a pickle into a dense array.

    Raises:
        Exception: anything, if its state is not that of such an object.
    """
    if not isinstance(value, _Inert):
        return np.asarray(value)
    name, state = value.origin, value.state
    kind = name.rpartition(".")[2]
    if name.startswith("scipy.sparse") and kind in ("csc_matrix", "csc_array", "csr_matrix", "csr_array"):
        columns = kind.startswith("csc")
        major = np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
        dense = np.zeros(state.get("_shape") or state["shape"])
        np.add.at(dense, (state["indices"], major) if columns else (major, state["indices"]), state["data"])
        return dense
    if name.startswith("chumpy.") and "x" in state:
        return to_array(state["x"])
    if name == "chumpy.reordering.Select":
        picked = to_array(state["a"]).ravel()[to_array(state["idxs"])]
        return picked.reshape(state.get("preferred_shape", picked.shape))
    raise TypeError(f"holds a '{name}'")
