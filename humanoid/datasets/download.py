"""One file from a web server: checked, resumable, and whole or not at all.

The content arrives in ``.NAME.part`` beside its place, which a later call goes on with, and
gets its name only when its length and checksum are right. Nothing but http and https is
opened, also after a redirection, and no more is written than the caller allows.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from humanoid.core.errors import InputError, one_line
from humanoid.core.runs import atomic_write_text

_CHUNK = 1 << 16
_SLOWEST = 1024
"""[bytes/s] A server that is slower than this on the average is given up."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
OnBytes = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes in all (0: not known)."""


@dataclass(frozen=True, kw_only=True)
class DownloadCfg:
    """Limits of a download."""

    timeout: float = 30.0
    """[s] without an answer, or without another byte."""
    largest: int = 2 << 30
    """[bytes] More than this is refused, before it is read where the server says so."""
    attempts: int = 3
    """Times to try when the connection breaks; each goes on where the last stopped."""
    pause: float = 1.0
    """[s] before another attempt, doubled each time."""


class _BrokenError(Exception):
    """The connection ended early; another attempt may go on from there."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirections to http and https only, and never from https down to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl)
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme.lower() != "https":
            raise InputError(f"{shown(req.full_url)}: leads to the unprotected {shown(newurl)}; refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str) -> None:
    """Refuse what is no http or https address.

    Raises:
        InputError: another scheme, or no host.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InputError(f"{shown(url)}: only http:// and https:// addresses are fetched")


def shown(url: str) -> str:
    """Return an address as messages may print it: without user, password and query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_url(url: str, cfg: DownloadCfg | None = None, accept: str = "*/*") -> tuple[bytes, Message, str]:
    """Return a short document with its headers and the address it came from in the end.

    Raises:
        InputError: unreachable, refused or longer than allowed.
    """
    cfg = cfg or DownloadCfg(largest=64 << 20)
    try:
        with _open(url, cfg, {"Accept": accept}) as answer:
            data = answer.read(cfg.largest + 1)
            if len(data) > cfg.largest:
                raise InputError(f"{shown(url)}: more than {cfg.largest} bytes; refused")
            return data, answer.headers, answer.geturl()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"{shown(url)}: {_reason(error)}") from error


def download(
    url: str,
    path: str | Path,
    sha256: str = "",
    cfg: DownloadCfg | None = None,
    on_bytes: OnBytes | None = None,
) -> str:
    """Put the content of ``url`` at ``path``.

    Args:
        url: http or https address.
        path: where the file shall be; ``.NAME.part`` beside it holds what has come so far.
        sha256: checksum that the content must have; any content will do if empty.
        cfg: limits.
        on_bytes: progress.

    Returns:
        The checksum of the file, hexadecimal.

    Raises:
        InputError: unreachable, refused, cut short, too large, or of another checksum.
    """
    path, cfg = Path(path), cfg or DownloadCfg()
    part = path.with_name(f".{path.name}.part")
    broken: Exception | None = None
    for attempt in range(cfg.attempts):
        if attempt:
            time.sleep(cfg.pause * 2 ** (attempt - 1))
        resumed = part.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _receive(url, part, cfg, bool(sha256), on_bytes or (lambda done, total: None))
        except (_BrokenError, OSError, http.client.HTTPException) as error:
            broken = _passing(url, path, error)
            continue
        found = file_sha256(part)
        if sha256 and found != sha256:
            _discard(part)
            if resumed and attempt + 1 < cfg.attempts:  # what lay there may be of another version
                broken = _BrokenError("what was there before did not fit")
                continue
            raise InputError(f"{shown(url)}: not the known file: its checksum is {found}, expected {sha256}")
        os.replace(part, path)
        _discard(part)
        return found
    assert broken is not None
    raise InputError(f"{shown(url)}: {_reason(broken)}; the same command again goes on") from broken


def file_sha256(path: Path) -> str:
    """Return the checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _passing(url: str, path: Path, error: Exception) -> Exception:
    """Return an error that another attempt may mend; raise any other as one line."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code < 500:
            raise InputError(f"{shown(url)}: the server answers {error.code} {error.reason}") from error
    elif isinstance(error, OSError) and (error.errno in _DISK or error.filename):
        raise InputError(f"{path}: cannot write: {error.strerror or error}") from error
    return error


def _receive(url: str, part: Path, cfg: DownloadCfg, pinned: bool, on_bytes: OnBytes) -> None:
    """Append what is missing to ``part``, or write it anew where the server cannot go on."""
    mark = _mark(part)
    validator = mark.read_text() if mark.exists() else ""
    have = part.stat().st_size if part.exists() and (pinned or validator) else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and validator:
        headers["If-Range"] = validator
    try:
        answer = _open(url, cfg, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing beyond what is there: that was not it, or all of it
            _discard(part)
            return _receive(url, part, cfg, pinned, on_bytes)
        raise
    with answer:
        if answer.status == 206 and have:
            span = answer.headers.get("Content-Range", "")
            if not span.startswith(f"bytes {have}-"):
                _discard(part)
                raise _BrokenError(f"the server sent another part than asked for ({span or 'unnamed'})")
        elif answer.status == 200:
            have = 0
            _discard(part)  # before the new mark: old bytes never stand under it
        else:
            raise InputError(f"{shown(url)}: the server answers {answer.status}, expected a file")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else 0
        _refuse_large(url, part, total, cfg)
        etag = answer.headers.get("ETag", "")  # a weak one (W/...) does not promise equal bytes
        if etag and not etag.startswith("W/"):
            atomic_write_text(mark, etag)
        done = _copy(url, answer, part, have, total, cfg, on_bytes)
    if total and done < total:
        raise _BrokenError(f"cut short: {done} of {total} bytes")


def _copy(
    url: str, answer: IO[bytes], part: Path, have: int, total: int, cfg: DownloadCfg, on_bytes: OnBytes
) -> int:
    start, done = time.monotonic(), have
    with part.open("ab" if have else "wb") as file:
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            _refuse_large(url, part, done, cfg)
            on_bytes(done, total)
            if time.monotonic() - start > cfg.timeout + (done - have) / _SLOWEST:
                raise _BrokenError(f"slower than {_SLOWEST} bytes a second")
        file.flush()
        os.fsync(file.fileno())
    return done


def _refuse_large(url: str, part: Path, size: int, cfg: DownloadCfg) -> None:
    if size > cfg.largest:
        _discard(part)
        raise InputError(f"{shown(url)}: {size} bytes or more; at most {cfg.largest} are fetched")


def _open(url: str, cfg: DownloadCfg, headers: dict[str, str]) -> Any:  # noqa: ANN401 - HTTPResponse
    """Open an address with the handlers of http and https alone (no file:, ftp: or data:)."""
    check_url(url)
    parts = urllib.parse.urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(
        bare, headers={"User-Agent": "humanoid", "Accept-Encoding": "identity", **headers}
    )
    if parts.username:  # an index of one's own: pip takes name and password from the address as well
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        token = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener.open(request, timeout=cfg.timeout)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(error, _BrokenError):
        return str(error)
    return f"cannot be reached: {one_line(cause) if isinstance(cause, BaseException) else cause}"


def _mark(part: Path) -> Path:
    """Return the file that remembers which version a part is of."""
    return part.with_name(f"{part.name}.etag")


def _discard(part: Path) -> None:
    for path in (part, _mark(part)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
