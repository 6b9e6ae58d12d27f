"""Optional dependencies: import one, or say which extra brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from humanoid.core.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: dotted name, e.g. ``smplx``.
        extra: extra of this package that installs it, e.g. ``mocap``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: it, or something it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        needed = "" if missing.split(".")[0] == module.split(".")[0] else f" (needed by '{module}')"
        raise MissingExtraError(
            f"'{missing}'{needed} is not installed; run: pip install 'humanoid[{extra}]'"
        ) from error
