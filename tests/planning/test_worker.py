"""A planner in a process of its own: late, refused, killed, orphaned."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from humanoid.core import ConfigError, HumanoidError, InputError
from humanoid.planning import Guidance, Plan, PlanWorker, Window, WorkerCfg
from humanoid.planning.costs import Joystick, Obstacles
from humanoid.spatial import Capsules
from tests.planning.planners import DIE, FAIL, REFUSE, Obedient, broken, tiny
from tests.planning.test_planner import keyframes, planned, window

PATIENCE = 120.0
CFG = WorkerCfg(deadline=1.0, seed=3)


@pytest.fixture(scope="module")
def shared() -> Iterator[PlanWorker]:
    """A worker for tests that leave it as it was."""
    with PlanWorker(Obedient, CFG) as worker:
        until(lambda: worker.poll() is None and worker.ready)
        yield worker


def until(done: Callable[[], bool]) -> None:
    """Wait as a control loop does: by asking."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)


def arrived(worker: PlanWorker) -> Plan:
    found: list[Plan] = []

    def look() -> bool:
        plan = worker.poll()
        if plan is not None:
            found.append(plan)
        return bool(found)

    until(look)
    return found[0]


def complaint(worker: PlanWorker) -> HumanoidError:
    with pytest.raises(HumanoidError) as caught:
        until(lambda: worker.poll() is not None)
    assert "\n" not in str(caught.value)
    return caught.value


def order(what: float, tick: int = 0) -> Window:
    seen = window(1, tick=tick)
    seen.features[0, 0, 0] = what
    return seen


def test_plans_arrive_whole_and_each_begins_from_the_last(shared: PlanWorker) -> None:
    plans = []
    for tick in (4, 9):
        shared.submit(order(0.0, tick))
        plans.append(arrived(shared))
    assert torch.equal(plans[1].features, order(0.0).features)
    assert [plan.tick for plan in plans] == [4, 9]
    assert plans[1].values["previous"] == 4.0
    assert plans[0].values["noise"] != plans[1].values["noise"]
    assert plans[0].values["threads"] == 1
    assert plans[0].values["process"] != os.getpid()
    assert shared.poll() is None


def test_a_plan_in_flight_blocks_nobody(shared: PlanWorker) -> None:
    """Timed in seconds of this process' CPU, which others on the machine do not spend."""
    walls = torch.rand(2, 15, 2)
    guidance = Guidance(
        [Joystick(velocity=(1.0, 0.0)), Obstacles(capsules=Capsules.pillars(walls[0], walls[1, :, 0]))]
    )
    poses = keyframes(1, 2.0, 5.0)
    shared.submit(order(1.0))
    spent = []
    for tick in range(30):
        seen = order(0.0, tick)
        before = time.thread_time()
        shared.submit(seen, guidance, poses)
        assert shared.poll() is None
        spent.append(time.thread_time() - before)
    assert sorted(spent)[15] < 0.002
    assert arrived(shared).tick == 0
    assert arrived(shared).tick == 29  # of those that waited only the newest is left
    assert shared.poll() is None


def test_a_late_plan_is_counted_and_used(shared: PlanWorker) -> None:
    misses, count = shared.misses, len(shared.latencies)
    shared.submit(order(0.0))
    arrived(shared)
    assert shared.misses == misses
    shared.submit(order(1.2, tick=5))
    until(lambda: shared.poll() is None and shared.misses == misses + 1)  # known before it is there
    assert arrived(shared).tick == 5
    assert shared.misses == misses + 1
    quick, late = list(shared.latencies)[count:]
    assert quick < 1.0 < 1.2 <= late < 30.0


@pytest.mark.parametrize(
    ("what", "text"), [(REFUSE, "environment 0: refused"), (FAIL, "ValueError: a bug of two")]
)
def test_a_plan_that_fails_is_told_once_and_the_next_is_made(
    shared: PlanWorker, what: float, text: str
) -> None:
    shared.submit(order(what))
    error = complaint(shared)
    assert text in str(error)
    assert isinstance(error, InputError) == (what == REFUSE)
    assert shared.poll() is None
    shared.submit(order(0.0, tick=8))
    assert arrived(shared).tick == 8
    assert shared.alive


def test_a_process_that_dies_is_started_again_once(caplog: pytest.LogCaptureFixture) -> None:
    with PlanWorker(Obedient, CFG) as worker:
        assert not worker.latencies
        worker.submit(order(0.0, tick=1))  # waits for the process to be there
        first = int(arrived(worker).values["process"])
        assert worker.misses == 0
        os.kill(first, signal.SIGKILL)
        with caplog.at_level(logging.WARNING):
            until(lambda: worker.poll() is None and not worker.ready)
        assert "exit code -9); starting it again" in caplog.text
        worker.submit(order(0.0, tick=2))
        second = int(arrived(worker).values["process"])
        assert second != first
        worker.submit(order(DIE, tick=3))
        assert "has died (exit code 7) again" in str(complaint(worker))
        assert not worker.alive
        assert worker.misses == 1
        worker.submit(order(0.0, tick=4))
        assert worker.poll() is None


def test_a_planner_that_cannot_be_made_is_told() -> None:
    with PlanWorker(broken) as worker:
        worker.submit(order(0.0))
        assert str(complaint(worker)) == "there is no such checkpoint"
        assert not worker.alive
        assert worker.poll() is None


def test_plans_are_those_of_a_planner_here() -> None:
    guidance = Guidance([Joystick(velocity=torch.tensor([1.0, 0.0]), yaw_rate=0.2)])
    with PlanWorker(tiny, CFG) as worker:
        worker.submit(window(2), guidance, keyframes(2, 3.0))
        theirs = arrived(worker)
    ours = planned(window(2), seed=CFG.seed, guidance=guidance, keyframes=keyframes(2, 3.0))
    torch.testing.assert_close(theirs.features, ours.features)
    torch.testing.assert_close(theirs.latents, ours.latents)
    torch.testing.assert_close(theirs.values, ours.values)
    torch.testing.assert_close(theirs.frame.yaw, ours.frame.yaw)
    worker.close()  # a second time does nothing


def test_a_worker_ends_when_its_parent_vanishes(tmp_path: Path) -> None:
    note = tmp_path / "process"
    code = (
        f"from pathlib import Path; from tests.planning.planners import orphan; orphan(Path({str(note)!r}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not Path(f"/proc/{note.read_text()}").exists())


def test_a_worker_imports_no_simulator_and_no_viewer() -> None:
    code = (
        "import sys, humanoid.planning.worker; "
        "print([m for m in ('genesis', 'viser', 'rsl_rl', 'onnxruntime', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wrong", "text"), [({"deadline": 0.0}, "deadline is 0"), ({"threads": 0}, "threads is 0")]
)
def test_settings_without_meaning_are_refused(wrong: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        WorkerCfg(**wrong)
