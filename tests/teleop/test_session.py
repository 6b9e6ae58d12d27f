"""Who steers, what is asked, and what happens when who steers is gone; without a browser."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from humanoid.core import InputError
from humanoid.teleop import ControlsCfg, SessionCfg, StickCommand, Sticks, TeleopCommand, TeleopSession
from humanoid.teleop.controls import STANDING
from humanoid.teleop.session import NO_STYLE, WITHIN

ANYWHERE = ControlsCfg(forward=(-0.8, 2.0), left=(-0.6, 0.6), turn=(-1.5, 1.5))
BODY = np.array([(0.0, 0.0, 0.9), (0.0, 0.1, 0.1)])


class Clock:
    """Time that passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time [s]."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


@pytest.fixture
def session(clock: Clock) -> TeleopSession:
    """Client 1 steers, client 2 watches, the body stands at the origin facing x."""
    cfg = SessionCfg(patience=1.0, handover=10.0)
    session = TeleopSession(cfg, ANYWHERE, styles=("march",), clock=clock)
    session.join(1)
    session.join(2)
    session.saw(BODY, 0.0)
    return session


def body_at(x: float, y: float) -> np.ndarray:
    """Return the body's points (P, 3) [m] somewhere else."""
    return BODY + np.array((x, y, 0.0))


def bad(session: TeleopSession) -> list[str]:
    """Return what the users are told was refused."""
    return [message.text for message in session.take_messages() if message.bad]


def test_begins_with_nothing_asked() -> None:
    assert TeleopSession().orders() == TeleopCommand() and TeleopSession().controller is None


def test_one_steers_and_others_watch(session: TeleopSession) -> None:
    session.press(1, "I")
    assert session.orders().command == StickCommand(forward=0.2) and not session.take_messages()
    session.press(2, "space")
    session.ask(2, {"forward": 1.0})
    session.add_obstacle(2, "pillar")
    session.request(2, "push")
    session.pause(2)
    assert (
        session.orders() == TeleopCommand(command=StickCommand(forward=0.2)) and not session.take_requests()
    )
    assert len(bad(session)) == 5
    session.press(99, "I")  # a client that never joined
    assert session.orders().command == StickCommand(forward=0.2)


def test_the_next_takes_over_and_the_body_stands_in_a_snapshot(session: TeleopSession, clock: Clock) -> None:
    session.press(1, "I")
    session.leave(1)
    assert session.controller == 2 and session.orders().command.forward == 0.2
    for clock.now in (0.4, 0.8, 1.2):
        session.heartbeat(2)  # it is there but has asked for nothing yet
        session.watch()
    assert session.orders().command == STANDING and "taken back" in bad(session)[-1]
    session.press(2, "K")
    clock.now = 2.0
    session.heartbeat(2)
    session.watch()
    assert session.orders().command == StickCommand(forward=-0.2)


def test_one_that_takes_over_and_steers_is_not_stopped(session: TeleopSession, clock: Clock) -> None:
    session.press(1, "I")
    session.leave(1)
    session.press(2, "I")
    for clock.now in (0.5, 1.0, 1.5, 2.0):
        session.heartbeat(2)
        session.watch()
    assert session.orders().command == StickCommand(forward=0.4)


@pytest.mark.parametrize("leaves", [True, False])
def test_without_sign_of_life_the_body_stands(clock: Clock, leaves: bool) -> None:
    session = TeleopSession(SessionCfg(patience=1.0), clock=clock)
    session.join(1)
    session.ask(1, {"forward": 0.8, "turn": 0.3})
    if leaves:
        session.leave(1)
    clock.now = 0.9
    session.watch()
    assert session.orders().command.forward == 0.8
    clock.now = 1.1
    session.watch()
    session.watch()
    assert session.orders().command == STANDING
    assert len(bad(session)) == 1  # said once


def test_signs_of_life_keep_the_command(session: TeleopSession, clock: Clock) -> None:
    session.press(1, "I")
    for _ in range(10):
        clock.now += 0.8
        session.heartbeat(1)
        session.heartbeat(2)
        session.watch()
    assert session.orders().command.forward == 0.2
    for _ in range(3):
        clock.now += 0.8
        session.heartbeat(2)  # a watcher's do not count
        session.watch()
    assert session.orders().command == STANDING


def test_long_silence_hands_over(session: TeleopSession, clock: Clock) -> None:
    clock.now = 11.0
    session.watch()
    assert session.controller == 2
    session.press(2, "I")
    assert session.orders().command.forward == 0.2
    session.leave(2)
    assert session.controller == 1


def test_leaving_twice_and_never_having_come_change_nothing(session: TeleopSession) -> None:
    session.leave(7)
    session.leave(2)
    session.leave(2)
    assert session.controller == 1


def test_beyond_the_range_is_said(session: TeleopSession) -> None:
    session.ask(1, {"forward": 50.0})
    assert session.orders().command.forward == 2.0 and "clamped" in bad(session)[0]
    session.ask(1, {"forward": math.nan})
    assert session.orders().command.forward == 2.0 and "no finite number" in bad(session)[0]


