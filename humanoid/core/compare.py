"""Comparing what a file says about itself with what is needed."""

from __future__ import annotations

from collections.abc import Mapping

from humanoid.core.errors import MismatchError


def first_difference(name: str, theirs: object, mine: object, source: str) -> None:
    """Refuse two plain values that differ, naming the innermost place where they do first.

    Raises:
        MismatchError: they differ.
    """
    if theirs == mine:
        return
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        for key in (*mine, *theirs):
            first_difference(f"{name}.{key}", theirs.get(key), mine.get(key), source)
    if isinstance(theirs, list) and isinstance(mine, list):
        for index, (a, b) in enumerate(zip(theirs, mine, strict=False)):
            first_difference(f"{name}[{index}]", a, b, source)
        raise MismatchError(f"{source}: {name} has {len(theirs)} entries, {len(mine)} are needed")
    raise MismatchError(f"{source}: {name} is {theirs!r}, {mine!r} is needed")
