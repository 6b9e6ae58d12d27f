"""Shipped data are found from anywhere; the user's folders come first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from humanoid.core import InputError, paths


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with one configuration in it."""
    (tmp_path / "repository" / "package" / "cfg").mkdir(parents=True)
    (tmp_path / "repository" / "package" / "cfg" / "track.yaml").write_text("a: 1\n")
    (tmp_path / "repository" / "motions").mkdir()
    repository = tmp_path / "repository"
    monkeypatch.setenv(paths.DATA_VARIABLE, f"{repository / 'package'}{os.pathsep}{repository}")
    return repository


def test_the_real_data_are_found() -> None:
    assert paths.data_dir("cfg").is_dir()
    assert paths.data_dir("motions").is_dir()


def test_package_first_repository_second(shipped: Path) -> None:
    assert paths.data_dir("cfg") == shipped / "package" / "cfg"
    assert paths.data_dir("motions") == shipped / "motions"
    with pytest.raises(InputError, match="'pretrained'"):
        paths.data_dir("pretrained")


@pytest.mark.parametrize("name", ["cfg/track.yaml", "track.yaml", "track"])
def test_a_shipped_file_by_its_name(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.data_file("cfg", name) == shipped / "package" / "cfg" / "track.yaml"


def test_the_users_file_comes_first(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "track.yaml").write_text("mine: 1\n")
    assert paths.data_file("cfg", "track.yaml") == Path("track.yaml")


@pytest.mark.usefixtures("shipped")
def test_an_unknown_file_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'track\.yaml'"):
        paths.data_file("cfg", "trak.yaml")


def test_motions_of_the_variable_come_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(paths.MOTIONS_VARIABLE, f"{tmp_path}{os.pathsep}{tmp_path / 'b'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    roots = paths.motion_roots()
    assert roots[:3] == [tmp_path, tmp_path / "b", tmp_path / "cache" / "humanoid" / "motions"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert paths.cache_dir() == Path.home() / ".cache" / "humanoid"
