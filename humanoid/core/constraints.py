"""Constraints of configuration fields, declared once in the annotation: ``rate: Positive = 1.0``.

They hold however a configuration is built: :func:`humanoid.core.config.from_dict` checks a value from a
file under its dotted name, and a dataclass that inherits :class:`Checked` checks itself when constructed.
Numbers must be finite. Containers are constrained through their elements:
``tuple[Count, ...]``, ``dict[str, Share]``.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any

from humanoid.core.errors import ConfigError, nearest


@dataclass(frozen=True)
class Constraint:
    """A condition on one value.

    Attributes:
        text: the condition, completes "it must be".
        holds: whether a value of the annotated type meets it.
    """

    text: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Among:
    """The value is a key of ``names``, which may grow after the annotation (an open registry)."""

    names: Mapping[str, Any] | Sequence[str]


def AtLeast(low: float) -> Constraint:  # noqa: N802 - reads as a type in annotations
    """Return the constraint of finite numbers that are ``low`` or more."""
    return Constraint(f"{low:g} or more", lambda value: low <= value < math.inf)


def Interval(low: float, high: float) -> Constraint:  # noqa: N802
    """Return the constraint of numbers in the closed interval [low, high]."""
    return Constraint(f"in {low:g} to {high:g}", lambda value: low <= value <= high)


Positive = Annotated[float, Constraint("positive", lambda value: 0.0 < value < math.inf)]
NonNegative = Annotated[float, AtLeast(0.0)]
Share = Annotated[float, Interval(0.0, 1.0)]
Count = Annotated[int, AtLeast(1)]
Natural = Annotated[int, AtLeast(0)]

Ascending = Constraint("ascending", lambda value: all(a <= b for a, b in pairwise(value)))
NotEmpty = Constraint("not empty", lambda value: len(value) > 0)
Range = Annotated[tuple[float, float], Ascending]
PositiveRange = Annotated[tuple[Positive, Positive], Ascending]
NonNegativeRange = Annotated[tuple[NonNegative, NonNegative], Ascending]


class Checked:
    """Base of configuration dataclasses whose field constraints hold at construction."""

    def __post_init__(self) -> None:
        """Check every field; subclasses with conditions over several fields extend this.

        Raises:
            ConfigError: a value that its annotation excludes, by class and field.
        """
        for name, hint in _constrained(type(self)).items():
            check(hint, getattr(self, name), f"{type(self).__name__}.{name}")


def check(hint: Any, value: Any, name: str) -> None:  # noqa: ANN401 - any annotation
    """Raise where ``value`` of an annotated type violates a constraint in ``hint``, naming ``name``.

    Raises:
        ConfigError: the first violated constraint.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        base, *marks = args
        check(base, value, name)
        for mark in marks:
            if isinstance(mark, Among) and value not in mark.names:
                raise ConfigError(f"unknown '{value}' in {name}{nearest(str(value), mark.names)}")
            if isinstance(mark, Constraint) and not mark.holds(value):
                shown = list(value) if isinstance(value, tuple) else value
                raise ConfigError(f"{name} is {shown}; it must be {mark.text}")
    elif origin in (typing.Union, types.UnionType):
        for option in args:
            if value is not None and typing.get_origin(option) is Annotated:
                check(option, value, name)
    elif origin is tuple:
        items = [args[0]] * len(value) if args[-1] is Ellipsis else args
        for index, (item, entry) in enumerate(zip(items, value, strict=False)):
            check(item, entry, f"{name}[{index}]")
    elif origin is dict:
        for key, entry in value.items():
            check(args[0], key, name)
            check(args[1], entry, f"{name}.{key}")


@lru_cache(maxsize=256)
def _constrained(cls: type) -> dict[str, Any]:
    """Return the annotations of the fields of ``cls`` that hold a constraint."""
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    return {name: hints[name] for name in names if _has_constraint(hints[name])}


def _has_constraint(hint: Any) -> bool:  # noqa: ANN401
    return typing.get_origin(hint) is Annotated or any(map(_has_constraint, typing.get_args(hint)))
