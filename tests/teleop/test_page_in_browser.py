"""The teleoperation page in a real browser: keys move the body, one page steers, a lost one stops it."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from humanoid.bodies import Embodiment
from humanoid.teleop import ControlsCfg, Loop, PageCfg, SessionCfg, TeleopPage, TeleopSession
from humanoid.teleop.controls import STANDING
from tests import chromium
from tests.glider import Glider

pytest.importorskip("viser")


pytestmark = pytest.mark.slow  # a software renderer beside the loop on few cores: minutes
PATIENT, HASTY = SessionCfg(patience=60.0, handover=300.0), SessionCfg(patience=3.0)
"""The software renderer of a busy machine may draw a frame a second, and answers as slowly."""
BUTTON = "stop (space)"
"""What only the page that steers has."""


class Stage:
    """A gliding body, its loop, its page and a browser."""

    tab: chromium.Page
    """The page that steers."""

    def __init__(self, body: Embodiment, folder: Path) -> None:
        """Start everything."""
        self.session = TeleopSession(PATIENT, ControlsCfg(forward=(-0.8, 2.0), left=(-0.6, 0.6)))
        self.glider = Glider(body)
        self.page = TeleopPage(PageCfg(port=0), body, self.session)
        self.loop = Loop(self.glider, self.session, self.page.offer)
        self._thread = threading.Thread(target=self.loop.run, daemon=True)
        self._thread.start()
        self.browser = chromium.Chromium(chromium.find() or "", folder)

    def open(self) -> chromium.Page:
        """Open the page in a tab of its own."""
        tab = self.browser.open(self.page.address)
        wait(lambda: BUTTON in tab.text or "watching" in tab.text, "the page's controls")
        # viser's own note that a software renderer is slow lies over the scene
        tab.evaluate("document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())")
        return tab

    def close(self) -> None:
        """End everything."""
        self.browser.close()
        self.loop.stop()
        self._thread.join(timeout=10)
        self.page.close()


@pytest.fixture(scope="module")
def stage(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything, with one tab open; skipped where there is no Chromium."""
    if chromium.find() is None:
        pytest.skip(f"no Chromium here: none of {', '.join(chromium.NAMES)}")
    stage = Stage(body, tmp_path_factory.mktemp("profile"))
    try:
        stage.tab = stage.open()
        yield stage
    finally:
        stage.close()


