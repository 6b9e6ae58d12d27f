"""Where the captured clips of the package ``pybullet`` lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pybullet_data() -> Path:
    """Folder of the package ``pybullet_data``."""
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package pybullet is not installed (extra 'mocap', Python 3.11)")
    return Path(next(iter(spec.submodule_search_locations)))
