"""Manifests: what is named, where it is looked for, what is said when it is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from humanoid.core import ConfigError, InputError, data_dir
from humanoid.datasets import Manifest, find_clip, load_manifest, select_clips
from humanoid.datasets.fetch_table import SOURCES

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


def test_a_clip_whose_name_is_also_a_tag(tmp_path: Path) -> None:
    text = "name: w\nclips: [{name: walk, file: x, tags: [slow]}, {name: amble, file: y, tags: [walk]}]"
    manifest = load_manifest(written(tmp_path / "w.yaml", text))
    assert names(manifest, "walk") == ["walk", "amble"]
    assert names(manifest, "clip:walk") == ["walk"]
    assert names(manifest, "tag:walk") == ["amble"]
    assert names(manifest, "clip:amble", "tag:slow") == ["walk", "amble"]
    with pytest.raises(InputError, match="'tag:amble'"):
        manifest.select(["tag:amble"])
    with pytest.raises(InputError, match="'clip:slow'"):
        manifest.select(["clip:slow"])


def test_selection_by_split(tmp_path: Path) -> None:
    text = "name: s\nclips: [{name: a, file: a, tags: [t]}, {name: b, file: b, tags: [t], split: test}]"
    manifest = load_manifest(written(tmp_path / "s.yaml", text))
    assert [clip.split for clip in manifest.clips] == ["train", "test"]
    assert [clip.name for clip in manifest.select([], "train")] == ["a"]
    assert [clip.name for clip in manifest.select(["t"], "test")] == ["b"]
    with pytest.raises(InputError, match="'test'"):
        manifest.select(["a"], "test")
    with pytest.raises(InputError, match="'tset'"):
        manifest.select([], "tset")
    with pytest.raises(ConfigError, match=r"'clips\[0\]\.split'"):
        load_manifest(written(tmp_path / "x.yaml", "name: x\nclips: [{name: a, file: a, split: tst}]"))


def test_what_no_body_can_perform_is_left_out_but_can_be_named(tmp_path: Path) -> None:
    text = """
name: s
clips:
  - {name: hop, file: a, tags: [jump]}
  - {name: fly, file: b, tags: [jump, sky], exclude: it stands on air}
  - {name: soar, file: c, tags: [sky], exclude: that too, split: test}
