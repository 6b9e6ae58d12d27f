"""The page is served on the loopback interface, shows the player's frame and sleeps while paused."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment, PropTrack
from humanoid.core import InputError, MissingExtraError
from humanoid.motion import Motion
from humanoid.view import CapturedSkeleton, Recording
from humanoid.view.player import BODY, IN_CONTACT

pytest.importorskip("viser")

from humanoid.view import Browser
from humanoid.view.browser import TOUCHED


@pytest.fixture(scope="module")
def take(squat: Motion, body: Embodiment) -> Recording:
    """The squat; the left toe stands from frame 50 on, a ball lies about and is touched then."""
    frames = squat.num_frames
    pos = squat.states.body_pos_w.numpy()
    later = np.arange(frames) >= 50
    ball = PropTrack(
        name="ball",
        pos_w=torch.zeros(frames, 3),
        quat_w=torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(frames, 4),
        touched=torch.from_numpy(later),
        size=(0.1, 0.1, 0.1),
    )
    return Recording(
        name="squat",
        fps=squat.fps,
        pos=pos,
        quat=squat.states.body_quat_w.numpy(),
        body_names=body.body_names,
        contact=later[:, None],
        contact_names=("L_Toe",),
        source=CapturedSkeleton(
            pos=pos[:, :3],
            quat=squat.states.body_quat_w.numpy()[:, :3],
            offsets=np.array(((0.0, 0, 0), (0, 0, -0.4), (0, 0, 0))),
            parents=(-1, 0, 1),
        ),
        objects=(ball,),
        notes=(("skate mm", "<b>1.0</b>", False),),
    )


@pytest.fixture
def page(take: Recording, body: Embodiment) -> Iterator[Browser]:
    """A page on a port of the system's choice, with the squat and half of it."""
    half = replace(take, name="half", pos=take.pos[:50], source=None, objects=())
    page = Browser(body, [take, half], 0)
    yield page
    page.close()


def click(handle: Any) -> None:
    """Do what viser does when a user has changed a control."""
    for callback in handle._impl.update_cb:
        callback(SimpleNamespace(client_id=1, client=None, target=handle))


def test_answers_on_this_machine_and_nowhere_else(page: Browser) -> None:
    with urllib.request.urlopen(page.address, timeout=5) as answer:
        assert answer.status == 200 and b"<html" in answer.read(2000).lower()
    port = page.server.get_port()
    # all of 127/8 is this machine, but a server on all interfaces would answer there as well
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=1):
        pass


def test_shows_the_frame(page: Browser, take: Recording) -> None:
    page.player.seek(10)
    page.show()
    toe, bodies = take.body_names.index("L_Toe"), page.scene.bodies
    assert bodies["L_Toe"].position == pytest.approx(take.pos[10, toe])
    assert bodies["L_Toe"].wxyz == pytest.approx(take.quat[10, toe], abs=1e-6)
    assert tuple(bodies["L_Toe"].color) == BODY
    page.player.seek(60)
    page.show()
    assert tuple(bodies["L_Toe"].color) == IN_CONTACT and tuple(bodies["R_Toe"].color) == BODY
    assert take.source is not None
    assert page.scene.joints[1].position == pytest.approx(take.source.pos[60, 1])
    assert tuple(page.scene.objects[0].color) == TOUCHED
    assert page.panel.frame.value == 60
    assert "L_Toe" in page.panel.time.content


def test_controls_reach_the_player(page: Browser) -> None:
    panel = page.panel
    click(panel.play)
    assert not page.player.playing
    panel.frame.value = 33
    click(panel.frame)
    assert page.player.frame == 33 and not page.player.playing
    panel.speed.value = "0.25"
    click(panel.speed)
    assert page.player.speed == 0.25
    panel.loop.value = False
    click(panel.loop)
    assert not page.player.loop
    panel.clip.value = "half"
    click(panel.clip)
    assert page.player.recording.name == "half" and panel.frame.max == 49


def test_assignments_from_code_are_not_the_users(page: Browser) -> None:
    page.player.seek(70)
    page.show()  # sets the slider, which calls its callback
    assert page.player.playing and page.player.frame == 70


def test_text_of_files_is_no_markup(page: Browser) -> None:
    assert "&lt;b&gt;1.0" in page.panel.notes.content


def test_plays_and_sleeps(page: Browser) -> None:
    thread = threading.Thread(target=page.run, daemon=True)
    thread.start()
    time.sleep(0.25)
    assert page.player.frame > 3
    click(page.panel.play)
    time.sleep(0.1)
    before, shown, used = page.player.frame, page.panel.frame.value, time.thread_time()
    shows = []
    page.show = lambda: shows.append(1)  # type: ignore[method-assign]
    time.sleep(0.3)
    assert page.player.frame == before == shown and not shows and time.thread_time() - used < 0.1
    page.close()
    thread.join(timeout=2)
    assert not thread.is_alive()


def test_refusals(take: Recording, body: Embodiment, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError):
        Browser(body, [], 0)
    with pytest.raises(InputError, match="port 70000"):
        Browser(body, [take], 70000)
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"humanoid\[teleop\]"):
        Browser(body, [take], 0)
