"""Acclaim files that are damaged or hostile: one line that names the file and the place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import LoadCfg
from tests.mocap import acclaim_samples as odd

Change = Callable[[str], str]


def refused(path: Path, message: str, named: Path | None = None) -> None:
    with pytest.raises(InputError, match=message) as error:
        mocap.load(path)
    assert str(named or path) in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 2 * len(str(path)) + 300


def test_no_skeleton(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    (tmp_path / "odd.asf").rename(tmp_path / "a.asf")
    (tmp_path / "b.asf").write_text("")
    refused(path, r"'odd_01\.asf' or 'odd\.asf'")
    (tmp_path / "a.asf").unlink()
    (tmp_path / "b.asf").unlink()
    refused(path, r"\.asf")
    with pytest.raises(InputError, match=r"x\.asf"):
        mocap.load(path, LoadCfg(skeleton=str(tmp_path / "x.asf")))
    (tmp_path / "odd.asf").write_text(odd.ASF)
    refused(tmp_path / "odd.asf", r"\.amc")


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


BAD_SKELETON: dict[str, tuple[Change, str]] = {
    "empty": (lambda t: "", "the file is empty"),
    "binary": (lambda t: "\0\1\2" * 50, "':root'"),
    "no hierarchy": (lambda t: t.split(":hierarchy")[0], "':hierarchy'"),
    "no bones": (lambda t: t.split(":bonedata")[0], "':bonedata'"),
    "truncated bone": (lambda t: t.split("length 17")[0] + t[t.index(":hierarchy"):],
                       "'begin'"),
    "truncated hierarchy": (lambda t: t[: t.rindex("  end")], "':hierarchy'"),
    "duplicate bone": (swap("name head", "name spine"), "'spine'"),
    "bone called root": (swap("name head", "name root"), "'root'"),
    "nameless bone": (swap("name head", "name"), "line 27"),
    "endless name": (swap("name head", "name " + "h" * 5000), "line 27"),
    "nested bone": (swap("     id 2", "  begin"), "'begin'"),
    "line outside": (swap("  begin\n     id 2", "     id 2"), "'id'"),
    "no direction": (swap("direction 0 1 0", ""), "'head'"),
    "no length": (swap("length 9\n", "\n"), "'head'"),
    "no way": (swap("direction 0 1 0", "direction 0 0 0"), "'head'"),
    "negative length": (swap("length 9\n", "length -9\n"), "'head'"),
    "NaN length": (swap("length 9\n", "length nan\n"), "'length'"),
    "huge length": (swap("length 9\n", "length 1e30\n"), "'length'"),
    "text": (swap("direction 0 1 0", "direction 0 up 0"), "'direction'"),
    "two numbers": (swap("direction 0 1 0", "direction 0 1"), "'direction'"),
    "axis order": (swap("0 0 90 XZY", "0 0 90 XXY"), "'xxy'"),
    "short axis": (swap("0 0 90 XZY", "0 90 XZY"), "'axis'"),
    "unknown dof": (swap("dof RY RX", "dof RY RW"), "'rw'"),
    "repeated dof": (swap("dof RY RX", "dof RY RY"), "'ry'"),
    "zero unit": (swap("length 1.0", "length 0"), "line 6"),
    "angle unit": (swap("angle deg", "angle grad"), "'grad'"),
    "undefined bone": (swap("spine head arm", "spine head leg"), "'leg'"),
    "two parents": (swap("hip thigh", "hip thigh arm"), "'arm'"),
    "root below": (swap("thigh shin", "thigh shin root"), "'root'"),
    "circle": (swap("root spine hip\n", "root spine\n    shin hip\n"), "'hip'"),
    "loose bone": (swap("    thigh shin\n", ""), "'shin'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SKELETON)
def test_bad_skeleton_is_one_line_that_names_file_and_place(tmp_path: Path, name: str) -> None:
    path = odd.write(tmp_path)
    change, message = BAD_SKELETON[name]
    (tmp_path / "odd.asf").write_text(change(odd.ASF))
    refused(path, message, tmp_path / "odd.asf")


def keep(frames: int) -> Change:
    return lambda text: odd.amc(odd.table(frames))


BAD_MOTION: dict[str, tuple[Change, str]] = {
    "empty": (lambda t: " \n", "the file is empty"),
    "no frames": (keep(0), "line 3"),
    "one frame": (keep(1), "1 frames; at least 2"),
    "no frame number": (swap("\n1\n", "\n"), "'root'"),
    "no motion": (lambda t: "hello\n", "'hello'"),
    "NaN": (lambda t: re.sub(r"arm \S+", "arm nan", t, count=1), "'arm'"),
    "infinity": (lambda t: re.sub(r"arm \S+", "arm -inf", t, count=1), "'arm'"),
    "huge": (lambda t: re.sub(r"arm \S+", "arm 1e7", t, count=1), "'arm'"),
    "long": (lambda t: re.sub(r"arm \S+", "arm " + "9" * 5000, t, count=1), "'arm'"),
    "text": (lambda t: re.sub(r"arm \S+", "arm up", t, count=1), "'arm'"),
    "underscore": (lambda t: re.sub(r"arm \S+", "arm 1_0", t, count=1), "'arm'"),
    "missing number": (lambda t: re.sub(r"arm \S+", "arm", t, count=1), "'arm'"),
    "number too many": (lambda t: re.sub("arm ", "arm 1 ", t, count=1), "'arm'"),
    "moved number": (lambda t: re.sub(r"(root .*) (\S+)\n(spine)", r"\1\n\3 \2", t, count=1),
                     "'root'"),
    "unknown bone": (swap("arm ", "leg "), "'leg'"),
    "unknown later": (lambda t: "leg ".join(t.rsplit("arm ", 1)), "'leg'"),
    "duplicate bone": (swap("thigh ", "spine "), "'spine'"),
    "missing bone": (lambda t: t[: t.rindex("arm")] + t[t.rindex("thigh"):], "line 53"),
    "extra bone": (lambda t: re.sub(r"arm \S+\n", "", t, count=1), "'arm'"),
    "no root": (lambda t: re.sub(r"root .*\n", "", t), "'root'"),
    "truncated line": (lambda t: t[: t.rindex("thigh") + 9], "'thigh'"),
    "truncated frame": (lambda t: t[: t.rindex("thigh")], "'thigh'"),
    "truncated name": (lambda t: t[: t.rindex("thigh") + 3], "'thi'"),
    "missing frame": (swap("\n4\n", "\n5\n"), "line 25"),
    "frame twice": (swap("\n4\n", "\n3\n"), "line 25"),
    "far frame": (swap("\n4\n", "\n999999999\n"), "line 25"),
    "endless number": (swap("\n4\n", "\n" + "4" * 5000 + "\n"), "line 25"),
    "binary": (lambda t: "\0\1\2" * 50, "line 1"),
    "rate": (lambda t: ":SAMPLES-PER-SECOND nan\n" + t, "':SAMPLES-PER-SECOND'"),
    "odd rate": (lambda t: ":SAMPLES-PER-SECOND 0.001\n" + t, "0.001"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MOTION)
def test_bad_motion_is_one_line_that_names_file_and_place(tmp_path: Path, name: str) -> None:
    path = odd.write(tmp_path)
    change, message = BAD_MOTION[name]
    path.write_text(change(path.read_text()))
    refused(path, message)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    whole, text = mocap.load(path), path.read_bytes()
    path.write_bytes(text.replace(b"arm ", b"\xff\xfe ", 1))
    refused(path, "line 8: .*'\ufffd\ufffd'")
    skeleton = odd.ASF.encode().replace(b"arm", b"\xe9paule")
    (tmp_path / "odd.asf").write_bytes(skeleton)  # a name in Latin-1, in both files
    path.write_bytes(text.replace(b"arm", b"\xe9paule"))
    clip = mocap.load(path)
    torch.testing.assert_close(clip.local_quat, whole.local_quat)


def test_a_very_deep_and_a_very_large_skeleton(tmp_path: Path) -> None:
    def chain(bones: int) -> str:
        block = "  begin\n name b{0}\n direction 0 1 0\n length 0.06\n axis 0 0 0 XYZ\n  end\n"
        links = "".join(f"  b{i} b{i + 1}\n" for i in range(bones - 1))
        return (
            ":root\n order TX TY TZ RX RY RZ\n axis XYZ\n:bonedata\n"
            + "".join(block.format(i) for i in range(bones))
            + f":hierarchy\n begin\n  root b0\n{links} end\n"
        )

    path = tmp_path / "deep.amc"
    path.write_text("1\nroot 0 0 0 0 0 0\n2\nroot 0 1 0 0 0 90\n")
    (tmp_path / "deep.asf").write_text(chain(900))
    assert len(mocap.load(path).joint_names) == 902
    (tmp_path / "deep.asf").write_text(chain(5000))
    refused(path, "1000", tmp_path / "deep.asf")
