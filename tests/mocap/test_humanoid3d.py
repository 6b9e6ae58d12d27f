"""The humanoid3d loader against forward kinematics in the file's own frame, and bad files."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import humanoid3d
from humanoid.spatial import rotation as rot
from tests import synth

CLIPS = (
    "humanoid3d_walk.txt",
    "humanoid3d_cartwheel.txt",
    "humanoid3d_backflip.txt",
    "walker/turn_left0.txt",
)

# DeepMimic's character as published, y up and z to the right: parent, offset, first column, width
CHARACTER: dict[str, tuple[str, tuple[float, float, float], int, int]] = {
    "root": ("", (0, 0, 0), 4, 4),
    "chest": ("root", (0, 0.236151, 0), 8, 4),
    "neck": ("chest", (0, 0.223894, 0), 12, 4),
    "right_hip": ("root", (0, 0, 0.084887), 16, 4),
    "right_knee": ("right_hip", (0, -0.421546, 0), 20, 1),
    "right_ankle": ("right_knee", (0, -0.40987, 0), 21, 4),
    "right_shoulder": ("chest", (-0.02405, 0.2435, 0.18311), 25, 4),
    "right_elbow": ("right_shoulder", (0, -0.274788, 0), 29, 1),
    "right_wrist": ("right_elbow", (0, -0.258947, 0), 0, 0),
    "left_hip": ("root", (0, 0, -0.084887), 30, 4),
    "left_knee": ("left_hip", (0, -0.421546, 0), 34, 1),
    "left_ankle": ("left_knee", (0, -0.40987, 0), 35, 4),
    "left_shoulder": ("chest", (-0.02405, 0.2435, -0.18311), 39, 4),
    "left_elbow": ("left_shoulder", (0, -0.274788, 0), 43, 1),
    "left_wrist": ("left_elbow", (0, -0.258947, 0), 0, 0),
}
Z_UP = Rotation.from_euler("x", 90, degrees=True)
"""Takes y up and z right to z up and y left."""


def file_frame_poses(frames: np.ndarray) -> dict[str, tuple[np.ndarray, Rotation]]:
    """Return each joint's position (T, 3) [m] and rotation, in the file's frame."""
    poses: dict[str, tuple[np.ndarray, Rotation]] = {}
    for name, (parent, offset, column, width) in CHARACTER.items():
        if width == 4:
            local = Rotation.from_quat(frames[:, column : column + 4], scalar_first=True)
        else:
            angle = frames[:, column] if width else np.zeros(len(frames))
            local = Rotation.from_rotvec(angle[:, None] * np.array((0.0, 0.0, 1.0)))
        if not parent:
            poses[name] = frames[:, 1:4], local
        else:
            pos, turn = poses[parent]
            poses[name] = pos + turn.apply(offset), turn * local
    return poses


def compare(path: Path) -> None:
    frames = np.array(json.loads(path.read_text())["Frames"])
    clip = humanoid3d.load(path)
    pos, quat = clip.global_poses()
    assert set(clip.joint_names) == set(CHARACTER)
    for name, (want_pos, want_turn) in file_frame_poses(frames).items():
        joint = clip.joint_id(name)
        np.testing.assert_allclose(pos[:, joint], Z_UP.apply(want_pos), atol=2e-5)
        ours = Rotation.from_quat(quat[:, joint], scalar_first=True)
        # the same world rotation, seen in axes that were turned with the world
        assert (ours.inv() * Z_UP * want_turn * Z_UP.inv()).magnitude().max() < 1e-5


@pytest.mark.parametrize("name", CLIPS)
def test_captured_clip_against_independent_kinematics(pybullet_data: Path, name: str) -> None:
    compare(pybullet_data / "data" / "motions" / name)


def test_generated_clip_against_independent_kinematics(tmp_path: Path) -> None:
    path = tmp_path / "walk.txt"
    synth.write(synth.walk(turn=0.5), path)
    compare(path)


def test_other_captured_files(mocap_data: Path) -> None:
    files = sorted((mocap_data / "humanoid3d").glob("*zombie_walk.txt"))
    if not files:
        pytest.skip(f"no humanoid3d file in {mocap_data}")
    compare(files[0])


def test_offsets_are_those_of_the_published_character(pybullet_data: Path) -> None:
    text = (pybullet_data / "humanoid" / "humanoid.urdf").read_text(errors="replace")
    joint = r'<joint name="(\w+)".*?<parent link ?= ?"(\w+)".*?<origin rpy = "0 0 0" xyz = "([^"]+)"'
    found = {name: (parent, xyz) for name, parent, xyz in re.findall(joint, text, re.DOTALL)}
    for name, (parent, offset, _, _) in CHARACTER.items():
        if parent:  # that model is four times as large
            assert found[name][0] == parent
            np.testing.assert_allclose(np.array(found[name][1].split(), float) / 4, offset, atol=1e-6)


def test_axes_by_plain_sense(pybullet_data: Path) -> None:
    clip = humanoid3d.load(pybullet_data / "data" / "motions" / "humanoid3d_walk.txt")
    pos, _ = clip.global_poses()
    at = {name: pos[:, index] for index, name in enumerate(clip.joint_names)}
    assert clip.loop and clip.fps == pytest.approx(30, rel=1e-3)
    assert float(clip.root_pos_w[-1, 0] - clip.root_pos_w[0, 0]) > 1.0, "walks along x"
    assert ((at["left_hip"] - at["right_hip"])[:, 1] > 0.1).all(), "left is +y"
    assert (at["neck"][:, 2] - at["left_ankle"][:, 2] > 1.0).all(), "up is +z"
    for side in ("left", "right"):
        middle = 0.5 * (at[f"{side}_hip"] + at[f"{side}_ankle"])
        assert ((at[f"{side}_knee"] - middle)[:, 0] > -0.02).all(), "knees bend forward"


def test_generated_clip_round_trip(tmp_path: Path) -> None:
    for clip in (synth.walk(turn=-0.4), replace(synth.squat(), loop=False)):
        synth.write(clip, tmp_path / "clip.json")
        again = mocap.load(tmp_path / "clip.json")
        assert (again.loop, again.joint_names, again.parents) == (clip.loop, clip.joint_names, clip.parents)
        assert again.fps == pytest.approx(clip.fps)
        torch.testing.assert_close(again.root_pos_w, clip.root_pos_w)
        torch.testing.assert_close(again.offsets, clip.offsets)
        assert float(rot.angle_between(again.local_quat, clip.local_quat).max()) < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["clip.json"]


def test_writer_refuses_another_skeleton(tmp_path: Path) -> None:
    clip = synth.walk()
    other = replace(clip, joint_names=("pelvis", *clip.joint_names[1:]))
    with pytest.raises(InputError, match="humanoid3d"):
        synth.write(other, tmp_path / "x.txt")


def test_uneven_durations_become_an_even_rate(tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    synth.write(synth.walk(fps=40.0), path)
    whole = mocap.load(path)
    tree = json.loads(path.read_text())
    merged = tree["Frames"][10][0] + tree["Frames"][11][0]
    del tree["Frames"][11]
    tree["Frames"][10][0] = merged
    path.write_text(json.dumps(tree))
    clip = mocap.load(path)
    assert (clip.num_frames, clip.fps) == (whole.num_frames, pytest.approx(whole.fps))
    frames = [i for i in range(whole.num_frames) if i != 11]
    torch.testing.assert_close(clip.root_pos_w[frames], whole.root_pos_w[frames], atol=1e-4, rtol=0)
    assert float(rot.angle_between(clip.local_quat, whole.local_quat).max()) < 0.05


def test_signs_are_continuous(tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    synth.write(synth.walk(), path)
    tree = json.loads(path.read_text())
    for frame in tree["Frames"][::2]:
        frame[4:8] = [-v for v in frame[4:8]]
    path.write_text(json.dumps(tree))
    quat = mocap.load(path).local_quat
    assert float((quat[1:] * quat[:-1]).sum(-1).min()) > 0


def _set(column: int, value: Any, frame: int = 2) -> Callable[[dict[str, Any]], None]:
    def spoil(tree: dict[str, Any]) -> None:
        tree["Frames"][frame][column] = value

    return spoil


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "NaN": (_set(7, float("nan")), "frame 2, column 7"),
    "infinity": (_set(1, float("inf")), "frame 2, column 1"),
    "huge integer": (_set(1, 10**400), "frame 2, column 1"),
    "absurd position": (_set(2, 1e30), "frame 2, column 2"),
    "text": (_set(3, "x"), "'x'"),
    "bool": (_set(3, True), "frame 2, column 3"),
    "null": (_set(3, None), "frame 2, column 3"),
    "list": (_set(3, [1.0]), "frame 2, column 3"),
    "zero quaternion": (lambda t: [_set(8 + i, 0.0)(t) for i in range(4)],
                        "frame 2, column 8"),
    "negative duration": (_set(0, -0.1), "frame 2"),
    "zero duration": (_set(0, 0.0), "frame 2"),
    "endless duration": (_set(0, 1e5), "frame 2"),
    "short frame": (lambda t: t["Frames"][1].pop(), "frame 1"),
    "long frame": (lambda t: t["Frames"][1].append(0.0), "frame 1"),
    "frame no list": (lambda t: t["Frames"].insert(1, 5), "frame 1"),
    "few frames": (lambda t: t.update(Frames=t["Frames"][:2]), "2 frames; at least 3"),
    "no frames": (lambda t: t.update(Frames=[]), "0 frames; at least 3"),
    "no Frames": (lambda t: t.pop("Frames"), "'Frames'"),
    "Frames no list": (lambda t: t.update(Frames={}), "'Frames'"),
    "loop": (lambda t: t.update(Loop="maybe"), "'Loop'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_one_line_that_names_file_and_place(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clip.txt"
    synth.write(synth.squat(seconds=0.2), path)
    spoil, message = BAD[name]
    tree = copy.deepcopy(json.loads(path.read_text()))
    spoil(tree)
    path.write_text(json.dumps(tree))
    refused(path, message)


TEXTS = {
    "empty": ("", "the file is empty"),
    "blank": (" \n", "the file is empty"),
    "no JSON": ("hello", "not valid JSON"),
    "truncated": ('{"Loop": "wrap", "Frames": [[0.03, 0.1', "truncated"),
    "list": ("[1, 2]", "'Frames'"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "long number": ('{"Frames": [[' + "9" * 5000 + "]]}", "not valid JSON"),
    "binary": ("\x00\x93NUMPY", "not valid JSON"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clip.txt"
    text, message = TEXTS[name]
    path.write_text(text)
    refused(path, message)


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        mocap.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 200


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "absent.txt", "absent.txt")
    (tmp_path / "folder.txt").mkdir()
    refused(tmp_path / "folder.txt", "folder.txt")


def test_another_animal(pybullet_data: Path) -> None:
    refused(pybullet_data / "data" / "motions" / "laikago_walk.txt", "frame 0: .*44.*20")


def test_unknown_ending() -> None:
    with pytest.raises(InputError, match=r"'\.bvhx'"):
        mocap.load("take.bvhx")
