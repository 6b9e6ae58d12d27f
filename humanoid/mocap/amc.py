"""The motion file of the Acclaim format.

After a few directives (``:FULLY-SPECIFIED``, ``:DEGREES``) every frame is its number on a
line of its own and one line a bone: the name and one number a degree of freedom, in the
order of the skeleton file. Files are written by programs, so in nearly all of them every
frame has the same bones in the same order: such a file is read as one table. Any other is
read line by line, which also finds the line that is at fault.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanoid.core.errors import InputError, nearest
from humanoid.core.io import read_bytes
from humanoid.mocap.asf import ROOT
from humanoid.mocap.checks import LARGEST, parse_number, parse_rows

_ANGLES = {"degrees": math.radians(1.0), "radians": 1.0}
_DIGITS = 12
"""Most digits of a frame number."""


@dataclass(frozen=True, kw_only=True)
class AmcMotion:
    """Content of a motion file.

    Attributes:
        values: (T, dofs) of each bone of the file, in the file's units.
        angle: [rad] unit of angle, 0 where the file names none.
        fps: frames per second, 0 where the file names none, as most.
    """

    values: dict[str, NDArray[np.float64]]
    angle: float
    fps: float


@dataclass(frozen=True, kw_only=True)
class _Body:
    """Frames of a file: their text, and the layout of the first."""

    text: bytes
    start: int
    line: int
    bones: list[str]
    columns: list[int]


def read(path: Path, dofs: Mapping[str, int]) -> AmcMotion:
    """Read a motion file.

    Args:
        path: the file.
        dofs: number of degrees of freedom of each bone of the skeleton.

    Raises:
        InputError: missing, truncated or no motion file; frames that are not consecutive or
            do not name the same bones; a bone that the skeleton has not; a wrong count of
            numbers; a number that is not finite or absurdly large.
    """
    text = read_bytes(path)
    angle, fps, start, line = _header(path, text)
    bones = _first_frame(text, start)
    columns = [dofs.get(bone, -1) for bone in bones]
    body = _Body(text=text, start=start, line=line, bones=bones, columns=columns)
    table = _table(body)
    if table is None:
        bones, table = _line_by_line(path, body, dofs)
    ends = np.cumsum([dofs[bone] for bone in bones])
    values = dict(zip(bones, np.split(table, ends[:-1], axis=1), strict=True))
    return AmcMotion(values=values, angle=angle, fps=fps)


def _lines(text: bytes, start: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the start and the words of every line."""
    while start < len(text):
        stop = text.find(b"\n", start)
        stop = len(text) if stop < 0 else stop
        yield start, text[start:stop].split()
        start = stop + 1


def _is_frame(words: list[bytes]) -> bool:
    return len(words) == 1 and words[0].isdigit() and len(words[0]) <= _DIGITS


def _is_remark(words: list[bytes]) -> bool:
    return not words or words[0].startswith((b"#", b":"))


def _header(path: Path, text: bytes) -> tuple[float, float, int, int]:
    """Return unit of angle [rad], rate [1/s], and start and number of the first frame's line."""
    angle, fps = 0.0, 0.0
    number = 0
    for number, (start, words) in enumerate(_lines(text, 0), 1):
        if _is_frame(words):
            return angle, fps, start, number
        if not _is_remark(words):
            shown = _shown(words[0])
            raise InputError(f"{path}: line {number}: frame number expected, found {shown}")
        directive = words[0][1:].decode("ascii", "replace").lower() if words else ""
        angle = _ANGLES.get(directive, angle)
        if directive == "samples-per-second":
            fps = _values(path, number, words, 1)[0]
    raise InputError(f"{path}: line {number}: the file ends before its first frame")


def _first_frame(text: bytes, start: int) -> list[str]:
    """Return the bones of the frame whose number is at ``start``."""
    bones = []
    for index, (_, words) in enumerate(_lines(text, start)):
        if index and _is_frame(words):
            break
        if index and not _is_remark(words):
            bones.append(_name(words[0]))
    return bones


