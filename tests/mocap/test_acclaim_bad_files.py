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
    refused(path, r"no skeleton 'odd_01\.asf' or 'odd\.asf' in .* \(\.asf there: 2 others\); name one")
    (tmp_path / "a.asf").unlink()
    (tmp_path / "b.asf").unlink()
    refused(path, r"no skeleton .* \(\.asf there: none\)")
    with pytest.raises(InputError, match=r"x\.asf: no such"):
        mocap.load(path, LoadCfg(skeleton=str(tmp_path / "x.asf")))
    (tmp_path / "odd.asf").write_text(odd.ASF)
    refused(tmp_path / "odd.asf", "a skeleton without a take; name the .amc")


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


BAD_SKELETON: dict[str, tuple[Change, str]] = {
    "empty": (lambda t: "", "the file is empty"),
    "binary": (lambda t: "\0\1\2" * 50, "no section ':root'"),
    "no hierarchy": (lambda t: t.split(":hierarchy")[0], "no section ':hierarchy' .truncated"),
    "no bones": (lambda t: t.split(":bonedata")[0], "no section ':bonedata' .truncated"),
    "truncated bone": (lambda t: t.split("length 17")[0] + t[t.index(":hierarchy"):],
                       "line 51: 'begin' without 'end'"),
    "truncated hierarchy": (lambda t: t[: t.rindex("  end")], "line 7.: ':hierarchy' without 'end'"),
    "duplicate bone": (swap("name head", "name spine"), "line 27: two bones are called 'spine'"),
    "bone called root": (swap("name head", "name root"), "line 27: two bones are called 'root'"),
    "nameless bone": (swap("name head", "name"), "line 27: a bone without a name"),
    "endless name": (swap("name head", "name " + "h" * 5000), "line 27: a bone's name of 5000 letters"),
    "nested bone": (swap("     id 2", "  begin"), "line 28: 'begin' inside the bone of line 27"),
    "line outside": (swap("  begin\n     id 2", "     id 2"), "line 27: 'id' outside 'begin' and 'end'"),
    "no direction": (swap("direction 0 1 0", ""), "line 27: bone 'head' has no direction"),
    "no length": (swap("length 9\n", "\n"), "line 27: bone 'head' has no length"),
    "no way": (swap("direction 0 1 0", "direction 0 0 0"), "line 27: bone 'head' has a length but no"),
    "negative length": (swap("length 9\n", "length -9\n"), "line 27: bone 'head' has a length of -9"),
    "NaN length": (swap("length 9\n", "length nan\n"), "line 31: 'length' is 'nan'; finite"),
    "huge length": (swap("length 9\n", "length 1e30\n"), "line 31: 'length' is '1e30'; finite"),
    "text": (swap("direction 0 1 0", "direction 0 up 0"), "line 30: 'direction' is '0 up 0'; finite"),
    "two numbers": (swap("direction 0 1 0", "direction 0 1"), "line 30: 'direction' has 2 numbers; 3"),
    "axis order": (swap("0 0 90 XZY", "0 0 90 XXY"), "line 32: order of axes 'xxy'; expected XYZ, ZYX"),
    "short axis": (swap("0 0 90 XZY", "0 90 XZY"), "line 32: 'axis' is"),
    "unknown dof": (swap("dof RY RX", "dof RY RW"), "line 34: degree of freedom 'rw' is unknown; allowed"),
    "repeated dof": (swap("dof RY RX", "dof RY RY"), "line 34: degree of freedom 'ry' is repeated"),
    "zero unit": (swap("length 1.0", "length 0"), "line 6: length of 0; it must be positive"),
    "angle unit": (swap("angle deg", "angle grad"), "line 7: angle in 'grad'; allowed: deg, rad"),
    "undefined bone": (swap("spine head arm", "spine head leg"), "line 7.: bone 'leg' is not in ':bonedata'"),
    "two parents": (swap("hip thigh", "hip thigh arm"), "line 7.: bone 'arm' has a parent since line 7"),
    "root below": (swap("thigh shin", "thigh shin root"), "line 7.: bone 'root' has no parent"),
    "circle": (swap("root spine hip\n", "root spine\n    shin hip\n"), "bone 'hip' .* go in a circle"),
    "loose bone": (swap("    thigh shin\n", ""), "line 59: bone 'shin' .* ':hierarchy' does not name it"),
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
    "no frames": (keep(0), "line 3: the file ends before its first frame"),
    "one frame": (keep(1), "1 frames; at least 2"),
    "no frame number": (swap("\n1\n", "\n"), "line 4: frame number expected, found 'root'"),
    "no motion": (lambda t: "hello\n", "line 1: frame number expected, found 'hello'"),
    "NaN": (lambda t: re.sub(r"arm \S+", "arm nan", t, count=1), "line 8: 'arm' is 'nan'; finite"),
    "infinity": (lambda t: re.sub(r"arm \S+", "arm -inf", t, count=1), "line 8: 'arm' is '-inf'; finite"),
    "huge": (lambda t: re.sub(r"arm \S+", "arm 1e7", t, count=1), "line 8: 'arm' is '1e7'; finite"),
    "long": (lambda t: re.sub(r"arm \S+", "arm " + "9" * 5000, t, count=1), "line 8: 'arm' is '9999"),
    "text": (lambda t: re.sub(r"arm \S+", "arm up", t, count=1), "line 8: 'arm' is 'up'; finite"),
    "underscore": (lambda t: re.sub(r"arm \S+", "arm 1_0", t, count=1), "line 8: 'arm' is '1_0'; finite"),
    "missing number": (lambda t: re.sub(r"arm \S+", "arm", t, count=1), "line 8: 'arm' has 0 numbers; 1 are"),
    "number too many": (lambda t: re.sub("arm ", "arm 1 ", t, count=1), "line 8: 'arm' has 2 numbers; 1 are"),
    "moved number": (lambda t: re.sub(r"(root .*) (\S+)\n(spine)", r"\1\n\3 \2", t, count=1),
                     "line 5: 'root' has 5 numbers; 6 are"),
    "unknown bone": (swap("arm ", "leg "), "line 8: the skeleton has no bone 'leg'; .*allowed: arm"),
    "unknown later": (lambda t: "leg ".join(t.rsplit("arm ", 1)), "line 57: the skeleton has no bone 'leg'"),
    "duplicate bone": (swap("thigh ", "spine "), "line 9: bone 'spine' twice in one frame"),
    "missing bone": (lambda t: t[: t.rindex("arm")] + t[t.rindex("thigh"):], "line 53: frame 8 lacks .*arm"),
    "extra bone": (lambda t: re.sub(r"arm \S+\n", "", t, count=1), "frame 2 has bone 'arm', which the first"),
    "no root": (lambda t: re.sub(r"root .*\n", "", t), "line 4: frame 1 lacks bone 'root'"),
    "truncated line": (lambda t: t[: t.rindex("thigh") + 9], "line 58: 'thigh' has . numbers; 3 are"),
    "truncated frame": (lambda t: t[: t.rindex("thigh")], "line 53: frame 8 lacks bone 'thigh' .truncated"),
    "truncated name": (lambda t: t[: t.rindex("thigh") + 3], "line 58: the skeleton has no bone 'thi'"),
    "missing frame": (swap("\n4\n", "\n5\n"), "line 25: frame 5 follows frame 3"),
    "frame twice": (swap("\n4\n", "\n3\n"), "line 25: frame 3 follows frame 3"),
    "far frame": (swap("\n4\n", "\n999999999\n"), "line 25: frame 999999999 follows frame 3"),
    "endless number": (swap("\n4\n", "\n" + "4" * 5000 + "\n"), "line 25: the skeleton has no bone '4444"),
    "binary": (lambda t: "\0\1\2" * 50, "line 1: frame number expected"),
    "rate": (lambda t: ":SAMPLES-PER-SECOND nan\n" + t, "line 1: ':SAMPLES-PER-SECOND' is 'nan'"),
    "odd rate": (lambda t: ":SAMPLES-PER-SECOND 0.001\n" + t, "0.001 frames per second"),
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
    refused(path, "line 8: the skeleton has no bone '\ufffd\ufffd'")
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
    refused(path, "more than 1000 bones", tmp_path / "deep.asf")
