"""Manifests: what is named, where it is looked for, what is said when it is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from humanoid.core.errors import ConfigError, InputError
from humanoid.motion.manifest import Manifest, find_clip, load_manifest

TEXT = """
name: mine
folders: [takes]
clips:
  - {name: stroll, file: a/stroll.txt, tags: [walk], weight: 2, loop: true}
  - {name: amble, file: amble.txt, tags: [walk, slow]}
  - {name: leap, file: leap.txt}
"""


@pytest.fixture(autouse=True)
def no_user_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HUMANOID_MOTIONS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return load_manifest(written(tmp_path / "set" / "mine.yaml", TEXT))


def written(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(manifest: Manifest, *wanted: str) -> list[str]:
    return [clip.name for clip in manifest.select(wanted)]


def found(manifest: Manifest, name: str) -> Path:
    return find_clip(manifest, manifest.select([name])[0])


def test_reading(manifest: Manifest) -> None:
    stroll, amble, _ = manifest.clips
    assert (stroll.weight, stroll.loop, stroll.tags) == (2.0, True, ("walk",))
    assert (amble.weight, amble.loop, amble.tags) == (1.0, None, ("walk", "slow"))


def test_selection_by_name_and_tag(manifest: Manifest) -> None:
    assert names(manifest) == ["stroll", "amble", "leap"]
    assert names(manifest, "walk") == ["stroll", "amble"]
    assert names(manifest, "leap", "slow") == ["amble", "leap"]
    assert names(manifest, "stroll", "walk") == ["stroll", "amble"]


def test_unknown_clip_names_the_nearest(manifest: Manifest) -> None:
    message = "'strol' is no clip or tag of manifest 'mine'; did you mean 'stroll'"
    with pytest.raises(InputError, match=message):
        manifest.select(["amble", "strol"])


def test_missing_file_is_named_with_the_places(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clip 'leap' names the missing file 'leap\.txt'") as error:
        found(manifest, "leap")
    text = str(error.value)
    assert str(tmp_path / "set") in text and "$HUMANOID_MOTIONS" in text and "\n" not in text
    places = text.split("looked in ")[1].split(")")[0].split(", ")
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    "place", ["set", "set/takes", "cache/humanoid/motions", "cache/humanoid/motions/mine"]
)
def test_places(manifest: Manifest, tmp_path: Path, place: str) -> None:
    file = written(tmp_path / place / "a" / "stroll.txt")
    assert found(manifest, "stroll") == file


def test_a_flat_folder_will_do(manifest: Manifest, tmp_path: Path) -> None:
    file = written(tmp_path / "set" / "stroll.txt")
    assert found(manifest, "stroll") == file


def test_the_variable_comes_first(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "set" / "amble.txt")
    second = written(tmp_path / "two" / "amble.txt")
    monkeypatch.setenv("HUMANOID_MOTIONS", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert found(manifest, "amble") == second
    first = written(tmp_path / "one" / "mine" / "amble.txt")
    assert found(manifest, "amble") == first


def test_the_working_directory_does_not_matter(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "set" / "takes" / "leap.txt")
    monkeypatch.chdir(tmp_path / "set")
    relative = load_manifest("mine.yaml")
    monkeypatch.chdir("/")
    assert found(manifest, "leap") == file
    assert found(relative, "leap") == file


def test_packages_are_found_without_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "takes_of_others"
    written(package / "__init__.py", "raise RuntimeError('imported')")
    file = written(package / "data" / "x.txt")
    monkeypatch.syspath_prepend(tmp_path / "site")
    text = "name: p\nfolders: ['package:takes_of_others/data']\nclips: [{name: x, file: x.txt}]"
    assert found(load_manifest(written(tmp_path / "p.yaml", text)), "x") == file
    assert "takes_of_others" not in sys.modules


@pytest.mark.parametrize("folder", ["package:no_such_package/data", "package:json/none"])
def test_an_absent_package_is_a_missing_file(tmp_path: Path, folder: str) -> None:
    text = f"name: p\nfolders: ['{folder}']\nclips: [{{name: x, file: x.txt}}]"
    with pytest.raises(InputError, match="names the missing file"):
        found(load_manifest(written(tmp_path / "p.yaml", text)), "x")


@pytest.mark.parametrize("folder", ["package:", "package:/data", "package:os.path/data", "package:a b"])
def test_a_malformed_package_is_named(tmp_path: Path, folder: str) -> None:
    text = f"name: p\nfolders: ['{folder}']\nclips: [{{name: x, file: x.txt}}]"
    with pytest.raises(InputError, match=f"manifest 'p': '{folder}' must be 'package:NAME/sub/folder'"):
        found(load_manifest(written(tmp_path / "p.yaml", text)), "x")


def test_duplicate_names(tmp_path: Path) -> None:
    text = "name: d\nclips: [{name: x, file: x.txt}, {name: x, file: y.txt}]"
    with pytest.raises(InputError, match="two clips are called 'x'"):
        load_manifest(written(tmp_path / "d.yaml", text))


def test_unknown_key_and_wrong_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'clips\[0\]\.lop'.*did you mean 'loop'"):
        load_manifest(written(tmp_path / "k.yaml", "name: k\nclips: [{name: x, file: x.txt, lop: true}]"))
    with pytest.raises(ConfigError, match=r"'clips\[0\]\.weight' must be a number"):
        load_manifest(written(tmp_path / "w.yaml", "name: w\nclips: [{name: x, file: x.txt, weight: [1]}]"))


def test_missing_manifest_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"humanoid3\.yaml: no such file.*humanoid3d\.yaml"):
        load_manifest("humanoid3.yaml")


def test_the_shipped_manifest() -> None:
    manifest = load_manifest("humanoid3d")
    assert len(manifest.clips) == 20 and manifest.licence
    assert {"walk", "run", "turn", "jump", "dance", "getup", "acrobatics"} <= {
        tag for clip in manifest.clips for tag in clip.tags
    }
    assert all(clip.weight > 0 and clip.loop is not None for clip in manifest.clips)
