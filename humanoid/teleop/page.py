"""The page of a teleoperation: serves :mod:`humanoid.teleop.session` to browsers.

The control loop hands over moments and never waits: a thread of the page takes the latest at
most :data:`REFRESH` times a second. All that is sent to browsers is sent by that thread; what
users do reaches the session from viser's own threads.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError, one_line, require
from humanoid.teleop.panel import RATE, WIDTH, Figures, Steering, Watching
from humanoid.teleop.scene import PageScene, Snapshot
from humanoid.teleop.session import Message, TeleopSession
from humanoid.view.browser import EXTRA, HOST

if TYPE_CHECKING:
    import viser

REFRESH = 20.0
"""[Hz] at most so many moments are sent."""
PULSE = 0.5
"""[s] between the signs of life that are asked of the client that steers."""
SHOUT = 5.0
"""[s] for which something said stands on the page, and the least time until it pops up again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PageCfg:
    """Where the page is served."""

    host: str = HOST
    """Address to listen on. Nothing asks for a password: beyond this machine everybody can steer."""
    port: int = 8080
    """Port; the next free one where it is taken. 0 lets the system choose."""


class TeleopPage:
    """Serves the page until it is closed."""

    def __init__(self, cfg: PageCfg, body: Embodiment, session: TeleopSession) -> None:
        """Start the server and its threads.

        Raises:
            InputError: an address or a port that cannot be had.
            MissingExtraError: viser is not installed.
        """
        if not 0 <= cfg.port <= 65535:
            raise InputError(f"port {cfg.port} is outside 0-65535")
        module = require("viser", EXTRA)
        self._cfg, self._session = cfg, session
        _require_address(cfg.host)
        with contextlib.redirect_stdout(sys.stderr):  # its banner; ours says the address
            self.server: viser.ViserServer = module.ViserServer(cfg.host, cfg.port, verbose=False)
        _never_share(self.server)
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
        self.server.gui.set_panel_label("humanoid teleop")
        self.server.gui.main_panel.dock_right()
        self.server.gui.main_panel.set_width(WIDTH)
        self.scene, self._figures = PageScene(self.server, body), Figures(self.server)
        self._panels: dict[int, Steering | Watching] = {}
        self._latest: Snapshot | None = None
        self.follow, self._due, self._told, self._said = True, 0.0, 0.0, {}
        self._closed = threading.Event()
        self.server.on_client_connect(self._join)
        self.server.on_client_disconnect(self._leave)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._run, self._listen)]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{self._cfg.host}:{self.server.get_port()}"

    def offer(self, snapshot: Snapshot) -> None:
        """Take what is to be shown next; returns at once."""
        self._latest = snapshot

    def close(self) -> None:
        """Stop serving."""
        self._closed.set()
        for thread in self._threads:
            thread.join(timeout=2.0)
        with contextlib.redirect_stdout(sys.stderr):
            self.server.stop()

    async def _join(self, client: viser.ClientHandle) -> None:
        self._session.join(client.client_id)

    async def _leave(self, client: viser.ClientHandle) -> None:
        self._session.leave(client.client_id)

    def _run(self) -> None:
        shown = None
        while not self._closed.wait(1.0 / REFRESH):
            try:
                self._tell(self._session.take_messages())
                snapshot = self._latest
                if snapshot is None:
                    continue
                self._seat(self.server.get_clients())
                if snapshot is not shown:
                    self._show(snapshot)
                    shown = snapshot
            except Exception as error:  # a browser's trouble must not end everybody's page
                logger.warning("the page could not be brought up to date: %s", one_line(error))

    def _show(self, snapshot: Snapshot) -> None:
        with self.server.atomic():
            self.scene.show(snapshot, self.follow)
        now = time.monotonic()
        if now > self._told + SHOUT:
            self._figures.tell(None)
        if now >= self._due:
            self._due = now + 1.0 / RATE
            self._figures.show(snapshot)
        for panel in self._panels.values():
            if isinstance(panel, Steering):
                panel.show(snapshot)

    def _seat(self, clients: dict[int, Any]) -> None:
        """Give every client the panel it should have."""
        for gone in [client for client in self._panels if client not in clients]:
            del self._panels[gone]
        controller = self._session.controller
        for number, client in clients.items():
            kind = Steering if number == controller else Watching
            panel = self._panels.get(number)
            if isinstance(panel, kind):
                continue
            if panel is not None:
                panel.close()
            if kind is Steering:
                self._panels[number] = Steering(client, self._session, self._set_follow)
            else:
                self._panels[number] = Watching(client)

    def _tell(self, messages: list[Message]) -> None:
        now = time.monotonic()
        for message in messages:
            self._figures.tell(message)
            self._told = now
            if not message.bad or now - self._said.get(message.text, -SHOUT) < SHOUT:
                continue
            self._said = {text: at for text, at in self._said.items() if now - at < SHOUT} | {
                message.text: now
            }
            for client in self.server.get_clients().values():
                client.add_notification(
                    "please note", message.text, color="red", auto_close_seconds=SHOUT, with_close_button=True
                )

    def _listen(self) -> None:
        """Ask who steers for signs of life: a hidden, hung or lost page gives none."""
        while not self._closed.wait(PULSE):
            number = self._session.controller
            client = None if number is None else self.server.get_clients().get(number)
            if number is None or client is None:
                continue
            try:
                client.local_storage.get_item("pulse", timeout=3.0)
            except TimeoutError:
                continue
            except RuntimeError:  # it left, or its browser forbids storage, which is an answer too
                if number not in self.server.get_clients():
                    continue
            self._session.heartbeat(number)

    def _set_follow(self, follow: bool) -> None:
        self.follow = follow


def _require_address(host: str) -> None:
    """Refuse an address that this machine has not: viser would wait for it for ever."""
    try:
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise InputError(
            f"cannot listen on '{host}': {one_line(error)}; {HOST} is this machine alone"
        ) from error


def _never_share(server: viser.ViserServer) -> None:
    """Refuse share links: without a button for it a client can still send the request."""

    def refuse(verbose: bool = True) -> str | None:
        logger.warning("a client asked for a public share link: refused")
        return None

    server.request_share_url = refuse  # type: ignore[method-assign]
