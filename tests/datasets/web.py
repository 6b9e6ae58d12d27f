"""A web server on this machine for the tests of downloads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTENT = bytes(range(256)) * 4096
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's table says; notes what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request and close the connection."""
        server = self.server
        assert isinstance(server, Web)
        server.asked.append((self.path, dict(self.headers)))
        self.close_connection = True
        server.routes.get(self.path, missing)(self)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""

    def reply(self, code: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; ``Content_Type="text/plain"`` is a header."""
        self.send_response(code)
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        for key, value in {"Content-Length": str(len(body)), "Connection": "close", **given}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


class Web(ThreadingHTTPServer):
    """A server with a table of answers."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


def missing(handler: Handler) -> None:
    handler.reply(404)


def whole(handler: Handler) -> None:
    """The whole content."""
    handler.reply(200, CONTENT)


def cut(share: float) -> Callable[[Handler], None]:
    """An answer that breaks off after a share of what it announced."""

    def answer(handler: Handler) -> None:
        handler.reply(200, CONTENT[: int(share * len(CONTENT))], Content_Length=str(len(CONTENT)))

    return answer


def turns(*answers: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """One answer after the other, the last for ever."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


@contextmanager
def serve() -> Iterator[Web]:
    """Run a server in a thread."""
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