"""
    manifest = load_manifest(written(tmp_path / "s.yaml", text))
    assert names(manifest) == names(manifest, "jump") == names(manifest, "tag:jump") == ["hop"]
    assert names(manifest, "clip:fly", "hop") == ["hop", "fly"]
    assert [clip.name for clip in manifest.select(["clip:soar", "clip:fly"], "test")] == ["soar"]
    for word in ("fly", "sky", "s/fly"):
        with pytest.raises(InputError, match="clip:fly"):
            manifest.select([word])
    nothing = load_manifest(written(tmp_path / "n.yaml", "name: n\nclips: [{name: a, file: a, exclude: up}]"))
    with pytest.raises(InputError, match="'n'"):
        nothing.select([])


def test_selection_from_several_sets(tmp_path: Path) -> None:
    one, two = (
        load_manifest(written(tmp_path / f"{name}.yaml", f"name: {name}\nclips: [{clips}]"))
        for name, clips in (
            ("one", "{name: walk, file: a}, {name: fly, file: b, exclude: up}"),
            ("two", "{name: walk, file: c, tags: [slow], split: test}, {name: fly, file: d}"),
        )
    )

    def chosen(*words: str, split: str = "") -> list[list[str]]:
        return [[clip.file for clip in clips] for clips in select_clips([one, two], words, split)]

    assert chosen() == [["a"], ["c", "d"]]
    assert chosen("walk") == [["a"], ["c"]] and chosen("one/walk", "slow") == [["a"], ["c"]]
    assert chosen("fly") == [[], ["d"]] and chosen("clip:one/fly") == [["b"], []]
    assert chosen("walk", split="test") == [[], ["c"]]
    with pytest.raises(InputError, match="'run'"):
        chosen("slow", "run")
    with pytest.raises(InputError, match="'one'"):
        chosen("one/walk", split="test")


@pytest.mark.parametrize("speed", ["0", "-1", ".inf", ".nan"])
def test_a_speed_that_is_none(tmp_path: Path, speed: str) -> None:
    text = f"name: x\nclips: [{{name: a, file: a, speed: {speed}}}]"
    with pytest.raises(InputError, match="'a'"):
        load_manifest(written(tmp_path / "x.yaml", text))


def test_unknown_clip_names_the_nearest(manifest: Manifest) -> None:
    with pytest.raises(InputError, match="'strol' .*'stroll'"):
        manifest.select(["amble", "strol"])


def test_missing_file_is_named_with_the_places(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'leap'") as error:
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
    with pytest.raises(InputError, match="'x'"):
        found(load_manifest(written(tmp_path / "p.yaml", text)), "x")


@pytest.mark.parametrize("folder", ["package:", "package:/data", "package:os.path/data", "package:a b"])
def test_a_malformed_package_is_named(tmp_path: Path, folder: str) -> None:
    text = f"name: p\nfolders: ['{folder}']\nclips: [{{name: x, file: x.txt}}]"
    with pytest.raises(InputError, match=f"'p': '{folder}'"):
        found(load_manifest(written(tmp_path / "p.yaml", text)), "x")


def test_duplicate_names(tmp_path: Path) -> None:
    text = "name: d\nclips: [{name: x, file: x.txt}, {name: x, file: y.txt}]"
    with pytest.raises(InputError, match="'x'"):
        load_manifest(written(tmp_path / "d.yaml", text))


def test_unknown_key_and_wrong_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'clips\[0\]\.lop'"):
        load_manifest(written(tmp_path / "k.yaml", "name: k\nclips: [{name: x, file: x.txt, lop: true}]"))
    with pytest.raises(ConfigError, match=r"'clips\[0\]\.weight'"):
        load_manifest(written(tmp_path / "w.yaml", "name: w\nclips: [{name: x, file: x.txt, weight: [1]}]"))


def test_missing_manifest_names_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"humanoid3\.yaml"):
        load_manifest("humanoid3.yaml")


SETS = {"humanoid3d": 20, "humanoid3d_long": 6, "cmu02": 6, "ballplay": 19, "amp": 4}
TAGS = {
    "acrobatics", "balance", "ball", "bend", "catch", "crawl", "dance", "dribble", "everyday", "fight",
    "getup", "jump", "layup", "pass", "pick", "run", "shot", "style", "turn", "walk",
}  # fmt: skip


def test_every_shipped_manifest_is_known_here() -> None:
    assert {path.stem for path in data_dir("motions").glob("*.yaml")} == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_manifests(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name and len(manifest.clips) == SETS[name]
    assert manifest.source and manifest.licence and manifest.format and manifest.fetch in SOURCES
    assert all(clip.weight > 0 and clip.loop is not None and clip.tags for clip in manifest.clips)
    assert {tag for clip in manifest.clips for tag in clip.tags} <= TAGS
    kept_back = [clip for clip in manifest.clips if clip.split == "test"]
    assert 0 < len(kept_back) <= len(manifest.clips) / 3


def test_what_is_repaired_or_set_aside() -> None:
    every = [(name, clip) for name in SETS for clip in load_manifest(name).clips]
    assert {f"{name}/{clip.name}": clip.speed for name, clip in every if clip.speed != 1.0} == {
        "humanoid3d/spin": 1.33,
        "humanoid3d_long/sideflip": 0.81,
    }
    assert [f"{name}/{clip.name}" for name, clip in every if clip.exclude] == ["amp/cartwheel"]


@pytest.mark.parametrize("name", ["humanoid3d_long", "cmu02", "ballplay", "amp"])
def test_shipped_clips_are_found_in_a_folder_of_captures(
    name: str, mocap_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANOID_MOTIONS", str(mocap_data))
    manifest = load_manifest(name)
    for clip in manifest.clips:
        assert find_clip(manifest, clip).is_relative_to(mocap_data)


def test_a_missing_clip_names_the_command_that_gets_it() -> None:
    manifest = load_manifest("cmu02")
    with pytest.raises(InputError, match="fetch cmu"):
        found(manifest, "clip:walk")
