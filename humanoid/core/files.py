"""Reading what a user names: whole files, of a size that is believed."""

from __future__ import annotations

from pathlib import Path

from humanoid.core.errors import InputError

LARGEST_FILE = 1 << 30
"""[bytes] A file beyond this is refused before it is read."""


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: missing, empty, unreadable or absurdly large.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such motion file")
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{path}: {size / 2**30:.1f} GiB; at most {LARGEST_FILE / 2**30:.0f} GiB are read"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not data.strip():
        raise InputError(f"{path}: the file is empty")
    return data


def read_text(path: Path) -> str:
    """Return the content of a text file; bytes that are no UTF-8 become U+FFFD.

    Raises:
        InputError: as :func:`read_bytes`.
    """
    return read_bytes(path).decode("utf-8", errors="replace")
