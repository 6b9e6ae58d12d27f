"""Plain data come back as the ordinary reader gives them; nothing else is ever called."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanoid.core.io import PickleError, Record, load_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(PLAIN, st.integers(3, 5))
def test_plain_data_as_the_ordinary_reader_has_them(value: Any, protocol: int) -> None:
    assert load_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["<f4", ">f8", "i4", "u1", "?", "U5", "S3"])
def test_arrays(protocol: int, kind: str) -> None:
    for array in (np.arange(6).reshape(2, 3).astype(kind), np.asfortranarray(np.ones((2, 3), kind))):
        data = pickle.dumps({"a": array, "again": [array], "one": array[0, 0]}, protocol)
        held, ordinary = load_pickle(data), pickle.loads(data)
        assert isinstance(held, dict)
        assert held["a"].dtype == ordinary["a"].dtype and held["again"][0] is held["a"]
        np.testing.assert_array_equal(held["a"], array)
        assert held["one"] == array[0, 0]


def test_objects_in_an_array_and_ordered_dicts() -> None:
    held = load_pickle(pickle.dumps(np.array(OrderedDict(a=[1, 2], b=np.zeros(3)), dtype=object)))
    assert isinstance(held, np.ndarray) and held.shape == ()
    assert held.item()["a"] == [1, 2]
    assert len(held.item()["b"]) == 3


class _Bomb:
    """Leaves a folder behind when it is unpickled the ordinary way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    data = pickle.dumps({"a": _Bomb(mark)}, protocol)
    with pytest.raises(PickleError, match="mkdir"):
        load_pickle(data)
    held = load_pickle(data, foreign=lambda _: True)
    assert isinstance(held, dict)
    assert isinstance(held["a"], Record)
    assert held["a"].origin.endswith(".mkdir") and held["a"].args == (str(mark),)
    assert not mark.exists()


def _numpy(name: bytes) -> bytes:
    return b"cnumpy.core.multiarray\n" + name + b"\n"


_CONTENT = b"tcnumpy\ndtype\n(S'f8'\ntRI00\nS'abc'\ntb."
HOSTILE = {
    "nothing": b"",
    "no end": pickle.dumps([1, 2])[:-1],
    "text": b"hello, world\n",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 10**15) + b"x.",
    "long bytearray": b"\x80\x05\x96" + struct.pack("<Q", 10**15) + b"x.",
    "long number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "huge ndarray": _numpy(b"ndarray") + b"(I1000000000000\ntR.N0",
    "huge array": _numpy(b"_reconstruct") + b"(tR(I1\n(I1000000000\n" + _CONTENT,
    "negative": _numpy(b"_reconstruct") + b"(tR(I1\n(I-1\nI-3\n" + _CONTENT,
    "dtype of code": b"cnumpy\ndtype\n(S'V8000000000'\ntR.",
    "state of a list": b"]}b.",
    "state of a class": b"ccollections\nOrderedDict\nN}S'a'\nI1\ns\x86b.(((",
    "call of a text": b"S'os'\n)R.",
    "empty stack": b"0000.",
    "no mark": b"t.",
    "unknown memo": b"j\xff\xff\xff\x7f.",
    "key": b"}](I1\ntI2\ns.",
    "eval": b"c__builtin__\neval\n(S'1'\ntR.",
    "getattr": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x12_reconstruct.__init__\x93.",
    "extension": b"\x82\x01.",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_damaged_and_hostile_pickles_are_refused(case: str) -> None:
    if case == "huge ndarray":  # without its content it takes no memory
        held = load_pickle(HOSTILE[case])
        assert isinstance(held, np.ndarray) and held.size == 0
        return
    with pytest.raises(PickleError):
        load_pickle(HOSTILE[case])


def test_sparse_memo_takes_no_memory() -> None:
    assert load_pickle(b"I7\nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") == 7


def test_copies_are_bounded() -> None:
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x000"
    call = b"c_codecs\nencode\nh\x00\x85R"
    with pytest.raises(PickleError, match="grows"):
        load_pickle(text + call * 50 + b".")


def test_opcodes_are_counted() -> None:
    with pytest.raises(PickleError, match="opcodes"):
        load_pickle(b"N0" * 1000 + b"N.", max_opcodes=100)


def test_classes_keep_their_attributes() -> None:
    """A state of two parts sets attributes: never those of a stand-in's class."""
    pair = b"N}\x8c\x0c__setstate__\x8c\x05dtypes\x86b."
    for name in (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"ccollections\nOrderedDict\n", b"cmy\nown\n"):
        with pytest.raises(PickleError):
            load_pickle(name + pair, foreign=lambda _: True)
    test_objects_in_an_array_and_ordered_dicts()


@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_damage_is_an_error_or_data(junk: bytes, place: int, cut: bool) -> None:
    data = pickle.dumps(OrderedDict(a=np.arange(5.0), b=["x", {"y": 1.5}], c=(1, None)), 2)
    place %= len(data)
    broken = data[:place] + junk + (b"" if cut else data[place + len(junk) :])
    for foreign in (None, lambda _: True):
        try:
            load_pickle(broken, foreign)
        except PickleError:
            continue
