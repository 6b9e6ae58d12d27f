"""Arrays of npz and npy files, whose headers are believed only as far as bytes are there.

numpy reserves what a header claims before it reads; here the claim is compared with the
size of the zip member first, and a zip that unpacks to far more than itself is refused.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from humanoid.core.errors import InputError, one_line

LARGEST = 1 << 30
"""[bytes] All arrays of one file together, unpacked."""
MAX_RATIO = 200
"""How many times its own size a file may unpack to; captured motion reaches 3, zeros 1,000."""
_SMALL = 1 << 24
"""[bytes] What any file may unpack to."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def names(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays of an npz without reading them.

    Raises:
        InputError: no such file, or no zip.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy"))
    except Exception as error:  # a damaged zip raises a dozen unrelated kinds
        raise InputError(f"{path}: not a readable npz (truncated?): {one_line(error)}") from error


def read(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Return those of the named arrays that an npz holds.

    Args:
        path: the file.
        keys: names of arrays; every other is left alone.

    Raises:
        InputError: damaged, an array of Python objects, a header that claims more than there is,
            or a file that unpacks to far more than its own size.
    """
    have = set(names(path))
    with zipfile.ZipFile(path) as archive:
        members = {key: archive.getinfo(f"{key}.npy") for key in keys if key in have}
        total, own = sum(member.file_size for member in members.values()), path.stat().st_size
        if total > min(LARGEST, max(_SMALL, MAX_RATIO * own)):
            raise InputError(f"{path}: {own} bytes that unpack to {total}; refused as a zip bomb")
        return {key: _member(path, archive, key, member) for key, member in members.items()}


def header(
    path: Path, name: str, file: io.BufferedIOBase, size: int
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an npy and compare it with what is there.

    Args:
        path: the file, for the message.
        name: the array, for the message.
        file: at its start; left behind the header.
        size: [bytes] of header and content.

    Returns:
        Shape, whether in Fortran's order, type. The content of an array of objects is a pickle.

    Raises:
        InputError: no npy header, or it claims another size.
    """
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"npy version {version}")
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except Exception as error:  # numpy and the parser of its literal each have their own
        raise InputError(f"{path}: {name}: no npy header: {one_line(error)[:200]}") from error
    if any(n < 0 for n in shape) or math.prod(max(n, 1) for n in shape) > LARGEST:
        raise InputError(f"{path}: {name}: the header claims shape {shape}"[:200])
    claimed, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if not dtype.hasobject and claimed != there:
        raise InputError(
            f"{path}: {name}: the header claims {dtype} of shape {shape}"[:200]
            + f", {claimed} bytes, {there} are there"
        )
    return shape, fortran, dtype


def _member(path: Path, archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type not in _METHODS:
        raise InputError(f"{path}: {key}: packed by zip method {member.compress_type}; deflate is read")
    try:
        with archive.open(member) as file:
            raw = file.read(member.file_size + 1)
    except Exception as error:  # damaged deflate data, checksum, encryption
        raise InputError(f"{path}: {key}: damaged: {one_line(error)}") from error
    content = io.BytesIO(raw)
    shape, fortran, dtype = header(path, key, content, len(raw))
    if dtype.hasobject:
        raise InputError(f"{path}: {key}: holds Python objects, which are not read; numbers are needed")
    if not dtype.itemsize or not math.prod(shape):
        return np.zeros(shape if 0 in shape else 0)
    array = np.frombuffer(raw, dtype, offset=content.tell())
    return array.reshape(shape, order="F" if fortran else "C")