def wait(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def look(tab: chromium.Page, name: str) -> np.ndarray:
    """Return what is seen (H, W, 3); kept in ``$HUMANOID_PICTURES`` for people."""
    picture = tab.picture()
    if folder := os.environ.get("HUMANOID_PICTURES"):
        (Path(folder) / f"{name}.png").write_bytes(picture)
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def middle_of_body(tab: chromium.Page, name: str) -> np.ndarray:
    """Return the middle (2,) [share of the width] of what has the body's colour, between the panels."""
    end = time.monotonic() + 60.0
    while True:
        image = look(tab, name)
        width = image.shape[1]
        red, green, blue = np.moveaxis(image[:, int(0.23 * width) : int(0.7 * width)], -1, 0)
        rows, columns = np.nonzero((red - blue > 60) & (red - green > 25) & (green - blue > 20))
        if len(rows) > 0.001 * image[..., 0].size:
            return np.array((columns.mean(), rows.mean())) / width
        assert time.monotonic() < end, "no body in the picture"  # a new page fades in
        time.sleep(0.5)


def rounded(stage: Stage) -> tuple[float, float, float]:
    """Return the command without the dust of floats."""
    command = stage.session.orders().command
    return round(command.forward, 6), round(command.left, 6), round(command.turn, 6)


def test_keys_move_the_body(stage: Stage) -> None:
    stage.page.follow = False
    wait(lambda: stage.loop.steps > 50, "the loop")
    before = middle_of_body(stage.tab, "1_standing")
    for key in "IIIIJUUO":
        stage.tab.press(key)
    wait(lambda: rounded(stage) == (0.8, 0.2, 0.3), "all keys")
    wait(lambda: np.linalg.norm(stage.glider.place) > 2.0, "the body to move")
    wait(lambda: "+0.8" in stage.tab.text, "the command on the page")
    stage.tab.press("space")
    wait(lambda: stage.session.orders().command == STANDING, "the stop")
    time.sleep(2.0)
    after = middle_of_body(stage.tab, "2_walked")
    assert np.linalg.norm(after - before) > 0.02, "the picture shows no other place"
    stage.page.follow = True


def test_beyond_the_range_the_page_says_so(stage: Stage) -> None:
    for _ in range(12):
        stage.tab.press("I")
    wait(lambda: "clamped to +2.00" in stage.tab.text, "the message")
    assert stage.session.orders().command.forward == 2.0
    look(stage.tab, "3_clamped")
    stage.tab.press("space")
    wait(lambda: stage.session.orders().command == STANDING, "the stop")


def test_an_obstacle_dragged_onto_the_body_is_refused(stage: Stage) -> None:
    stage.session.request(stage.session.controller or 0, "reset")
    wait(lambda: stage.glider.place.sum() == 0.0, "the start")
    stage.tab.click("pillar")
    wait(lambda: stage.session.orders().obstacles, "the pillar")
    pillar = stage.session.orders().obstacles[0]
    assert pillar.active
    time.sleep(3.0)
    look(stage.tab, "4_pillar")
    start, end = (on_screen(stage, place) for place in (pillar.pos_w, (0.0, 0.0, pillar.pos_w[2])))
    stage.tab.drag(start, end)
    wait(lambda: not stage.session.orders().obstacles[0].active, "the refusal")
    wait(lambda: "refused" in stage.tab.text, "the message")
    time.sleep(2.0)
    look(stage.tab, "5_refused")
    moved = stage.session.orders().obstacles[0]
    assert np.linalg.norm(moved.pos_w[:2]) < 0.5 and moved.pos_w[2] == pillar.pos_w[2]
    assert stage.page.scene.obstacles[moved.name][1].opacity < 1.0
    steps = stage.loop.steps
    wait(lambda: stage.loop.steps > steps + 10, "the loop to go on")
    stage.tab.click("clear")
    wait(lambda: not stage.session.orders().obstacles, "an empty floor")


def on_screen(stage: Stage, place: tuple[float, ...]) -> tuple[float, float]:
    """Return where a place [m] of the world is seen [pixels] by the page that steers."""
    camera = stage.page.server.get_clients()[stage.session.controller or 0].camera
    world = np.asarray(place) + stage.page.scene.world.position
    forward = camera.look_at - camera.position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, camera.up_direction)
    right /= np.linalg.norm(right)
    seen = world - camera.position
    scale = 0.5 * camera.image_height / np.tan(0.5 * camera.fov) / (seen @ forward)
    left, top, width, height = stage.tab.evaluate(
        "(() => { const r = document.querySelector('canvas').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]; })()"
    )
    up = np.cross(right, forward)
    return left + 0.5 * width + scale * (seen @ right), top + 0.5 * height - scale * (seen @ up)


def test_the_second_page_watches_and_takes_over(stage: Stage) -> None:
    second = stage.open()
    wait(lambda: "watching" in second.text, "the second page to watch")
    assert BUTTON not in second.text and BUTTON in stage.tab.text
    look(second, "6_watching")
    second.press("I")
    time.sleep(1.0)
    assert stage.session.orders().command == STANDING
    stage.tab.close()
    wait(lambda: BUTTON in second.text, "the second page to steer")
    assert "watching" not in second.text
    second.press("I")
    wait(lambda: stage.session.orders().command.forward == pytest.approx(0.2), "its key")
    stage.tab = second


def test_a_page_that_vanishes_stops_the_body_and_not_the_loop(stage: Stage) -> None:
    stage.tab.press("I")
    wait(lambda: stage.session.orders().command.forward > 0.1, "the command")
    stage.browser.freeze(True)
    try:
        stage.session.cfg = HASTY
        begun, steps = time.monotonic(), stage.loop.steps
        wait(lambda: stage.session.orders().command == STANDING, "the body to be stopped", 20.0)
        assert stage.loop.steps > steps + 5 * (time.monotonic() - begun)
    finally:
        stage.session.cfg = PATIENT
        stage.browser.freeze(False)
    stage.tab.close()
    wait(lambda: stage.session.controller is None, "nobody to be left")
    steps = stage.loop.steps
    wait(lambda: stage.loop.steps > steps + 10, "the loop to go on")
