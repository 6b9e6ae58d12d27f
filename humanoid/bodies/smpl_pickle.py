"""Numpy arrays out of SMPL's own pickles, without running what the pickle names.

The published files are Python-2 pickles with chumpy objects and scipy matrices.
Neither library is needed to read them: :func:`humanoid.core.io.load_pickle` keeps of every
foreign object its state, and the few kinds that hold an array are unwrapped here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from humanoid.core.io import Record, load_pickle


def read_pickle(path: Path) -> object:
    """Return what a pickle holds, with an inert record for every object that is not numpy's.

    Raises:
        PickleError: the file is damaged.
        OSError: it cannot be read.
    """
    return load_pickle(path.read_bytes(), foreign=lambda _: True)


def to_array(value: object) -> np.ndarray:
    """Turn an array, a chumpy object or a scipy matrix of a pickle into a dense array.

    Raises:
        Exception: anything, if its state is not that of such an object.
    """
    if not isinstance(value, Record):
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