def test_an_obstacle_on_the_body_is_said_once_a_drag(session: TeleopSession) -> None:
    session.add_obstacle(1, "pillar")
    (pillar,) = session.orders().obstacles
    assert pillar.pos_w[:2] == (2.0, 0.0) and pillar.active
    for x in (0.25, 0.2, 0.1, 0.0):
        session.move_obstacle(1, pillar.name, (x, 0.0, 0.9))
    assert not session.orders().obstacles[0].active and len(bad(session)) == 1
    session.move_obstacle(1, pillar.name, (1.0, 0.0, 0.9))
    assert session.orders().obstacles[0].active
    assert "counts again" in session.take_messages()[0].text
    session.move_obstacle(1, "pillar 9", (1.0, 0.0, 0.9))
    assert "pillar 9" in bad(session)[0]
    session.clear_obstacles(1)
    assert not session.orders().obstacles


def test_obstacles_appear_ahead_and_side_by_side(session: TeleopSession) -> None:
    session.saw(body_at(1.0, 1.0), math.pi / 2)
    for _ in range(3):
        session.add_obstacle(1, "box")
    places = np.array([found.pos_w[:2] for found in session.orders().obstacles])
    assert places[0] == pytest.approx((1.0, 3.0))
    gaps = np.linalg.norm(places[:, None] - places, axis=-1)[~np.eye(3, dtype=bool)]
    assert gaps.min() > 0.7 and places[:, 1] == pytest.approx(3.0)


def test_being_put_where_an_obstacle_is_makes_it_pale(session: TeleopSession) -> None:
    session.add_obstacle(1, "box")
    session.press(1, "I")
    session.placed(body_at(2.0, 0.0), 0.0)
    assert not session.orders().obstacles[0].active and session.orders().command == STANDING
    assert "refused" in bad(session)[0]


def test_a_waypoint_ends_with_the_next_command(session: TeleopSession) -> None:
    session.set_waypoint(1, (3.0, 1.0))
    assert session.orders().waypoint == (3.0, 1.0)
    session.set_waypoint(1, (math.nan, 1.0))
    assert session.orders().waypoint == (3.0, 1.0) and "no place" in bad(session)[0]
    session.set_waypoint(1, (3.0, 1.0, 0.0))
    assert session.orders().waypoint == (3.0, 1.0) and "3 coordinates given, 2" in bad(session)[0]
    session.ask(1, {"forward": math.nan})
    session.ask(1, {"up": 1.0})
    session.press(1, "X")
    said = bad(session)
    assert "no finite number" in said[0] and "'up' is unknown" in said[1] and "'X'" in said[2]
    assert session.orders().waypoint == (3.0, 1.0)  # what is refused changes nothing
    session.press(1, "I")
    assert session.orders().waypoint is None
    session.set_waypoint(1, (3.0, 1.0))
    session.set_waypoint(1, None)
    assert session.orders().waypoint is None


def test_arriving_is_said_once(session: TeleopSession) -> None:
    session.set_waypoint(1, (3.0, 0.0))
    for x in (1.0, 3.0 - 0.9 * WITHIN, 3.0, 3.0):
        session.saw(body_at(x, 0.0), 0.0)
    assert [message.text for message in session.take_messages()] == ["the waypoint is reached"]


def test_choices_and_requests(session: TeleopSession) -> None:
    assert session.styles == (NO_STYLE, "march")
    session.choose(1, "march")
    session.choose(1, "fly")
    assert session.orders().style == "march" and "style 'fly'" in bad(session)[0]
    session.pause(1)
    assert session.orders().paused
    session.pause(1)
    assert not session.orders().paused
    for what in ("push", "record", "reset"):
        session.request(1, what)
    assert session.take_requests() == ["push", "record", "reset"] and not session.take_requests()
    with pytest.raises(InputError, match="request 'dance'"):
        session.request(1, "dance")


def test_the_pad_steers_beside_the_pages(session: TeleopSession, clock: Clock) -> None:
    session.steer_by_pad(Sticks(forward=0.5, left=-1.0, turn=1.0))
    assert session.orders().command == StickCommand(forward=1.0, left=-0.6, turn=1.5)
    session.steer_by_pad(Sticks(forward=-1.0))
    assert session.orders().command == StickCommand(forward=-0.8)
    session.steer_by_pad(Sticks(stop=True))
    assert session.orders().command == STANDING


def test_the_pad_takes_over_from_a_waypoint_and_keeps_it_at_rest(session: TeleopSession) -> None:
    session.set_waypoint(1, (3.0, 1.0))
    session.steer_by_pad(Sticks())
    assert session.orders().waypoint == (3.0, 1.0)
    session.steer_by_pad(Sticks(turn=-0.1))
    assert session.orders().waypoint is None and session.orders().command.turn < 0.0
    session.set_waypoint(1, (3.0, 1.0))
    session.steer_by_pad(Sticks(stop=True))
    assert session.orders().waypoint is None


def test_many_threads_may_call_it(session: TeleopSession) -> None:
    def tap() -> None:
        for _ in range(500):
            session.press(1, "I")
            session.press(1, "K")
            session.orders()

    threads = [threading.Thread(target=tap) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.orders().command == STANDING
