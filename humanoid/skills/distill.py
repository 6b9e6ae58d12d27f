"""Distilling a tracker into latent skills by DAgger: the student acts, the teacher labels.

PULSE (arXiv 2310.04582) with BeyondMimic's terms (arXiv 2508.08241 v4, section S3): the loss is
``||a* - a||^2 + beta KL(E || R) + alpha ||mu_t - mu_(t-1)||^2``. A latent is held for two
control steps, in acting as in learning: the encoder is asked once, the decoder twice with
fresh proprioception.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from humanoid.core.errors import ConfigError, TrainingError
from humanoid.skills.distill_env import DaggerEnv
from humanoid.skills.model import LatentModel, divergence, draw


@dataclass(frozen=True, kw_only=True)
class DistillCfg:
    """How the student learns."""

    frames: int = 16
    """Latents of each environment in a rollout."""
    keep: int = 8
    """Last rollouts that are learned from."""
    minibatch: int = 128
    """Environments' rollouts in a minibatch."""
    updates: int = 24
    """Minibatches after each rollout."""
    learning_rate: float = 5e-4
    """At first; it falls to a tenth along a cosine until the end."""
    kl_weight: tuple[float, float] = (0.01, 0.001)
    """beta at first and from the middle of training on (PULSE)."""
    smooth_weight: float = 0.005
    """alpha (PULSE)."""
    teacher_share: float = 0.1
    """Share of the training in which environments go over from teacher to student, one after the other."""
    noise: float = 0.1
    """Largest sigma of the noise on executed actions; each environment has its own."""
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if min(self.frames, self.keep, self.minibatch, self.updates) < 1:
            raise ConfigError("distill: frames, keep, minibatch and updates must be 1 or more")
        sound = all(0.0 <= one < math.inf for one in (*self.kl_weight, self.smooth_weight, self.noise))
        if not 0.0 <= self.teacher_share <= 1.0 or not sound:
            raise ConfigError("distill: teacher_share in [0, 1], weights and noise of 0 or more are needed")
        if not 0.0 < self.learning_rate < math.inf or not self.max_grad_norm > 0.0:
            raise ConfigError("distill: learning_rate and max_grad_norm must be positive")


@dataclass(frozen=True)
class DaggerBatch:
    """A rollout with labels: T latents of B environments, held for H control steps each.

    Attributes:
        reference: (T, B, R) when the latent was chosen.
        proprioception: (T, H, B, P).
        label: (T, H, B, D) the teacher's actions.
        valid: (T, H, B) whether the latent was chosen in the same episode.
        linked: (T, B) whether the latent before belongs to the same episode.
    """

    reference: Tensor
    proprioception: Tensor
    label: Tensor
    valid: Tensor
    linked: Tensor

    def columns(self, index: Tensor) -> DaggerBatch:
        """Return the environments ``index``."""
        at = (1, 2, 2, 2, 1)
        values = (self.reference, self.proprioception, self.label, self.valid, self.linked)
        return DaggerBatch(*(value.index_select(dim, index) for value, dim in zip(values, at, strict=True)))


class OrnsteinUhlenbeck:
    """Correlated noise ``eta += theta (mu - eta) dt + sigma sqrt(dt) eps`` with mu = 0, dt = 1.

    BeyondMimic (arXiv 2508.08241 v4) rolls out its skills under it: theta 0.8, sigma 0.1 in units of
    actions. Independent noise does nothing to stiff servos.
    """

    def __init__(self, sigma: Tensor, width: int, generator: torch.Generator, theta: float = 0.8) -> None:
        """Start at rest.

        Args:
            sigma: (B,) size of each environment's noise.
            width: number D of actions.
            generator: of the device of ``sigma``.
            theta: pull back to zero a step.
        """
        self.sigma, self.theta, self._generator = sigma.unsqueeze(-1), theta, generator
        self.value = torch.zeros(len(sigma), width, device=sigma.device)

    def step(self) -> Tensor:
        """Return the next values (B, D)."""
        draw = torch.randn(self.value.shape, generator=self._generator, device=self.value.device)
        self.value = (1.0 - self.theta) * self.value + self.sigma * draw
        return self.value

    def reset(self, mask: Tensor) -> None:
        """Return to rest where ``mask (B,)``."""
        self.value = torch.where(mask.unsqueeze(-1), 0.0, self.value)


