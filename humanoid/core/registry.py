"""Open registries: names to things, extended by users with an explicit ``register``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from humanoid.core.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Named things of one kind, in the order of registration."""

    def __init__(self, kind: str) -> None:
        """Start empty; ``kind`` names a thing in messages."""
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, item: T | None = None) -> Any:  # noqa: ANN401 - T, or a decorator of T
        """Add ``item`` under ``name``; without an item, return a decorator that does.

        Raises:
            ConfigError: the name belongs to another thing.
        """
        if item is None:
            return lambda decorated: self.register(name, decorated)
        if self._items.get(name, item) is not item:
            raise ConfigError(f"{self.kind} '{name}' is registered already; choose another name")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        """Return the thing of a name.

        Raises:
            ConfigError: unknown name; the nearest is named.
        """
        if name not in self._items:
            raise ConfigError(f"unknown {self.kind} '{name}'{nearest(name, self._items)}")
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        """Return whether ``name`` is registered."""
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return the number of things."""
        return len(self._items)
