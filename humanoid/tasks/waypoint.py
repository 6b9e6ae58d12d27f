"""Waypoint: go to a place on the floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.envs.commands import Command, Place
from humanoid.envs.env import Env, EnvCfg, GoalEnvCfg
from humanoid.envs.observations import ObservationCfg, goal_observations
from humanoid.envs.rewards import UPRIGHT, Rewards, tracking_term
from humanoid.envs.sources import PlaceCommandCfg, PlaceSource
from humanoid.motion.library import MotionLibrary
from humanoid.sim.protocol import Simulator
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import EpisodeRecord, first_step
from humanoid.tasks.task import EpisodeResult, Task, TaskContext


@dataclass(frozen=True, kw_only=True)
class WaypointCfg(GoalEnvCfg):
    """Environment of the waypoint task."""

    command: PlaceCommandCfg = field(default_factory=PlaceCommandCfg)
    observation: ObservationCfg = field(
        default_factory=lambda: ObservationCfg(terms=goal_observations("place_h"))
    )
    reward: Rewards = field(default_factory=lambda: {"place": tracking_term(1.0, 2.0), **UPRIGHT})


class WaypointTask(Task):
    """Come within 0.3 m of a place 2 to 5 m away, in any direction, in 12 s.

    The error is the least distance in the time [m].
    """

    NEAR, FAR = 2.0, 5.0
    ARRIVED = 0.3
    seconds, unit = 12.0, "m"
    cfg = WaypointCfg

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> Env:
        """Build the environment to train in; see :class:`Task`."""
        assert isinstance(cfg, WaypointCfg)
        return Env(cfg, sim, lambda env: PlaceSource(cfg.command, env), seed)

    def __init__(self, context: TaskContext) -> None:
        """Draw places."""
        generator, count = context.generator(), context.count
        angle = 2.0 * math.pi * torch.rand(count, generator=generator)
        distance = self.NEAR + (self.FAR - self.NEAR) * torch.rand(count, generator=generator)
        place = turned(torch.stack((distance, torch.zeros(count)), dim=-1), angle).to(context.device)
        self.goal_w = context.place_w(place)
        self._place = Place(pos_w=self.goal_w, speed=context.cfg.speed, reach=context.cfg.reach)

    def command(self, time: float) -> Sequence[Command]:
        """Command the place; see :class:`Task`."""
        return [self._place]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Return who has arrived; see :class:`Task`."""
        return (state.root_pos_w[:, :2] - self.goal_w).norm(dim=-1) <= self.ARRIVED

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Find who arrived; see :class:`Task`."""
        return arrival(record, self.goal_w, self.ARRIVED)


def arrival(
    record: EpisodeRecord, goal_w: Tensor, near: float, touched: Tensor | None = None
) -> EpisodeResult:
    """Return who comes near a place before touching anything.

    Args:
        record: of B bodies.
        goal_w: (B, 2) [m], world.
        near: distance at which a body has arrived [m].
        touched: (T, B) bool, contacts that fail an episode; none by default.
    """
    distance = (record.root_pos_w[..., :2] - goal_w).norm(dim=-1)
    distance = torch.where(distance.isfinite(), distance, math.inf)
    there = first_step(distance <= near)
    steps = torch.full_like(there, len(distance))
    hit = steps if touched is None else first_step(touched)
    end = torch.minimum(there + 1, torch.minimum(hit + 1, steps))
    before = torch.arange(len(distance), device=distance.device).unsqueeze(-1) < end
    least = torch.where(before, distance, math.inf).amin(0)
    return EpisodeResult(there < torch.minimum(hit, steps), end, least)
