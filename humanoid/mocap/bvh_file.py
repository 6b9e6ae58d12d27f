"""The two halves of a BVH file: the hierarchy of joints with their channels, and the table of motion."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanoid.core.errors import InputError
from humanoid.mocap.checks import LARGEST, MAX_JOINTS, parse_number, parse_rows

MAX_CHANNELS = 6
CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")
MOTION = re.compile(rb"^[ \t]*MOTION\b", re.MULTILINE | re.IGNORECASE)
"""Where the second half begins."""
_HEAD = re.compile(rb"\s*Frames\s*:\s*(\S+)\s+Frame\s+Time\s*:\s*(\S+)[ \t]*", re.IGNORECASE)
_SNAP = 1e-4
"""Relative distance from a whole number at which a rate is that number: times are written rounded."""

Table = NDArray[np.float64]
_LOWER = {name.lower(): name for name in CHANNELS}


@dataclass(kw_only=True)
class Joint:
    """A joint or the tip of a bone, as the file has it.

    Attributes:
        name: its name; that of an end site is its parent's with ``_end``.
        parent: index of its parent, -1 for the root.
        line: where it stands in the file.
        offset: position in its parent, the file's unit.
        channels: names of its channels, in order.
        first_column: column of the first channel.
    """

    name: str
    parent: int
    line: int
    offset: tuple[float, ...] = ()
    channels: tuple[str, ...] = ()
    first_column: int = 0

    @property
    def order(self) -> str:
        """Axes of the rotation channels, in order."""
        return "".join(name[0] for name in self.channels if name.endswith("rotation"))

    @property
    def rotation_columns(self) -> list[int]:
        """Columns of the rotation channels."""
        return [self.first_column + i for i, name in enumerate(self.channels) if name.endswith("rotation")]

    @property
    def position_columns(self) -> dict[int, int]:
        """Axis (0, 1, 2) -> column, of the position channels."""
        return {
            "XYZ".index(name[0]): self.first_column + i
            for i, name in enumerate(self.channels)
            if name.endswith("position")
        }


def read_hierarchy(path: Path, text: str) -> list[Joint]:
    """Return the joints, parents before children, end sites among them.

    Raises:
        InputError: what is no hierarchy of one root, with the line.
    """
    return _Parser(path, text).joints


@dataclass
class _Parser:
    """Reads words one after the other; ``open`` are the joints whose braces are open."""

    path: Path
    text: str
    line: int = 1
    joints: list[Joint] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    columns: int = 0

    def __post_init__(self) -> None:
        self.names: dict[str, int] = {}
        self.words = self._words()
        if self._next("HIERARCHY").lstrip("\ufeff").upper() != "HIERARCHY":
            raise self._error("the file does not start with 'HIERARCHY'")
        for word in self.words:
            self._statement(word)
        if self.open:
            raise self._error(f"'}}' of joint '{self.joints[self.open[-1]].name}' is missing (truncated?)")
        if not self.joints:
            raise self._error("no 'ROOT'")
        self._name_ends()

    def _words(self) -> Iterator[str]:
        for self.line, line in enumerate(self.text.split("\n"), start=1):  # noqa: B020
            yield from line.split()

    def _next(self, expected: str) -> str:
        word = next(self.words, None)
        if word is None:
            raise self._error(f"the hierarchy ends where {expected} should stand (truncated?)")
        return word

    def _error(self, message: str) -> InputError:
        return InputError(f"{self.path}: line {self.line}: {message}")

    def _statement(self, word: str) -> None:
        kind = word.upper()
        if kind in ("ROOT", "JOINT", "END"):
            self._begin(kind)
        elif kind == "}" and self.open:
            joint = self.joints[self.open.pop()]
            if not joint.offset:
                raise self._error(f"joint '{joint.name}' has no OFFSET")
        elif kind == "OFFSET" and self.open:
            self.joints[self.open[-1]].offset = tuple(self._number() for _ in range(3))
        elif kind == "CHANNELS" and self.open:
            self._channels(self.joints[self.open[-1]])
        else:
            raise self._error(
                f"'{word:.40}' is not expected here; allowed: ROOT, JOINT, End Site, OFFSET, CHANNELS, '}}'"
            )

    def _begin(self, kind: str) -> None:
        if kind == "ROOT" and self.joints:
            raise self._error("a second 'ROOT'; one skeleton a file is read")
        if kind != "ROOT" and not self.open:
            raise self._error(f"'{kind}' outside of a 'ROOT'")
        if len(self.joints) >= MAX_JOINTS:
            raise self._error(f"more than {MAX_JOINTS} joints")
        if self.open and self._is_end(self.joints[self.open[-1]]):
            raise self._error("an end site has no children")
        line, name = self.line, []
        while (word := self._next("'{'")) != "{":
            name.append(word.removesuffix("{"))
            if word.endswith("{"):
                break
        joint = Joint(name=" ".join(name), parent=self.open[-1] if self.open else -1, line=line)
        if kind == "END":
            joint.name = ""
        elif not name:
            raise self._error(f"'{kind}' without a name")
        elif joint.name in self.names:
            raise self._error(
                f"a second joint '{joint.name}', first in line {self.names[joint.name]}; rename one of them"
            )
        else:
            self.names[joint.name] = line
        self.open.append(len(self.joints))
        self.joints.append(joint)

    @staticmethod
    def _is_end(joint: Joint) -> bool:
        return not joint.name

    def _channels(self, joint: Joint) -> None:
        word = self._next("a number of channels")
        count = int(word) if word.isdecimal() and len(word) < 4 else -1
        if not 0 <= count <= MAX_CHANNELS or joint.channels or self._is_end(joint):
            raise self._error(
                f"'CHANNELS {word:.40}' of '{joint.name}'; 0 to {MAX_CHANNELS} are allowed, once a joint"
            )
        names = [self._next("a channel") for _ in range(count)]
        for name in names:
            if name.lower() not in _LOWER:
                raise self._error(f"channel '{name:.40}' is unknown; allowed: {', '.join(CHANNELS)}")
        joint.channels = tuple(_LOWER[name.lower()] for name in names)
        positions = [name for name in joint.channels if name.endswith("position")]
        if len(set(positions)) < len(positions):
            raise self._error(f"a position channel of '{joint.name}' stands twice")
        joint.first_column = self.columns
        self.columns += count

    def _number(self) -> float:
        word = self._next("a number")
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:
            raise self._error(f"'{word:.40}' is not a finite number of sensible size")
        return value

    def _name_ends(self) -> None:
        for joint in self.joints:
            if self._is_end(joint):
                first = name = f"{self.joints[joint.parent].name}_end"
                number = 2
                while name in self.names:
                    name, number = f"{first}{number}", number + 1
                joint.name = name
                self.names[name] = joint.line


def read_motion(path: Path, data: bytes, start: int, columns: int) -> tuple[Table, float]:
    """Return the channels' values (T, C) and the frame rate [1/s].

    Args:
        path: the file, for messages.
        data: its content.
        start: place after the word ``MOTION``.
        columns: number C of channels.

    Raises:
        InputError: no such head, an impossible number of frames or time, or an invalid table
            (:func:`read_table`).
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

    Args:
        path: the file, for messages.
        text: the lines.
        columns: numbers that every row has to have.
        rows: rows that the text has to have.
        line: number of the text's first line in its file, for messages.

    Raises:
        InputError: a row of another length, another number of rows, what is no finite number.
    """
    table = parse_rows(io.BytesIO(text), rows, columns)
    if table is not None and (np.abs(table) <= LARGEST).all():
        return table
    words = [(number, row.split()) for number, row in enumerate(text.split(b"\n"), line) if row.strip()]
    for number, row in words:
        if len(row) != columns:
            raise InputError(
                f"{path}: line {number}: {len(row)} numbers; expected one for each of the {columns} channels "
                "(ragged or truncated?)"
            )
    if len(words) != rows:
        raise InputError(f"{path}: 'Frames: {rows}', but there are {len(words)} (truncated?); correct either")
    for number, row in words:
        for column, word in enumerate(row, 1):
            if not abs(parse_number(word)) <= LARGEST:  # also true of NaN
                shown = word[:40].decode("utf-8", errors="replace")
                where = f"line {number}, column {column}"
                raise InputError(f"{path}: {where}: {shown!r} is not a finite number of sensible size")
    return np.array([[parse_number(word) for word in row] for _, row in words])
