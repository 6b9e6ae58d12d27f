"""What a pickle says, read without running anything that it names.

A small stack machine for the part of the pickle language that plain data needs. Lists,
dicts, tuples, numbers, texts and numpy arrays are built here by hand; a class or function
that the file names is never looked up, imported or called. What an array claims about its
size is compared with the bytes that are there before memory is taken. The opcodes and their
arguments are those that Python's :mod:`pickletools` documents.
"""

from __future__ import annotations

import codecs
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_OPCODES = 5_000_000
"""More than any table of motion or body model has, few enough to be read in seconds."""
MAX_DIMS = 8
_GROWTH = 4
"""How many times the length of the pickle may be copied while it is read."""
_DTYPE = re.compile(r"[<>|=]?([?]|b1|[biuf][1248]|f16|[SU]\d{1,9}|O8?)")
_KEYS = (str, bytes, int, float, type(None), np.generic)
_ORDERED = {"collections.OrderedDict", "builtins.dict", "__builtin__.dict"}

Value = Any
"""Whatever a pickle holds."""


class PickleError(ValueError):
    """The bytes are no pickle, a damaged one, or one of more than plain data."""


@dataclass
class Record:
    """Stands for an object of a foreign class, or for the class itself.

    Attributes:
        origin: dotted name of the class or function; "persistent" for a persistent id.
        args: what it would have been called with.
        state: what would have been its attributes, if the pickle says so.
    """

    origin: str
    args: tuple[Any, ...] = ()
    state: Any = field(default_factory=dict)


@dataclass
class _Blank:
    """An array or dtype before its state has come; ``keys`` are its places in the memo."""

    dtype: np.dtype | None = None
    keys: list[int] = field(default_factory=list)


_MARK = object()
Inline = Callable[[Record, Callable[[int], bytes]], Any]
"""Given a record and what takes the next bytes of the file, returns what stands for it."""


def loads(data: bytes, foreign: Callable[[str], bool] | None = None, inline: Inline | None = None) -> object:
    """Return what a pickle holds, with a :class:`Record` for every foreign object.

    Args:
        data: the bytes; anything after the end of the pickle is ignored.
        foreign: which dotted names may stand in the file; none but numpy's arrays and
            ``OrderedDict`` if not given.
        inline: called with every record that has got its state; what it returns takes the
            record's place. joblib writes arrays between the opcodes, behind such a record.

    Raises:
        PickleError: damaged, too large, or a name that is not allowed.
    """
    try:
        return _Machine(data, foreign or (lambda _: False), inline).run()
    except PickleError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error) as error:
        raise PickleError(f"damaged pickle: {type(error).__name__}: {error}") from error


