"""Errors for users: one line with the place, the given value, the allowed ones and the remedy.

The command line prints the message and exits with code 2; any other exception is a bug.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class HumanoidError(Exception):
    """Base of every error this package raises on purpose; its message is one line."""

    def __init__(self, message: str = "") -> None:
        """Join the lines of a message, for file names and other libraries' errors may have several."""
        super().__init__(" ".join(str(message).splitlines()))


class InputError(HumanoidError):
    """A file or value from outside is missing, malformed or physically absurd."""


class ConfigError(HumanoidError):
    """A configuration has an unknown key or a value of the wrong kind."""


class MismatchError(HumanoidError):
    """Two things that must agree (checkpoint and body, motion and body) do not."""


class MissingExtraError(HumanoidError):
    """An optional part of the installation is absent."""


class TrainingError(HumanoidError):
    """Training ended early (non-finite numbers, unwritable run folder)."""


def one_line(error: BaseException) -> str:
    """Return the message of another library's error on one line; its type where there is none."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean 'x'? Allowed: a, b" for a name that is not allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"; {hint}allowed: {', '.join(allowed)}"


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or name the extra that installs it.

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
