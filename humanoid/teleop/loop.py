"""The control loop of a teleoperation: one step every 20 ms."""

from __future__ import annotations

import gc
import math
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot
from humanoid.tasks.scores import LOW_SHARE, TILT_RAD
from humanoid.teleop.controls import SLOWEST, StickCommand
from humanoid.teleop.gamepad import Gamepad
from humanoid.teleop.scene import Snapshot
from humanoid.teleop.session import TeleopCommand, TeleopSession

PUSH = 0.5
"""[m/s] that a push adds to the root, in a random direction (perturbation of arXiv 2508.08241)."""
GAIT = 0.5
"""[s] about a stride: time constant of the velocity that is shown and scored."""
LYING = 2.0
"""[s] that a fallen body lies before it is put back on its feet."""
SETTLED = 1.0
"""[s] after a change of the command from which on the error counts."""


class Walker(Protocol):
    """One simulated body with its agent."""

    body: Embodiment
    """Who walks."""
    dt: float
    """Control period [s]."""

    @property
    def state(self) -> BodyState:
        """Present state, leading axis 1, on the CPU."""
        ...

    @property
    def path(self) -> np.ndarray | None:
        """Where the plan has the root (F, 2) [m], world; the same array until there is another."""
        ...

    @property
    def plan_times(self) -> Sequence[float]:
        """How long the latest plans took [s]."""
        ...

    @property
    def plan_misses(self) -> int:
        """Plans that came too late."""
        ...

    def steer(self, orders: TeleopCommand) -> None:
        """Take a user's orders, before every step."""
        ...

    def messages(self) -> list[str]:
        """Return problems since the last call, each once."""
        ...

    def step(self) -> None:
        """Advance one control period."""
        ...

    def push(self, velocity_w: tuple[float, float]) -> None:
        """Add (2,) [m/s], world, to the root's velocity."""
        ...

    def reset(self) -> None:
        """Start again."""
        ...


class VideoRecorder(Protocol):
    """Makes videos; :class:`humanoid.teleop.recorder.Recorder`."""

    recording: bool
    """Whether one is being recorded."""

    def toggle(self) -> str:
        """Begin or end a video; say so."""
        ...

    def take(self, state: BodyState, caption: str) -> None:
        """Take the state after a control step, leading axis 1."""
        ...

    def news(self) -> str:
        """Say what has become of ended ones, "" for nothing new."""
        ...


