"""Tracking: follow a motion in time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.envs.commands import Command, Reference
from humanoid.envs.env import EnvCfg
from humanoid.envs.tracking import TrackingCfg, TrackingEnv
from humanoid.motion.library import MotionLibrary
from humanoid.motion.metrics import SUCCESS_M, body_distance
from humanoid.sim.protocol import Simulator
from humanoid.tasks.scores import EpisodeRecord
from humanoid.tasks.starts import states_at
from humanoid.tasks.task import EpisodeResult, Task, TaskContext


class TrackingTask(Task):
    """Follow the clips that bodies start in for 5 s.

    Success is to stay within 0.5 m of the reference, bodies on average, at all times; the error is the
    mean of that distance [m].
    """

    seconds, unit = 5.0, "m"
    ahead, needs_motions = 5.0, True
    cfg = TrackingCfg

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> TrackingEnv:
        """Build the environment to train in; see :class:`Task`."""
        assert isinstance(cfg, TrackingCfg)
        if library is None:
            raise ConfigError("task 'tracking' takes its references from motions; give motions")
        return TrackingEnv(cfg, sim, library, seed)

    def __init__(self, context: TaskContext) -> None:
        """Take the clips that bodies start in."""
        self._context = context
        self._distance: list[Tensor] = []

    def command(self, time: float) -> Sequence[Command]:
        """Command the reference of now and of the next control step; see :class:`Task`."""
        now, ahead = self._at(time), self._at(time + self._context.dt)
        return [Reference(now=now, ahead=ahead.map(lambda tensor: tensor.unsqueeze(1)))]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Record the distance from the reference; see :class:`Task`."""
        ref = self._at((step + 1) * self._context.dt)
        self._distance.append(body_distance(state.body_pos_w, ref.body_pos_w))
        return None

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Compare distances with the threshold; see :class:`Task`."""
        distance = torch.stack(self._distance)
        end = torch.full_like(distance[0], len(distance), dtype=torch.long)
        return EpisodeResult((distance <= SUCCESS_M).all(0), end, distance.mean(0))

    def _at(self, time: float) -> BodyState:
        starts, device = self._context.starts, self._context.device
        return states_at(self._context.motions, starts.clip.cpu(), starts.time.cpu() + time).to(device)
