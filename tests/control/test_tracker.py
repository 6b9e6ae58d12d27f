"""Tracker as an agent: the targets of its environment, from a state and a reference alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.control import Tracker, TrackerAgent
from humanoid.core import InputError, MismatchError
from humanoid.envs import EventCfg, TrackingEnv, Velocity
from humanoid.motion import Motion, MotionLibrary
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.sim import SimCfg, make_sim

CALM = EventCfg(
    start_pose=(0.0,) * 6, start_twist=(0.0,) * 6, start_joints=0.0, push_seconds=(0.0, 0.0),
    friction=(1.0, 1.0), com_offset=(0.0,) * 3, joint_offset=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tracker(tiny_run: Path) -> Tracker:
    """The tracker after two iterations."""
    return Tracker.load(tiny_run / CHECKPOINT)


@pytest.fixture(scope="module")
def agent(tracker: Tracker) -> TrackerAgent:
    return tracker.agent(tracker.simulator(count=2))


def test_targets_are_those_of_the_environment_it_was_trained_in(
    tracker: Tracker, agent: TrackerAgent, squat: Motion
) -> None:
    motion = squat
    sim = make_sim(SimCfg(threads=1), tracker.body, 2, 0)
    cfg = replace(tracker.task, event=CALM, observation=replace(tracker.task.observation, noise_scale=0.0))
    env = TrackingEnv(cfg, sim, MotionLibrary((motion,), tracker.body), 0)
    rows = torch.tensor([0, 10])
    env.start(rows)
    agent.reset()
    for step in range(5):
        reference = tracker.reference(motion, (rows + step) * tracker.control_dt)
        targets = agent.act(env.state, reference)
        env.play(tracker.policy(env.observe()["actor"]))
        torch.testing.assert_close(targets, env.sent, atol=1e-4, rtol=0)


def test_a_reset_forgets_the_last_action_of_the_chosen(
    tracker: Tracker, agent: TrackerAgent, squat: Motion
) -> None:
    reference = tracker.reference(squat, torch.tensor([0.1, 0.1]))
    state = reference.now
    assert state is not None
    agent.reset()
    first = agent.act(state, [reference])
    second = agent.act(state)
    assert not torch.equal(first, second)
    agent.reset(torch.tensor([False, True]))
    third = agent.act(state)
    torch.testing.assert_close(third[1], first[1])
    assert not torch.equal(third[0], first[0])


def test_without_a_reference_and_with_another_simulator_there_is_an_error(
    tracker: Tracker, squat: Motion
) -> None:
    sim = tracker.simulator()
    state = tracker.reference(squat, torch.zeros(1)).now
    for command in (None, [Velocity(velocity=torch.zeros(1, 2))]):
        with pytest.raises(InputError, match="Reference"):
            tracker.agent(sim).act(state, command)
    slow = make_sim(replace(SimCfg(), dt=0.04), tracker.body, 1, 0)
    with pytest.raises(MismatchError, match=r"0\.04 s"):
        tracker.agent(slow)


def test_the_shipped_tracker_walks(tracker: Tracker) -> None:
    shipped = Tracker.load("pretrained")
    assert shipped.body.num_joints == tracker.body.num_joints and shipped.control_dt == 0.02
