"""Public names of a package, imported on first use: a package alone imports neither torch nor a simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: its ``__name__``.
        modules: module, relative to the package or absolute, -> names that it defines.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:  # noqa: ANN401 - any public name
        if name not in home:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module = home[name] if home[name].startswith("humanoid.") else f"{package}.{home[name]}"
        return getattr(import_module(module), name)

    return get
