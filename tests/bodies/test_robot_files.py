"""Where a robot's MJCF is looked for, and in which order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from humanoid.bodies.g1 import G1
from humanoid.bodies.robot_files import find_mjcf
from humanoid.core import InputError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, an empty cache, no package."""
    monkeypatch.delenv("HUMANOID_G1", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])


def put(path: Path) -> Path:
    """Make a file."""
    path.parent.mkdir(parents=True)
    path.write_text("<mujoco/>")
    return path


def test_what_the_user_names_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, other = put(tmp_path / "a" / "mine.xml"), put(tmp_path / "b" / "other.xml")
    monkeypatch.setenv("HUMANOID_G1", str(other))
    assert find_mjcf("g1", G1.files, named) == named
    assert find_mjcf("g1", G1.files) == other


def test_a_folder_is_searched(tmp_path: Path) -> None:
    inside = put(tmp_path / "wheel" / "mjlab" / "asset_zoo" / "robots" / "unitree_g1" / "xmls" / "g1.xml")
    assert find_mjcf("g1", G1.files, tmp_path / "wheel") == inside
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="'g1'"):
        find_mjcf("g1", G1.files, empty)


def test_the_cache_comes_before_packages(tmp_path: Path) -> None:
    package = put(tmp_path / "site" / "mjlab" / "asset_zoo" / "robots" / "unitree_g1" / "xmls" / "g1.xml")
    (tmp_path / "site" / "mjlab" / "__init__.py").write_text("raise RuntimeError('imported')")
    assert find_mjcf("g1", G1.files) == package
    cached = put(tmp_path / "cache" / "humanoid" / "robots" / "unitree_g1" / "xmls" / "g1.xml")
    assert find_mjcf("g1", G1.files) == cached


def test_robot_descriptions_is_asked_last(tmp_path: Path) -> None:
    described = put(tmp_path / "repository" / "g1.xml")
    module = tmp_path / "site" / "robot_descriptions" / "g1_mj_description.py"
    module.parent.mkdir(parents=True)
    (module.parent / "__init__.py").touch()
    module.write_text(f"MJCF_PATH = {str(described)!r}")
    try:
        assert find_mjcf("g1", G1.files) == described
    finally:
        for name in [name for name in sys.modules if name.startswith("robot_descriptions")]:
            del sys.modules[name]


def test_nothing_found_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fetch g1"):
        find_mjcf("g1", G1.files)
    monkeypatch.setenv("HUMANOID_G1", str(tmp_path / "gone.xml"))
    with pytest.raises(InputError, match=r"gone\.xml.*HUMANOID_G1"):
        find_mjcf("g1", G1.files)