class _Machine:
    """The stack machine."""

    def __init__(self, data: bytes, foreign: Callable[[str], bool], inline: Inline | None) -> None:
        self.data, self.place, self.foreign, self.inline = data, 0, foreign, inline
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = _GROWTH * len(data) + 4096

    def run(self) -> Value:
        """Execute opcodes until STOP and return the top of the stack."""
        for _ in range(MAX_OPCODES):
            code = self.take(1)
            if code == b".":
                return self.stack[-1]
            step = _STEPS.get(code)
            if step is None:
                raise PickleError(f"byte {self.place - 1}: opcode {code!r} is not one of plain data")
            step(self)
        raise PickleError(f"more than {MAX_OPCODES} opcodes")

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        if count < 0 or count > len(self.data) - self.place:
            raise PickleError(f"byte {self.place}: the pickle ends too early")
        self.place += count
        return self.data[self.place - count : self.place]

    def line(self) -> bytes:
        """Return the bytes up to the end of the line."""
        end = self.data.find(b"\n", self.place)
        if end < 0:
            raise PickleError(f"byte {self.place}: the pickle ends too early")
        return self.take(end + 1 - self.place)[:-1]

    def number(self, kind: str) -> int:
        """Return a number of a :mod:`struct` format."""
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def spend(self, size: int) -> None:
        """Take ``size`` bytes off what may be copied."""
        self.budget -= size
        if self.budget < 0:
            raise PickleError("grows far beyond its own length")

    def push(self, value: Value) -> None:
        self.stack.append(value)

    def pop(self) -> Value:
        value = self.stack.pop()
        if value is _MARK:
            raise PickleError(f"byte {self.place}: nothing to take from the stack")
        return value

    def to_mark(self) -> list[Any]:
        """Take everything above the last mark."""
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                items = self.stack[start + 1 :]
                del self.stack[start:]
                return items
        raise PickleError(f"byte {self.place}: no mark on the stack")

    def store(self, key: int) -> None:
        value = self.memo[key] = self.stack[-1]
        if isinstance(value, _Blank):
            value.keys.append(key)

    def named(self, module: str, name: str) -> Record:
        """Return the record of a name; refuse one that is not allowed."""
        origin = f"{module}.{name}"
        if _known(origin) is None and not self.foreign(origin):
            raise PickleError(f"names '{origin:.80}', which is refused; nothing was executed")
        return Record(origin)

    def call(self, function: Value, args: Value) -> Value:
        """Return what stands for ``function(*args)``."""
        if not isinstance(function, Record) or not isinstance(args, tuple):
            raise PickleError(f"byte {self.place}: calls what is no class")
        known = _known(function.origin)
        if known is not None:
            return known(self, *args)
        if function.origin in ("copy_reg._reconstructor", "copyreg._reconstructor"):
            return Record(args[0].origin)
        return Record(function.origin, args)

    def build(self) -> None:
        """Give an array, a dtype or a record its state."""
        state, target = self.pop(), self.pop()
        if isinstance(target, _Blank):
            made = self.array(*state[-4:]) if target.dtype is None else _ordered(target.dtype, state)
            for key in target.keys:
                self.memo[key] = made
            target = made
        elif isinstance(target, Record):
            target.state = state
            target = target if self.inline is None else self.inline(target, self.take)
        else:
            raise PickleError(f"byte {self.place}: sets the state of a {type(target).__name__}")
        self.push(target)

    def array(self, shape: Value, dtype: Value, fortran: Value, content: Value) -> np.ndarray:
        """Return an array that views its bytes, if they are as many as it claims."""
        dtype = dtype.dtype if isinstance(dtype, _Blank) else dtype
        if not isinstance(shape, tuple) or not isinstance(dtype, np.dtype) or len(shape) > MAX_DIMS:
            raise PickleError("an array without shape or type")
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise PickleError(f"an array of shape {shape}"[:80])
        count = math.prod(shape)
        if dtype.hasobject:
            if not isinstance(content, list) or len(content) != count:
                raise PickleError("an array of objects that are not there")
            self.spend(8 * count)
            boxes = np.empty(count, dtype=object)
            for place, item in enumerate(content):  # at once, numpy would look into lists
                boxes[place] = item
            return boxes.reshape(shape, order="F" if fortran else "C")
        raw = content.encode("latin1") if isinstance(content, str) else content
        if not isinstance(raw, bytes) or len(raw) != count * dtype.itemsize:
            have = len(raw) if isinstance(raw, bytes) else 0
            raise PickleError(f"an array claims {count} numbers of {dtype} in {have} bytes")
        if raw is not content:
            self.spend(len(raw))
        if not count or not dtype.itemsize:
            return np.zeros(shape, dtype) if dtype.itemsize else np.zeros(0, dtype)
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")

    def put_items(self, target: Value, items: list[Any]) -> None:
        """Put keys and values into a dict; a foreign container ignores them."""
        if isinstance(target, Record):
            return
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleError(f"byte {self.place}: sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise PickleError(f"byte {self.place}: a {type(key).__name__} as a key")
            target[key] = value

    def add(self, target: Value, items: list[Any]) -> None:
        """Append to a list; a foreign container ignores it."""
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Record):
            raise PickleError(f"byte {self.place}: appends to a {type(target).__name__}")


def _ordered(dtype: np.dtype, state: Value) -> np.dtype:
    order = state[1]
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype


def _known(origin: str) -> Callable[..., Any] | None:
    """Return the stand-in for one of numpy's or Python's constructors of plain data."""
    if origin in _ORDERED:
        return _pairs
    if origin == "_codecs.encode":
        return _encode
    top, _, name = origin.partition(".")
    return _NUMPY.get(name.rpartition(".")[2]) if top == "numpy" else None


def _pairs(machine: _Machine, pairs: Value = ()) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    machine.put_items(made, [value for pair in pairs for value in pair])
    return made


def _encode(machine: _Machine, text: str, *_: object) -> bytes:
    machine.spend(len(text))
    return text.encode("latin1")


def _dtype(_: _Machine, text: str, *__: object) -> _Blank:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise PickleError(f"an array of type {text!r:.40}")
    return _Blank(np.dtype("O") if "O" in text else np.dtype(text))


def _frombuffer(machine: _Machine, raw: Value, dtype: Value, shape: Value, order: str) -> np.ndarray:
    return machine.array(shape, dtype, order == "F", raw)


def _scalar(machine: _Machine, dtype: Value, raw: Value = b"") -> Value:
    return machine.array((1,), dtype, False, raw)[0]


def _array(_: _Machine, *__: object) -> _Blank:
    return _Blank()


_NUMPY = {
    "ndarray": _array, "_reconstruct": _array, "dtype": _dtype, "_frombuffer": _frombuffer, "scalar": _scalar,
}  # fmt: skip


