"""The skeleton file of the Acclaim format.

Sections begin with a keyword (``:units``, ``:root``, ``:bonedata``, ``:hierarchy``). A bone
has a direction and a length in the axes of the skeleton, its own axes (``axis``, three
angles and the order in which they are applied) and the names of its degrees of freedom in
the order in which the motion lists and applies them. Source: M. Schafer, "ASF skeleton file
format", Acclaim Advanced Technologies Group (1994), as published by J. Lander in
"Working with Motion Capture File Formats", Game Developer (January 1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanoid.core.errors import InputError, nearest
from humanoid.core.io import read_text
from humanoid.mocap.checks import LARGEST, MAX_JOINTS

ROOT = "root"
DOFS = ("tx", "ty", "tz", "rx", "ry", "rz", "l")
"""Degrees of freedom of a bone: translations, rotations, and stretch."""

SMALLEST = 1e-6
"""Smallest length or direction that is not zero."""
_LONGEST_NAME = 100
Line = tuple[int, list[str]]
"""Number of a line and its words."""


@dataclass(frozen=True, kw_only=True)
class Bone:
    """One bone, at rest.

    Attributes:
        name: as the motion names it.
        parent: index of the bone at whose end it starts, -1 for the root.
        end: (3,) from its start to its end, in the skeleton's axes and unit.
        axes: (3, 3) rotation from its own axes to the skeleton's.
        dofs: names from :data:`DOFS`, the one that is applied first first.
    """

    name: str
    parent: int
    end: NDArray[np.float64]
    axes: NDArray[np.float64]
    dofs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AsfSkeleton:
    """A skeleton at rest.

    Attributes:
        bones: the root first, parents before children.
        position: (3,) of the root, in the skeleton's unit.
        length: the number that ``:units`` calls length.
        angle: [rad] its unit of angle.
    """

    bones: tuple[Bone, ...]
    position: NDArray[np.float64]
    length: float
    angle: float


@dataclass(kw_only=True)
class _Block:
    """Properties of one bone as the file has them."""

    line: int
    name: str = ""
    direction: NDArray[np.float64] | None = None
    length: float | None = None
    axis: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    order: str = "xyz"
    dofs: tuple[str, ...] = ()


def read(path: Path) -> AsfSkeleton:
    """Read a skeleton file.

    Raises:
        InputError: missing or no skeleton file; a section, bone or number that is missing,
            repeated or makes no sense; bones that do not hang together as one tree.
    """
    sections = _sections(path, read_text(path))
    length, angle = _units(path, sections.get("units", []))
    root, position = _root(path, sections["root"])
    blocks = _blocks(path, sections["bonedata"])
    parents = _hierarchy(path, sections["hierarchy"], blocks)
    blocks[ROOT] = root
    order = _ordered(path, parents, blocks)
    index = {name: number for number, name in enumerate(order)}
    bones = []
    for name in order:
        block = blocks[name]
        bones.append(
            Bone(
                name=name,
                parent=index[parents[name][0]] if name != ROOT else -1,
                end=_end(path, block),
                axes=_matrix(block.axis * angle, block.order),
                dofs=block.dofs,
            )
        )
    return AsfSkeleton(bones=tuple(bones), position=position, length=length, angle=angle)


def _sections(path: Path, text: str) -> dict[str, list[Line]]:
    """Return the lines of each section by its keyword, in lower case."""
    sections: dict[str, list[Line]] = {}
    lines: list[Line] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:].lower(), [])
            words = words[1:]
        if words:
            lines.append((number, words))
    for keyword in ("root", "bonedata", "hierarchy"):
        if not sections.get(keyword):
            raise InputError(f"{path}: no section ':{keyword}' (truncated, or no Acclaim skeleton)")
    return sections


def _units(path: Path, lines: list[Line]) -> tuple[float, float]:
    """Return the number called length, and the unit of angle [rad]."""
    length, angle = 1.0, math.radians(1.0)
    for number, (key, *words) in lines:
        if key.lower() == "length":
            length = _numbers(path, number, key, words, 1)[0]
            if length < SMALLEST:
                raise InputError(f"{path}: line {number}: length of {length:g}; it must be positive")
        elif key.lower() == "angle":
            unit = words[0].lower() if words else ""
            if not unit.startswith(("deg", "rad")):
                raise InputError(f"{path}: line {number}: angle in {unit!r:.40}; allowed: deg, rad")
            angle = 1.0 if unit.startswith("rad") else angle
    return float(length), angle


def _root(path: Path, lines: list[Line]) -> tuple[_Block, NDArray[np.float64]]:
    """Return the root as a bone without length, and its position."""
    root = _Block(line=lines[0][0], name=ROOT, direction=np.zeros(3), length=0.0)
    position = np.zeros(3)
    for number, (key, *words) in lines:
        match key.lower():
            case "order":
                root.dofs = _dofs(path, number, words)
            case "axis":
                root.order = _order(path, number, words)
            case "position":
                position = _numbers(path, number, key, words, 3)
            case "orientation":
                root.axis = _numbers(path, number, key, words, 3)
    return root, position


def _blocks(path: Path, lines: list[Line]) -> dict[str, _Block]:
    """Return the bones between ``begin`` and ``end`` by name."""
    blocks: dict[str, _Block] = {}
    block: _Block | None = None
    for number, words in lines:
        key = words[0].lower()
        if key == "begin":
            if block is not None:
                raise InputError(f"{path}: line {number}: 'begin' inside the bone of line {block.line}")
            block = _Block(line=number)
        elif block is None:
            raise InputError(f"{path}: line {number}: {words[0]!r:.40} outside 'begin' and 'end'")
        elif key == "end":
            _add(path, blocks, block)
            block = None
        else:
            _property(path, block, number, key, words[1:])
    if block is not None:
        raise InputError(f"{path}: line {block.line}: 'begin' without 'end' (truncated?)")
    return blocks


def _add(path: Path, blocks: dict[str, _Block], block: _Block) -> None:
    where = f"{path}: line {block.line}"
    if not block.name:
        raise InputError(f"{where}: a bone without a name")
    if len(block.name) > _LONGEST_NAME:
        raise InputError(f"{where}: a bone's name of {len(block.name)} letters; at most {_LONGEST_NAME}")
    if block.name in blocks or block.name == ROOT:
        raise InputError(f"{where}: two bones are called {block.name!r:.40}")
    if block.direction is None or block.length is None:
        missing = "direction" if block.direction is None else "length"
        raise InputError(f"{where}: bone {block.name!r:.40} has no {missing}")
    if len(blocks) >= MAX_JOINTS:
        raise InputError(f"{where}: more than {MAX_JOINTS} bones")
    blocks[block.name] = block


def _property(path: Path, block: _Block, number: int, key: str, words: list[str]) -> None:
    """Take one line of a bone; what does not move it (limits, masses) is passed over."""
    match key:
        case "name":
            block.name = words[0] if words else ""
        case "direction":
            block.direction = _numbers(path, number, key, words, 3)
        case "length":
            block.length = _numbers(path, number, key, words, 1)[0]
        case "axis":
            block.axis = _numbers(path, number, key, words[:3], 3)
            block.order = _order(path, number, words[3:])
        case "dof":
            block.dofs = _dofs(path, number, words)


def _hierarchy(path: Path, lines: list[Line], blocks: dict[str, _Block]) -> dict[str, tuple[str, int]]:
    """Return the parent of each bone, and the line of that statement."""
    known = {ROOT, *blocks}
    parents: dict[str, tuple[str, int]] = {}
    for number, words in lines:
        if words[0].lower() in ("begin", "end"):
            continue
        for name in words:
            if name not in known:
                hint = nearest(name[:40], known) if len(known) < 40 else ""
                raise InputError(f"{path}: line {number}: bone {name!r:.40} is not in ':bonedata'{hint}")
        for name in words[1:]:
            if name in parents or name == ROOT:
                why = f"has a parent since line {parents[name][1]}" if name in parents else "has no parent"
                raise InputError(f"{path}: line {number}: bone {name!r:.40} {why}")
            parents[name] = words[0], number
    if lines[-1][1][0].lower() != "end":
        raise InputError(f"{path}: line {lines[-1][0]}: ':hierarchy' without 'end' (truncated?)")
    return parents


def _ordered(path: Path, parents: dict[str, tuple[str, int]], blocks: dict[str, _Block]) -> list[str]:
    """Return the bones from the root to the ends, limb after limb."""
    children: dict[str, list[str]] = {}
    for name, (parent, _) in parents.items():
        children.setdefault(parent, []).append(name)
    order, waiting = [], [ROOT]
    while waiting:
        order.append(waiting.pop())
        waiting += reversed(children.get(order[-1], []))
    for name in sorted(set(blocks) - set(order)):
        line = parents[name][1] if name in parents else blocks[name].line
        why = "its parents go in a circle" if name in parents else "':hierarchy' does not name it"
        raise InputError(f"{path}: line {line}: bone {name!r:.40} does not hang on the root: {why}")
    return order


def _end(path: Path, block: _Block) -> NDArray[np.float64]:
    """Return the way from a bone's start to its end, in the skeleton's axes."""
    direction, length = np.asarray(block.direction), block.length or 0.0
    norm = float(np.linalg.norm(direction))
    where = f"{path}: line {block.line}: bone {block.name!r:.40}"
    if length < 0:
        raise InputError(f"{where} has a length of {length:g}; it must not be negative")
    if norm < SMALLEST:
        if length > 0:
            raise InputError(f"{where} has a length but no direction")
        return np.zeros(3)
    return direction * (length / norm)


def _matrix(angles: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    """Return the rotation by angles (3,) [rad] about x, y, z, the first of ``order`` first."""
    turn = np.eye(3)
    for axis in order:
        i = "xyz".index(axis)
        if not angles[i]:
            continue
        j, k = (i + 1) % 3, (i + 2) % 3
        step = np.eye(3)
        step[j, j] = step[k, k] = math.cos(angles[i])
        step[k, j] = math.sin(angles[i])
        step[j, k] = -step[k, j]
        turn = step @ turn
    return turn


def _order(path: Path, number: int, words: list[str]) -> str:
    order = words[0].lower() if words else "xyz"
    if sorted(order) != ["x", "y", "z"]:
        raise InputError(f"{path}: line {number}: order of axes {order!r:.40}; expected XYZ, ZYX, ...")
    return order


def _dofs(path: Path, number: int, words: list[str]) -> tuple[str, ...]:
    dofs = tuple(word.lower() for word in words)
    for dof in dofs:
        if dof not in DOFS or dofs.count(dof) > 1:
            why = "is repeated" if dof in DOFS else f"is unknown; allowed: {', '.join(DOFS)}"
            raise InputError(f"{path}: line {number}: degree of freedom {dof!r:.40} {why}")
    return dofs


def _numbers(path: Path, number: int, key: str, words: list[str], count: int) -> NDArray[np.float64]:
    """Return ``count`` numbers of sensible size."""
    if len(words) != count:
        raise InputError(
            f"{path}: line {number}: '{key[:40]}' has {len(words)} numbers; {count} are expected"
        )
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = [math.nan]
    if not all(abs(value) <= LARGEST for value in values):
        bad = " ".join(words)
        raise InputError(
            f"{path}: line {number}: '{key[:40]}' is {bad!r:.60}; finite numbers of sensible size are needed"
        )
    return np.array(values)