class Distiller:
    """Trains a latent model in a DAgger environment."""

    def __init__(self, room: DaggerEnv, model: LatentModel, cfg: DistillCfg, seed: int) -> None:
        """Bind a student to a DAgger environment."""
        self.room, self.model, self.cfg = room, model, cfg
        self.optimizer = torch.optim.Adam(model.parameters(), lr=cfg.learning_rate)
        device, count = room.env.device, room.env.num_envs
        self.generator = torch.Generator(device=device).manual_seed(seed)
        sigma = cfg.noise * torch.rand(count, generator=self.generator, device=device)
        self.noise = OrnsteinUhlenbeck(sigma, room.env.num_actions, self.generator)
        self.patience = torch.rand(count, generator=self.generator, device=device)
        """(B,) when each environment goes over to the student, as a share of that time."""
        self.batches: deque[DaggerBatch] = deque(maxlen=cfg.keep)
        self._host = torch.Generator().manual_seed(seed)

    def iterate(self, progress: float) -> dict[str, float]:
        """Collect a rollout, learn from the last ones, and return scalars.

        Args:
            progress: share of the training that is done, 0 to 1.

        Raises:
            TrainingError: a number is no longer finite.
        """
        batch, scalars = self.collect(progress)
        if not self.batches and progress == 0.0:
            self.model.fit_normalizer(batch.reference, batch.proprioception)
        self.batches.append(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.cfg.learning_rate * (0.55 + 0.45 * math.cos(math.pi * progress))
        return {**scalars, **self._learn(progress)}

    @torch.no_grad()
    def collect(self, progress: float) -> tuple[DaggerBatch, dict[str, float]]:
        """Act for ``cfg.frames`` latents; return what was seen, done and labelled, and scalars."""
        room, hold = self.room, self.model.cfg.hold
        share = progress / self.cfg.teacher_share if self.cfg.teacher_share else 1.0
        taught = (self.patience > share).unsqueeze(-1)
        frames: list[tuple[Tensor, ...]] = []
        linked = torch.zeros(room.env.num_envs, dtype=torch.bool, device=room.env.device)
        failed, error = torch.zeros((), device=linked.device), torch.zeros((), device=linked.device)
        for _ in range(self.cfg.frames):
            sight = room.look()
            reference = sight.reference
            latent = draw(self.model.encode(reference, sight.proprioception), self.generator)
            seen, labels, valids = [], [], []
            valid = torch.ones_like(linked)
            for half in range(hold):
                sight = room.look() if half else sight
                label = room.label(sight)
                action = torch.where(taught, label, self.model.decode(sight.proprioception, latent))
                seen.append(sight.proprioception)
                labels.append(label)
                valids.append(valid)
                result = room.step(sight, action, self.noise.step())
                self.noise.reset(result.done)
                valid = valid & ~result.done
                failed, error = failed + result.log["episode/failed"], error + result.log["error/body_pos"]
            frames.append((reference, torch.stack(seen), torch.stack(labels), torch.stack(valids), linked))
            linked = valid
        batch = DaggerBatch(*(torch.stack(column) for column in zip(*frames, strict=True)))
        steps = self.cfg.frames * hold
        return batch, {"failed": float(failed) / steps, "body_error": float(error) / steps}

    def loss(self, batch: DaggerBatch, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its parts, each () and detached."""
        cfg, model, seen = self.cfg, self.model, batch.proprioception
        skill = model.encode(batch.reference, seen[:, 0])
        latent = draw(skill, self.generator).unsqueeze(1).expand(-1, seen.shape[1], -1, -1)
        valid = batch.valid.float()
        error = (model.decode(seen, latent) - batch.label).square().sum(-1)
        action = (error * valid).sum() / valid.sum().clamp_min(1.0)
        kl = divergence(skill, model.prior(seen[:, 0])).mean()
        linked = batch.linked[1:].float()
        change = (skill[0][1:] - skill[0][:-1]).square().sum(-1)
        smooth = (change * linked).sum() / linked.sum().clamp_min(1.0)
        first, last = cfg.kl_weight
        beta = first + min(1.0, 2.0 * progress) * (last - first)
        parts = {"action": action.detach(), "kl": kl.detach(), "smooth": smooth.detach()}
        return action + beta * kl + cfg.smooth_weight * smooth, parts

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on, apart from the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "host": self._host.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over an earlier run's optimiser and generators."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self._host.set_state(state["host"].cpu())

    def _learn(self, progress: float) -> dict[str, float]:
        """Take ``cfg.updates`` steps over minibatches of the kept batches; return the mean parts."""
        sums: dict[str, Tensor] = {}
        for _ in range(self.cfg.updates):
            which = int(torch.randint(len(self.batches), (), generator=self._host))
            count = self.room.env.num_envs
            index = torch.randperm(count, generator=self._host)[: self.cfg.minibatch]
            loss, parts = self.loss(self.batches[which].columns(index.to(self.room.env.device)), progress)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.max_grad_norm)
            self.optimizer.step()
            for name, value in {**parts, "grad_norm": norm}.items():
                sums[name] = sums.get(name, 0.0) + value
        means = {name: float(value) / self.cfg.updates for name, value in sums.items()}
        if not all(math.isfinite(value) for value in means.values()):
            raise TrainingError(f"distillation diverged: {means}; lower distill.learning_rate")
        return means