def _text_int(m: _Machine) -> Value:
    text = m.line()
    return {b"00": False, b"01": True}.get(text) if text in (b"00", b"01") else int(text.rstrip(b"L"))


def _quoted(m: _Machine) -> str:
    text = m.line()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in b"\"'":
        raise PickleError(f"byte {m.place}: a text without quotes")
    m.spend(len(text))
    return codecs.escape_decode(text[1:-1])[0].decode("latin1")  # pyright: ignore[reportAttributeAccessIssue]


def _unicode(m: _Machine, kind: str) -> str:
    return m.take(m.number(kind)).decode("utf-8", "surrogatepass")


def _tuple(count: int) -> Callable[[_Machine], None]:
    def step(m: _Machine) -> None:
        items = [m.pop() for _ in range(count)]
        m.push(tuple(reversed(items)))

    return step


def _pushing(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.push(value(m))


def _stack_global(m: _Machine) -> Record:
    name, module = m.pop(), m.pop()
    return m.named(str(module), str(name))


def _reduce(m: _Machine) -> Value:
    args, function = m.pop(), m.pop()
    return m.call(function, args)


def _inst(m: _Machine) -> Value:
    module, name = m.line().decode(), m.line().decode()
    return m.call(m.named(module, name), tuple(m.to_mark()))


def _obj(m: _Machine) -> Value:
    function, *args = m.to_mark()
    return m.call(function, tuple(args))


def _setitem(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.put_items(m.stack[-1], [key, value])


def _appending(m: _Machine) -> None:
    value = m.pop()
    m.add(m.stack[-1], [value])


def _setitems(m: _Machine) -> None:
    items = m.to_mark()
    m.put_items(m.stack[-1], items)


def _appends(m: _Machine) -> None:
    items = m.to_mark()
    m.add(m.stack[-1], items)


_PUSHES: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda m: None, b"\x88": lambda m: True, b"\x89": lambda m: False, b"(": lambda m: _MARK,
    b"I": _text_int, b"L": _text_int, b"J": lambda m: m.number("<i"), b"K": lambda m: m.number("B"),
    b"M": lambda m: m.number("<H"), b"F": lambda m: float(m.line()), b"G": lambda m: m.number(">d"),
    b"\x8a": lambda m: int.from_bytes(m.take(m.number("B")), "little", signed=True),
    b"S": _quoted, b"T": lambda m: m.take(m.number("<i")).decode("latin1"),
    b"U": lambda m: m.take(m.number("B")).decode("latin1"),
    b"V": lambda m: m.line().decode("raw-unicode-escape"), b"X": lambda m: _unicode(m, "<I"),
    b"\x8c": lambda m: _unicode(m, "B"), b"\x8d": lambda m: _unicode(m, "<Q"),
    b"C": lambda m: m.take(m.number("B")), b"B": lambda m: m.take(m.number("<I")),
    b"\x8e": lambda m: m.take(m.number("<Q")), b"\x96": lambda m: m.take(m.number("<Q")),
    b"]": lambda m: [], b"}": lambda m: {}, b")": lambda m: (), b"l": lambda m: m.to_mark(),
    b"t": lambda m: tuple(m.to_mark()), b"d": lambda m: _from_mark(m),
    b"c": lambda m: m.named(m.line().decode(), m.line().decode()), b"\x93": _stack_global,
    b"R": _reduce, b"\x81": _reduce, b"i": _inst, b"o": _obj,
    b"g": lambda m: m.memo[int(m.line())], b"h": lambda m: m.memo[m.number("B")],
    b"j": lambda m: m.memo[m.number("<I")], b"2": lambda m: m.stack[-1],
    b"P": lambda m: Record("persistent", (m.line().decode(),)),
    b"Q": lambda m: Record("persistent", (m.pop(),)),
}  # fmt: skip
"""Opcodes that push one value."""


def _from_mark(m: _Machine) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    m.put_items(made, m.to_mark())
    return made


_STEPS: dict[bytes, Callable[[_Machine], Any]] = {
    **{code: _pushing(value) for code, value in _PUSHES.items()},
    b"\x80": lambda m: m.take(1), b"\x95": lambda m: m.take(8),
    b"0": lambda m: m.stack.pop(), b"1": lambda m: m.to_mark(),
    b"\x85": _tuple(1), b"\x86": _tuple(2), b"\x87": _tuple(3),
    b"a": _appending, b"e": _appends, b"s": _setitem, b"u": _setitems, b"b": _Machine.build,
    b"p": lambda m: m.store(int(m.line())), b"q": lambda m: m.store(m.number("B")),
    b"r": lambda m: m.store(m.number("<I")), b"\x94": lambda m: m.store(len(m.memo)),
}  # fmt: skip
