"""Sources into the cache: what is kept, what is checked, what stands beside the files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from humanoid.core.errors import InputError
from humanoid.core.paths import cache_dir
from humanoid.datasets.download import DownloadCfg
from humanoid.datasets.fetch import FetchCfg, fetch, fetch_source
from humanoid.datasets.fetch_table import SOURCES, Archive, Remote, Source
from humanoid.datasets.manifest import find_clip, load_manifest
from tests.datasets.web import Handler, Web

CFG = FetchCfg(download=DownloadCfg(timeout=5.0, attempts=1, pause=0.0))
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
    assert "not the known file" in row["error"]


def test_an_unknown_checksum_is_that_of_the_first_download(web: Web) -> None:
    source = two_files(web, pinned=False)
    result = fetch_source("two", source, CFG)
    folder = Path(result["folder"])
    assert {row["checksum"] for row in result["files"]} == {"recorded"}
    assert set(states(fetch_source("two", source, CFG)).values()) == {"kept"}
    (folder / "sub" / "a.txt").unlink()
    web.routes["/a.txt"] = lambda handler: handler.reply(200, b"changed")
    (row,) = fetch_source("two", source, CFG)["failed"]
    assert "SHA256SUMS; --force takes it" in row["error"] and not (folder / "sub" / "a.txt").exists()
    assert fetch_source("two", source, replace(CFG, force=True))["failed"] == []
    assert (folder / "sub" / "a.txt").read_bytes() == b"changed"
    assert set(states(fetch_source("two", source, CFG)).values()) == {"kept"}


def test_some_files_only_and_another_folder(web: Web, tmp_path: Path) -> None:
    cfg = replace(CFG, only=("*/b*",), folder=str(tmp_path / "mine"))
    result = fetch_source("two", two_files(web), cfg)
    assert states(result) == {"sub/b.txt": "fetched"}
    assert (tmp_path / "mine" / "sub" / "b.txt").read_bytes() == B
    with pytest.raises(InputError, match="source 'two' has no file like sub/c"):
        fetch_source("two", two_files(web), replace(CFG, only=("sub/c",)))


def test_a_file_larger_than_its_source_can_be(web: Web) -> None:
    result = fetch_source("two", replace(two_files(web), largest=8), CFG)
    assert states(result) == {"sub/a.txt": "fetched"} and "at most 8" in result["failed"][0]["error"]


def wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("zoo/robots/r1/xmls/r1.xml", "<mujoco/>")
        content.writestr("zoo/robots/r1/__init__.py", "raise SystemExit")
        content.writestr("zoo/other.xml", "no")
        content.writestr("robot-1.0.dist-info/licenses/LICENSE", "terms of the robot")
    return file.getvalue()


def robot(
    web: Web, data: bytes, pinned: str | None = None, said: str | None = None, kind: str = "json"
) -> Source:
    """A source in a wheel, and an index that names it."""
    digest = sha(data) if said is None else said

    def index(handler: Handler) -> None:
        if kind == "json":
            files = [{"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {"sha256": digest}}]
            body = json.dumps({"files": files}).encode()
            return handler.reply(200, body, Content_Type="application/vnd.pypi.simple.v1+json")
        fragment = f"#sha256={digest}" if digest else ""
        body = f'<html><body><a href="../../files/{WHEEL}{fragment}">{WHEEL}</a></body></html>'.encode()
        return handler.reply(200, body, Content_Type="text/html; charset=utf-8")

    web.routes["/simple/robot/"] = index
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


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_robot_out_of_a_wheel(web: Web, kind: str) -> None:
    cfg = replace(CFG, index=web.url("/simple"))
    source = robot(web, wheel(), kind=kind)
    result = fetch_source("r1", source, cfg)
    folder = cache_dir() / "robots" / "r1"
    assert states(result) == {"xmls/r1.xml": "fetched"} and result["folder"] == str(folder)
    assert (folder / "xmls" / "r1.xml").read_text() == "<mujoco/>"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["LICENCE.txt", "SHA256SUMS", "xmls/r1.xml"], "no code of the wheel"
    assert "terms of the robot" in (folder / "LICENCE.txt").read_text()
    assert list((cache_dir() / "downloads").iterdir()) == []
    asked = len(web.asked)
    assert states(fetch_source("r1", source, cfg)) == {"xmls/r1.xml": "kept"} and len(web.asked) == asked
    (folder / "xmls" / "r1.xml").write_text("damaged")
    assert states(fetch_source("r1", source, cfg)) == {"xmls/r1.xml": "fetched"}


def test_the_index_of_pip(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple/"))
    assert states(fetch_source("r1", robot(web, wheel()), CFG)) == {"xmls/r1.xml": "fetched"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"said": "0" * 64}, "the index says sha256 0000"),
        ({"said": "", "pinned": "1" * 64}, "not the known file"),
        ({"said": "2" * 64, "pinned": ""}, "not the known file"),
    ],
)
def test_a_wheel_of_another_checksum(web: Web, source: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fetch_source("r1", robot(web, wheel(), **source), replace(CFG, index=web.url("/simple")))
    assert not (cache_dir() / "robots").exists()


def test_an_index_without_the_wheel(web: Web) -> None:
    source = robot(web, wheel())
    assert source.archive is not None
    cfg = replace(CFG, index=web.url("/simple"))
    newer = replace(source, archive=replace(source.archive, filename="robot-2.0-py3-none-any.whl"))
    with pytest.raises(InputError, match=rf"no 'robot-2\.0-py3-none-any\.whl'; it has {WHEEL}"):
        fetch_source("r1", newer, cfg)
    web.routes["/simple/robot/"] = lambda handler: handler.reply(200, b"{}", Content_Type="application/json")
    with pytest.raises(InputError, match="not an answer of a package index"):
        fetch_source("r1", source, cfg)


def test_a_malicious_archive(web: Web) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("zoo/robots/r1/xmls/r1.xml", "<mujoco/>")
        content.writestr("zoo/robots/r1/../../../../x.xml", "bad")
    with pytest.raises(InputError, match="would leave the folder"):
        fetch_source("r1", robot(web, file.getvalue()), replace(CFG, index=web.url("/simple")))
    assert not (cache_dir() / "robots").exists()


def test_a_folder_with_something_else_is_not_replaced(web: Web, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    cfg = replace(CFG, index=web.url("/simple"), folder=str(tmp_path / "mine"))
    with pytest.raises(InputError, match="holds something else, which would be replaced"):
        fetch_source("r1", robot(web, wheel()), cfg)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_an_unknown_source() -> None:
    with pytest.raises(InputError, match="'cmuu' is no known source; did you mean 'cmu'"):
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
