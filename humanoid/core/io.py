"""Whole files, arrays of npz files and pickles of plain data, read within bounds.

Sizes that a file claims are compared with the bytes that are there before memory is taken.
A pickle is read without importing or calling anything that it names.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from humanoid.core.errors import InputError, one_line
from humanoid.core.load_cfg import LoadCfg as LoadCfg

LARGEST_FILE = 1 << 30
"""[bytes] Largest file that is read, and largest content of one npz, unpacked."""
MAX_RATIO = 200
"""Largest ratio of unpacked to packed size; captured motion reaches 3, zeros 1,000."""
_SMALL = 1 << 24
"""[bytes] Unpacked size to which the ratio does not apply."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: missing, empty, unreadable or larger than :data:`LARGEST_FILE`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such motion file")
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(f"{path}: {size / 2**30:.1f} GiB; the limit is {LARGEST_FILE / 2**30:.0f} GiB")
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


def npz_names(path: Path) -> tuple[str, ...]:
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


def read_npz(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Return those of the named arrays that an npz holds.

    Raises:
        InputError: damaged, an array of Python objects, a header that claims more than there is,
            or a file that unpacks to far more than its size.
    """
    have = set(npz_names(path))
    with zipfile.ZipFile(path) as archive:
        members = {key: archive.getinfo(f"{key}.npy") for key in keys if key in have}
        total, own = sum(member.file_size for member in members.values()), path.stat().st_size
        if total > min(LARGEST_FILE, max(_SMALL, MAX_RATIO * own)):
            raise InputError(f"{path}: {own} bytes that unpack to {total}: a zip bomb")
        return {key: _member(path, archive, key, member) for key, member in members.items()}


def npy_header(
    path: Path, name: str, file: io.BufferedIOBase, size: int
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an npy and compare it with the bytes that follow.

    Args:
        path: the file, for the message.
        name: the array, for the message.
        file: at its start; left behind the header.
        size: [bytes] of header and content.

    Returns:
        Shape, Fortran order, type. The content of an array of objects is a pickle.

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
    if any(n < 0 for n in shape) or math.prod(max(n, 1) for n in shape) > LARGEST_FILE:
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
        raise InputError(f"{path}: {key}: zip method {member.compress_type}; deflate is supported")
    try:
        with archive.open(member) as file:
            raw = file.read(member.file_size + 1)
    except Exception as error:  # damaged deflate data, checksum, encryption
        raise InputError(f"{path}: {key}: damaged: {one_line(error)}") from error
    content = io.BytesIO(raw)
    shape, fortran, dtype = npy_header(path, key, content, len(raw))
    if dtype.hasobject:
        raise InputError(f"{path}: {key}: an array of Python objects; numbers are needed")
    if not dtype.itemsize or not math.prod(shape):
        return np.zeros(shape if 0 in shape else 0)
    array = np.frombuffer(raw, dtype, offset=content.tell())
    return array.reshape(shape, order="F" if fortran else "C")


class PickleError(ValueError):
    """The bytes are no pickle, a damaged one, or one of more than plain data."""


class Record:
    """Inert stand-in for an object of a class that a pickle names.

    Attributes:
        origin: dotted name of the class or function.
        args: arguments of its construction.
        state: its attributes, if the pickle has them.
    """

    origin = ""

    def __new__(cls, *args: object) -> Record:
        """Keep the arguments."""
        made = object.__new__(cls)
        made.args, made.state = args, {}
        return made

    args: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: object) -> None:
        """Keep the state."""
        self.state = state

    def append(self, item: object) -> None:
        """Ignore items of a foreign container."""

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore items of a foreign container."""


Inline = Callable[[Record, Callable[[int], bytes]], Any]
"""Maps a record, and a function that reads the next bytes of the file, to the record's replacement."""


def load_pickle(
    data: bytes,
    foreign: Callable[[str], bool] = lambda _: False,
    inline: Inline | None = None,
    max_opcodes: int = 5_000_000,
) -> object:
    """Return the plain data of a pickle, with a :class:`Record` for every foreign object.

    Args:
        data: the bytes; anything after the end of the pickle is ignored.
        foreign: dotted names that are allowed besides numpy's arrays and ``OrderedDict``.
        inline: replaces every record that has got its state. joblib writes arrays between the
            opcodes, behind such a record.
        max_opcodes: limit of the reading time.

    Raises:
        PickleError: damaged, too large, or a name that is not allowed.
    """
    try:
        return _PlainUnpickler(data, foreign, inline, max_opcodes).load()
    except PickleError:
        raise
    except Exception as error:  # unpickling damaged data raises a dozen unrelated kinds
        raise PickleError(f"damaged pickle: {type(error).__name__}: {one_line(error)}") from error


class _Dispatch(dict[int, Any]):
    """Handlers of opcodes, with a budget of how many are looked up."""

    def __init__(self, handlers: dict[int, Any], budget: int) -> None:
        super().__init__(handlers)
        # its own handler allocates as many bytes as the file claims
        self[pickle.BYTEARRAY8[0]] = handlers[pickle.BINBYTES8[0]]
        self.budget, self.limit = budget, budget

    def __getitem__(self, code: int) -> Any:  # noqa: ANN401 - an unbound method
        self.budget -= 1
        if self.budget < 0:
            raise PickleError(f"more than {self.limit} opcodes")
        return super().__getitem__(code)


class _PlainUnpickler(pickle._Unpickler):
    """Python's own unpickler with an allow-list of names.

    The one written in Python, as joblib uses it: its memo is a dict, where that of the C one
    is an array as long as the largest index in the file.
    """

    def __init__(
        self, data: bytes, foreign: Callable[[str], bool], inline: Inline | None, max_opcodes: int
    ) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._foreign, self._inline, self._budget = foreign, inline, 4 * len(data) + 4096
        self.dispatch = _Dispatch({**super().dispatch, pickle.BUILD[0]: type(self).load_build}, max_opcodes)

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - a stand-in
        """Return the stand-in of an allowed name."""
        origin = f"{module}.{name}"
        if origin in ("collections.OrderedDict", "builtins.dict", "__builtin__.dict"):
            return lambda pairs=(): dict(pairs)
        if origin == "_codecs.encode":
            return lambda text, *_: self._spend(text.encode("latin1"))
        if module.partition(".")[0] == "numpy" and name in ("ndarray", "_reconstruct"):
            return lambda *_: np.ndarray.__new__(_Array, (0,), np.uint8)
        if module.partition(".")[0] == "numpy" and name in _NUMPY:
            return _NUMPY[name]
        if not self._foreign(origin):
            raise PickleError(f"'{origin:.80}' is not allowed in a file of plain data; nothing was executed")
        if origin in ("copy_reg._reconstructor", "copyreg._reconstructor"):
            return lambda cls, *_: cls()
        return type("Record", (Record,), {"origin": origin})

    def load_build(self) -> None:
        """Give an array, a dtype or a record its state; nothing else has one."""
        stack: list[Any] = self.stack  # pyright: ignore[reportAttributeAccessIssue]
        state, target = stack.pop(), stack[-1]
        if not isinstance(target, _Array | _Dtype | Record):
            raise PickleError(f"sets the state of a {type(target).__name__}")
        if isinstance(target, _Array):
            self._spend(state[-1])
        target.__setstate__(state)
        if isinstance(target, Record) and self._inline is not None:
            stack[-1] = self._inline(target, self.read)  # pyright: ignore[reportAttributeAccessIssue]

    def _spend(self, copied: Any) -> Any:  # noqa: ANN401 - bytes or a list, as given
        """Take the size of a copy off the budget."""
        self._budget -= 8 * len(copied) if isinstance(copied, list) else len(copied)
        if self._budget < 0:
            raise PickleError("grows far beyond its length")
        return copied


class _Dtype:
    """A numpy type of plain numbers, texts or objects; of its state only the byte order counts."""

    def __init__(self, text: str, *_: object) -> None:
        if not re.fullmatch(r"[<>|=]?([?]|b1|[biuf][1248]|f16|[SU]\d{1,9}|O8?)", text):
            raise PickleError(f"an array of type {text!r:.40}")
        self.dtype = np.dtype("O" if "O" in text else text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array whose content is compared with its claimed size before memory is taken."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, content = state[-4:]
        raw = content.encode("latin1") if isinstance(content, str) else content
        have = len(raw) if dtype.dtype.hasobject and isinstance(raw, list) else _numbers(raw, dtype)
        if len(shape) > 8 or any(n < 0 for n in shape) or math.prod(shape) != have:
            raise PickleError(f"an array claims shape {shape}, {have} numbers are there"[:120])
        super().__setstate__((1, shape, dtype.dtype, int(fortran), raw))  # pyright: ignore[reportArgumentType]


def _numbers(raw: bytes, dtype: _Dtype) -> int:
    """Return how many numbers of a type some bytes are."""
    if not isinstance(raw, bytes) or dtype.dtype.hasobject or len(raw) % max(dtype.dtype.itemsize, 1):
        raise PickleError(f"an array whose content is no {dtype.dtype}")
    return len(raw) // max(dtype.dtype.itemsize, 1)


def _frombuffer(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    _numbers(raw, dtype)
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:  # noqa: ANN401 - a numpy scalar
    return _frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype, (1,), "C")[0]


_NUMPY: dict[str, Any] = {"dtype": _Dtype, "_frombuffer": _frombuffer, "scalar": _scalar}
