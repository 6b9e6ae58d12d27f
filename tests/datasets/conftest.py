"""A web server to fetch from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datasets.web import Web, serve


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on this machine."""
    with serve() as server:
        yield server
