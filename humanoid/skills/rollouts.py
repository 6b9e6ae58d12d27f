"""Recording what the student does under noise: the data that the denoiser learns.

BeyondMimic (arXiv 2508.08241 v4): skills are rolled out with correlated noise on the executed
actions, clean states and latents are recorded, every frame is covered many times, and a
rollout that fails before twice the recorded time is thrown away. So the data show how
disturbed motion is brought back, and hold no state that leads to a fall.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError, InputError
from humanoid.diffusion.shards import Rollouts, ShardWriter
from humanoid.diffusion.trajectory import Layout
from humanoid.envs.events import PushTimer
from humanoid.envs.terminations import world_distance
from humanoid.skills.distill import OrnsteinUhlenbeck
from humanoid.skills.distill_env import DAGGER_EVENT, DaggerEnv
from humanoid.skills.model import LatentModel

START = replace(
    DAGGER_EVENT,
    push_seconds=(1.0, 4.0),
    push_twist=(0.3, 0.3, 0.05, 0.2, 0.2, 0.3),
    start_twist=(0.2, 0.2, 0.1, 0.1, 0.1, 0.2),
    start_joints=0.05,
)
"""Starts near the reference, and now and then a push: a planner that has never seen a body step
after one plans for it as if it had fallen. That is ours; BeyondMimic has the noise alone."""
FAILED_M = 0.5
"""Mean distance of the bodies from the reference that is a failure [m], as in the evaluation."""


@dataclass(frozen=True, kw_only=True)
class CollectCfg:
    """How much is recorded, and under which noise."""

    cover: float = 100.0
    """Recordings that each frame of the motions is in, on average, before rejection."""
    record: float = 2.5
    """Recorded time of a rollout [s]."""
    survive: float = 5.0
    """Time for which it must not fail, or until its clip ends [s]."""
    noise: float = 0.1
    """Largest sigma of the noise on executed actions; each rollout has its own (BeyondMimic: 0.1 for all)."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 0.0 < self.record <= self.survive or not self.cover > 0.0 or not 0.0 <= self.noise < math.inf:
            raise ConfigError(
                f"collect: cover {self.cover:g}, record {self.record:g} s, survive {self.survive:g} s, noise "
                f"{self.noise:g}; cover > 0, 0 < record <= survive and noise >= 0 are needed"
            )


class Collector:
    """Records rollouts of a latent model in a DAgger environment whose events are :data:`START`."""

    def __init__(
        self, room: DaggerEnv, model: LatentModel, layout: Layout, cfg: CollectCfg, seed: int
    ) -> None:
        """Find where rollouts can begin.

        Raises:
            InputError: no clip is as long as a recording.
        """
        self.room, self.model, self.layout, self.cfg, self.seed = room, model, layout, cfg, seed
        env = room.env
        self.steps = [round(seconds / env.sim.dt) for seconds in (cfg.record, cfg.survive)]
        library = env.library
        rows = torch.arange(library.num_frames, device=env.device)
        left = (library.start + library.length - 1)[library.clip] - rows
        weight = library.weight[library.clip] * (left >= self.steps[0])
        if not weight.any():
            raise InputError(f"no clip lasts {cfg.record:g} s; record less or take longer ones")
        self.weight = weight.float()

    @property
    def num_shards(self) -> int:
        """Shards, of one rollout an environment each, after which every frame is covered."""
        rollouts = self.cfg.cover * self.room.env.library.num_frames / self.steps[0]
        return max(1, round(rollouts / self.room.env.num_envs))

    def run(self, writer: ShardWriter, on_shard: Callable[[int, int, float], bool] | None = None) -> None:
        """Write the shards that are missing.

        Args:
            writer: of their folder.
            on_shard: called with (shards done, shards in all, share of its rollouts that was kept);
                false ends the recording, which another call goes on with.
        """
        for index in range(writer.num_shards, self.num_shards):
            rollouts = self.shard(index)
            writer.add(rollouts)
            kept = len(rollouts.clip) / self.room.env.num_envs
            if on_shard is not None and not on_shard(index + 1, self.num_shards, kept):
                break

    @torch.no_grad()
    def shard(self, index: int) -> Rollouts:
        """Record one rollout of each environment; keep those that do not fail."""
        env, room, hold = self.room.env, self.room, self.model.cfg.hold
        generator = torch.Generator(device=env.device).manual_seed(self.seed + 7919 * index)
        env.generator.manual_seed(self.seed + 7919 * index)
        rows = torch.multinomial(self.weight, env.num_envs, replacement=True, generator=generator)
        clip = env.library.clip[rows]
        sigma = self.cfg.noise * torch.rand(env.num_envs, generator=generator, device=env.device)
        noise = OrnsteinUhlenbeck(sigma, env.num_actions, generator)
        pushes = PushTimer(env.cfg.event, env.num_envs, env.sim.dt, generator)
        room.start(rows)
        kept = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        states: list[Tensor] = []
        latents: list[Tensor] = []
        latent = torch.zeros(env.num_envs, self.model.cfg.width, device=env.device)
        for step in range(self.steps[1]):
            sight = room.look()
            if step % hold == 0:
                latent = self.model.encode(sight.reference, sight.proprioception)[0]
                if step < self.steps[0]:
                    states.append(self.layout.features(env.state, env.body))
                    latents.append(latent)
            action = self.model.decode(sight.proprioception, latent)
            room.play(sight, action, noise.step(), pushes.step())
            kept &= self._well(env.state) | env.cursor.at_end()
        kept &= torch.stack(latents).isfinite().all(0).all(-1)
        return Rollouts(
            torch.stack(states, dim=1)[kept].float(),
            torch.stack(latents, dim=1)[kept].float(),
            clip[kept],
            env.library.names,
        )

    def _well(self, state: BodyState) -> Tensor:
        """Return which environments are with their reference. (B,) bool."""
        return world_distance(state, self.room.env.cursor.now()) < FAILED_M
