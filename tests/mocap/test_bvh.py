"""The BVH loader against pybvh and scipy, files it writes itself, and damaged ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import Clip, LoadCfg, bvh

FILES = ("cmu_01_01", "cmu_12_01_walk", "misc_test3", "xia_neutral_01_000", "xia_strutting_01_000")
UPRIGHT = {
    "y": lambda v: np.stack((v[..., 2], v[..., 0], v[..., 1]), -1),
    "z": lambda v: v,
    "x": lambda v: np.stack((v[..., 1], v[..., 2], v[..., 0]), -1),
}
"""Axis up in the file -> what takes its vectors to z up."""
Tree = dict[str, tuple[str, tuple[float, ...]]]

# name -> parent, offset [cm], y up, z forward, x left
PERSON: Tree = {
    "Hips": ("", (0, 0, 0)),
    "Spine": ("Hips", (0, 12, 0)),
    "Chest": ("Spine", (0, 20, -2)),
    "Neck": ("Chest", (0, 24, 0)),
    "Head": ("Neck", (0, 9, 2)),
    **{
        f"{side}{name}": (f"{side}{parent}" if parent[-1] != "*" else parent[:-1], (sign * x, y, z))
        for side, sign in (("Left", 1), ("Right", -1))
        for name, parent, (x, y, z) in (
            ("Collar", "Chest*", (4, 18, 2)),
            ("Shoulder", "Collar", (13, 2, 0)),
            ("Elbow", "Shoulder", (28, 0, 0)),
            ("Wrist", "Elbow", (25, 0, 0)),
            ("Hip", "Hips*", (9, -8, 0)),
            ("Knee", "Hip", (0, -42, 0)),
            ("Ankle", "Knee", (0, -40, -1)),
            ("Toe", "Ankle", (0, -7, 13)),
        )
    },
}


def text_of(
    tree: Tree,
    channels: dict[str, list[str]],
    values: np.ndarray,
    step: float = 1 / 60,
    ends: float = 5.0,
) -> str:
    """Return a BVH file; ``values (T, C)`` in the order in which the file lists the channels."""
    lines = ["HIERARCHY"]

    def write(name: str, depth: int) -> None:
        pad = "\t" * depth
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {name}")
        lines.extend([pad + "{", f"{pad}\tOFFSET {' '.join(f'{v:.6f}' for v in tree[name][1])}"])
        lines.append(f"{pad}\tCHANNELS {len(channels[name])} {' '.join(channels[name])}")
        below = [child for child, (parent, _) in tree.items() if parent == name]
        for child in below:
            write(child, depth + 1)
        if not below:
            lines.extend([f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET 0 {ends} 0", pad + "\t}"])
        lines.append(pad + "}")

    write(next(iter(tree)), 0)
    lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {step:.7f}"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in values]
    return "\n".join(lines) + "\n"


def depth_first(tree: Tree) -> list[str]:
    """Return the joints as a file lists them."""

    def below(name: str) -> list[str]:
        return [name, *(j for child, (parent, _) in tree.items() if parent == name for j in below(child))]

    return below(next(iter(tree)))


def take(
    rng: np.random.Generator, frames: int = 5, tree: Tree = PERSON, still: float = 1.0
) -> tuple[dict[str, list[str]], np.ndarray]:
    """Return random channels and values: any order, sometimes fewer than three axes."""
    channels, columns = {}, []
    for index, name in enumerate(depth_first(tree)):
        axes = list(rng.permutation(["X", "Y", "Z"]))[: 3 if index == 0 else int(rng.integers(0, 4))]
        rotations = [f"{axis}rotation" for axis in axes]
        positions = [f"{axis}position" for axis in rng.permutation(["X", "Y", "Z"])] if index == 0 else []
        channels[name] = positions + rotations if rng.random() < 0.5 else rotations + positions
        for channel in channels[name]:
            height = 95.0 if channel == "Yposition" else 0.0
            scale = 30.0 if channel.endswith("position") else still * 40.0
            columns.append(height + scale * (rng.random(frames) - 0.5))
    return channels, np.stack(columns, -1)


def poses(tree: Tree, channels: dict[str, list[str]], values: np.ndarray) -> dict[str, tuple[Any, Rotation]]:
    """Return every joint's position (T, 3) and rotation by scipy, in the file's unit and axes."""
    column, found = 0, {}
    for name in depth_first(tree):
        parent, offset = tree[name]
        own = values[:, column : column + len(channels[name])]
        column += len(channels[name])
        pos, turn = np.tile(np.array(offset, float), (len(values), 1)), Rotation.identity(len(values))
        for channel, value in zip(channels[name], own.T, strict=True):
            if channel.endswith("position"):
                pos[:, "XYZ".index(channel[0])] = value
            else:
                turn = turn * Rotation.from_euler(channel[0].lower(), value[:, None], degrees=True)
        if parent:
            above, base = found[parent]
            pos, turn = above + base.apply(pos), base * turn
        found[name] = (pos, turn)
    return found


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> tuple[Path, str]:
    """A good file of five frames."""
    rng = np.random.default_rng(0)
    text = text_of(PERSON, *take(rng))
    return written(tmp_path / "take.bvh", text), text


@pytest.mark.parametrize("name", FILES)
def test_captured_files_against_pybvh(mocap_data: Path, name: str) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = mocap_data / "bvh" / f"{name}.bvh"
    clip = mocap.load(path)
    theirs = pybvh.read_bvh_file(path, warn_on_world_up_disagreement=False)
    unit = 0.0254 if name == "misc_test3" else 0.0254 / 0.45
    want = UPRIGHT[str(theirs.world_up)[-1]](unit * np.asarray(theirs.node_positions()))
    pos, _ = clip.global_poses()
    np.testing.assert_allclose(pos, want, atol=1e-4)
    assert clip.fps == 120.0
    assert [n for n in clip.joint_names if not n.endswith("_end")] == list(theirs.joint_names)
    assert 1.3 < float((pos[..., 2].amax(1) - pos[..., 2].amin(1)).median()) < 2.0, "a person stands"
    assert -0.05 < float(pos[..., 2].amin(1).median()) < 0.1, "on the floor"


@pytest.mark.parametrize("seed", range(6))
def test_random_channels_against_scipy(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, values = take(rng, frames=12)
    clip = bvh.load(written(tmp_path / "take.bvh", text_of(PERSON, channels, values)))
    pos, quat = clip.global_poses()
    turn = Rotation.from_matrix(UPRIGHT["y"](np.eye(3)).T)
    for name, (want, rotation) in poses(PERSON, channels, values).items():
        joint = clip.joint_id(name)
        np.testing.assert_allclose(pos[:, joint], 0.01 * UPRIGHT["y"](want), atol=2e-5)
        ours = Rotation.from_quat(quat[:, joint], scalar_first=True)
        assert (ours.inv() * turn * rotation * turn.inv()).magnitude().max() < 1e-5
    assert clip.fps == 60.0
    assert {n for n in clip.joint_names if n.endswith("_end")} == {
        f"{n}_end" for n in ("Head", "LeftWrist", "RightWrist", "LeftToe", "RightToe")
    }


@pytest.mark.parametrize("unit", ["m", "cm", "mm", "inch", "CMU inch"])
@pytest.mark.parametrize("stature", [1.45, 1.75, 1.95])
def test_units_are_told_from_the_size(tmp_path: Path, unit: str, stature: float) -> None:
    factor = stature / 1.68 * 0.01 / bvh.UNITS[unit]  # that person is 1.68 m tall
    tree = {n: (p, tuple(factor * v for v in o)) for n, (p, o) in PERSON.items()}
    channels, values = take(np.random.default_rng(1), tree=tree)
    clip = bvh.load(written(tmp_path / "a.bvh", text_of(tree, channels, values, ends=5 * factor)))
    leg = clip.offsets[clip.joint_id("LeftKnee")].norm()
    assert float(leg) == pytest.approx(0.42 * stature / 1.68, rel=1e-4)
    assert "scaled" not in clip.source


def test_unknown_unit_is_scaled_and_said(tmp_path: Path) -> None:
    tree = {n: (p, tuple(0.05 * v for v in o)) for n, (p, o) in PERSON.items()}  # 20 cm
    text = text_of(tree, *take(np.random.default_rng(1)), ends=0.2)
    path = written(tmp_path / "a.bvh", text)
    clip = bvh.load(path)
    assert float(clip.offsets[clip.joint_id("LeftKnee")].norm()) == pytest.approx(0.42, rel=0.03)
    assert "scaled to 1.70 m" in clip.source
    told = bvh.load(path, LoadCfg(units="inch"))
    assert float(told.offsets[told.joint_id("LeftKnee")].norm()) == pytest.approx(2.1 * 0.0254)
    assert "scaled" not in told.source


def _z_up(tree: Tree) -> Tree:
    return {n: (p, (float(o[2]), float(o[0]), float(o[1]))) for n, (p, o) in tree.items()}


@pytest.mark.parametrize("rest", ["y", "z"])
@pytest.mark.parametrize("world", ["y", "z"])
def test_axis_up_is_told_from_the_motion(tmp_path: Path, rest: str, world: str) -> None:
    tree = PERSON if rest == "y" else _z_up(PERSON)
    channels = {n: [*(f"{a}position" for a in "XYZ" if n == "Hips"), "Xrotation"] for n in tree}
    values = np.zeros((9, len(tree) + 3))
    values[:, "XYZ".index(world.upper())] = 97.0
    values[:, "XYZ".index({"y": "Z", "z": "X"}[world])] = np.linspace(0, 90, 9)
    values[:, 3] = {"yz": 90.0, "zy": -90.0}.get(rest + world, 0.0)  # stands up in the world
    path = written(tmp_path / "a.bvh", text_of(tree, channels, values))
    pos, _ = bvh.load(path).global_poses()
    joint = bvh.load(path).joint_id("Neck")
    assert (pos[:, joint, 2] - pos[:, 0, 2] > 0.5).all()
    assert float(pos[..., 2].min()) == pytest.approx(0.0, abs=0.06)
    sideways = "y" if world == "z" else "z"
    pos, _ = bvh.load(path, LoadCfg(up=sideways)).global_poses()
    assert (pos[:, joint, 2] - pos[:, 0, 2]).abs().max() < 0.05, "the user has the last word"


def test_a_rest_pose_in_one_line(tmp_path: Path) -> None:
    """As LAFAN1 has it: all bones along x; the motion makes a person of it."""
    tree: Tree = {
        "Hips": ("", (13.0, 90.0, -20.0)),  # of no meaning where the root has position channels
        "Spine": ("Hips", (7.0, -2.6, 0.0)),
        "Spine2": ("Spine", (25.0, 0, 0)),
        "Neck": ("Spine2", (25.0, 0, 0)),
    }
    channels = {"Hips": ["Xposition", "Yposition", "Zposition", "Zrotation", "Yrotation", "Xrotation"]}
    for side, z in (("Left", 10.0), ("Right", -10.0)):
        for name, parent, offset in (
            ("UpLeg", "Hips", (0.1, 1.8, z)),
            ("Leg", f"{side}UpLeg", (43.0, 0, 0)),
            ("Foot", f"{side}Leg", (42.0, 0, 0)),
            ("Shoulder", "Spine2", (17.7, 0, z / 3)),
            ("Arm", f"{side}Shoulder", (11.0, 0, 0)),
            ("ForeArm", f"{side}Arm", (33.0, 0, 0)),
            ("Hand", f"{side}ForeArm", (25.0, 0, 0)),
        ):
            tree[f"{side}{name}"] = (parent, offset)
    channels |= {name: ["Zrotation", "Yrotation", "Xrotation"] for name in tree if name != "Hips"}
    names = depth_first(tree)
    values = np.zeros((3, 6 + 3 * (len(names) - 1)))
    values[:, 1] = 88.0
    values[:, 3] = 90.0  # the trunk's x axis up
    for side in ("Left", "Right"):
        values[:, 3 + 3 * names.index(f"{side}UpLeg")] = 180.0
    clip = bvh.load(written(tmp_path / "a.bvh", text_of(tree, channels, values)))
    pos, _ = clip.global_poses()
    assert float(pos[0, 0, 2]) == pytest.approx(0.88), "the root's offset does not add"
    assert float(pos[0, clip.joint_id("LeftFoot"), 2]) < 0.1 < float(pos[0, clip.joint_id("Neck"), 2]) - 1


def test_position_channels_below_the_root(tmp_path: Path) -> None:
    channels, values = take(np.random.default_rng(2), frames=6)
    base = bvh.load(written(tmp_path / "a.bvh", text_of(PERSON, channels, values)))
    names, column = depth_first(PERSON), 0
    more, columns = {}, []
    for name in names:
        own = values[:, column : column + len(channels[name])]
        column += len(channels[name])
        if name == "Hips":
            more[name], block = channels[name], own
        else:  # most repeat the offset, some writers leave zeros
            offset = np.zeros(3) if name == "Neck" else np.array(PERSON[name][1], float)
            more[name] = [*channels[name], "Zposition", "Xposition", "Yposition"]
            block = np.concatenate((own, np.tile(offset[[2, 0, 1]], (6, 1))), -1)
        columns.append(block)
    clip = bvh.load(written(tmp_path / "b.bvh", text_of(PERSON, more, np.concatenate(columns, -1))))
    torch.testing.assert_close(clip.global_poses()[0], base.global_poses()[0], atol=1e-5, rtol=0)

    columns[names.index("LeftKnee")][:, -3:] += np.random.default_rng(3).normal(0, 0.5, (6, 3))
    soft = bvh.load(written(tmp_path / "c.bvh", text_of(PERSON, more, np.concatenate(columns, -1))))
    assert float((soft.global_poses()[0] - base.global_poses()[0]).norm(dim=-1).max()) < 0.03

    columns[names.index("LeftKnee")][3, -3:] += 90.0
    with pytest.raises(InputError, match="'LeftKnee'"):
        bvh.load(written(tmp_path / "d.bvh", text_of(PERSON, more, np.concatenate(columns, -1))))


def test_reference_above_the_hips_is_folded_in(tmp_path: Path) -> None:
    channels, values = take(np.random.default_rng(4), frames=7)
    tree = {"Reference": ("", (0.0, 0.0, 0.0))} | {n: (p or "Reference", o) for n, (p, o) in PERSON.items()}
    channels = {"Reference": ["Xposition", "Yposition", "Zposition", "Yrotation"], **channels}
    above = np.tile([10.0, 0.0, -5.0, 30.0], (7, 1))
    values = np.concatenate((above, values), -1)
    clip = bvh.load(written(tmp_path / "a.bvh", text_of(tree, channels, values)))
    assert clip.joint_names[0] == "Hips"
    pos, _ = clip.global_poses()
    for name, (want, _) in poses(tree, channels, values).items():
        if name != "Reference":
            np.testing.assert_allclose(pos[:, clip.joint_id(name)], 0.01 * UPRIGHT["y"](want), atol=2e-5)


def test_layouts_that_are_all_the_same_file(plain: tuple[Path, str], tmp_path: Path) -> None:
    path, text = plain
    base = bvh.load(path)
    head, body = text.split("MOTION\n")
    for name, other in {
        "windows": text.replace("\n", "\r\n"),
        "old mac": text.replace("\n", "\r"),
        "mark": "\ufeff" + text,
        "no end": text.rstrip(),
        "blank lines": head + "\n\nMOTION\n" + body.replace("\n", "\n\n") + "\n\n\n",
        "braces": text.replace("\n{", " {"),
        "case": text.replace("rotation", "ROTATION").replace("OFFSET", "Offset"),
        "tabs": head
        + "MOTION\n"
        + body.replace("Frames: ", "Frames:\t").replace(" ", "\t").replace("Frame\t", "Frame "),
    }.items():
        file = tmp_path / "other.bvh"
        file.write_bytes(other.encode())
        clip = bvh.load(file)
        assert clip.joint_names == base.joint_names, name
        torch.testing.assert_close(clip.local_quat, base.local_quat, msg=name)


def test_numbers_of_every_kind(plain: tuple[Path, str], tmp_path: Path) -> None:
    path, text = plain
    head, row = text.rstrip().rsplit("\n", 1)
    words = row.split()
    kinds = ["1e1", "+3", "-.5", "7.", "0.123456789012345678", "00012", "-1.25E-1", "12.0000000000"]
    words[: len(kinds)] = kinds
    base = bvh.load(path)
    clip = bvh.load(written(tmp_path / "b.bvh", head + "\n" + " ".join(words)))
    torch.testing.assert_close(clip.local_quat[:-1], base.local_quat[:-1])
    channels, values = take(np.random.default_rng(0))
    values = np.round(values, 6)
    values[-1, : len(kinds)] = [float(kind) for kind in kinds]
    for name, (want, _) in poses(PERSON, channels, values).items():
        got = clip.global_poses()[0][-1, clip.joint_id(name)]
        np.testing.assert_allclose(got, 0.01 * UPRIGHT["y"](want[-1]), atol=2e-5)


def _row(index: int, change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    def spoil(text: str) -> str:
        lines = text.rstrip().split("\n")
        lines[index] = " ".join(change(lines[index].split()))
        return "\n".join(lines) + "\n"

    return spoil


def _set(column: int, word: str) -> Callable[[str], str]:
    return _row(-2, lambda words: [*words[:column], word, *words[column + 1 :]])


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: " \n", "the file is empty"),
    "no motion": (lambda t: t.split("MOTION")[0], "'MOTION'"),
    "other text": (lambda _: "hello\nMOTION\n", "'HIERARCHY'"),
    "no root": (lambda t: "HIERARCHY\nMOTION" + t.split("MOTION")[1], "no 'ROOT'"),
    "cut hierarchy": (lambda t: t[:300] + "\nMOTION" + t.split("MOTION")[1], r"line \d+: "),
    "missing brace": (lambda t: t.replace("}\nMOTION", "\nMOTION"), "' of joint '"),
    "too many braces": (lambda t: t.replace("}\nMOTION", "}\n}\nMOTION"), "'}'"),
    "same name": (lambda t: t.replace("JOINT RightKnee", "JOINT LeftKnee"), "'LeftKnee'"),
    "no name": (lambda t: t.replace("JOINT LeftKnee", "JOINT"), "'JOINT'"),
    "two roots": (lambda t: t.replace("JOINT Spine", "ROOT Spine"), "'ROOT'"),
    "text offset": (lambda t: t.replace("12.000000", "twelve"), "'twelve'"),
    "NaN offset": (lambda t: t.replace("12.000000", "nan"), "'nan'"),
    "no offset": (lambda t: t.replace("OFFSET 0.000000 12.000000 0.000000\n", ""), "'Spine'"),
    "unknown channel": (lambda t: t.replace("Xposition", "Xscale"), "'Xscale'"),
    "channels": (lambda t: t.replace("CHANNELS 6", "CHANNELS 1000000000"), "'CHANNELS 1000000000'"),
    "position twice": (lambda t: t.replace("Xposition", "Yposition"), "'Hips'"),
    "no frames": (lambda t: t.replace("Frames: 5", "Frames: 0"), "'Frames:'"),
    "negative frames": (lambda t: t.replace("Frames: 5", "Frames: -5"), "'Frames:'"),
    "billion frames": (lambda t: t.replace("Frames: 5", "Frames: 1000000000"), "1000000000"),
    "more frames": (lambda t: t.replace("Frames: 5", "Frames: 4"), "Frames: 4"),
    "no head": (lambda t: t.replace("Frame Time:", "Time"), "'Frames: N'"),
    "zero time": (lambda t: t.replace("0.0166667", "0"), "'Frame Time:'"),
    "negative time": (lambda t: t.replace("0.0166667", "-0.0166667"), "'Frame Time:'"),
    "NaN time": (lambda t: t.replace("0.0166667", "nan"), "'Frame Time:'"),
    "slow": (lambda t: t.replace("0.0166667", "100"), "0.01"),
    "ragged": (_row(-3, lambda words: words[:-1]), r"line \d+: \d+ numbers"),
    "balanced": (
        lambda t: _row(-3, lambda words: words[:-1])(_row(-4, lambda words: [*words, "0"])(t)),
        "truncated",
    ),
    "cut": (lambda t: t[:-40], "truncated"),
    "cut between rows": (lambda t: t.rstrip().rsplit("\n", 1)[0] + "\n", "Frames: 5"),
    "NaN": (_set(4, "nan"), "'nan'"),
    "infinity": (_set(0, "-inf"), "'-inf'"),
    "huge": (_set(0, "1e300"), "'1e300'"),
    "text": (_set(2, "x1.5"), "'x1.5'"),
    "two points": (_set(2, "1.2.3"), "'1.2.3'"),
    "sign": (_set(2, "-"), "'-'"),
    "underscore": (_set(2, "1_0"), "'1_0'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(plain: tuple[Path, str], name: str) -> None:
    path, text = plain
    spoil, message = BAD[name]
    spoiled = spoil(text)
    assert spoiled != text
    with pytest.raises(InputError, match=message) as caught:
        bvh.load(written(path, spoiled))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_line_of_an_error_is_that_of_the_file(plain: tuple[Path, str]) -> None:
    path, text = plain
    spoiled = _set(3, "oops")(text)
    line = next(i for i, row in enumerate(spoiled.split("\n"), 1) if "oops" in row)
    with pytest.raises(InputError, match=f"line {line}, column 4"):
        bvh.load(written(path, spoiled))


@pytest.mark.parametrize("frames", [0, 1])
def test_too_few_frames(tmp_path: Path, frames: int) -> None:
    channels, values = take(np.random.default_rng(0))
    with pytest.raises(InputError, match="Frames|frames"):
        bvh.load(written(tmp_path / "a.bvh", text_of(PERSON, channels, values[:frames])))


def test_bombs_are_refused_quickly(tmp_path: Path) -> None:
    deep = (
        "HIERARCHY\n"
        + "ROOT a {\nOFFSET 0 0 0\n"
        + "".join(f"JOINT j{i} {{\nOFFSET 0 1 0\n" for i in range(50_000))
    )
    start = time.perf_counter()
    with pytest.raises(InputError, match="1000"):
        bvh.load(written(tmp_path / "a.bvh", deep + "MOTION\nFrames: 1\nFrame Time: 1\n"))
    assert time.perf_counter() - start < 2


def test_no_size_needs_a_unit(tmp_path: Path) -> None:
    tree: Tree = {"Hips": ("", (0, 0, 0))}
    text = text_of(tree, {"Hips": ["Yrotation"]}, np.zeros((3, 1)), ends=0)
    path = written(tmp_path / "a.bvh", text)
    with pytest.raises(InputError, match="units"):
        bvh.load(path)
    assert bvh.load(path, LoadCfg(units="cm")).num_frames == 3


def test_the_registry_knows_it(plain: tuple[Path, str]) -> None:
    path, _ = plain
    assert isinstance(mocap.load(path), Clip)
    with pytest.raises(InputError, match=r"\.bvh"):
        mocap.load(written(path, "not motion"))


def test_not_slower_than_pybvh(mocap_data: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    path = mocap_data / "bvh" / "cmu_01_01.bvh"

    def rotations() -> Any:
        # to where a clip is, because what numbers in text cost differs from CPU to CPU
        return pybvh.read_bvh_file(path, warn_on_world_up_disagreement=False).to_quat()

    def seconds(read: Callable[[], Any]) -> float:
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            read()
            best = min(best, time.perf_counter() - start)
        return best

    ours, theirs = seconds(lambda: bvh.load(path)), seconds(rotations)
    print(f"bvh {1e3 * ours:.0f} ms, pybvh {1e3 * theirs:.0f} ms, {theirs / ours:.2f} times as fast")
    assert ours < 1.3 * theirs, "beside whatever else this machine does"


def mutant(text: bytes, data: st.DataObject) -> bytes:
    """Return a text with one to three small damages."""
    out = bytearray(text)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(out) - 1))
        kind = data.draw(st.sampled_from(["number"] * 4 + ["flip", "digit", "cut", "copy", "drop"]))
        if kind == "number" and 48 <= out[place] <= 57:
            out[place] = data.draw(st.sampled_from(b"0123456789"))
        if kind == "flip":
            out[place] = data.draw(st.integers(0, 255))
        elif kind == "digit":
            out[place] = data.draw(st.sampled_from(b"0123456789.-e \n"))
        elif kind == "cut" and data.draw(st.integers(0, 9)) == 0:
            del out[max(place, 1) :]
        elif kind == "copy":
            out[place:place] = out[place : place + data.draw(st.integers(1, 60))]
        elif kind == "drop":
            del out[place : min(place + data.draw(st.integers(1, 30)), len(out) - 1)]
    return bytes(out)


@pytest.mark.slow
def test_mutants_are_read_or_refused(tmp_path: Path) -> None:
    text = text_of(PERSON, *take(np.random.default_rng(0))).encode()
    path = tmp_path / "mutant.bvh"
    read = []

    @settings(max_examples=2500)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        path.write_bytes(mutant(text, data))
        try:
            clip = bvh.load(path)
        except InputError as error:
            assert "\n" not in str(error)
            read.append(False)
            return
        pos, quat = clip.global_poses()
        assert torch.isfinite(pos).all() and torch.isfinite(quat).all()
        read.append(True)

    check()
    assert len(read) >= 2000 and sum(read) >= 0.2 * len(read), "crude damage tests only the first check"
