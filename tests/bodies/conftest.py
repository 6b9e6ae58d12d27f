"""A pickle as SMPL publishes it."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

Arrays = dict[str, np.ndarray]


@pytest.fixture
def published_pickle(
    smpl_arrays: tuple[Arrays, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A pickle as SMPL publishes it: protocol 2, a chumpy object, a scipy matrix, foreign classes."""

    def chumpy_class(module: str, name: str) -> type:
        made = type(name, (), {"__module__": module})
        if module not in sys.modules:
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        setattr(sys.modules[module], name, made)
        return made

    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    arrays: dict[str, Any] = dict(smpl_arrays[0])
    chumpy = chumpy_class("chumpy.ch", "Ch")
    shapedirs, flipped = chumpy(), chumpy()
    shapedirs.x = arrays["shapedirs"]
    template = chumpy_class("chumpy.reordering", "Select")()
    flipped.x = arrays["v_template"].ravel()[::-1]
    template.a, template.idxs = flipped, np.arange(arrays["v_template"].size)[::-1]
    template.preferred_shape = arrays["v_template"].shape
    arrays |= {
        "shapedirs": shapedirs, "v_template": template, "bs_style": "lbs",
        "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]),
        "weights_prior": chumpy_class("elsewhere", "Unknown")(),
    }  # fmt: skip
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering", "elsewhere"):
        monkeypatch.delitem(sys.modules, module)
    return path
