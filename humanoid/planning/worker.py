"""Plans made in another process, while the control loop goes on.

The loop hands over a window whenever a frame begins and asks at every control step whether a
plan has arrived; neither waits. One plan at most is being made; of the windows that come
meanwhile only the newest is kept. A plan that takes longer than the deadline is counted and
used all the same when it arrives: until then the loop follows the one it has.

What goes through the pipe is pickled with tensors as arrays, which is ten times quicker than
the tensors' own way through shared memory, and leaves nothing behind when a process dies.
"""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from humanoid.core.constraints import Checked, Count, Positive
from humanoid.core.errors import HumanoidError, one_line
from humanoid.planning.guidance import Guidance
from humanoid.planning.planner import Keyframes, Plan, Window

KEPT = 512
"""Latest latencies that are kept."""
PATIENCE = 2.0
"""[s] that a worker gets to end by itself."""

logger = logging.getLogger(__name__)


class Plans(Protocol):
    """Whatever makes plans, as :class:`humanoid.planning.planner.DiffusionPlanner` does."""

    @property
    def device(self) -> torch.device:
        """Where it wants its tensors."""
        ...

    def plan(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """Return a plan."""
        ...


@dataclass(frozen=True, kw_only=True)
class WorkerCfg(Checked):
    """How plans are made beside the loop."""

    deadline: Positive = 0.2
    """Replanning period [s]; a plan that takes longer is counted as a miss."""
    threads: Count = 1
    """CPU threads that a plan takes."""
    seed: int = 0
    """Of the noise that plans begin from."""


class PlanWorker:
    """Makes plans in another process; every plan begins from the one before.

    Attributes:
        misses: plans that took longer than the deadline or were lost with their process.
        latencies: [s] of the latest plans, each from :meth:`submit` to when it was made.
    """

    def __init__(self, make: Callable[[], Plans], cfg: WorkerCfg | None = None) -> None:
        """Start the process; :attr:`ready` says when it is there (seconds later).

        Args:
            make: makes the planner, over there; picklable, such as
                ``functools.partial(DiffusionPlanner.load, path, cfg)``.
            cfg: settings.
        """
        self.cfg = cfg or WorkerCfg()
        self.misses = 0
        self.latencies: deque[float] = deque(maxlen=KEPT)
        self._make = make
        self._lives = 2
        self._waiting: _Request | None = None
        self._start()

    @property
    def ready(self) -> bool:
        """Whether plans are being made: the process is there, as far as the last poll saw."""
        return self._ready and self.alive

    @property
    def alive(self) -> bool:
        """Whether there is a process, or soon again, to make plans."""
        return self._lives > 0

    def submit(
        self, window: Window, guidance: Guidance | None = None, keyframes: Keyframes | None = None
    ) -> None:
        """Ask for a plan; does not wait. A window that is still waiting is replaced.

        Args:
            window: what the bodies did; see :meth:`humanoid.planning.planner.DiffusionPlanner.plan`.
            guidance: costs.
            keyframes: what they shall look like.
        """
        if self.alive:
            self._waiting = _Request(_dumps((window, guidance, keyframes)), time.monotonic())
            self._send_waiting()

    def poll(self) -> Plan | None:
        """Return a plan that has arrived since the last call, on the CPU; does not wait.

        ``window.tick - plan.tick`` frames of it have passed by then.

        Raises:
            HumanoidError: a plan was refused or failed, or the process has died for the second
                time (after the first it is started again). Says so once: the loop can go on.
        """
        if not self.alive:
            return None
        reply = None
        try:
            if self._pipe.poll():
                reply = _loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._bury()
        if reply is not None:
            self._settle(reply)
        elif self._sent is not None and not self._late:
            self._count(time.monotonic() - self._sent)
        self._send_waiting()
        return None if reply is None else reply.plan

    def close(self) -> None:
        """End the process. Nothing is made any more."""
        self._lives, self._waiting = 0, None
        self._pipe.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> PlanWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        # a fork would copy locks that threads hold, and not the threads
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._make, self.cfg), name="planner", daemon=True
        )
        self._process.start()
        theirs.close()  # so that the pipe ends with the process
        self._ready, self._late = False, False
        self._sent: float | None = None

    def _send_waiting(self) -> None:
        """Send the window that waits, if nothing else is being planned."""
        if self._waiting is None or not self._ready or self._sent is not None:
            return
        request, self._waiting = self._waiting, None
        self._sent, self._late = request.time, False
        with contextlib.suppress(OSError):  # the process has died: the next poll will see
            self._pipe.send_bytes(request.content)

    def _settle(self, reply: _Reply) -> None:
        """Take note of a reply; raise what it complains of."""
        if not self._ready:
            self._ready = True
            if self._waiting is not None:  # that the process had to start is no latency of a plan
                self._waiting = replace(self._waiting, time=time.monotonic())
        if self._sent is not None and reply.plan is not None:
            latency = reply.time - self._sent
            self.latencies.append(latency)
            if not self._late:
                self._count(latency)
        self._sent = None
        if reply.final:
            self._lives = 0
        if reply.error is not None:
            raise reply.error

    def _count(self, latency: float) -> None:
        """Count a plan that is over its deadline, once."""
        self._late = latency > self.cfg.deadline
        self.misses += self._late

    def _bury(self) -> None:
        """Start a process in place of the dead one, or say that there is none any more."""
        self._process.join(PATIENCE)
        self._pipe.close()
        self._lives -= 1
        self.misses += self._sent is not None and not self._late
        end = f"the planning process has died (exit code {self._process.exitcode})"
        if not self.alive:
            raise HumanoidError(f"{end} again; there are no new plans until it is started anew")
        logger.warning("%s; starting it again", end)
        self._start()


