"""The page: who may steer, what reaches the session, what is said; clients speak viser's protocol."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MissingExtraError
from humanoid.teleop import ControlsCfg, PageCfg, SessionCfg, StickCommand, TeleopPage, TeleopSession
from humanoid.teleop.controls import STANDING
from tests.glider import Glider

pytest.importorskip("viser")

from humanoid.teleop.scene import OBSTACLE, REFUSED, Snapshot
from tests.viser_client import Client

STOP = "stop (space)"
"""A control that only who steers has."""


ANYWHERE = ControlsCfg(forward=(-0.8, 2.0), left=(-0.6, 0.6), turn=(-1.5, 1.5))


class Stage:
    """A page of a body that stands, and clients."""

    def __init__(self, body: Embodiment, controls: ControlsCfg = ANYWHERE) -> None:
        """Serve the page."""
        self.session = TeleopSession(SessionCfg(patience=1.5), controls, styles=("march",))
        self.glider = Glider(body)
        self.page = TeleopPage(PageCfg(port=0), body, self.session)
        self.clients: list[Client] = []
        self.misses = 0

    def join(self) -> Client:
        """Let a client in."""
        self.clients.append(Client(self.page.address))
        return self.clients[-1]

    def loop(self) -> None:
        """Do what a control loop does at one step."""
        state, session = self.glider.state, self.session
        self.glider.steer(session.orders())
        self.glider.step()
        session.saw(state.body_pos_w[0].numpy(), self.glider.yaw)
        session.watch()
        orders = session.orders()
        self.misses += 1
        self.page.offer(
            Snapshot(
                pos=state.body_pos_w[0].numpy(), quat=state.body_quat_w[0].numpy(), yaw=self.glider.yaw,
                orders=orders, velocity=orders.command, path=self.glider.path, plan_ms=40.0,
                misses=self.misses,
            )
        )  # fmt: skip

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
        """Step until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
            self.loop()
            time.sleep(0.02)

    def close(self) -> None:
        """End everything."""
        for client in self.clients:
            client.close()
        self.page.close()


@pytest.fixture
def stage(body: Embodiment) -> Iterator[Stage]:
    """A page that nobody looks at."""
    stage = Stage(body)
    yield stage
    stage.close()


@pytest.fixture
def steering(stage: Stage) -> Client:
    """A client that steers, its controls there."""
    client = stage.join()
    stage.wait(lambda: client.sees(STOP) and "space" in client.commands, "the controls")
    return client


def test_answers_on_this_machine_and_nowhere_else(stage: Stage) -> None:
    port = stage.page.server.get_port()
    assert stage.page.address == f"http://127.0.0.1:{port}"
    # all of 127/8 is this machine, but a server on all interfaces would answer there as well
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=1):
        pass


def test_never_shares_even_when_asked(stage: Stage, steering: Client) -> None:
    steering.send(type="ShareUrlRequest")
    steering.press("I")
    stage.wait(lambda: stage.session.orders().command.forward > 0, "what came after it")
    assert stage.page.server._share_tunnel is None and not steering.shared


def test_keys_and_sliders_steer_and_agree(stage: Stage, steering: Client) -> None:
    for key in "IIJ":
        steering.press(key)
    stage.wait(lambda: stage.session.orders().command == StickCommand(0.4, 0.0, 0.3), "three taps")
    slider = steering.find("forward [m/s]")
    stage.wait(lambda: steering.gui[slider]["value"] == 0.4, "the slider to follow")
    steering.change("forward [m/s]", 1.2)
    stage.wait(lambda: stage.session.orders().command.forward == 1.2, "the slider")
    steering.press("space")
    stage.wait(lambda: stage.session.orders().command == STANDING, "the stop")
    stage.wait(lambda: steering.gui[slider]["value"] == 0.0, "the slider to go back")
    assert stage.glider.place[0] > 0.0


def test_what_the_body_cannot_do_is_not_offered(body: Embodiment) -> None:
    stage = Stage(body, ControlsCfg())
    try:
        client = stage.join()
        stage.wait(lambda: client.sees(STOP) and "space" in client.commands, "the controls")
        assert set(client.commands) == {"I", "K", "J", "L", "space"}
        assert client.sees("own pace") and not client.sees("sideways")
        assert not any("left" in str(part.get("label", "")) for part in client.gui.values())
    finally:
        stage.close()


def test_a_tap_never_overtakes_the_stop_after_it(stage: Stage, steering: Client) -> None:
    for _ in range(40):
        steering.press("I")
        steering.press("space")
    steering.press("U")
    stage.wait(lambda: stage.session.orders().command.left > 0, "the last key")
    assert stage.session.orders().command.forward == 0.0


def test_refusals_are_seen(stage: Stage, steering: Client) -> None:
    for _ in range(11):
        steering.press("I")
    stage.wait(lambda: any("clamped to +2.00" in text for text in steering.said), "the message")
    stage.wait(lambda: steering.sees("clamped to +2.00"), "the line in the panel")
    assert len(steering.said) == 1
    assert stage.session.orders().command.forward == 2.0


