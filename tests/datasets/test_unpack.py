"""Archives from outside: nothing leaves the folder, nothing grows without end, all or nothing."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from humanoid.core.errors import InputError
from humanoid.datasets.unpack import read_member, unpack


def packed(folder: Path, members: dict[str, bytes | str], **attr: int) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attr.get("mode", 0) << 16
            content.writestr(info, data)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_wanted_and_nothing_else(tmp_path: Path) -> None:
    members = {"p/x/a.xml": "a", "p/x/m/b.STL": "b", "p/x/evil.py": "c", "p/y.xml": "d", "px.xml": "e"}
    archive = packed(tmp_path, members)
    found = unpack(archive, "p/x", tmp_path / "out", (".xml", ".stl"))
    assert [path.as_posix() for path in found] == ["a.xml", "m/b.STL"]
    assert everything(tmp_path / "out") == ["a.xml", "m/b.STL"]
    assert (tmp_path / "out" / "m" / "b.STL").read_text() == "b"
    assert everything(tmp_path) == ["a.zip", "out/a.xml", "out/m/b.STL"]


def test_an_older_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.xml").touch()
    unpack(packed(tmp_path, {"new.xml": "n"}), "", tmp_path / "out")
    assert everything(tmp_path / "out") == ["new.xml"]


@pytest.mark.parametrize(
    "name", ["../x", "p/../../x", "/etc/x", "..\\x", "C:/x", "C:x", "p/x\n.xml", "..", "p/x\x01"]
)
def test_members_that_would_leave(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path, {"p/good.xml": "g", name: "bad"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    for prefix in ("", "p"):
        with pytest.raises(InputError, match="would leave the folder; refused") as error:
            unpack(archive, prefix, tmp_path / "out")
        assert "\n" not in str(error.value)
    assert everything(tmp_path) == ["a.zip", "out/old"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path, {"x": "/etc/passwd"}, mode=kind | 0o644)
    with pytest.raises(InputError, match="'x' is a link or device; refused"):
        unpack(archive, "", tmp_path / "out")
    assert everything(tmp_path) == ["a.zip"]


def test_a_plain_file_may_say_so(tmp_path: Path) -> None:
    assert unpack(packed(tmp_path, {"x": "1"}, mode=stat.S_IFREG | 0o644), "", tmp_path / "out")


def test_bombs(tmp_path: Path) -> None:
    archive = packed(tmp_path, {"x": bytes(4 << 20)})
    with pytest.raises(InputError, match="refused as a bomb"):
        unpack(archive, "", tmp_path / "out")
    archive = packed(tmp_path, {"x": "1" * 100, "y": "2" * 100})
    with pytest.raises(InputError, match="unpacks to 200 bytes; at most 150"):
        unpack(archive, "", tmp_path / "out", largest=150)
    assert everything(tmp_path) == ["a.zip"]


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    archive = packed(tmp_path, {"x": "abcdefgh" * 64})
    data = bytearray(archive.read_bytes())
    place = data.index(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    assert int.from_bytes(data[place : place + 4], "little") == 512
    data[place : place + 4] = (16).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(InputError):
        unpack(archive, "", tmp_path / "out")
    assert everything(tmp_path) == ["a.zip"]


def test_one_name_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'X' twice"):
        unpack(packed(tmp_path, {"x": "1", "X": "2"}), "", tmp_path / "out")


def test_nothing_wanted_inside(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds nothing wanted below 'q'"):
        unpack(packed(tmp_path, {"p/x": "1"}), "q", tmp_path / "out")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_damaged_archives(tmp_path: Path, share: float) -> None:
    archive = packed(tmp_path, {f"p/{i}": bytes(range(256)) * i for i in range(20)})
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="not a readable zip archive"):
        unpack(archive, "p", tmp_path / "out")
    broken = bytearray(data)
    broken[100:400] = bytes(300)
    archive.write_bytes(broken)
    with pytest.raises(InputError, match="not a readable zip archive"):
        unpack(archive, "p", tmp_path / "out")
    assert everything(tmp_path) == ["a.zip"]


def test_a_member_as_text(tmp_path: Path) -> None:
    archive = packed(tmp_path, {"LICENSE": "free" * 100})
    assert read_member(archive, "LICENSE", 8) == "freefree"
    with pytest.raises(InputError, match="cannot read 'none'"):
        read_member(archive, "none")
