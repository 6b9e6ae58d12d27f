"""Numbers of texts against Python's own reading, word by word."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanoid.mocap import numbers

FORMATS = ("%f", "%.6g", "%.5e", "%g", "%.0f", "%.3f", "%+.4f", "%.8g", "%.12g", "%r")
SPACES = (" ", "  ", "\n", "\r\n", "\t", " \v\f ")

values = st.one_of(st.floats(-1e7, 1e7), st.floats(-1e-3, 1e-3), st.integers(-(10**9), 10**9).map(float))
words = st.tuples(st.sampled_from(FORMATS), values).map(lambda given: given[0] % given[1])
odd = st.sampled_from((".5", "-.25", "7.", "1e5", "-1.6201e-014", "nan", "-inf", "0", "-0", "+3", "00012"))


@given(st.lists(st.tuples(st.one_of(words, words, words, odd), st.sampled_from(SPACES)), min_size=1))
def test_any_notation(given: list[tuple[str, str]]) -> None:
    text = "".join(word + space for word, space in given).encode()
    want = np.array([float(word) for word, _ in given])
    np.testing.assert_allclose(numbers.parse(text), want, rtol=3e-16, atol=0)
    few = [len(word.strip("+-").replace(".", "")) <= 15 for word, _ in given]
    np.testing.assert_array_equal(numbers.parse(text)[few], want[few])


def test_many_blocks() -> None:
    want = np.random.default_rng(0).normal(size=100_000).round(5)
    text = " ".join(map(repr, want.tolist())).encode()
    assert len(text) > 3 * numbers.BLOCK
    np.testing.assert_array_equal(numbers.parse(text), want)


def test_nothing() -> None:
    assert numbers.parse(b"").shape == (0,) and numbers.parse(b" \n\t ").shape == (0,)


@pytest.mark.parametrize(
    "word", ("x", "1.2.3", ".", "-", "1..2", "1_0", "0x10", "1,5", "1e", "1\0", "--1", "1-2")
)
@pytest.mark.parametrize("frame", ("{}", "1.5 {} 2.5", "{}\n", " {} .5"))
def test_no_number(word: str, frame: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        numbers.parse(frame.format(word).encode())


def test_words_and_their_places() -> None:
    text = b"\nroot 1.5 -2 12345678901\r\n head\t7"
    tokens = numbers.scan(text)
    assert tokens is not None
    spans = zip(tokens.starts.tolist(), tokens.stops.tolist(), strict=True)
    assert [text[start:stop] for start, stop in spans] == text.split()
    assert [None if math.isnan(value) else value for value in tokens.values.tolist()] == [
        None, 1.5, -2.0, None, None, 7.0,
    ]  # fmt: skip
