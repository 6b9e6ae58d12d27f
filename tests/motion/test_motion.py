"""The motion file: round trip, foreign readers and writers, interpolation, bad files."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from humanoid.bodies import BodyState, Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.motion import Motion

FOREIGN = {
    "fps", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w",
}  # fmt: skip
"""What BeyondMimic and mjlab write."""
OURS = {"joint_names", "body_names", "contact", "contact_names", "provenance"}


@pytest.fixture(scope="module")
def walk(motions: list[Motion]) -> Motion:
    return motions[0]


@pytest.fixture
def file(walk: Motion, tmp_path: Path) -> Path:
    path = tmp_path / "walk.npz"
    walk.save(path)
    return path


def same(a: BodyState, b: BodyState, tolerance: float = 1e-6) -> None:
    for field in fields(BodyState):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), atol=tolerance, rtol=0)


def test_round_trip(walk: Motion, file: Path) -> None:
    again = Motion.load(file)
    same(again.states, walk.states)
    assert torch.equal(again.contact, walk.contact) and again.contact.dtype == torch.bool
    for key in ("name", "fps", "joint_names", "body_names", "contact_names"):
        assert getattr(again, key) == getattr(walk, key)
    assert again.provenance == {**walk.provenance, "file": "walk.npz"}
    assert [path.name for path in file.parent.iterdir()] == ["walk.npz"], "no temporary file stays"


def test_keys_are_those_of_the_field(walk: Motion, file: Path) -> None:
    with np.load(file, allow_pickle=False) as data:
        assert set(data.files) == FOREIGN | OURS
        frames, joints, bodies = walk.num_frames, len(walk.joint_names), len(walk.body_names)
        assert data["fps"].item() == 50.0
        assert data["joint_pos"].shape == data["joint_vel"].shape == (frames, joints)
        assert data["body_quat_w"].shape == (frames, bodies, 4)
        assert data["body_pos_w"].shape == data["body_lin_vel_w"].shape == (frames, bodies, 3)
        assert data["body_ang_vel_w"].dtype == np.float32
        assert json.loads(str(data["provenance"]))["name"] == "walk"


def test_a_foreign_file_with_names_is_read(walk: Motion, file: Path) -> None:
    data = dict(np.load(file))
    foreign = {key: data[key].astype(np.float64) for key in FOREIGN}
    foreign |= {"fps": np.array(50), "joint_names": data["joint_names"], "body_names": data["body_names"]}
    path = file.with_name("other.npz")
    np.savez(path, **foreign)
    motion = Motion.load(path)
    same(motion.states, walk.states)
    assert (motion.name, motion.contact.shape) == ("other", (walk.num_frames, 0))


def test_long_quaternions_are_normalized(file: Path) -> None:
    data = dict(np.load(file))
    data["body_quat_w"] = data["body_quat_w"] * 1.5
    np.savez(file, **data)
    norm = Motion.load(file).states.body_quat_w.norm(dim=-1)
    torch.testing.assert_close(norm, torch.ones_like(norm))


def test_interpolation_against_scipy(walk: Motion) -> None:
    given = np.arange(walk.num_frames) / walk.fps
    times = np.random.default_rng(0).uniform(0, walk.duration, 60)
    state = walk.at(torch.tensor(times))
    for body in (0, 3, 20):
        source = Rotation.from_quat(walk.states.body_quat_w[:, body], scalar_first=True)
        mine = Rotation.from_quat(state.body_quat_w[:, body], scalar_first=True)
        assert (mine.inv() * Slerp(given, source)(times)).magnitude().max() < 1e-4
        for key in ("body_pos_w", "body_lin_vel_w", "body_ang_vel_w"):
            line = np.interp(times, given, getattr(walk.states, key)[:, body, 2])
            np.testing.assert_allclose(getattr(state, key)[:, body, 2], line, atol=1e-4)
    for key in ("joint_pos", "joint_vel"):
        line = np.interp(times, given, getattr(walk.states, key)[:, 7])
        np.testing.assert_allclose(getattr(state, key)[:, 7], line, atol=1e-4)


def test_at_clamps_and_keeps_leading_axes(walk: Motion) -> None:
    state = walk.at(torch.tensor(((-1.0, 0.0), (walk.duration, 1e6))))
    same(state[0], walk.states[[0, 0]])
    same(state[1], walk.states[[-1, -1]])


def test_a_single_frame_can_be_looked_up(walk: Motion) -> None:
    still = replace(walk, states=walk.states[:1])
    assert still.duration == 0
    same(still.at(torch.tensor((0.0, 1.0))), walk.states[[0, 0]])


def test_qpos_and_qvel_are_the_root_and_the_joints(walk: Motion) -> None:
    assert walk.qpos.shape == (walk.num_frames, 7 + len(walk.joint_names))
    assert torch.equal(walk.qpos[:, 3:7], walk.states.body_quat_w[:, 0])
    assert torch.equal(walk.qvel[:, :3], walk.states.body_lin_vel_w[:, 0])
    assert torch.equal(walk.qvel[:, 6:], walk.states.joint_vel)


def shuffled(motion: Motion) -> Motion:
    """Return the motion with joints and bodies in reverse order."""
    s = motion.states
    states = BodyState(
        s.joint_pos.flip(1), s.joint_vel.flip(1),
        *(getattr(s, f.name).flip(1) for f in fields(BodyState)[2:]),
    )  # fmt: skip
    return replace(
        motion, joint_names=motion.joint_names[::-1], body_names=motion.body_names[::-1], states=states
    )


def test_columns_are_matched_by_name(walk: Motion, body: Embodiment) -> None:
    again = shuffled(walk).for_body(body)
    same(again.states, walk.states, 0.0)
    assert (again.joint_names, again.body_names) == (body.joint_names, body.body_names)
    assert (again.fps, again.name, again.provenance) == (walk.fps, walk.name, walk.provenance)


@pytest.mark.parametrize(("key", "kind"), [("joint_names", "joint"), ("body_names", "body")])
def test_another_body_is_named(walk: Motion, body: Embodiment, key: str, kind: str) -> None:
    names = getattr(walk, key)
    with pytest.raises(MismatchError, match=f"'walk'.*{kind} '{names[4]}'"):
        replace(walk, **{key: (*names[:4], "tail", *names[5:])}).for_body(body)


def test_a_failed_save_leaves_the_old_file(walk: Motion, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(TypeError):
        replace(walk, provenance={"x": object()}).save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["walk.npz"]


Arrays = dict[str, Any]


def _at(key: str, index: tuple[int, ...], value: float) -> Callable[[Arrays], None]:
    def spoil(data: Arrays) -> None:
        data[key] = data[key].copy()
        data[key][index] = value

    return spoil


def _put(key: str, value: Any) -> Callable[[Arrays], None]:
    return lambda data: data.update({key: np.asarray(value)})


def _map(key: str, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], None]:
    return lambda data: data.update({key: function(data[key])})


BAD: dict[str, tuple[Callable[[Arrays], Any], str]] = {
    "no joint names": (lambda d: d.pop("joint_names"), "'joint_names'"),
    "no body names": (lambda d: d.pop("body_names"), "'body_names'"),
    "no joint_pos": (lambda d: d.pop("joint_pos"), "'joint_pos'"),
    "no velocity": (lambda d: d.pop("body_ang_vel_w"), "'body_ang_vel_w'"),
    "no fps": (lambda d: d.pop("fps"), "'fps'"),
    "zero fps": (_put("fps", [0]), "'fps'"),
    "negative fps": (_put("fps", -50.0), "'fps'"),
    "text fps": (_put("fps", "fast"), "'fps'"),
    "empty fps": (_put("fps", []), "'fps'"),
    "two fps": (_put("fps", [50, 30]), "'fps'"),
    "NaN": (_at("joint_vel", (5, 2), np.nan), "'joint_vel'"),
    "infinity": (_at("body_pos_w", (3, 1, 2), np.inf), "'body_pos_w'"),
    "absurd": (_map("body_pos_w", lambda x: x.astype(np.float64) * 1e300), "frame 0"),
    "zero quaternion": (_at("body_quat_w", (4, 1), 0.0), "'body_quat_w'"),
    "too few rows": (_map("body_quat_w", lambda x: x[:-1]), "'body_quat_w'"),
    "too few columns": (_map("joint_vel", lambda x: x[:, :-1]), "'joint_vel'"),
    "names too few": (_map("joint_names", lambda x: x[:-1]), "'joint_pos'"),
    "flat": (_map("body_pos_w", lambda x: x.reshape(len(x), -1)), "'body_pos_w'"),
    "scalar": (_put("joint_pos", 1.0), "'joint_pos'"),
    "no frames": (_map("joint_pos", lambda x: x[:0]), "'joint_pos'"),
    "text numbers": (_map("joint_pos", lambda x: x.astype(str)), "'joint_pos'"),
    "complex": (_map("joint_pos", lambda x: x * 1j), "'joint_pos'"),
    "one name": (_put("joint_names", "L_Hip_y"), "'joint_names'"),
    "numbers as names": (_map("body_names", lambda x: np.arange(len(x))), "'body_names'"),
    "names twice": (_map("joint_names", lambda x: np.array([x[0], *x[:-1]])), "'L_Hip_y'"),
    "object names": (
        _map("joint_names", lambda x: x.astype(object)),
        "Python objects",
    ),
    "object array": (
        _map("joint_pos", lambda x: x.astype(object)),
        "Python objects",
    ),
    "contact": (_map("contact", lambda x: x[:, :1]), "'contact'"),
    "provenance": (_put("provenance", "{no"), "'provenance'"),
    "provenance list": (_put("provenance", "[1]"), "'provenance'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_one_line_that_names_file_and_place(file: Path, name: str) -> None:
    spoil, message = BAD[name]
    data = dict(np.load(file))
    spoil(data)
    np.savez(file, **data)
    refused(file, message)


def refused(path: Path, message: str = "npz") -> None:
    with pytest.raises(InputError, match=message) as error:
        Motion.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    refused(tmp_path / "absent.npz", "absent.npz")
    refused(tmp_path, tmp_path.name)
    path = tmp_path / "x.npz"
    for content in (b"", b"hello\nworld", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."):
        path.write_bytes(content)
        refused(path, "npz")
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    refused(path)


def test_damaged_files_are_refused_or_read(walk: Motion, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    short = replace(walk, states=walk.states[:3], contact=walk.contact[:3])
    short.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(1, len(whole) - 1, 20):
        path.write_bytes(whole[:cut])
        refused(path)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 8):
            damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged))
        try:
            Motion.load(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_a_header_that_claims_too_much_is_refused(walk: Motion, tmp_path: Path) -> None:
    """Before memory is reserved for it."""
    path = tmp_path / "x.npz"
    walk.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        header = io.BytesIO()
        claim = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 3)}
        np.lib.format.write_array_header_1_0(header, claim)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the name is there twice: the last one counts
            archive.writestr("joint_pos.npy", header.getvalue())
    refused(path, "joint_pos")
