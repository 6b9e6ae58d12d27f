"""The control loop: keeps its beat, does what is asked, goes on whatever happens."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from humanoid.bodies import BodyState, Embodiment
from humanoid.teleop import ControlsCfg, Loop, ScriptedInput, SessionCfg, TeleopSession
from humanoid.teleop.controls import SLOWEST, STANDING
from humanoid.teleop.loop import LYING, PROGRAM, PUSH, Pacer, ScriptPlayer
from humanoid.teleop.scene import Snapshot
from tests.glider import Glider


class Time:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        """Begin."""
        self.now, self.slept = 100.0, []

    def __call__(self) -> float:
        """Return the time [s]."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


class Reel:
    """A recorder that draws nothing."""

    def __init__(self) -> None:
        """Record nothing yet."""
        self.recording, self.taken = False, []

    def toggle(self) -> str:
        """Begin or end."""
        self.recording = not self.recording
        return f"recording is {self.recording}"

    def take(self, state: BodyState, caption: str) -> None:
        """Keep the caption."""
        self.taken.append(caption)

    def news(self) -> str:
        """Say nothing."""
        return ""


@pytest.fixture
def glider(body: Embodiment) -> Glider:
    """A body that obeys at once."""
    return Glider(body)


@pytest.fixture
def session() -> TeleopSession:
    """Client 1 steers."""
    session = TeleopSession(SessionCfg(patience=60.0), ControlsCfg(forward=(0.0, 2.0), left=(-0.6, 0.6)))
    session.join(1)
    return session


def steps(loop: Loop, count: int) -> None:
    """Step without waiting for the beat."""
    for _ in range(count):
        loop.step()


def texts(session: TeleopSession) -> str:
    """Return all that the users are told."""
    return "; ".join(message.text for message in session.take_messages())


def test_the_beat_is_kept() -> None:
    time = Time()
    pacer = Pacer(0.02, time, time.sleep)
    for _ in range(5):
        time.now += 0.005
        pacer.wait()
    assert pacer.misses == 0 and time.slept == pytest.approx([0.015] * 5)
    assert pacer.seconds == pytest.approx(0.1) and list(pacer.work) == pytest.approx([0.005] * 5)


def test_a_late_step_is_counted_and_not_caught_up() -> None:
    time = Time()
    pacer = Pacer(0.02, time, time.sleep)
    for work in (0.005, 0.07, 0.005, 0.005):
        time.now += work
        pacer.wait()
    assert pacer.misses == 1
    # the two beats that were missed are gone: the next step has its whole period
    assert time.slept == pytest.approx([0.015, 0.015, 0.015])


def test_runs_in_real_time_and_ends_by_itself(glider: Glider, session: TeleopSession) -> None:
    result = Loop(glider, session).run(0.4)
    assert 0.4 <= result["seconds"] < 1.5
    assert result["control_steps"] + result["control_misses"] >= 5
    assert result["plan_ms_median"] == 40.0 and result["falls"] == 0


