"""Checking motions: table, thresholds, pictures, what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.motion import Motion
from humanoid.retarget import QualityCfg
from humanoid.scripts.check import main, table
from humanoid.scripts.main import main as run
from humanoid.scripts.verbs import CheckCfg
from tests import synth


@pytest.fixture
def jumping(squat: Motion) -> Motion:
    """The squat with a jump of half a metre at frame 50."""
    pos = squat.states.body_pos_w.clone()
    pos[50:, :, 0] += 0.5
    return replace(squat, name="jump", states=replace(squat.states, body_pos_w=pos))


def test_a_folder_of_good_motions_is_ok(motion_folder: Path, body: Embodiment) -> None:
    result = main(CheckCfg(sources=(str(motion_folder),)), body)
    assert result["ok"] and [row["clip"] for row in result["clips"]] == ["dip", "squat"]
    text = table(result)
    assert "2 of 2 motions" in text and "*" not in text
    assert json.loads(json.dumps(result)) == result


def test_a_broken_threshold_is_named_with_its_frame(
    jumping: Motion, body: Embodiment, tmp_path: Path
) -> None:
    jumping.save(tmp_path / "jump.npz")
    result = main(CheckCfg(sources=(str(tmp_path / "jump.npz"),)), body)
    assert not result["ok"]
    text = table(result)
    assert "1*" in text and "jumps 1 > 0; worst at frame 50 (1.00 s)" in text and "0 of 1" in text
    source = (str(tmp_path / "jump.npz"),)
    assert main(CheckCfg(sources=source, jumps=1, skate_mm=100, jerk=1e9, effort=100), body)["ok"]


def test_what_stands_on_air_is_named_with_the_evidence(
    squat: Motion, body: Embodiment, tmp_path: Path
) -> None:
    pos = squat.states.body_pos_w.clone()
    pos[30:80, :, 2] += 0.05
    replace(squat, states=replace(squat.states, body_pos_w=pos)).save(tmp_path / "squat.npz")
    words = ["motions", "check", str(tmp_path / "squat.npz"), "--json"]
    text = table(main(CheckCfg(sources=(words[2],)), body))
    assert "hover_s" in text and "(0.60 s), 0.98 s off the floor; a leap of that height lasts 0." in text
    with pytest.raises(SystemExit):
        run(words)


def test_excluded_clips_are_checked_only_by_name(body: Embodiment, tmp_path: Path) -> None:
    synth.write(synth.squat(seconds=1.0), tmp_path / "squat.txt")
    clips = (
        "{name: slow, file: squat.txt, loop: false, speed: 0.5}, {name: up, file: squat.txt, exclude: why}"
    )
    (tmp_path / "x.yaml").write_text(f"name: x\nclips: [{clips}]")
    rows = main(CheckCfg(sources=(str(tmp_path / "x.yaml"),)), body)["clips"]
    assert [(row["clip"], row["frames"]) for row in rows] == [("slow", 101)]
    named = CheckCfg(sources=(str(tmp_path / "x.yaml"),), clips=("clip:up",))
    assert [row["clip"] for row in main(named, body)["clips"]] == ["up"]


def test_captures_are_put_on_the_body_first(body: Embodiment, tmp_path: Path) -> None:
    synth.write(synth.walk(), tmp_path / "walk.json")
    result = main(CheckCfg(sources=(str(tmp_path),)), body)
    (row,) = result["clips"]
    assert row["frames"] > 100 and row["file"].endswith("walk.json") and row["contact_share"]


def test_pictures(motion_folder: Path, jumping: Motion, body: Embodiment, tmp_path: Path) -> None:
    jumping.save(tmp_path / "in" / "jump $x.npz")
    both = CheckCfg(sources=(str(motion_folder), str(tmp_path / "in")), plot=str(tmp_path / "plots"))
    result = main(both, body)
    paths = [Path(row["plot"]) for row in result["clips"]]
    assert sorted(path.name for path in paths) == ["dip.png", "jump $x.png", "squat.png"]
    for path in paths:
        assert path.parent == tmp_path / "plots" and Image.open(path).size[0] > 500
    one = CheckCfg(sources=(str(motion_folder / "squat.npz"),), plot=str(tmp_path / "one.png"))
    assert main(one, body)["clips"][0]["plot"] == str(tmp_path / "one.png")
    with pytest.raises(InputError, match="give a folder"):
        main(replace(both, plot=str(tmp_path / "one.png")), body)


def test_a_bad_file_in_a_folder_does_not_stop_the_others(
    motion_folder: Path, squat: Motion, body: Embodiment, tmp_path: Path
) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    squat.save(tmp_path / "squat.npz")
    result = main(CheckCfg(sources=(str(tmp_path),)), body)
    assert not result["ok"] and len(result["clips"]) == 1
    assert result["failed"][0]["file"].endswith("bad.npz")
    assert "not read:" in table(result)
    with pytest.raises(InputError, match=r"bad\.npz"):
        main(CheckCfg(sources=(str(tmp_path / "bad.npz"),)), body)


def test_misuse(body: Embodiment, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        main(CheckCfg(sources=()), body)
    with pytest.raises(InputError, match=str(tmp_path)):
        main(CheckCfg(sources=(str(tmp_path),)), body)
    with pytest.raises(InputError):
        main(CheckCfg(sources=("no such manifest",)), body)


def test_a_motion_of_another_body_is_told_apart(squat: Motion, body: Embodiment, tmp_path: Path) -> None:
    other = replace(squat, joint_names=(*squat.joint_names[:-1], "tail"))
    other.save(tmp_path / "other.npz")
    with pytest.raises(MismatchError, match="'smpl'"):
        main(CheckCfg(sources=(str(tmp_path / "other.npz"),)), body)


def test_thresholds_on_the_command_line(
    jumping: Motion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jumping.save(tmp_path / "jump.npz")
    words = ["motions", "check", str(tmp_path / "jump.npz"), "--jumps", "1", "--skate-mm", "100"]
    run([*words, "--jerk", "1e9", "--effort", "100"])
    assert "1 of 1 motions" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run(words)
    assert stop.value.code == 1 and "jerk" in capsys.readouterr().out


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_bad_thresholds(limit: float) -> None:
    with pytest.raises(ConfigError, match="skate_mm"):
        QualityCfg(skate_mm=limit)
