"""Motions from wherever the user has them: manifest, capture file, npz, folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.datasets import MotionSet, load_motion, load_motions
from humanoid.motion import Motion
from humanoid.retarget import RetargetCfg, retarget
from tests import synth

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


@pytest.fixture
def second(folder: Path) -> Path:
    """Another manifest beside it, which also has a clip called ``squat``."""
    (folder / "second.yaml").write_text(
        "name: second\n"
        "clips:\n"
        "  - {name: squat, file: squat.txt, loop: false, tags: [bend], mirror: true, weight: 2}\n"
        "  - {name: late, file: squat.txt, loop: false, tags: [bend], split: test, speed: 0.5}\n"
    )
    return folder / "second.yaml"


def names(loaded: MotionSet) -> list[str]:
    return [motion.name for motion in loaded.motions]


def test_manifest(folder: Path, body: Embodiment) -> None:
    seen: list[str] = []
    loaded = load_motions(folder / "mine.yaml", body, cfg=SHORT, on_clip=seen.append)
    motions, weights = loaded.motions, loaded.weights
    assert loaded.tags == (("walk",), ("walk", "turn"), ())
    assert [m.name for m in motions] == seen == ["stroll", "round", "squat"]
    assert weights == (1.0, 3.0, 1.0)
    durations = [motion.duration for motion in motions]
    assert durations == pytest.approx([1.0, 2.0, 2.0]), "the manifest's 'loop' wins over the file's"
    assert motions[0].provenance["source"] == "mine/walk.txt: a test"
    assert motions[0].provenance["licence"] == "free"


def test_clips_of_a_manifest(folder: Path, body: Embodiment) -> None:
    loaded = load_motions(folder / "mine.yaml", body, ["turn"], SHORT)
    assert (names(loaded), loaded.weights) == (["round"], (3.0,))
    with pytest.raises(InputError, match="'sqat'"):
        load_motions(folder / "mine.yaml", body, ["sqat"], SHORT)


def test_missing_clip(folder: Path, body: Embodiment) -> None:
    (folder / "turn.txt").unlink()
    with pytest.raises(InputError, match="turn.txt"):
        load_motions(folder / "mine.yaml", body, cfg=SHORT)


def test_capture_file(folder: Path, body: Embodiment) -> None:
    loaded = load_motions(folder / "squat.txt", body, cfg=SHORT)
    (motion,) = loaded.motions
    assert (motion.name, motion.num_frames, loaded.weights) == ("squat", 101, (1.0,))
    want = retarget(synth.squat(seconds=1.0), body, SHORT)
    torch.testing.assert_close(motion.states.joint_pos, want.states.joint_pos, atol=1e-4, rtol=0)


def test_npz_and_folder_of_npz(tmp_path: Path, body: Embodiment) -> None:
    walk = retarget(synth.walk(), body, SHORT)
    walk.save(tmp_path / "b.npz")
    (tmp_path / "deep").mkdir()
    walk.save(tmp_path / "deep" / "again.npz")
    (motion,) = load_motions(tmp_path / "b.npz", body).motions
    assert motion.name == "b" and torch.equal(motion.states.joint_pos, walk.states.joint_pos)
    loaded = load_motions(tmp_path, body)
    assert (names(loaded), loaded.weights) == (["b", "again"], (1.0, 1.0))
    assert names(load_motions(str(tmp_path), body, ["again"])) == ["again"]
    with pytest.raises(InputError, match="'agian'.*'again'"):
        load_motions(tmp_path, body, ["agian"])
    walk.save(tmp_path / "deep" / "b.npz")
    with pytest.raises(InputError, match="'b'"):
        load_motions(tmp_path, body)


def test_any_source_with_one_clip(folder: Path, body: Embodiment) -> None:
    capture = load_motion(folder / "squat.txt", body, cfg=SHORT)
    assert capture.name == "squat" and capture.joint_names == body.joint_names
    capture.save(folder / "saved.npz")
    for source in (folder / "saved.npz", str(folder / "saved.npz")):
        torch.testing.assert_close(load_motion(source, "smpl").states.joint_pos, capture.states.joint_pos)
    with pytest.raises(InputError, match="mine.yaml"):
        load_motion(folder / "mine.yaml", body)
    with pytest.raises(InputError, match="smlp"):
        load_motion(folder / "squat.txt", "smlp")


def test_empty_folder(tmp_path: Path, body: Embodiment) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        load_motions(tmp_path, body)


def test_motion_of_another_body(tmp_path: Path, body: Embodiment) -> None:
    walk = retarget(synth.walk(), body, SHORT)
    renamed: Motion = replace(walk, joint_names=tuple(f"x_{name}" for name in walk.joint_names))
    renamed.save(tmp_path / "x.npz")
    with pytest.raises(MismatchError, match="L_Hip_y"):
        load_motions(tmp_path / "x.npz", body)


def test_nothing_there(body: Embodiment) -> None:
    with pytest.raises(InputError, match="no_such"):
        load_motions("no_such", body)
    with pytest.raises(InputError, match=r"no_such\.npz"):
        load_motions("no_such.npz", body)


def test_several_sets_with_clips_of_one_name(folder: Path, second: Path, body: Embodiment) -> None:
    seen: list[str] = []
    both = (folder / "mine.yaml", second)
    loaded = load_motions(both, body, ["squat", "turn"], SHORT, seen.append)
    assert names(loaded) == seen == ["mine/round", "mine/squat", "second/squat"]
    assert loaded.weights == (3.0, 1.0, 2.0) and loaded.tags == (("walk", "turn"), (), ("bend",))
    assert names(load_motions(both, body, ["bend"], SHORT)) == ["second/squat", "second/late"]
    assert names(load_motions(both, body, ["second/squat"], SHORT)) == ["second/squat"]
    assert names(load_motions(list(both), body, ["squat", "bend"], SHORT, split="test")) == ["second/late"]
    assert "second/late" not in names(load_motions(both, body, cfg=SHORT, split="train"))
    with pytest.raises(InputError, match="'sqat'"):
        load_motions(both, body, ["sqat"], SHORT)
    few = load_motions(both, body, cfg=SHORT, keep=lambda name, tags: name.startswith("mine") and not tags)
    assert (names(few), few.splits) == (["mine/squat"], ("train",))
    twice = load_motions((both[0], both[0]), body, ["squat"], SHORT)
    assert names(twice) == ["mine/squat"], "a file named twice is one file"
    with pytest.raises(InputError, match="motion set"):
        load_motions((), body)


def test_a_manifest_a_folder_and_files_together(folder: Path, second: Path, body: Embodiment) -> None:
    walk = retarget(synth.walk(), body, SHORT)
    for place in ("made/a.npz", "b.npz"):
        (folder / place).parent.mkdir(exist_ok=True)
        walk.save(folder / place)
    loaded = load_motions((second, folder / "made", folder / "b.npz", folder / "squat.txt"), body, cfg=SHORT)
    assert names(loaded) == ["second/squat", "second/late", "made/a", "b", "squat"]
    kept = load_motions((second, folder / "made"), body, ["a", "late"], SHORT)
    assert names(kept) == ["second/late", "made/a"]
    with pytest.raises(InputError, match="test"):
        load_motions(folder / "made", body, split="test")


def test_mirror_twins(second: Path, body: Embodiment) -> None:
    loaded = load_motions(second, body, cfg=SHORT, mirror=True)
    assert names(loaded) == ["squat", "squat_mirrored", "late"]
    assert loaded.tags == (("bend",), ("bend", "mirrored"), ("bend",)) and loaded.weights == (2.0, 2.0, 1.0)
    twin, own = loaded.motions[1].states, loaded.motions[0].states
    assert torch.equal(twin.root_pos_w, own.root_pos_w * torch.tensor((1.0, -1.0, 1.0)))
    left, right = (body.joint_ids([f"{side}_Knee_y"]) for side in "LR")
    assert torch.equal(twin.joint_pos[:, left], own.joint_pos[:, right])


def test_speed_of_a_clip(second: Path, body: Embodiment) -> None:
    slow, own = load_motions(second, body, ["late", "squat"], SHORT).motions[::-1]
    assert (own.duration, slow.duration) == pytest.approx((1.0, 2.0), abs=0.03)
    both = (slow.states.root_pos_w[::2], own.states.root_pos_w)
    torch.testing.assert_close(both[0][: len(both[1])], both[1][: len(both[0])], atol=0.01, rtol=0)
    assert slow.provenance["source"].endswith(", 0.5 times as fast")


def test_tempos(second: Path, body: Embodiment) -> None:
    loaded = load_motions(second, body, ["clip:squat"], SHORT, mirror=True, tempos=(0.8, 1.25))
    twins = ["", "_mirrored", "_x0.8", "_x0.8_mirrored", "_x1.25", "_x1.25_mirrored"]
    assert names(loaded) == [f"squat{twin}" for twin in twins]
    assert loaded.tags[2] == ("bend", "retimed") and loaded.tags[3] == ("bend", "retimed", "mirrored")
    own, slow, fast = (loaded.motions[index] for index in (0, 2, 4))
    assert slow.duration == pytest.approx(own.duration / 0.8, abs=1 / own.fps)
    torch.testing.assert_close(
        slow.at(torch.tensor(0.5)).joint_pos, own.at(torch.tensor(0.4)).joint_pos, atol=2e-3, rtol=0
    )
    for paced in (slow, fast):
        moved = paced.states.root_pos_w.diff(dim=0) * paced.fps
        between = (paced.states.root_lin_vel_w[1:] + paced.states.root_lin_vel_w[:-1]) / 2
        assert (moved - between)[2:-2].abs().mean() < 0.05, "velocities are those of the places"
    light = load_motions(second, body, ["clip:squat"], SHORT, tempos=(0.8,), weights={"retimed": 0.5})
    assert light.weights == (2.0, 1.0)
    for wrong in ((0.0,), (-1.0,), (float("nan"),), (1.0,), (2.0, 2.0)):
        with pytest.raises(InputError, match="tempos"):
            load_motions(second, body, cfg=SHORT, tempos=wrong)


def test_weights_by_clip_and_tag(folder: Path, second: Path, body: Embodiment) -> None:
    def weights(**factors: float) -> tuple[float, ...]:
        both = (folder / "mine.yaml", second)
        return load_motions(both, body, cfg=SHORT, mirror=True, weights=factors).weights

    assert weights() == (1.0, 3.0, 1.0, 2.0, 2.0, 1.0)
    assert weights(walk=0.5, turn=4) == (0.5, 6.0, 1.0, 2.0, 2.0, 1.0)
    assert weights(squat=3, mirrored=0.5) == (1.0, 3.0, 3.0, 6.0, 3.0, 1.0)
    assert weights(**{"second/squat": 0, "tag:bend": 7}) == (1.0, 3.0, 1.0, 0.0, 0.0, 7.0)
    with pytest.raises(InputError, match="'wlak'"):
        weights(wlak=1)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="'walk'"):
            weights(walk=wrong)
