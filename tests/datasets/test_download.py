"""One file from a server of ours on this machine: whole, checked, resumed, limited."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from humanoid.core.errors import InputError
from humanoid.datasets.download import DownloadCfg, download, read_url, shown
from tests.datasets.web import CONTENT, SHA, Handler, Web, cut, ranged, turns

QUICK = DownloadCfg(timeout=5.0, largest=4 << 20, attempts=1, pause=0.0)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = ranged
    seen: list[tuple[int, int]] = []
    path = tmp_path / "deep" / "a.bin"
    found = download(web.url("/a.bin"), path, SHA, QUICK, lambda done, total: seen.append((done, total)))
    assert found == SHA and path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)
    assert left_over(path.parent) == ["a.bin"]


def test_a_wrong_checksum_leaves_nothing_but_the_old_file(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = ranged
    (tmp_path / "a.bin").write_text("old")
    with pytest.raises(InputError, match=f"its checksum is {SHA}, expected {'0' * 64}") as error:
        download(web.url("/a.bin"), tmp_path / "a.bin", "0" * 64, QUICK)
    assert "\n" not in str(error.value)
    assert left_over(tmp_path) == ["a.bin"] and (tmp_path / "a.bin").read_text() == "old"


def test_what_is_cut_short_goes_on_later(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = cut(0.5)
    with pytest.raises(
        InputError, match="cut short: 524288 of 1048576 bytes; the same command again goes on"
    ):
        download(web.url("/a.bin"), tmp_path / "a.bin", SHA, QUICK)
    assert not (tmp_path / "a.bin").exists()
    web.routes["/a.bin"] = ranged
    assert download(web.url("/a.bin"), tmp_path / "a.bin", SHA, QUICK) == SHA
    assert web.asked[-1][1]["Range"] == "bytes=524288-"
    assert left_over(tmp_path) == ["a.bin"]


def test_attempts_go_on_by_themselves(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = turns(cut(0.3), lambda handler: handler.reply(503), ranged)
    cfg = DownloadCfg(timeout=5.0, attempts=3, pause=0.0)
    assert download(web.url("/a.bin"), tmp_path / "a.bin", SHA, cfg) == SHA
    assert len(web.asked) == 3 and "Range" in web.asked[-1][1]


def test_without_a_checksum_only_the_same_version_goes_on(web: Web, tmp_path: Path) -> None:
    other = CONTENT[::-1]
    web.routes["/a.bin"] = turns(cut(0.5), lambda handler: ranged(handler, other, '"two"'))
    with pytest.raises(InputError, match="cut short"):
        download(web.url("/a.bin"), tmp_path / "a.bin", "", QUICK)
    download(web.url("/a.bin"), tmp_path / "a.bin", "", QUICK)
    assert web.asked[-1][1]["If-Range"] == '"one"'
    assert (tmp_path / "a.bin").read_bytes() == other


def test_a_part_of_another_version_is_begun_anew(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = ranged
    (tmp_path / ".a.bin.part").write_bytes(b"x" * 1000)
    cfg = DownloadCfg(timeout=5.0, attempts=2, pause=0.0)
    assert download(web.url("/a.bin"), tmp_path / "a.bin", SHA, cfg) == SHA
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 7])
def test_a_part_that_is_whole_or_too_long_is_begun_anew(web: Web, tmp_path: Path, size: int) -> None:
    web.routes["/a.bin"] = ranged
    (tmp_path / ".a.bin.part").write_bytes(bytes(size))
    assert download(web.url("/a.bin"), tmp_path / "a.bin", SHA, QUICK) == SHA


def test_a_server_that_cannot_go_on(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = lambda handler: handler.reply(200, CONTENT)
    (tmp_path / ".a.bin.part").write_bytes(CONTENT[:1000])
    assert download(web.url("/a.bin"), tmp_path / "a.bin", SHA, QUICK) == SHA


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_final(web: Web, tmp_path: Path, code: int) -> None:
    web.routes["/a.bin"] = lambda handler: handler.reply(code)
    with pytest.raises(InputError, match=f"/a.bin: the server answers {code}"):
        download(web.url("/a.bin"), tmp_path / "a.bin", SHA, DownloadCfg(attempts=3))
    assert len(web.asked) == 1 and left_over(tmp_path) == []


def test_a_redirection_is_followed(web: Web, tmp_path: Path) -> None:
    web.routes["/old"] = lambda handler: handler.reply(302, Location="/new")
    web.routes["/new"] = ranged
    assert download(web.url("/old"), tmp_path / "a.bin", SHA, QUICK) == SHA


@pytest.mark.parametrize(
    "place", ["file:///etc/hostname", "ftp://localhost/x", "data:text/plain,x", "gopher://x"]
)
def test_other_schemes_are_refused(web: Web, tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="only http:// and https://"):
        download(place, tmp_path / "a.bin", "", QUICK)
    web.routes["/old"] = lambda handler: handler.reply(302, Location=place)
    with pytest.raises(InputError, match=r"only http:// and https://|the server answers 302"):
        download(web.url("/old"), tmp_path / "a.bin", "", QUICK)
    assert left_over(tmp_path) == []


def test_redirections_in_a_circle_end(web: Web, tmp_path: Path) -> None:
    web.routes["/old"] = lambda handler: handler.reply(302, Location="/old")
    with pytest.raises(InputError, match="the server answers 302"):
        download(web.url("/old"), tmp_path / "a.bin", "", QUICK)


def test_a_server_that_claims_a_terabyte(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = lambda handler: handler.reply(200, b"abc", Content_Length=str(10**12))
    with pytest.raises(InputError, match=f"{10**12} bytes or more; at most {4 << 20} are fetched"):
        download(web.url("/a.bin"), tmp_path / "a.bin", "", QUICK)
    assert left_over(tmp_path) == []


def test_a_server_that_sends_more_than_allowed_without_saying(web: Web, tmp_path: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(8):
            handler.wfile.write(CONTENT)

    web.routes["/a.bin"] = endless
    with pytest.raises(InputError, match="at most"):
        download(web.url("/a.bin"), tmp_path / "a.bin", "", QUICK)
    assert left_over(tmp_path) == []


def test_a_server_that_says_nothing(web: Web, tmp_path: Path) -> None:
    stop = threading.Event()
    web.routes["/a.bin"] = lambda handler: (stop.wait(5), None)[1]
    with pytest.raises(InputError, match="no answer in time"):
        download(web.url("/a.bin"), tmp_path / "a.bin", "", DownloadCfg(timeout=0.1, attempts=1))
    stop.set()


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:1/a\.bin: cannot be reached"):
        download("http://127.0.0.1:1/a.bin", tmp_path / "a.bin", "", QUICK)


def test_a_folder_that_cannot_be_written(web: Web, tmp_path: Path) -> None:
    web.routes["/a.bin"] = ranged
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        download(web.url("/a.bin"), tmp_path / "file" / "a.bin", SHA, QUICK)


def test_name_and_password_go_to_their_host_and_into_no_message(web: Web, tmp_path: Path) -> None:
    web.routes["/a"] = lambda handler: handler.reply(
        302, Location=web.url("/b").replace("127.0.0.1", "localhost")
    )
    web.routes["/b"] = lambda handler: handler.reply(404)
    url = web.url("/a").replace("//", "//me:secret@") + "?token=1"
    web.routes["/a?token=1"] = web.routes["/a"]
    with pytest.raises(InputError) as error:
        read_url(url, QUICK)
    assert "secret" not in str(error.value) and "token" not in str(error.value)
    assert web.asked[0][1]["Authorization"].startswith("Basic ")
    assert all("Authorization" not in headers for _, headers in web.asked[1:])
    assert shown("https://me:secret@host/x?y=1#z") == "https://host/x"
