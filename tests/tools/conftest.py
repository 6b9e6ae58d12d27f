"""A package to ship into that is not the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from humanoid.core import paths
from tests.conftest import REPOSITORY


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped checkpoints, empty; configurations and manifests are the real ones."""
    folder = tmp_path / "humanoid" / "pretrained"
    folder.mkdir(parents=True)
    for kind in ("cfg", "motions"):
        (tmp_path / kind).symlink_to(REPOSITORY / kind)
    monkeypatch.setenv(paths.DATA_VARIABLE, f"{tmp_path / 'humanoid'}{os.pathsep}{tmp_path}")
    return folder
