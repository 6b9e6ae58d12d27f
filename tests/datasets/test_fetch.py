"""Sources into the cache: what is kept, what is checked, what stands beside the files."""

from __future__ import annotations

import hashlib
import io
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from humanoid.core import InputError, cache_dir
from humanoid.datasets import find_clip, load_manifest
from humanoid.datasets.fetch import FetchCfg, fetch, fetch_source, shown, unpack
from humanoid.datasets.fetch_table import SOURCES, Archive, Remote, Source
from tests.datasets.web import CONTENT, SHA, Handler, Web, cut, turns, whole

CFG = FetchCfg(timeout=5.0, attempts=1)
A, B = b"a take", b"another take"
WHEEL = "robot-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def two_files(web: Web, pinned: bool = True) -> Source:
    web.routes["/a.txt"] = lambda handler: handler.reply(200, A)
    web.routes["/b.txt"] = lambda handler: handler.reply(200, B)
    files = tuple(
        Remote(path=f"sub/{name}", url=web.url(f"/{name}"), sha256=sha(data) if pinned else "")
        for name, data in (("a.txt", A), ("b.txt", B))
    )
    return Source(what="Two takes", home="http://home", licence="free", folder="motions/two", files=files)


def states(result: dict[str, Any]) -> dict[str, str]:
    return {row["file"]: row["state"] for row in result["files"]}


def test_files_licence_and_checksums(web: Web) -> None:
    seen: list[str] = []
    result = fetch_source("two", two_files(web), CFG, lambda file, done, total: seen.append(file))
    folder = cache_dir() / "motions" / "two"
    assert result["folder"] == str(folder) and result["failed"] == [] and result["licence"] == "free"
    assert states(result) == {"sub/a.txt": "fetched", "sub/b.txt": "fetched"}
    assert {row["checksum"] for row in result["files"]} == {"pinned"}
    assert (folder / "sub" / "a.txt").read_bytes() == A
    assert (folder / "LICENCE.txt").read_text() == "Two takes\nSource: http://home\nLicence: free\n"
    assert (folder / "SHA256SUMS").read_text() == f"{sha(A)}  sub/a.txt\n{sha(B)}  sub/b.txt\n"
    assert set(seen) == {"sub/a.txt", "sub/b.txt"}


def test_what_is_there_is_kept_and_what_is_damaged_comes_again(web: Web) -> None:
    source = two_files(web)
    folder = Path(fetch_source("two", source, CFG)["folder"])
    asked = len(web.asked)
    assert set(states(fetch_source("two", source, CFG)).values()) == {"kept"} and len(web.asked) == asked
    (folder / "sub" / "b.txt").write_text("damaged")
    assert states(fetch_source("two", source, CFG)) == {"sub/a.txt": "kept", "sub/b.txt": "fetched"}
    assert (folder / "sub" / "b.txt").read_bytes() == B
    forced = fetch_source("two", source, replace(CFG, force=True))
    assert set(states(forced).values()) == {"fetched"}


def test_one_file_that_fails_does_not_stop_the_others(web: Web) -> None:
    source = two_files(web)
    del web.routes["/a.txt"]
    result = fetch_source("two", source, CFG)
    assert states(result) == {"sub/b.txt": "fetched"}
    (row,) = result["failed"]
    assert row["file"] == "sub/a.txt" and "answers 404" in row["error"]
    web.routes["/a.txt"] = lambda handler: handler.reply(200, b"something else")
    (row,) = fetch_source("two", source, CFG)["failed"]
    assert sha(A) in row["error"]


def test_an_unknown_checksum_is_that_of_the_first_download(web: Web) -> None:
    source = two_files(web, pinned=False)
    result = fetch_source("two", source, CFG)
    folder = Path(result["folder"])
    assert {row["checksum"] for row in result["files"]} == {"recorded"}
    assert set(states(fetch_source("two", source, CFG)).values()) == {"kept"}
    (folder / "sub" / "a.txt").unlink()
    web.routes["/a.txt"] = lambda handler: handler.reply(200, b"changed")
    (row,) = fetch_source("two", source, CFG)["failed"]
    assert "SHA256SUMS" in row["error"] and not (folder / "sub" / "a.txt").exists()
    assert fetch_source("two", source, replace(CFG, force=True))["failed"] == []
    assert (folder / "sub" / "a.txt").read_bytes() == b"changed"
    assert set(states(fetch_source("two", source, CFG)).values()) == {"kept"}


