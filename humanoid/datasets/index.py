"""Where a package index keeps a wheel: the simple API (PEP 503 pages, PEP 691 JSON)."""

from __future__ import annotations

import json
import os
import urllib.parse
from html.parser import HTMLParser

from humanoid.core.errors import InputError
from humanoid.datasets.download import DownloadCfg, read_url, shown

DEFAULT_INDEX = "https://pypi.org/simple"
INDEX_VARIABLE = "PIP_INDEX_URL"
"""pip's own environment variable for the index."""
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


def wheel_url(
    project: str, filename: str, index: str = "", cfg: DownloadCfg | None = None
) -> tuple[str, str]:
    """Ask an index for one file of a project.

    Args:
        project: normalised name, e.g. ``mjlab``.
        filename: the wheel, e.g. ``mjlab-1.6.0-py3-none-any.whl``.
        index: address of the index; ``$PIP_INDEX_URL`` or PyPI if empty.
        cfg: limits of the answer.

    Returns:
        Its address, and its sha256 as the index says, empty where it does not.

    Raises:
        InputError: index unreachable or unreadable, or without this file.
    """
    index = index or os.environ.get(INDEX_VARIABLE, "").split(" ")[0] or DEFAULT_INDEX
    data, headers, final = read_url(f"{index.rstrip('/')}/{project}/", cfg, _ACCEPT)
    text = data.decode("utf-8", errors="replace")
    files = _json(text, final) if "json" in headers.get_content_type() else _html(text)
    for name, url, sha256 in files:
        if name == filename:
            return _with_login(urllib.parse.urljoin(final, url), index), sha256.lower()
    versions = sorted(name for name, _, _ in files if name.endswith(".whl"))
    has = f"it has {', '.join(versions[-5:])}" if versions else "it has no wheel of it"
    raise InputError(f"{shown(index)}: no '{filename}'; {has}; name another index with --index URL")


def _json(text: str, where: str) -> list[tuple[str, str, str]]:
    try:
        files = json.loads(text)["files"]
        return [(str(f["filename"]), str(f["url"]), str(f["hashes"].get("sha256", ""))) for f in files]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{shown(where)}: not an answer of a package index (PEP 691)") from error


def _html(text: str) -> list[tuple[str, str, str]]:
    page = _Links()
    page.feed(text)
    files = []
    for href in page.links:
        url, _, fragment = href.partition("#")
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
        files.append((name, url, digest))
    return files


def _with_login(url: str, index: str) -> str:
    """Give a file on the index's own host the name and password of the index's address."""
    parts, home = urllib.parse.urlsplit(url), urllib.parse.urlsplit(index)
    login, at, host = home.netloc.rpartition("@")
    same = parts.scheme == home.scheme and parts.netloc == host
    return parts._replace(netloc=f"{login}@{host}").geturl() if at and same else url


class _Links(HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for key, value in attrs if tag == "a" and key == "href" and value]
