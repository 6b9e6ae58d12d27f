"""Decimal numbers in text, many at once.

Captures are mostly text, and turning text into floats is most of the time of loading them.
Here a block of text is cut into runs of characters and eight digits of every run are read
by integer arithmetic on one 64-bit word (Lemire 2022, "Parsing series of integers with
SIMD"; the three steps are those of ``parse_eight_digits_unrolled`` of simdjson), which
takes a quarter of the time of one call of ``strtod`` a number and, up to 15 digits, rounds as
it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 17
"""[bytes] Text that is best scanned at once: what is computed from it stays in the cache."""
WORD = 8
"""[bytes] Characters that are looked at together."""
_POWERS = 10.0 ** np.arange(23)
"""Those that a float holds exactly, so that dividing by them rounds once."""
KEEP = np.array([(1 << 64) - (1 << 8 * (WORD - count)) for count in range(WORD + 1)], np.uint64)
"""The last characters of a word, by their count."""
_DOT, _PLUS, _MINUS, _E = b".+-e"
_SPACE = re.compile(rb"\s")


class Tokens(NamedTuple):
    """The words of a block of text: ``starts`` and ``stops (N,)`` in it, ``values (N,)``.

    A value is NaN where the word is no plain decimal of at most eight digits on either side
    of the point; :func:`read` reads those that are numbers in another notation.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    values: NDArray[np.float64]


def number(word: bytes) -> float:
    """Return a number in any notation; also NaN and infinity.

    Raises:
        ValueError: it is none.
    """
    if b"_" in word:  # Python's own notation, in a capture a damaged byte
        raise ValueError(f"could not convert {word!r}")
    return float(word)


def parse(text: bytes) -> NDArray[np.float64]:
    """Return every number of a text that holds nothing else, separated by white space.

    Raises:
        ValueError: a word is no number.
    """
    parts, starts, stops = [np.zeros(0)], [], []
    for part in blocks(text):
        tokens = scan(text[part])
        if tokens is None:
            return np.array([number(word) for word in text.split()])
        left = np.isnan(tokens.values)
        parts.append(tokens.values)
        starts.append(tokens.starts[left] + part.start)
        stops.append(tokens.stops[left] + part.start)
    values = np.concatenate(parts)
    if len(values):
        values[np.isnan(values)] = read(text, np.concatenate(starts), np.concatenate(stops))
    return values


def blocks(text: bytes, size: int = BLOCK) -> Iterable[slice]:
    """Yield the slices of at least ``size`` bytes of a text, cut between words."""
    start = 0
    while start < len(text):
        stop = cut(text, start + size)
        yield slice(start, stop)
        start = stop


def cut(text: bytes, after: int) -> int:
    """Return the first place at or after ``after`` where white space or the end is."""
    found = _SPACE.search(text, after)
    return found.start() if found else len(text)


def scan(text: bytes) -> Tokens | None:
    """Cut a block of text into words and read the plain decimals among them.

    Returns:
        The words, or None where a point stands before or after anything but a digit,
        a case that is left to :func:`number`.
    """
    padded = b" " * WORD + text + b" "
    buffer = np.frombuffer(padded, np.uint8)
    dot = buffer == _DOT
    gap = ((buffer - np.uint8(9)) < 5) | (buffer == 32) | dot
    if (dot[1:] & gap[:-1]).any() or (dot[:-1] & gap[1:]).any():
        return None
    edges = np.flatnonzero(gap[1:] != gap[:-1]) + 1
    if not len(edges):
        return Tokens(edges, edges, np.zeros(0))
    starts, stops = edges[0::2], edges[1::2]
    fraction = dot.take(starts - 1)
    if (fraction[1:] & fraction[:-1]).any():
        return None
    first = buffer.take(starts)
    negative = first == _MINUS
    digits = stops - starts - ((negative | (first == _PLUS)) & ~fraction)
    runs = _digits(words_before(padded).take(stops - WORD), digits)

    whole = np.flatnonzero(~fraction)
    last = np.append(whole[1:], len(starts)) - 1  # the run after the point, or the same again
    scale = _POWERS.take(np.minimum(digits, WORD).take(last) * (last != whole))
    values = runs.take(whole) * scale
    values += runs.take(last) * (last != whole)
    values /= scale
    np.negative(values, out=values, where=negative.take(whole))
    return Tokens(starts.take(whole) - WORD, stops.take(last) - WORD, values)


def words_before(text: bytes) -> NDArray[np.uint64]:
    """Return the 8 bytes that end before each place of a text from the eighth on, as one word."""
    return np.ndarray(max(len(text) - WORD + 1, 0), "<u8", text, strides=(1,))


def _digits(words: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the number that the last ``count`` characters of each word are, NaN for none."""
    d = (words ^ np.uint64(0x3030303030303030)) & KEEP.take(count, mode="clip")
    over = ((d + np.uint64(0x7676767676767676)) | d) & np.uint64(0x8080808080808080)
    d = d * np.uint64(10) + (d >> np.uint64(8))
    pairs = np.uint64(0x000000FF000000FF)
    high, low = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
    d = ((d & pairs) * high + ((d >> np.uint64(16)) & pairs) * low) >> np.uint64(32)
    values = d.astype(np.float64)
    values[(over != 0) | (count < 1) | (count > WORD)] = np.nan
    return values


def read(text: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the numbers in any notation at these places of a text: what :func:`scan` left open.

    Raises:
        ValueError: a word is no number.
    """
    values = _small(text, starts, stops)
    left = np.isnan(values)
    spans = zip(starts[left].tolist(), stops[left].tolist(), strict=True)
    values[left] = [number(text[start:stop]) for start, stop in spans]
    return values


def _small(text: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the numbers that are written like ``-1.6201e-014``, NaN for any other."""
    padded = b" " * (2 * WORD) + text + b" " * WORD
    buffer, words = np.frombuffer(padded, np.uint8), words_before(padded)
    begin, end = starts + 2 * WORD, stops + WORD  # of a word of letters: where it starts
    mark = stops + 2 * WORD - 4
    mark -= buffer.take(mark) != _E  # exponents have two digits or three
    negative = buffer.take(begin) == _MINUS
    point = begin + negative + 1
    places = mark - point - 1
    first = _digits(words.take(point - WORD), np.ones_like(point))
    fraction = _digits(words.take(mark - WORD), places)
    power = places + _digits(words.take(end), end + WORD - mark - 2)
    like = (buffer.take(mark) == _E) & (buffer.take(mark + 1) == _MINUS) & (buffer.take(point) == _DOT)
    like &= power < len(_POWERS)  # false for NaN
    scale = _POWERS.take(np.where(like, power, 0).astype(np.int64))
    values = (first * _POWERS.take(places, mode="clip") + fraction) / scale
    np.negative(values, out=values, where=negative)
    return np.where(like, values, np.nan)