def test_an_obstacle_on_the_body_turns_pale(stage: Stage, steering: Client) -> None:
    steering.change("obstacle", "pillar")
    stage.wait(lambda: "/world/handle/pillar_1" in steering.handles, "the pillar")
    (pillar,) = stage.session.orders().obstacles
    shown = stage.page.scene.obstacles[pillar.name][1]
    assert tuple(shown.color) == OBSTACLE and shown.opacity == 1.0
    steering.drag("/world/handle/pillar_1", (0.0, 0.0, 0.9))
    stage.wait(lambda: tuple(shown.color) == REFUSED, "the refusal")
    stage.wait(
        lambda: shown.opacity < 0.5 and any("refused" in text for text in steering.said), "the message"
    )
    assert shown.position == pytest.approx((0.0, 0.0, 0.9))
    steering.drag("/world/handle/pillar_1", (1.0, 1.0, 0.9))
    stage.wait(lambda: tuple(shown.color) == OBSTACLE, "it to count again")
    steering.change("obstacle", "clear")
    stage.wait(lambda: not stage.page.scene.obstacles, "an empty floor")


def test_the_other_controls(stage: Stage, steering: Client) -> None:
    session = stage.session
    steering.change("style", "march")
    steering.change("body", "push")
    steering.change("record a video", True)
    steering.change("pause", True)
    stage.wait(lambda: session.orders().paused and session.orders().style == "march", "the choices")
    stage.wait(lambda: steering.sees("go on"), "the button to say what it does")
    assert session.take_requests() == ["push", "record"]
    steering.change("waypoint", True)
    stage.wait(lambda: session.orders().waypoint is not None, "the waypoint")
    assert session.orders().waypoint == pytest.approx((2.0, 0.0))
    stage.wait(lambda: stage.page.scene.waypoint.visible, "the flag")
    stage.wait(lambda: "/world/handle/waypoint" in steering.handles, "its handle")
    steering.drag("/world/handle/waypoint", (3.0, 1.0, 0.0))
    stage.wait(lambda: session.orders().waypoint == (3.0, 1.0), "the drag")
    steering.press("I")
    stage.wait(
        lambda: session.orders().waypoint is None and not stage.page.scene.waypoint.visible, "the end of it"
    )
    waypoint = steering.find("waypoint")
    stage.wait(lambda: steering.gui[waypoint]["value"] is False, "the box to be empty")
    steering.change("follow the body", False)
    stage.wait(lambda: not stage.page.follow, "the camera to stay")


def test_the_second_watches_and_takes_over(stage: Stage, steering: Client) -> None:
    second = stage.join()
    stage.wait(lambda: second.sees("watching"), "the second page to watch")
    assert not second.sees(STOP) and not second.commands
    steering.press("I")
    stage.wait(lambda: stage.session.orders().command.forward > 0, "the first")
    # what a watcher sends all the same, knowing the ids, is not for it
    second.send(type="CommandTriggerMessage", uuid=steering.commands["I"])
    second.send(type="GuiUpdateMessage", uuid=steering.find(STOP), updates={"value": True})
    time.sleep(0.3)
    assert stage.session.orders().command == StickCommand(0.2)
    steering.close()
    stage.wait(lambda: second.sees(STOP) and not second.sees("watching"), "the second to steer")
    stage.wait(lambda: stage.session.orders().command == STANDING, "the body to stand after a moment")
    second.press("K")
    stage.wait(lambda: stage.session.orders().command.forward < 0, "the second's key")


def test_one_that_gives_no_sign_of_life_is_stopped(stage: Stage, steering: Client) -> None:
    steering.press("I")
    stage.wait(lambda: stage.session.orders().command.forward > 0, "the key")
    end = time.monotonic() + 2.0
    stage.wait(lambda: time.monotonic() > end, "longer than the patience")
    assert stage.session.orders().command.forward > 0  # it answers, so it may
    steering.answers = False
    stage.wait(lambda: stage.session.orders().command == STANDING, "the stop")
    stage.wait(lambda: any("no sign of life" in text for text in steering.said), "the message")


def test_a_body_at_rest_is_not_sent(stage: Stage, steering: Client) -> None:
    stage.wait(lambda: steering.sees("steps missed"), "the figures")
    time.sleep(0.2)
    handle = next(iter(stage.page.scene.bodies.values()))
    before = handle.position.copy()
    stage.glider.place = np.array((0.001, 0.0))
    misses = stage.misses
    stage.wait(lambda: stage.misses > misses + 10, "some moments")
    assert np.array_equal(handle.position, before)
    stage.glider.place = np.array((0.1, 0.0))
    stage.wait(lambda: handle.position[0] > before[0] + 0.05, "the body to be moved")


def test_refused_addresses(body: Embodiment, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="port 70000"):
        TeleopPage(PageCfg(port=70000), body, TeleopSession())
    with pytest.raises(InputError, match=r"203\.0\.113\.7"):
        TeleopPage(PageCfg(host="203.0.113.7", port=0), body, TeleopSession())
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"humanoid\[teleop\]"):
        TeleopPage(PageCfg(port=0), body, TeleopSession())
