"""A teleoperation session: clients, the present command, messages. No browser here.

Pages call it from their threads, the control loop reads :meth:`TeleopSession.orders` in another.
One client steers and the others watch; when it leaves, the one that has waited longest
follows. The steering client sends heartbeats; without them, or with no client left, the command is
withdrawn after a moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from humanoid.core.errors import HumanoidError, InputError, nearest
from humanoid.teleop.controls import STANDING, Controls, ControlsCfg, StickCommand
from humanoid.teleop.gamepad import Sticks
from humanoid.teleop.obstacles import Arena, Obstacle, require_place

REQUESTS = ("push", "reset", "record")
"""Events of one instant; ``record`` begins and ends a video."""
NO_STYLE = "any"
"""Name of the choice of no style."""
WITHIN = 0.3
"""[m] from a waypoint at which it counts as reached."""


@dataclass(frozen=True, kw_only=True)
class SessionCfg:
    """Patience with clients."""

    patience: float = 3.0
    """Time [s] without a sign of life of who steers, or with nobody, after which nothing is asked."""
    handover: float = 10.0
    """Time [s] of silence after which another client may steer."""
    ahead: float = 2.0
    """How far in front of the body [m] obstacles and waypoints appear."""


@dataclass(frozen=True)
class TeleopCommand:
    """Commands of the users at one instant.

    Attributes:
        command: wanted velocity; without meaning while there is a waypoint.
        waypoint: (2,) [m], world, or None.
        obstacles: all of them; only active ones are to be gone round.
        style: one of the session's styles.
        paused: whether time stands still.
    """

    command: StickCommand = STANDING
    waypoint: tuple[float, float] | None = None
    obstacles: tuple[Obstacle, ...] = ()
    style: str = NO_STYLE
    paused: bool = False


@dataclass(frozen=True)
class Message:
    """A line for the users.

    Attributes:
        text: the line.
        bad: whether something was refused or went wrong.
    """

    text: str
    bad: bool = False


class TeleopSession:
    """Takes input of any number of clients; every method may be called from any thread."""

    def __init__(
        self,
        cfg: SessionCfg | None = None,
        controls: ControlsCfg | None = None,
        styles: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        radii: Sequence[float] = (),
    ) -> None:
        """Begin with a standing body, nobody steering and an empty floor.

        Args:
            cfg: patience.
            controls: ranges of the command.
            styles: names that can be chosen.
            clock: [s]
            radii: [m] of the bodies whose places :meth:`saw` takes, by which obstacles keep clear of them.
        """
        self.cfg = cfg or SessionCfg()
        self.styles = (NO_STYLE, *styles)
        self._controls, self._arena, self._clock = Controls(controls or ControlsCfg()), Arena(radii), clock
        self._clients: list[int] = []
        self._heard, self._orphaned = clock(), False
        self._waypoint: tuple[float, float] | None = None
        self._arrived = False
        self._style, self._paused = NO_STYLE, False
        self._requests: list[str] = []
        self._messages: list[Message] = []
        self._points, self._yaw = np.zeros((0, 3)), 0.0
        self._lock = threading.RLock()

    @property
    def controls_cfg(self) -> ControlsCfg:
        """Ranges and steps of the command."""
        return self._controls.cfg

    @property
    def controller(self) -> int | None:
        """The client that steers, None with no client."""
        with self._lock:
            return self._clients[0] if self._clients else None

    def orders(self) -> TeleopCommand:
        """Return the present command."""
        with self._lock:
            return TeleopCommand(
                self._controls.command, self._waypoint, self._arena.obstacles, self._style, self._paused
            )

    def take_requests(self) -> list[str]:
        """Return the events since the last call, of :data:`REQUESTS`."""
        with self._lock:
            taken, self._requests = self._requests, []
            return taken

    def take_messages(self) -> list[Message]:
        """Return the messages since the last call."""
        with self._lock:
            taken, self._messages = self._messages, []
            return taken

    def tell(self, text: str, bad: bool = False) -> None:
        """Send the users a message."""
        with self._lock:
            self._messages.append(Message(text, bad))

    # -- the control loop -------------------------------------------------------------------

    def saw(self, points_w: np.ndarray, yaw: float) -> None:
        """Take where the body is.

        Args:
            points_w: (P, 3) [m] of the body, the root first, world; finite.
            yaw: [rad] of the root.
        """
        with self._lock:
            self._points, self._yaw = points_w, yaw
            if self._waypoint is None:
                return
            near = float(np.linalg.norm(points_w[0, :2] - self._waypoint)) < WITHIN
            if near and not self._arrived:
                self.tell("the waypoint is reached")
            self._arrived = near

    def placed(self, points_w: np.ndarray, yaw: float) -> None:
        """Take where the body was put; it stands, and obstacles that are there do not count any more.

        Arguments as :meth:`saw`.
        """
        with self._lock:
            self._stand()
            self.saw(points_w, yaw)
            for obstacle in self._arena.obstacles:
                moved, said = self._arena.move(obstacle.name, obstacle.pos_w, points_w)
                if moved.active != obstacle.active:
                    self.tell(said, bad=not moved.active)

    def watch(self) -> None:
        """Stop the body where nobody has steered for too long; call it every now and then."""
        with self._lock:
            silent = self._clock() - self._heard
            if silent > self.cfg.patience:
                self._orphaned = False
                if not self._controls.command.stands or self._waypoint is not None:
                    self._stand()
                    self.tell("no sign of life from who steers: the command is taken back", bad=True)
            if silent > self.cfg.handover and len(self._clients) > 1:
                self._clients.append(self._clients.pop(0))
                self._heard = self._clock()
                self.tell("who steered has been silent for long: another page steers now")

    def steer_by_pad(self, sticks: Sticks) -> None:
        """Take the sticks of the gamepad, which steers beside the pages; at rest they keep a waypoint."""
        with self._lock:
            self._heard, self._orphaned = self._clock(), False
            if sticks.stop:
                self._stand()
                return
            asked = {}
            for axis in ("forward", "left", "turn"):
                low, high = self._controls.cfg.range(axis)
                way = getattr(sticks, axis)
                asked[axis] = way * (high if way > 0 else -low)
            if any(asked.values()):
                self._waypoint = None
            self._controls.set(asked)

    # -- clients ----------------------------------------------------------------------------

    def join(self, client: int) -> None:
        """Let a client in: it steers where nobody does, else it watches."""
        with self._lock:
            self._clients.append(client)

    def leave(self, client: int) -> None:
        """Let a client go; where it steered the next follows, and the body stands in a moment."""
        with self._lock:
            if client not in self._clients:
                return
            steered = self._clients[0] == client
            self._clients.remove(client)
            self._orphaned = self._orphaned or steered
            if steered and self._clients:
                self.tell("who steered has left: another page steers now")

    def heartbeat(self, client: int) -> None:
        """Take a sign of life; what somebody who left has asked for is not kept alive by it."""
        with self._lock:
            if client == self.controller and not self._orphaned:
                self._heard = self._clock()

    def press(self, client: int, key: str) -> None:
        """Take a press of a key of ``controls.KEYS`` or ``controls.STOP``."""

        def act() -> str:
            said = self._controls.press(key)
            self._waypoint = None
            return said

        self._do(client, act)

    def ask(self, client: int, values: Mapping[str, float]) -> None:
        """Take values of parts of the command, of ``controls.AXES``."""

        def act() -> str:
            said = self._controls.set(values)
            self._waypoint = None
            return said

        self._do(client, act)

    def request(self, client: int, what: str) -> None:
        """Take one of :data:`REQUESTS`."""
        if what not in REQUESTS:
            raise InputError(f"request '{what}' is unknown{nearest(what, REQUESTS)}")
        self._do(client, lambda: self._requests.append(what))

    def pause(self, client: int) -> None:
        """Let time stand still, or go on."""
        self._do(client, lambda: setattr(self, "_paused", not self._paused))

    def choose(self, client: int, style: str) -> None:
        """Choose a style."""

        def act() -> None:
            if style not in self.styles:
                raise InputError(f"style '{style}' is unknown{nearest(style, self.styles)}")
            self._style = style

        self._do(client, act)

    def set_waypoint(self, client: int, place: Sequence[float] | None) -> None:
        """Go to a place (2,) [m], world; None ends that."""

        def act() -> None:
            if place is None:
                self._waypoint = None
            else:
                x, y = require_place("waypoint", place, 2)
                self._waypoint = (x, y)

        self._do(client, act)

    def add_obstacle(self, client: int, kind: str) -> None:
        """Put an obstacle up in front of the body, beside those that stand there."""
        self._do(client, lambda: self._arena.add(kind, self._free_place(), self._points)[1])

    def move_obstacle(self, client: int, name: str, pos_w: Sequence[float]) -> None:
        """Put an obstacle's middle to ``pos_w (3,)`` [m], world."""

        def act() -> str:
            counted = any(found.name == name and found.active for found in self._arena.obstacles)
            moved, said = self._arena.move(name, pos_w, self._points)
            if moved.active:
                if said:
                    self.tell(said)
                return ""
            return said if counted else ""  # once, not at every step of a drag

        self._do(client, act)

    def clear_obstacles(self, client: int) -> None:
        """Remove all obstacles."""
        self._do(client, self._arena.clear)

    def front(self) -> tuple[float, float]:
        """Return the place (2,) [m] in front of the body where things appear."""
        with self._lock:
            return self._ahead(self.cfg.ahead, 0.0)

    def _do(self, client: int, act: Callable[[], str | None]) -> None:
        """Act for the client that steers; errors, and the problem it returns, become messages."""
        with self._lock:
            if not self._clients or client != self._clients[0]:
                self.tell("this page only watches: another one steers", bad=True)
                return
            self._heard, self._orphaned = self._clock(), False
            try:
                refused = act()
            except HumanoidError as error:
                refused = str(error)
            if refused:
                self.tell(refused, bad=True)

    def _stand(self) -> None:
        self._controls.stop()
        self._waypoint = None

    def _free_place(self) -> tuple[float, float]:
        """Return the nearest place ahead, left or right of the middle, away from obstacles."""
        aside = [0.0, *(sign * 0.8 * row for row in range(1, 9) for sign in (1, -1))]
        places = [self._ahead(self.cfg.ahead, left) for left in aside]
        taken = np.array([found.pos_w[:2] for found in self._arena.obstacles]).reshape(-1, 2)
        free = [p for p in places if not (np.linalg.norm(taken - p, axis=-1) < 0.7).any()]
        return (free or places)[0]

    def _ahead(self, forward: float, left: float) -> tuple[float, float]:
        root = self._points[0] if len(self._points) else np.zeros(3)
        cos, sin = np.cos(self._yaw), np.sin(self._yaw)
        return float(root[0] + cos * forward - sin * left), float(root[1] + sin * forward + cos * left)
