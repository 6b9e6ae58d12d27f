"""What every verb does with its result, and where shipped policies are."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any


def show(value: Any, as_json: bool, table: Any, failed: bool = False) -> None:  # noqa: ANN401 - any JSON value
    """Print a result as a table or as JSON; exit with 1 where it ``failed``."""
    print(json.dumps(value, indent=2) if as_json else table(value))
    if failed:
        sys.stdout.flush()
        raise SystemExit(1)


def shipped(name: str) -> str:
    """Return the path of a policy that comes with the package."""
    from humanoid.core.paths import shipped_policy

    return str(shipped_policy(name))


def progress(unit: str) -> Any:  # noqa: ANN401 - a callback
    """Return a callback that draws a progress bar."""
    from humanoid.view.progress import Bar

    return Bar(unit)


def quiet_stdout() -> Any:  # noqa: ANN401 - a context manager
    """Send what libraries print to standard error: standard output holds the result only."""
    return contextlib.redirect_stdout(sys.stderr)
