"""The second half of a BVH file: how many frames, how long each, and their numbers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanoid.core.errors import InputError
from humanoid.mocap import numbers
from humanoid.mocap.checks import LARGEST

MOTION = re.compile(rb"^[ \t]*MOTION\b", re.MULTILINE | re.IGNORECASE)
"""Where the second half begins."""
_HEAD = re.compile(rb"\s*Frames\s*:\s*(\S+)\s+Frame\s+Time\s*:\s*(\S+)[ \t]*", re.IGNORECASE)
_SNAP = 1e-4
"""Relative distance from a whole number at which a rate is that number: times are written rounded."""

Table = NDArray[np.float64]


def read_motion(path: Path, data: bytes, start: int, columns: int) -> tuple[Table, float]:
    """Return the channels' values (T, C) and the frames per second.

    Args:
        path: the file, for messages.
        data: its content.
        start: place after the word ``MOTION``.
        columns: number C of channels.

    Raises:
        InputError: no such head, an impossible number of frames or time, and what
            :func:`read_table` refuses.
    """
    line = 1 + data.count(b"\n", 0, start)
    head = _HEAD.match(data, start)
    if head is None:
        raise InputError(f"{path}: line {line + 1}: expected 'Frames: N' and 'Frame Time: SECONDS'")
    line += data.count(b"\n", start, head.end())
    frames, step = (group.decode("utf-8", errors="replace")[:40] for group in head.groups())
    rows = int(frames) if frames.isdecimal() and len(frames) < 12 else 0
    if rows < 1:
        raise InputError(f"{path}: line {line}: 'Frames:' is {frames!r}; a whole number above 0 is needed")
    try:
        seconds = float(step)
    except ValueError:
        seconds = math.nan
    if not 1e-9 < seconds < math.inf:
        raise InputError(f"{path}: line {line}: 'Frame Time:' is {step!r}; seconds above 0 are needed")
    rate = 1.0 / seconds
    if abs(round(rate) - rate) < _SNAP * rate:
        rate = float(round(rate))
    return read_table(path, data[head.end() :], columns, rows, line), rate


def read_table(path: Path, text: bytes, columns: int, rows: int, line: int) -> Table:
    """Return the numbers (rows, columns) of a text with one row a line; blank lines are skipped.

    Nothing is allocated by what a file claims of itself: the words are counted first.

    Args:
        path: the file, for messages.
        text: the lines.
        columns: numbers that every row has to have.
        rows: rows that the text has to have.
        line: number of the text's first line in its file, for messages.

    Raises:
        InputError: a row of another length, another number of rows, what is no finite number.
    """
    words = _words_per_line(text)
    full = np.flatnonzero(words)
    bad = full[words[full] != columns]
    if len(bad):
        raise InputError(
            f"{path}: line {line + bad[0]}: {words[bad[0]]} numbers; expected one for each of the "
            f"{columns} channels (ragged or truncated?)"
        )
    if len(full) != rows:
        raise InputError(
            f"{path}: 'Frames:' says {rows}, but there are {len(full)} (truncated?); correct either"
        )
    try:
        values = numbers.parse(text)
    except ValueError:
        values = np.array([_number(word) for word in text.split()])
    wrong = np.flatnonzero(~(np.abs(values) <= LARGEST))  # also true of NaN
    if len(wrong):
        word = text.split(maxsplit=int(wrong[0]) + 1)[wrong[0]][:40].decode("utf-8", errors="replace")
        where = f"line {line + full[wrong[0] // columns]}, column {wrong[0] % columns + 1}"
        raise InputError(f"{path}: {where}: {word!r} is not a finite number of sensible size")
    return values.reshape(rows, columns)


def _words_per_line(text: bytes) -> NDArray[np.int64]:
    characters = np.frombuffer(b" " + text + b"\n", dtype=np.uint8)
    blank = ((characters - np.uint8(9)) < 5) | (characters == 32)
    starts = np.flatnonzero(blank[1:] < blank[:-1])
    return np.diff(np.searchsorted(starts, np.flatnonzero(characters == ord("\n"))), prepend=0)


def _number(word: bytes) -> float:
    try:
        return numbers.number(word)
    except ValueError:
        return math.nan
