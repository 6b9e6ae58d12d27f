"""Guided episodes: follow commands with an agent in a simulator, record the states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState
from humanoid.control.commands import Goal
from humanoid.control.guided import GuidedAgent, begin
from humanoid.sim import Simulator
from humanoid.tasks.scores import EpisodeRecord, first_step, rounded_mean, share
from humanoid.tasks.task import Task


class Scenario(Protocol):
    """Commands to B bodies over time, as :class:`humanoid.tasks.task.Task` has them."""

    seconds: float
    """Longest time [s] of an episode."""

    def command(self, time: float) -> Sequence[Goal]:
        """Return the commands ``time`` [s] after the start."""
        ...

    def push(self, step: int) -> Tensor | None:
        """Return the change of the roots' velocities in a step, (B, 3) [m/s], world, or None."""
        ...

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Take the state after a step; return which bodies (B,) are done, or None."""
        ...


def perform(
    agent: GuidedAgent,
    sim: Simulator,
    task: Scenario,
    history: BodyState,
    guided: bool = True,
    on_step: Callable[[int, int], None] | None = None,
) -> EpisodeRecord:
    """Perform a task once with all bodies, until its time is up or all are over.

    Args:
        agent: of B bodies.
        sim: of the same bodies.
        task: for B bodies.
        history: (B, N + 1) states to start from.
        guided: False to plan without the task's commands.
        on_step: called with (step, total) for progress.
    """
    begin(sim, agent, history)
    posture, steps = Posture(sim.body, sim.device), round(task.seconds / sim.dt)
    rows: list[EpisodeRecord] = []
    over = torch.zeros(sim.num_envs, dtype=torch.bool, device=sim.device)
    state = sim.state()
    for step in range(steps):
        if not step % agent.period:
            if bool(over.all()):
                break
            agent.command(task.command(step * sim.dt) if guided else ())
        targets = agent.act(state)
        push = task.push(step)
        if push is not None:
            sim.push(push, torch.zeros_like(push))
        sim.set_targets(targets)
        sim.step()
        state = sim.state()
        rows.append(EpisodeRecord.of(state, posture, sim.dt))
        done = task.watch(state, step)
        over = over | rows[-1].fallen if done is None else over | rows[-1].fallen | done
        if on_step is not None:
            on_step(step + 1, steps)
    names = ("root_pos_w", "root_lin_vel_w", "yaw", "fallen", "lost")
    return EpisodeRecord(*(torch.stack([getattr(row, name) for row in rows]) for name in names), dt=sim.dt)


def metrics(task: Task, record: EpisodeRecord) -> dict[str, Any]:
    """Return success, falls, error and time of episodes.

    Success is to reach the task's goal without having lost one's stand before.
    """
    result = task.evaluate(record)
    fallen, lost = (first_step(flags) < result.end for flags in (record.fallen, record.lost))
    return {
        "success": share(result.reached & ~lost),
        "falls": share(fallen),
        "stand_lost": share(lost),
        "error": rounded_mean(result.error),
        "seconds": round(float(result.end.double().mean()) * record.dt, 3),
        **result.extra,
    }
