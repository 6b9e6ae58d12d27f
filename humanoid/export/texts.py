"""Records that travel in an exported file as text, one key for each field.

Lists are separated by commas (BeyondMimic's form). Needs no torch.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from humanoid.core.errors import InputError, MismatchError

DIGITS = 9
"""Significant digits of a number, which bring a float32 back bit by bit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Metadata:
    """Fields of text, names, numbers, counts or truth values, written and read as text.

    Attributes:
        KIND: value of the key ``kind`` in files of this kind.
        LENGTHS: field -> the field whose number of entries it must have.
    """

    KIND: ClassVar[str]
    LENGTHS: ClassVar[dict[str, str]] = {}

    def to_text(self) -> dict[str, str]:
        """Return every field as text.

        Raises:
            InputError: a name holds a comma, which separates names.
        """
        return {
            field.name: _text(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)
        }

    @classmethod
    def from_text(cls, texts: Mapping[str, str], source: str) -> Self:
        """Read what :meth:`to_text` wrote.

        Args:
            texts: key -> text; keys of others are ignored.
            source: file they came from, for messages.

        Raises:
            InputError: a key is missing, not of its kind, or lists that belong together differ in length.
            MismatchError: a file of another kind.
        """
        if texts.get("kind", cls.KIND) != cls.KIND:
            raise MismatchError(f"{source}: holds a '{texts['kind'][:80]}', a '{cls.KIND}' is needed")
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for name in (field.name for field in dataclasses.fields(cls)):
            if name not in texts:
                raise InputError(f"{source}: its metadata have no '{name}'; export the policy again")
            try:
                values[name] = _READERS[hints[name]](texts[name])
            except ValueError as error:
                raise InputError(
                    f"{source}: metadata '{name}' is {texts[name][:80]!r}, not as written"
                ) from error
        for name, other in cls.LENGTHS.items():
            if len(values[name]) != len(values[other]):
                raise InputError(
                    f"{source}: metadata '{name}' has {len(values[name])} entries, "
                    f"expected {len(values[other])}"
                )
        return cls(**values)


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a field's value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (float, int)):
        return f"{value:.{DIGITS}g}"
    texts = [_text(name, entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    for text in texts:
        if "," in text:
            raise InputError(f"metadata '{name}': '{text}' holds a comma, which separates names; rename it")
    return ",".join(texts)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _numbers(text: str) -> np.ndarray:
    return np.array([float(entry) for entry in _names(text)], dtype=np.float64)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(entry) for entry in _names(text))


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: int,
    float: float,
    bool: _truth,
    np.ndarray: _numbers,
    tuple[str, ...]: _names,
    tuple[int, ...]: _counts,
}
