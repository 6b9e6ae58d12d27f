"""In-betweening: pass through the keyframes of a motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Positive
from humanoid.core.errors import ConfigError
from humanoid.envs.commands import Command, Pose
from humanoid.envs.env import Env, EnvCfg, GoalEnvCfg
from humanoid.envs.observations import ObservationCfg, goal_observations
from humanoid.envs.reference import KeyframeSource
from humanoid.envs.rewards import REGULARISATION, Rewards, tracking_term
from humanoid.envs.terminations import Terminations
from humanoid.motion.library import MotionLibrary
from humanoid.motion.metrics import SUCCESS_M, body_distance
from humanoid.motion.sampler import SamplerCfg
from humanoid.sim.protocol import Simulator
from humanoid.tasks.scores import EpisodeRecord, first_step, keyframe_errors
from humanoid.tasks.starts import states_at
from humanoid.tasks.task import EpisodeResult, Task, TaskContext


@dataclass(frozen=True, kw_only=True)
class InbetweenCfg(GoalEnvCfg):
    """Environment of the in-betweening task."""

    every: Positive = 1.0
    """Time between keyframes [s]."""
    sampler: SamplerCfg = field(default_factory=SamplerCfg)
    observation: ObservationCfg = field(
        default_factory=lambda: ObservationCfg(terms=goal_observations("keyframe_b"))
    )
    reward: Rewards = field(
        default_factory=lambda: {
            "pose": tracking_term(1.0, 0.5),
            "upright": tracking_term(0.2, 0.5),
            **REGULARISATION,
        }
    )
    termination: Terminations = field(default_factory=lambda: {"head_height": 0.3})


class InbetweenTask(Task):
    """Pass through nine poses of a clip, 1 s apart, of which nothing else is known (Diffuse-CLoC).

    A body has reached them when its bodies are on average never farther than 0.5 m from one.
    The error is the mean distance from keyframes before a fall, in the world [m];
    ``mpjpe_g_mm`` and, with both roots at the origin, ``mpjpe_l_mm`` are over all of those.
    """

    COUNT, EVERY = 9, 1.0
    seconds, unit = COUNT * EVERY, "m"
    ahead, needs_motions = COUNT * EVERY, True
    cfg = InbetweenCfg

    @classmethod
    def make_env(
        cls, cfg: EnvCfg, sim: Simulator, library: MotionLibrary | None = None, seed: int = 0
    ) -> Env:
        """Build the environment to train in; see :class:`Task`."""
        assert isinstance(cfg, InbetweenCfg)
        if library is None:
            raise ConfigError("task 'inbetween' takes its keyframes from motions; give motions")
        return Env(cfg, sim, lambda env: KeyframeSource(env, library, cfg.sampler, cfg.every), seed, library)

    def __init__(self, context: TaskContext) -> None:
        """Take poses of the clips that bodies start in."""
        self.times = self.EVERY * torch.arange(1, self.COUNT + 1, device=context.device)
        starts = context.starts
        times = starts.time.cpu()[:, None] + self.times.cpu()
        self.states = states_at(context.motions, starts.clip.cpu(), times).to(context.device)
        self.pos_w = self.states.body_pos_w.transpose(0, 1)
        self._rows = [round(time / context.dt) - 1 for time in self.times.tolist()]
        self._seen: dict[int, Tensor] = {}

    def command(self, time: float) -> Sequence[Command]:
        """Command the poses; see :class:`Task`."""
        return [Pose(time=(self.times - time).expand(self.pos_w.shape[1], -1), state=self.states)]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Record poses at the keyframes' times; see :class:`Task`."""
        if step in self._rows:
            self._seen[step] = state.body_pos_w
        return None

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Compare poses with the keyframes; see :class:`Task`."""
        nothing = torch.full_like(self.pos_w[0], math.nan)
        pos = torch.stack([self._seen.get(row, nothing) for row in self._rows])
        rows = torch.tensor(self._rows, device=pos.device)
        counted = rows.unsqueeze(-1) < first_step(record.fallen)
        distance = body_distance(pos, self.pos_w)
        near = (distance <= SUCCESS_M).all(0)
        number = counted.sum(0)
        error = torch.where(counted, distance, 0.0).sum(0) / number
        end = torch.full_like(number, len(record.fallen))
        return EpisodeResult(near, end, error, keyframe_errors(pos, self.pos_w, counted))
