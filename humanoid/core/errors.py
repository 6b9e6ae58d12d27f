"""The one family of errors a user can meet.

A message is one line and says what was given, what is allowed and what to do.
The command line prints it and exits with code 2; anything else is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HumanoidError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(HumanoidError):
    """A file or value from outside is missing, malformed or physically absurd."""


class ConfigError(HumanoidError):
    """A configuration has an unknown key or a value of the wrong kind."""


class MismatchError(HumanoidError):
    """Two things that must agree (checkpoint and body, motion and body) do not."""


class MissingExtraError(HumanoidError):
    """An optional part of the installation is absent."""


class TrainingError(HumanoidError):
    """Training cannot go on (non-finite numbers, unwritable run folder)."""


def one_line(error: BaseException) -> str:
    """Return what another library's error says, on one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean 'x'? Allowed: a, b" for a name that is not allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"; {hint}allowed: {', '.join(allowed)}"
