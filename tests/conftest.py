"""What several tests share: small thread pools, a body, and where captured files lie."""

from __future__ import annotations

import os
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # the tests' tensors are small: threads only cost

import pytest
import torch
from hypothesis import settings

from humanoid.bodies import smpl
from humanoid.bodies.embodiment import Embodiment

REPOSITORY = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)
settings.register_profile("default", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("default")


@pytest.fixture(scope="session")
def body() -> Embodiment:
    """The default body."""
    return smpl.build()


@pytest.fixture(scope="session")
def mocap_data() -> Path:
    """Folder of captured files, ``$HUMANOID_TEST_DATA`` or beside the repository."""
    folder = Path(os.environ.get("HUMANOID_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no captured motion at {folder}; set HUMANOID_TEST_DATA to a folder that has it")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)
