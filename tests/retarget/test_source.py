"""Motions from wherever the user has them: manifest, capture file, npz, folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError, MismatchError
from humanoid.mocap import synth
from humanoid.motion.motion import Motion
from humanoid.retarget.pipeline import RetargetCfg, retarget
from humanoid.retarget.source import load_motions

MANIFEST = """
name: mine
source: a test
licence: free
clips:
  - {name: stroll, file: walk.txt, loop: false, tags: [walk]}
  - {name: round, file: turn.txt, weight: 3, tags: [walk, turn]}
  - {name: squat, file: squat.txt}
"""
SHORT = RetargetCfg(min_seconds=1.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest with its capture files beside it."""
    synth.write(synth.walk(), tmp_path / "walk.txt")
    synth.write(synth.walk(turn=0.5), tmp_path / "turn.txt")
    synth.write(synth.squat(seconds=1.0), tmp_path / "squat.txt")
    (tmp_path / "mine.yaml").write_text(MANIFEST)
    return tmp_path


def test_manifest(folder: Path, body: Embodiment) -> None:
    seen: list[str] = []
    motions, weights = load_motions(folder / "mine.yaml", body, cfg=SHORT, on_clip=seen.append)
    assert [m.name for m in motions] == seen == ["stroll", "round", "squat"]
    assert weights == [1.0, 3.0, 1.0]
    durations = [motion.duration for motion in motions]
    assert durations == pytest.approx([1.0, 2.0, 2.0]), "the manifest's 'loop' wins over the file's"
    assert motions[0].provenance["source"] == "mine/walk.txt: a test"
    assert motions[0].provenance["licence"] == "free"


def test_clips_of_a_manifest(folder: Path, body: Embodiment) -> None:
    motions, weights = load_motions(folder / "mine.yaml", body, ["turn"], SHORT)
    assert ([m.name for m in motions], weights) == (["round"], [3.0])
    with pytest.raises(InputError, match="'sqat' is no clip or tag of manifest 'mine'; did you mean 'squat'"):
        load_motions(folder / "mine.yaml", body, ["sqat"], SHORT)


def test_missing_clip(folder: Path, body: Embodiment) -> None:
    (folder / "turn.txt").unlink()
    with pytest.raises(InputError, match=r"clip 'round' names the missing file 'turn\.txt'"):
        load_motions(folder / "mine.yaml", body, cfg=SHORT)


def test_capture_file(folder: Path, body: Embodiment) -> None:
    (motion,), weights = load_motions(folder / "squat.txt", body, cfg=SHORT)
    assert (motion.name, motion.num_frames, weights) == ("squat", 101, [1.0])
    want = retarget(synth.squat(seconds=1.0), body, SHORT)
    torch.testing.assert_close(motion.states.joint_pos, want.states.joint_pos, atol=1e-4, rtol=0)


def test_npz_and_folder_of_npz(tmp_path: Path, body: Embodiment) -> None:
    walk = retarget(synth.walk(), body, SHORT)
    walk.save(tmp_path / "b.npz")
    replace(walk, name="again").save(tmp_path / "a.npz")
    (motion,), _ = load_motions(tmp_path / "b.npz", body)
    assert torch.equal(motion.states.joint_pos, walk.states.joint_pos)
    motions, weights = load_motions(tmp_path, body)
    assert ([m.name for m in motions], weights) == (["again", "walk"], [1.0, 1.0])
    assert [m.name for m in load_motions(str(tmp_path), body, ["walk"])[0]] == ["walk"]
    with pytest.raises(InputError, match="no motion 'wlak'; did you mean 'walk'"):
        load_motions(tmp_path, body, ["wlak"])


def test_empty_folder(tmp_path: Path, body: Embodiment) -> None:
    with pytest.raises(InputError, match=r"no motion \(\.npz\) in this folder"):
        load_motions(tmp_path, body)


def test_motion_of_another_body(tmp_path: Path, body: Embodiment) -> None:
    walk = retarget(synth.walk(), body, SHORT)
    renamed: Motion = replace(walk, joint_names=tuple(f"x_{name}" for name in walk.joint_names))
    renamed.save(tmp_path / "x.npz")
    with pytest.raises(MismatchError, match="motion 'walk' has no joint 'L_Hip_y'"):
        load_motions(tmp_path / "x.npz", body)


def test_nothing_there(body: Embodiment) -> None:
    with pytest.raises(InputError, match="no_such: no such file, nor a shipped one"):
        load_motions("no_such", body)
    with pytest.raises(InputError, match=r"no_such\.npz: no such motion file"):
        load_motions("no_such.npz", body)
