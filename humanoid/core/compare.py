"""Comparison of the plain values of a file with those needed."""

from __future__ import annotations

from collections.abc import Mapping

from humanoid.core.errors import MismatchError


def first_difference(name: str, theirs: object, mine: object, source: str) -> None:
    """Check that two plain values agree; an error names the innermost first difference.

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
