"""Guided episodes: plan for all bodies periodically, follow the plans, record the states."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState
from humanoid.control.commands import CommandCosts, Goal
from humanoid.control.latent import Driver
from humanoid.core.errors import ConfigError, nearest
from humanoid.planning.guidance import WEIGHTS, weighted
from humanoid.planning.planner import Plan, Planner, Window
from humanoid.tasks.scores import EpisodeRecord, first_step, rounded_mean, share
from humanoid.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class LoopCfg:
    """How plans and control go together."""

    replan: float = 0.2
    """Time between plans [s]."""
    latency: int = 0
    """Frames that pass before a plan is there."""
    weights: dict[str, float] = field(default_factory=dict)
    """Cost -> its weight; by default as :func:`~humanoid.planning.guidance.weighted` has it."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 0.0 < self.replan < math.inf or self.latency < 0:
            raise ConfigError(
                f"replan is {self.replan:g} s, latency {self.latency}; replan > 0, latency >= 0"
            )
        for name in self.weights:
            if name not in WEIGHTS:
                raise ConfigError(f"weights: '{name}' is no cost of a task{nearest(name, WEIGHTS)}")


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


@dataclass(frozen=True)
class Episodes:
    """A batch of episodes.

    Attributes:
        record: motion of the bodies.
        plan_seconds: [s] that each plan of the batch took.
        window: the last one that was planned from.
    """

    record: EpisodeRecord
    plan_seconds: list[float]
    window: Window


def perform(
    driver: Driver,
    planner: Planner,
    task: Scenario,
    history: BodyState,
    cfg: LoopCfg,
    guided: bool,
    generator: torch.Generator,
    on_step: Callable[[int, int], None] | None = None,
) -> Episodes:
    """Do a task once with all bodies of a driver, until its time is up or all are over.

    Args:
        driver: of B bodies.
        planner: of its layout.
        task: for B bodies.
        history: (B, N + 1) states to start from.
        cfg: how plans and control go together.
        guided: False to plan without costs and keyframes.
        generator: of the plans' noise.
        on_step: called with (step, total) for progress.
    """
    driver.start(history)
    driver.follow(None)
    sim, hold = driver.sim, driver.skills.hold
    posture, fresh = Posture(sim.body, sim.device), driver.window()
    every, steps = max(1, round(cfg.replan / (hold * sim.dt))), round(task.seconds / sim.dt)
    rows: list[EpisodeRecord] = []
    coming: deque[tuple[int, Plan]] = deque()
    seconds: list[float] = []
    window, last = fresh, None
    costs = CommandCosts(driver.layout, sim.body)
    over = torch.zeros(sim.num_envs, dtype=torch.bool, device=sim.device)
    for step in range(steps):
        frame, begins = divmod(step, hold)
        if not begins and not frame % every:
            if bool(over.all()):
                break
            window = repaired(driver.window(), fresh)
            last = plan_all(planner, task, costs, window, step * sim.dt, cfg, guided, last, generator)
            seconds.append(last.seconds)
            coming.append((frame + cfg.latency, last))
        while coming and coming[0][0] <= frame:
            driver.follow(coming.popleft()[1])
        push = task.push(step)
        if push is not None:
            sim.push(push, torch.zeros_like(push))
            driver.state = sim.state()
        state = driver.step()
        rows.append(EpisodeRecord.of(state, posture, sim.dt))
        over |= rows[-1].fallen
        done = task.watch(state, step)
        over = over if done is None else over | done
        if on_step is not None:
            on_step(step + 1, steps)
    return Episodes(_stacked(rows), seconds, window)


def repaired(window: Window, fresh: Window) -> Window:
    """Return a window a planner takes: bodies that have diverged are shown where they started.

    Args:
        window: of B bodies, some of which may hold numbers that are not finite.
        fresh: one that is finite.
    """
    sound = window.features.isfinite().flatten(1).all(1)
    known = window.latents_known & window.latents.isfinite().all(-1)
    return replace(
        window,
        features=torch.where(sound[:, None, None], window.features, fresh.features),
        latents_known=known & sound[:, None],
    )


def plan_all(
    planner: Planner,
    task: Scenario,
    translate: CommandCosts,
    window: Window,
    at: float,
    cfg: LoopCfg,
    guided: bool,
    previous: Plan | None,
    generator: torch.Generator,
) -> Plan:
    """Return plans for all bodies of a task, ``at`` [s] after the start; arguments as :func:`perform`."""
    goals = task.command(at) if guided else []
    costs, keyframes = translate(goals, window.features[:, -1, :2])
    guidance = weighted(costs, cfg.weights) if costs else None
    return planner.plan(window, guidance, keyframes, previous, generator)


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


def _stacked(rows: list[EpisodeRecord]) -> EpisodeRecord:
    """Return instants as one record."""
    names = ("root_pos_w", "root_lin_vel_w", "yaw", "fallen", "lost")
    return EpisodeRecord(
        *(torch.stack([getattr(row, name) for row in rows]) for name in names), dt=rows[0].dt
    )
