"""Damage to small valid files, as hypothesis strategies.

Most of it is mild, so that a good part of what comes out is still valid: a loader that
refuses everything passes no test.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
ODD_NUMBERS = (
    b"nan", b"-inf", b"1e400", b"1e30", b"-1e7", b"999999999999", b"1000000000", b"-1", b"0", b"1",
    b"1e-300", b"0.0001", b"1_0", b"0x1F", b"--1", b"1.2.3", b".5", b"5.", b"9" * 5000, b"1,5", b"1e",
)  # fmt: skip
GARBAGE = (
    b"\x00",
    b"\xff\xfe",
    b"\xc3",
    b"{",
    b"}",
    b"\x85",
    b"\n",
    b"\r",
    b" ",
    b":",
    b"#",
    b"\xe2\x80\xa8",
)


@st.composite
def mutants(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return a damaged copy of a valid text file."""
    data = valid
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        # a small change of a number is listed often: it is what should still load
        step = draw(st.sampled_from((nudge,) * 6 + (replace, line, line, swap, truncate, garbage, byte)))
        data = step(draw, data)
    return data


@st.composite
def mutants_of_bytes(draw: st.DrawFn, valid: bytes) -> bytes:
    """Return a damaged copy of a valid binary file."""
    data = valid
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 4)))):
        data = draw(st.sampled_from((byte, byte, byte, byte, truncate, garbage)))(draw, data)
    return data


def nudge(draw: st.DrawFn, data: bytes) -> bytes:
    """Change a number a little."""
    found = _pick(draw, list(NUMBER.finditer(data)))
    if found is None:
        return data
    text = found.group()
    change = draw(st.floats(-2, 2, allow_nan=False))
    number = f"{float(text) + change:.6g}".encode() if len(text) < 20 else b"1"
    return data[: found.start()] + number + data[found.end() :]


def replace(draw: st.DrawFn, data: bytes) -> bytes:
    """Put something odd where a number is."""
    found = _pick(draw, list(NUMBER.finditer(data)))
    if found is None:
        return data
    return data[: found.start()] + draw(st.sampled_from(ODD_NUMBERS)) + data[found.end() :]


def line(draw: st.DrawFn, data: bytes) -> bytes:
    """Drop, repeat or move a line."""
    lines = data.split(b"\n")
    source, goal = draw(_index(lines)), draw(_index(lines))
    match draw(st.sampled_from(("drop", "repeat", "move"))):
        case "drop":
            del lines[source]
        case "repeat":
            lines.insert(source, lines[source])
        case _:
            lines.insert(goal, lines.pop(source))
    return b"\n".join(lines)


def swap(draw: st.DrawFn, data: bytes) -> bytes:
    """Exchange two words."""
    words = list(re.finditer(rb"\S+", data))
    if len(words) < 2:
        return data
    a, b = sorted((draw(_index(words)), draw(_index(words))))
    if a == b:
        return data
    first, second = words[a], words[b]
    between = data[first.end() : second.start()]
    return data[: first.start()] + second.group() + between + first.group() + data[second.end() :]


def truncate(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut the end off, often only a little."""
    most = draw(st.sampled_from((3, 30, len(data))))
    return data[: max(0, len(data) - draw(st.integers(0, most)))]


def garbage(draw: st.DrawFn, data: bytes) -> bytes:
    """Insert bytes that do not belong there."""
    place = draw(st.integers(0, len(data)))
    return data[:place] + draw(st.sampled_from(GARBAGE)) * draw(st.sampled_from((1, 1, 40))) + data[place:]


def byte(draw: st.DrawFn, data: bytes) -> bytes:
    """Change one byte."""
    if not data:
        return data
    place = draw(st.integers(0, len(data) - 1))
    return data[:place] + bytes((draw(st.integers(0, 255)),)) + data[place + 1 :]


def _pick(draw: st.DrawFn, found: list[re.Match[bytes]]) -> re.Match[bytes] | None:
    return found[draw(_index(found))] if found else None


def _index(items: list) -> st.SearchStrategy[int]:
    return st.integers(0, len(items) - 1)