def test_some_files_only_and_another_folder(web: Web, tmp_path: Path) -> None:
    cfg = replace(CFG, only=("*/b*",), folder=str(tmp_path / "mine"))
    result = fetch_source("two", two_files(web), cfg)
    assert states(result) == {"sub/b.txt": "fetched"}
    assert (tmp_path / "mine" / "sub" / "b.txt").read_bytes() == B
    with pytest.raises(InputError, match="'two'"):
        fetch_source("two", two_files(web), replace(CFG, only=("sub/c",)))


def test_a_file_larger_than_its_source_can_be(web: Web) -> None:
    result = fetch_source("two", replace(two_files(web), largest=8), CFG)
    assert states(result) == {"sub/a.txt": "fetched"} and "sub/b.txt" in result["failed"][0]["file"]


def wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("zoo/robots/r1/xmls/r1.xml", "<mujoco/>")
        content.writestr("zoo/robots/r1/__init__.py", "raise SystemExit")
        content.writestr("zoo/other.xml", "no")
        content.writestr("robot-1.0.dist-info/licenses/LICENSE", "terms of the robot")
        content.writestr("robot-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: robot\nVersion: 1.0\n")
        content.writestr(
            "robot-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        content.writestr("robot-1.0.dist-info/RECORD", "")
    return file.getvalue()


def robot(web: Web, data: bytes, pinned: str | None = None, said: str | None = None) -> Source:
    """A source in a wheel, and an index that names it."""
    digest = sha(data) if said is None else said
    page = f'<html><body><a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a></body></html>'.encode()
    web.routes["/simple/robot/"] = lambda handler: handler.reply(200, page, Content_Type="text/html")
    web.routes[f"/files/{WHEEL}"] = lambda handler: handler.reply(200, data)
    archive = Archive(
        filename=WHEEL,
        project="robot",
        prefix="zoo/robots/r1",
        endings=(".xml",),
        sha256=sha(data) if pinned is None else pinned,
        licence_file="robot-1.0.dist-info/licenses/LICENSE",
    )
    return Source(what="A robot", home="http://r", licence="free", folder="robots/r1", archive=archive)


def test_a_robot_out_of_a_wheel(web: Web) -> None:
    cfg = replace(CFG, index=web.url("/simple"))
    source = robot(web, wheel())
    result = fetch_source("r1", source, cfg)
    folder = cache_dir() / "robots" / "r1"
    assert states(result) == {"xmls/r1.xml": "fetched"} and result["folder"] == str(folder)
    assert (folder / "xmls" / "r1.xml").read_text() == "<mujoco/>"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["LICENCE.txt", "SHA256SUMS", "xmls/r1.xml"], "no code of the wheel"
    assert "terms of the robot" in (folder / "LICENCE.txt").read_text()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["r1"]
    asked = len(web.asked)
    assert states(fetch_source("r1", source, cfg)) == {"xmls/r1.xml": "kept"} and len(web.asked) == asked
    (folder / "xmls" / "r1.xml").write_text("damaged")
    assert states(fetch_source("r1", source, cfg)) == {"xmls/r1.xml": "fetched"}


def test_the_index_of_pip(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple/"))
    assert states(fetch_source("r1", robot(web, wheel()), CFG)) == {"xmls/r1.xml": "fetched"}


@pytest.mark.parametrize("source", [{"said": "0" * 64}, {"pinned": "1" * 64}])
def test_a_wheel_of_another_checksum(web: Web, source: dict[str, str]) -> None:
    with pytest.raises(InputError, match=WHEEL) as error:
        fetch_source("r1", robot(web, wheel(), **source), replace(CFG, index=web.url("/simple")))
    assert "\n" not in str(error.value) and not list((cache_dir() / "robots").iterdir())


def test_an_index_without_the_wheel(web: Web) -> None:
    source = robot(web, wheel())
    assert source.archive is not None
    cfg = replace(CFG, index=web.url("/simple").replace("//", "//me:secret@"))
    newer = replace(source, archive=replace(source.archive, filename="robot-2.0-py3-none-any.whl"))
    with pytest.raises(InputError, match="robot-2.0-py3-none-any.whl") as error:
        fetch_source("r1", newer, cfg)
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def zipped(web: Web, data: bytes) -> Source:
    """A source in an archive."""
    web.routes["/a.zip"] = lambda handler: handler.reply(200, data)
    archive = Archive(filename="a.zip", prefix="p", endings=(".xml",), url=web.url("/a.zip"))
    return Source(what="An archive", home="http://a", licence="free", folder="a", archive=archive)


def packed(members: dict[str, str], mode: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            content.writestr(info, data)
    return file.getvalue()


def test_an_archive_replaces_its_folder(web: Web) -> None:
    fetch_source("a", zipped(web, packed({"p/old.xml": "o"})), CFG)
    result = fetch_source(
        "a", zipped(web, packed({"p/deep/new.xml": "n", "x.xml": ""})), replace(CFG, force=True)
    )
    assert states(result) == {"deep/new.xml": "fetched"}
    assert not (cache_dir() / "a" / "old.xml").exists()
    assert (cache_dir() / "a" / "deep" / "new.xml").read_text() == "n"


@pytest.mark.parametrize(
    "name", ["../x.xml", "p/../../x.xml", "/etc/x.xml", "..\\x.xml", "C:/x.xml", "p/x\n.xml"]
)
def test_members_never_leave_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(packed({"p/good.xml": "g", name: "bad"}))
    for prefix in ("", "p"):
        found = unpack(tmp_path / "a.zip", tmp_path / f"out{prefix}", prefix)
        assert [path.name for path in found] == ["good.xml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out", "outp"]


@pytest.mark.parametrize(
    "data",
    [
        packed({"p/x.xml": "/etc/passwd"}, stat.S_IFLNK | 0o644),
        packed({"p/x.xml": "0" * (4 << 20)}),
        packed({"q/x.xml": "1"}),
        packed({"p/x.xml": "1" * 500})[:-30],
        packed({"p/x.xml": "abc" * 500}).replace(b"abc", b"abd"),
        b"no zip",
        b"",
    ],
    ids=["link", "bomb", "nothing wanted", "truncated", "damaged", "text", "empty"],
)
def test_bad_archives(web: Web, data: bytes) -> None:
    broken = bytearray(data)
    if data.startswith(b"PK") and len(data) < 200:
        broken[40:60] = bytes(20)
    with pytest.raises(InputError, match="a.zip") as error:
        fetch_source("a", zipped(web, bytes(broken)), CFG)
    assert "\n" not in str(error.value)
    assert list(cache_dir().iterdir()) == []


def test_a_folder_with_something_else_is_not_replaced(web: Web, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    cfg = replace(CFG, index=web.url("/simple"), folder=str(tmp_path / "mine"))
    with pytest.raises(InputError, match="mine"):
        fetch_source("r1", robot(web, wheel()), cfg)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def one_file(web: Web, answer: Callable[[Handler], None], **changes: str) -> dict[str, Any]:
    """Fetch one file from a server that answers so."""
    web.routes["/a.bin"] = answer
    remote = replace(Remote(path="a.bin", url=web.url("/a.bin"), sha256=SHA), **changes)
    source = Source(
        what="A file", home="http://f", licence="free", folder="f", files=(remote,), largest=4 << 20
    )
    return fetch_source("f", source, replace(CFG, attempts=2, timeout=0.5))


def test_a_wrong_checksum_leaves_the_old_file(web: Web) -> None:
    assert one_file(web, whole)["failed"] == []
    path = cache_dir() / "f" / "a.bin"
    assert path.read_bytes() == CONTENT
    (row,) = one_file(web, whole, sha256="0" * 64)["failed"]
    assert "0" * 64 in row["error"] and path.read_bytes() == CONTENT
    assert sorted(file.name for file in path.parent.iterdir()) == ["LICENCE.txt", "SHA256SUMS", "a.bin"]


def test_broken_connections_are_tried_again(web: Web) -> None:
    assert one_file(web, turns(cut(0.3), whole))["failed"] == []
    (cache_dir() / "f" / "a.bin").unlink()
    assert one_file(web, turns(lambda handler: handler.reply(503), whole))["failed"] == []


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(8):
        handler.wfile.write(CONTENT)


BAD_ANSWERS: dict[str, Callable[[Handler], None]] = {
    "cut short": cut(0.5),
    "not found": lambda handler: handler.reply(404),
    "server error": lambda handler: handler.reply(503),
    "a terabyte": lambda handler: handler.reply(200, b"abc", Content_Length=str(10**12)),
    "more than allowed": endless,
    "silence": lambda handler: time.sleep(1),
    "circle": lambda handler: handler.reply(302, Location="/a.bin"),
    "another scheme": lambda handler: handler.reply(302, Location="file:///etc/hostname"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_bad_answers_are_one_line_and_leave_nothing(web: Web, case: str) -> None:
    (row,) = one_file(web, BAD_ANSWERS[case])["failed"]
    assert "/a.bin" in row["error"] and "\n" not in row["error"]
    assert list((cache_dir() / "f").iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://localhost/x", "http://127.0.0.1:1/a.bin"])
def test_no_server(web: Web, url: str) -> None:
    (row,) = one_file(web, whole, url=url)["failed"]
    assert url in row["error"]


def test_passwords_are_in_no_message(web: Web) -> None:
    url = web.url("/b").replace("//", "//me:secret@") + "?token=1"
    (row,) = one_file(web, whole, url=url)["failed"]
    assert "secret" not in row["error"] and "token" not in row["error"]
    assert web.asked[0][1]["Authorization"].startswith("Basic ")
    assert shown("https://me:secret@host/x?y=1#z") == "https://host/x"


def test_a_folder_that_cannot_be_written(web: Web, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        fetch_source("two", two_files(web), replace(CFG, folder=str(tmp_path / "file")))


def test_an_unknown_source() -> None:
    with pytest.raises(InputError, match="'cmuu'"):
        fetch("cmuu")


def test_the_table() -> None:
    for name, source in SOURCES.items():
        assert source.licence and source.home.startswith("http"), name
        assert bool(source.files) != (source.archive is not None), name
        for remote in source.files:
            assert remote.url.startswith(("https://", "http://mocap.cs.cmu.edu/")), remote
            assert len(remote.sha256) in (0, 64), remote
            assert ".." not in remote.path and not remote.path.startswith("/"), remote


@pytest.mark.parametrize("name", ["humanoid3d", "humanoid3d_long", "cmu02", "ballplay", "amp"])
def test_fetched_files_are_found_by_their_manifest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUMANOID_MOTIONS", raising=False)
    manifest = load_manifest(name)
    source = SOURCES[manifest.fetch]
    for remote in source.files:
        path = cache_dir() / source.folder / remote.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for entry in manifest.clips:
        assert find_clip(manifest, entry).is_relative_to(cache_dir()), entry


@pytest.mark.parametrize(
    ("name", "folder"),
    [("cmu", "cmu"), ("humanoid3d_long", "humanoid3d"), ("ballplay", "ballplay"), ("amp", "poselib")],
)
def test_checksums_of_the_table_are_those_of_the_files(name: str, folder: str, mocap_data: Path) -> None:
    for remote in SOURCES[name].files:
        path = mocap_data / folder / Path(remote.path).name
        assert sha(path.read_bytes()) == remote.sha256, remote