@dataclass(frozen=True)
class _Request:
    content: bytes
    time: float


@dataclass(frozen=True)
class _Reply:
    """Reply of the process: started (the time alone), a plan, or an error.

    Attributes:
        time: [s] of the clock that all processes share.
        plan: a plan.
        error: why there is none.
        final: whether there never will be.
    """

    time: float
    plan: Plan | None = None
    error: HumanoidError | None = None
    final: bool = False


def _serve(pipe: Connection, make: Callable[[], Plans], cfg: WorkerCfg) -> None:
    """Make plans until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the loop decides
    torch.set_num_threads(cfg.threads)
    with contextlib.suppress(EOFError, OSError):
        try:
            planner = make()
        except Exception as error:  # whatever it is, the loop must hear of it
            _send(pipe, error=_report(error), final=True)
            return
        generator = torch.Generator(planner.device).manual_seed(cfg.seed)
        previous = None
        _send(pipe)
        while True:
            content = pipe.recv_bytes()
            try:
                window, guidance, keyframes = _loads(content, planner.device)
                previous = planner.plan(window, guidance, keyframes, previous, generator)
            except Exception as error:
                _send(pipe, error=_report(error))
            else:
                _send(pipe, plan=previous)


def _send(pipe: Connection, **reply: Any) -> None:  # noqa: ANN401 - the fields of a reply
    pipe.send_bytes(_dumps(_Reply(time.monotonic(), **reply)))


def _report(error: Exception) -> HumanoidError:
    """Return what went wrong as an error that the loop can show."""
    if isinstance(error, HumanoidError):
        return error
    logger.error("a plan failed", exc_info=error)
    return HumanoidError(f"a plan failed: {type(error).__name__}: {one_line(error)}")


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> np.ndarray | None:
        return obj.detach().cpu().numpy() if isinstance(obj, Tensor) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, device: torch.device) -> None:
        super().__init__(file)
        self.device = device

    def persistent_load(self, pid: np.ndarray) -> Tensor:
        return torch.from_numpy(pid).to(self.device)


def _dumps(content: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    return file.getvalue()


def _loads(content: bytes, device: torch.device | None = None) -> Any:  # noqa: ANN401 - what was dumped
    return _Unpickler(io.BytesIO(content), device or torch.device("cpu")).load()