def _table(body: _Body) -> NDArray[np.float64] | None:
    """Return all frames (T, numbers), or None where they are not all like the first."""
    if min(body.columns, default=-1) < 1 or len(set(body.bones)) < len(body.bones) or ROOT not in body.bones:
        return None
    lines = body.text[body.start :].decode("utf-8", errors="replace").rstrip().split("\n")
    frames, rest = divmod(len(lines), 1 + len(body.bones))
    if rest:
        return None
    parts = []
    for index, (bone, count) in enumerate(zip(("", *body.bones), (1, *body.columns), strict=True)):
        start = f"{bone} " if bone else ""
        rows = lines[index :: 1 + len(body.bones)]
        part = parse_rows([row[len(start) :] for row in rows], frames, count)
        if part is None or not all(row.startswith(start) for row in rows):
            return None
        parts.append(part)
    table = np.concatenate(parts, axis=1)
    regular = np.abs(table).max() <= LARGEST and (np.diff(table[:, 0]) == 1).all()
    return table[:, 1:] if regular else None


def _line_by_line(path: Path, body: _Body, dofs: Mapping[str, int]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the bones and all frames (T, numbers) of a file in no regular layout."""
    flat = array("d")
    bones: list[str] = []
    frame: dict[str, list[float]] = {}
    frame_line, first, last = body.line, 0, -1
    line = body.line - 1
    for line, (_, words) in enumerate(_lines(body.text, body.start), body.line):
        if _is_remark(words):
            continue
        if not _is_frame(words):
            _take(path, line, words, frame, dofs)
            continue
        if line > body.line:
            bones = bones or list(frame)
            _append(path, frame_line, last, frame, bones, flat)
            if int(words[0]) != last + 1:
                raise InputError(f"{path}: line {line}: frame {int(words[0])} follows frame {last}")
        frame, frame_line, last = {}, line, int(words[0])
        first = last if line == body.line else first
    bones = bones or list(frame)
    _append(path, frame_line, last, frame, bones, flat)
    return bones, np.array(flat).reshape(last - first + 1, sum(dofs[bone] for bone in bones))


def _take(
    path: Path, line: int, words: list[bytes], frame: dict[str, list[float]], dofs: Mapping[str, int]
) -> None:
    """Take one line of a bone."""
    name = _name(words[0])
    if name not in dofs:
        hint = nearest(name[:40], dofs) if len(dofs) < 40 else ""
        raise InputError(f"{path}: line {line}: the skeleton has no bone {name!r:.40}{hint}")
    if name in frame:
        raise InputError(f"{path}: line {line}: bone {name!r:.40} twice in one frame")
    frame[name] = _values(path, line, words, dofs[name])


def _append(
    path: Path, line: int, number: int, frame: dict[str, list[float]], bones: list[str], flat: array[float]
) -> None:
    """Add a frame that names the same bones as the first."""
    where = f"{path}: line {line}: frame {number}"
    for bone in (ROOT, *bones):
        if bone not in frame:
            raise InputError(f"{where} lacks bone {bone!r:.40} (truncated?)")
    if len(frame) > len(bones):
        extra = next(bone for bone in frame if bone not in bones)
        raise InputError(f"{where} has bone {extra!r:.40}, which the first frame has not")
    for bone in bones:
        flat.extend(frame[bone])


def _values(path: Path, line: int, words: list[bytes], count: int) -> list[float]:
    """Return the ``count`` numbers that follow the name."""
    name = _shown(words[0])
    if len(words) - 1 != count:
        raise InputError(f"{path}: line {line}: {name} has {len(words) - 1} numbers; {count} are expected")
    values = [parse_number(word) for word in words[1:]]
    for value in values:
        if not abs(value) <= LARGEST:
            given = " ".join(_name(word) for word in words[1:])
            raise InputError(
                f"{path}: line {line}: {name} is {given!r:.60}; finite numbers of sensible size are needed"
            )
    return values


def _name(word: bytes) -> str:
    return word.decode("utf-8", errors="replace")


def _shown(word: bytes) -> str:
    return f"{_name(word)!r:.40}"