class Pacer:
    """Keeps the beat of the control steps and counts those that end after it."""

    def __init__(
        self,
        dt: float,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin the first step now."""
        self._dt, self._clock, self._sleep = dt, clock, sleep
        self.misses, self.work = 0, array("d")
        self._start = self._begun = clock()
        self._next = self._begun + dt

    @property
    def seconds(self) -> float:
        """Time [s] since the first step began."""
        return self._clock() - self._start

    def wait(self) -> None:
        """End a step and wait for the beat. What was missed is not caught up: time runs on from now."""
        now = self._clock()
        self.work.append(now - self._begun)
        if now > self._next:
            self.misses += 1
            self._next = now
        else:
            self._sleep(self._next - now)
        self._begun = self._clock()
        self._next += self._dt


@dataclass(frozen=True)
class ScriptedInput:
    """A scripted input in place of a user's.

    Attributes:
        seconds: how long.
        values: of the command; what is not named is 0.
        push: whether the body is pushed at the beginning.
    """

    seconds: float
    values: dict[str, float]
    push: bool = False


PROGRAM = 0
"""Client number of a script."""


class Loop:
    """Steps a walker in real time by a session's orders."""

    def __init__(
        self,
        walker: Walker,
        session: TeleopSession,
        show: Callable[[Snapshot], None] | None = None,
        pad: Gamepad | None = None,
        recorder: VideoRecorder | None = None,
        seed: int = 0,
        frame: Literal["heading", "world"] = "heading",
    ) -> None:
        """Bind them; ``show`` is called after every step and must not wait, ``frame`` is the command's."""
        self.walker, self.session, self._show, self._pad, self._recorder = (
            walker,
            session,
            show,
            pad,
            recorder,
        )
        self._frame = frame
        self._random = np.random.default_rng(seed)
        self._posture = Posture(walker.body)
        self._pacer: Pacer | None = None
        self.script: ScriptPlayer | None = None
        self.steps, self.falls, self._down = 0, 0, 0.0
        self._velocity = np.zeros(3)
        self._last, self._since = TeleopCommand(), 0
        self._errors: list[float] = []
        self._ended = False

    def run(self, seconds: float = 0.0, script: Sequence[ScriptedInput] = ()) -> dict[str, Any]:
        """Run for a time, 0: until interrupted; return the metrics.

        Args:
            seconds: how long [s].
            script: steers in place of a user, from its beginning again where it has ended.
        """
        if script:
            self.session.join(PROGRAM)
        gc.collect()
        gc.freeze()  # else a full collection stops the loop for longer than a step
        pacer = self._pacer = Pacer(self.walker.dt)
        script_input = self.script = ScriptPlayer(self.session, script, self.walker.dt)
        try:
            while not self._ended and (seconds <= 0.0 or pacer.seconds < seconds):
                script_input.apply(self.steps)
                self.step()
                pacer.wait()
        except KeyboardInterrupt:
            pass
        finally:
            gc.unfreeze()
        return self.metrics()

    def stop(self) -> None:
        """End :meth:`run` after the present step; from any thread."""
        self._ended = True

    def metrics(self) -> dict[str, Any]:
        """Return metrics so far."""
        work = np.array(self._pacer.work if self._pacer else ())
        plans = np.array(self.walker.plan_times)
        return {
            "seconds": round(self._pacer.seconds, 2) if self._pacer else 0.0,
            "control_steps": self.steps,
            "control_misses": self._pacer.misses if self._pacer else 0,
            "step_ms_median": _ms(work, 50),
            "step_ms_p99": _ms(work, 99),
            "plan_ms_median": _ms(plans, 50),
            "plan_ms_p99": _ms(plans, 99),
            "plan_misses": self.walker.plan_misses,
            "falls": self.falls,
            "velocity_error": round(float(np.mean(self._errors)), 4) if self._errors else None,
        }

    def step(self) -> None:
        """Advance one control step: input, command, agent, simulator, page."""
        session, walker = self.session, self.walker
        sticks = self._pad.poll() if self._pad is not None else None
        if sticks is not None:
            session.steer_by_pad(sticks)
        session.watch()
        for request in session.take_requests():
            self._do(request)
        orders = session.orders()
        if not orders.paused:
            walker.steer(orders)
            walker.step()
            for text in walker.messages():
                session.tell(text, bad=True)
            self._look(orders)
        self.steps += 1
        if self._recorder is not None and (news := self._recorder.news()):
            session.tell(news)
        if self._show is not None:
            self._show(self.snapshot(orders))

    def _do(self, request: str) -> None:
        if request == "push":
            angle = self._random.uniform(0.0, 2.0 * math.pi)
            self.walker.push((PUSH * math.cos(angle), PUSH * math.sin(angle)))
        elif request == "reset":
            self.reset()
        elif self._recorder is not None:
            self.session.tell(self._recorder.toggle())
        else:
            self.session.tell("no video can be recorded here", bad=True)

    def _look(self, orders: TeleopCommand) -> None:
        """Track place, velocity and falls of the body."""
        state = self.walker.state
        if not bool(state.body_pos_w.isfinite().all()):
            self.falls += 1
            self.session.tell("the simulation has diverged: the body is put back", bad=True)
            self.reset()
            return
        self.session.saw(state.body_pos_w[0].numpy(), _yaw(state))
        gain = 1.0 - math.exp(-self.walker.dt / GAIT)
        self._velocity += gain * (_velocity(state) - self._velocity)
        self._score(orders)
        if self._recorder is not None and self._recorder.recording:
            self._recorder.take(state, str(orders.command) if orders.waypoint is None else "to the waypoint")
        low = self._posture.head_height(state) < LOW_SHARE * self._posture.standing
        if not bool(low | (self._posture.tilt(state) > TILT_RAD)):
            self._down = 0.0
            return
        self.falls += self._down == 0.0
        self._down += self.walker.dt
        if self._down > LYING:
            self.session.tell("the body fell: it is put back on its feet", bad=True)
            self.reset()

    def reset(self) -> None:
        """Put the body back on its feet; the command is withdrawn, a script gives its input again."""
        self.walker.reset()
        self._down, self._velocity[:] = 0.0, 0.0
        self.session.placed(self.walker.state.body_pos_w[0].numpy(), _yaw(self.walker.state))
        if self.script is not None:
            self.script.repeat()

    def _score(self, orders: TeleopCommand) -> None:
        """Compare the velocity with a command that has stood for a while, as ``eval guide`` does.

        A command that leaves the pace to the body does not count.
        """
        changed = orders.command != self._last.command or orders.waypoint != self._last.waypoint
        self._last, self._since = orders, 0 if changed else self._since + 1
        asked = np.array((orders.command.forward, orders.command.left))
        speed = float(np.linalg.norm(asked))
        if orders.waypoint is not None or speed < SLOWEST or self._since * self.walker.dt <= SETTLED:
            return
        real = self._real()
        self._errors.append(math.hypot(real.forward - asked[0], real.left - asked[1]) / speed)

    def _real(self) -> StickCommand:
        """Return the velocity of the root in the frame of the command."""
        ahead, left, turn = self._velocity.tolist()
        yaw = _yaw(self.walker.state) if self._frame == "world" else 0.0
        cos, sin = math.cos(yaw), math.sin(yaw)
        return StickCommand(cos * ahead - sin * left, sin * ahead + cos * left, turn)

    def snapshot(self, orders: TeleopCommand) -> Snapshot:
        """Return the present instant for the page."""
        state, walker = self.walker.state, self.walker
        return Snapshot(
            pos=state.body_pos_w[0].numpy(),
            quat=state.body_quat_w[0].numpy(),
            yaw=_yaw(state) if self._frame == "heading" else 0.0,
            orders=orders,
            velocity=self._real(),
            path=walker.path,
            seconds=self.steps * walker.dt,
            misses=self._pacer.misses if self._pacer else 0,
            plan_ms=1e3 * walker.plan_times[-1] if walker.plan_times else None,
            plan_misses=walker.plan_misses,
            recording=self._recorder is not None and self._recorder.recording,
        )


class ScriptPlayer:
    """Gives a session scripted inputs at their times."""

    def __init__(self, session: TeleopSession, script: Sequence[ScriptedInput], dt: float) -> None:
        """Play a script to a session, at control steps of ``dt`` [s]."""
        self._session, self.script, self._dt = session, script, dt
        self._next, self._line = 0.0, 0
        self._act, self._again = ScriptedInput(0.0, {}), False

    def repeat(self) -> None:
        """Repeat the last input: a reset withdraws the command."""
        self._again = True

    def apply(self, step: int) -> None:
        """Give the input that is due before a control step."""
        if not self.script:
            return
        self._session.heartbeat(PROGRAM)
        due = step * self._dt >= self._next - 1e-9
        if due:
            self._act = self.script[self._line % len(self.script)]
            self._next, self._line = self._next + self._act.seconds, self._line + 1
        if due or self._again:
            self._session.ask(PROGRAM, {"forward": 0.0, "left": 0.0, "turn": 0.0, **self._act.values})
        if due and self._act.push:
            self._session.request(PROGRAM, "push")
        self._again = False


def _velocity(state: BodyState) -> np.ndarray:
    """Return forward and left [m/s] in the heading frame and the yaw rate [rad/s], (3,)."""
    heading = frames.yaw_quat(state.root_quat_w)
    planar = rot.rotate_inverse(heading, state.root_lin_vel_w)[0, :2]
    return torch.cat((planar, state.root_ang_vel_w[0, 2:])).double().numpy()


def _yaw(state: BodyState) -> float:
    return float(frames.yaw(state.root_quat_w)[0])


def _ms(times: np.ndarray, percentile: float) -> float | None:
    return round(1e3 * float(np.percentile(times, percentile)), 2) if len(times) else None