def test_can_be_ended_from_elsewhere(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.stop()
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_the_body_goes_as_the_keys_say(glider: Glider, session: TeleopSession) -> None:
    moments: list[Snapshot] = []
    loop = Loop(glider, session, moments.append)
    for key in "IIII":
        session.press(1, key)
    steps(loop, 200)
    assert glider.place == pytest.approx((200 * 0.02 * 0.8, 0.0))
    last = moments[-1]
    assert len(moments) == 200 and last.velocity.forward == pytest.approx(0.8, abs=0.01)
    assert last.pos[0, :2] == pytest.approx(glider.place, abs=1e-5) and last.path is glider.path
    assert last.orders.command.forward == 0.8 and last.plan_ms == 40.0
    assert loop.metrics()["velocity_error"] < 0.15


def test_velocities_are_those_of_the_heading(glider: Glider, session: TeleopSession) -> None:
    moments: list[Snapshot] = []
    glider.yaw = 2.0
    session.ask(1, {"forward": 0.5, "left": -0.3, "turn": 0.4})
    steps(Loop(glider, session, moments.append), 200)
    real = moments[-1].velocity
    assert (real.forward, real.left, real.turn) == pytest.approx((0.5, -0.3, 0.4), abs=0.02)
    assert moments[-1].yaw == pytest.approx(
        glider.yaw - 2 * np.pi * round(glider.yaw / (2 * np.pi)), abs=1e-3
    )


def test_the_error_is_in_the_frame_of_the_command(glider: Glider, session: TeleopSession) -> None:
    """The glider takes commands in its heading: facing left it goes to -x when told to go left."""
    glider.yaw = np.pi / 2
    loops = {frame: Loop(glider, session, frame=frame) for frame in ("heading", "world")}
    session.ask(1, {"left": 0.6})
    for loop in loops.values():
        steps(loop, 300)
    assert loops["heading"].metrics()["velocity_error"] < 0.1
    assert loops["world"].metrics()["velocity_error"] == pytest.approx(np.sqrt(2.0), abs=0.1)


def test_what_is_shown_is_in_the_frame_of_the_command(glider: Glider, session: TeleopSession) -> None:
    """The glider faces left of x, so what it does forward is +y of the world."""
    moments: list[Snapshot] = []
    glider.yaw = np.pi / 2
    session.ask(1, {"forward": 0.5})
    steps(Loop(glider, session, moments.append, frame="world"), 200)
    last = moments[-1]
    assert last.yaw == 0.0 and (last.velocity.forward, last.velocity.left) == pytest.approx(
        (0, 0.5), abs=0.02
    )


def test_a_script_asks_again_after_a_fall(glider: Glider) -> None:
    session = TeleopSession()
    loop = Loop(glider, session)
    session.join(PROGRAM)
    script_input = loop.script = ScriptPlayer(session, (ScriptedInput(60.0, {"forward": 0.6}),), glider.dt)
    for step in range(20):
        script_input.apply(step)
        if step == 10:
            loop.reset()
        loop.step()
    asked = [orders.command.forward for orders in glider.steered]
    assert asked == [0.6] * 10 + [0.0] + [0.6] * 9


def test_a_pace_left_to_the_body_is_no_error(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    steps(loop, 100)
    session.ask(1, {"forward": SLOWEST - 0.1})
    steps(loop, 100)
    assert loop.metrics()["velocity_error"] is None


def test_paused_time_stands_still(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    session.press(1, "I")
    session.pause(1)
    steps(loop, 20)
    assert not glider.place.any() and not glider.steered and loop.steps == 20
    session.pause(1)
    steps(loop, 20)
    assert glider.place[0] > 0


def test_push_reset_record(glider: Glider, session: TeleopSession) -> None:
    reel = Reel()
    loop = Loop(glider, session, recorder=reel)
    session.request(1, "push")
    loop.step()
    assert 0.9 * PUSH < np.linalg.norm(glider.extra) <= PUSH
    session.request(1, "record")
    session.press(1, "I")
    steps(loop, 5)
    session.request(1, "record")
    steps(loop, 5)
    assert len(reel.taken) == 5 and "+0.2 m/s forward" in reel.taken[0]
    assert "recording is True" in texts(session)
    session.request(1, "reset")
    loop.step()
    assert glider.resets == 1 and session.orders().command == STANDING and not glider.place.any()


def test_without_recorder_that_is_said(glider: Glider, session: TeleopSession) -> None:
    session.request(1, "record")
    steps(Loop(glider, session), 1)
    assert "no video" in texts(session)


def test_a_fall_is_counted_once_and_mended(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    glider.lying = True
    steps(loop, round(LYING / glider.dt) - 2)
    assert loop.falls == 1 and glider.resets == 0
    steps(loop, 5)
    assert loop.falls == 1 and glider.resets == 1 and "back on its feet" in texts(session)
    steps(loop, 10)
    assert loop.falls == 1


def test_a_simulation_that_diverges_is_put_back(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    glider.broken = True
    steps(loop, 3)
    assert glider.resets == 1 and loop.falls == 1 and "diverged" in texts(session)
    assert np.isfinite(loop.snapshot(session.orders()).pos).all()


def test_trouble_of_the_planner_is_said_and_the_loop_goes_on(glider: Glider, session: TeleopSession) -> None:
    loop = Loop(glider, session)
    glider.trouble = ["the planning process has died"]
    session.press(1, "I")
    steps(loop, 10)
    assert "has died" in texts(session) and glider.place[0] == pytest.approx(10 * 0.02 * 0.2)


def test_a_script_steers(glider: Glider) -> None:
    session = TeleopSession()
    loop = Loop(glider, session)
    script = (ScriptedInput(0.1, {"forward": 0.6}), ScriptedInput(0.1, {"turn": 0.5}, push=True))
    loop.run(0.5, script)
    asked = [orders.command for orders in glider.steered]
    assert asked[0].forward == 0.6 and any(command.turn == 0.5 and command.forward == 0 for command in asked)
    first, second = (next(i for i, c in enumerate(asked) if getattr(c, axis)) for axis in ("forward", "turn"))
    assert second - first == 5
    assert glider.place.any()
