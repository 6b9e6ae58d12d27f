"""Denoisers whose answers are known, for tests of what is made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from humanoid.diffusion import Denoiser, DenoiserCfg, DiffusionModel, Layout, Schedule, TrajectoryCfg
from humanoid.diffusion.trajectory import ROT

LAYOUT = Layout(TrajectoryCfg(history=2, horizon=6, latent_horizon=3), "Pelvis", ("Head",))
WIDTH = 3
"""Of a latent."""
TINY = DenoiserCfg(width=16, layers=1, heads=2, random_rows=5)


class Call(NamedTuple):
    """What a denoiser was asked."""

    states: Tensor
    latents: Tensor
    state_level: Tensor
    latent_level: Tensor


class Attentive(Denoiser):
    """Untrained, with a normalisation that is not trivial; remembers what it is asked."""

    def __init__(self, layout: Layout = LAYOUT, seed: int = 0) -> None:
        """Draw weights and fit the normalisation to numbers about 0.4."""
        torch.manual_seed(seed)
        super().__init__(TINY, layout, WIDTH)
        self.fit(0.4 + 0.5 * torch.randn(200, layout.width), 2.0 + 0.5 * torch.randn(200, WIDTH))
        self.eval().requires_grad_(False)
        self.calls: list[Call] = []

    def forward(
        self, states: Tensor, latents: Tensor, state_level: Tensor, latent_level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Remember and answer."""
        self.calls.append(Call(states, latents, state_level, latent_level))
        return self.answer(self.calls[-1])

    def answer(self, asked: Call) -> tuple[Tensor, Tensor]:
        """Ask the network."""
        return super().forward(*asked)


class Oracle(Attentive):
    """Knows the trajectory: tokens (B, T, S) and latents (B, L, Z), whatever it is shown."""

    def __init__(self, tokens: Tensor, latents: Tensor) -> None:
        """Learn the truth."""
        super().__init__()
        self.truth = self.states_to_model(tokens), self.latents_to_model(latents)

    def answer(self, asked: Call) -> tuple[Tensor, Tensor]:
        """Say it."""
        return self.truth


class Credulous(Attentive):
    """Takes what it sees for the truth: the best answer if any trajectory is as likely as another."""

    def answer(self, asked: Call) -> tuple[Tensor, Tensor]:
        """Undo the schedule's scaling."""
        kept = Schedule(self.levels).alpha_bar.sqrt()
        return (
            asked.states / kept[asked.state_level].unsqueeze(-1),
            asked.latents / kept[asked.latent_level].unsqueeze(-1),
        )


class Gaussian(Attentive):
    """The best answer if trajectories in model space, flat, are normal: mean (M,), covariance (M, M).

    Noisy tokens are ``x = A x0 + S noise`` with diagonal A and S, so the answer is
    ``mean + C A (A C A + S^2)^-1 (x - A mean)``.
    """

    def __init__(self, layout: Layout, mean: Tensor, covariance: Tensor) -> None:
        """Keep the law."""
        super().__init__(layout)
        self.mean, self.covariance = mean, covariance

    def answer(self, asked: Call) -> tuple[Tensor, Tensor]:
        """Condition on what is seen; all plans have the same levels."""
        levels = torch.cat((asked.state_level, asked.latent_level), dim=1)
        assert (levels == levels[0]).all()
        widths = torch.tensor(
            [asked.states.shape[-1]] * asked.states.shape[1]
            + [asked.latents.shape[-1]] * asked.latents.shape[1]
        )
        kept = Schedule(self.levels).alpha_bar.double()[levels[0]].repeat_interleave(widths)
        x = torch.cat((asked.states.flatten(1), asked.latents.flatten(1)), dim=1).double()
        cross = self.covariance * kept.sqrt()
        seen = kept.sqrt().unsqueeze(-1) * cross + torch.diag(1.0 - kept + 1e-9)
        found = self.mean + (x - kept.sqrt() * self.mean) @ torch.linalg.solve(seen, cross.T)
        states, latents = found.float().split((asked.states[0].numel(), asked.latents[0].numel()), dim=1)
        return states.view_as(asked.states), latents.view_as(asked.latents)


def model_of(denoiser: Denoiser) -> DiffusionModel:
    """Return a model without a header."""
    return DiffusionModel(denoiser, Schedule(denoiser.levels), {})


def trajectories(batch: int, seed: int = 0, layout: Layout = LAYOUT) -> tuple[Tensor, Tensor]:
    """Return states (B, T, S), upright with headings all round, and latents (B, L, Z), both finite."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(batch, layout.cfg.num_states, layout.width, generator=generator)
    yaw = 6.28 * torch.rand(states.shape[:2], generator=generator)
    zero = torch.zeros_like(yaw)
    columns = (yaw.cos(), yaw.sin(), zero, -yaw.sin(), yaw.cos(), zero)
    states[..., ROT] = torch.stack(columns, dim=-1)
    return states, torch.randn(batch, layout.cfg.num_latents, WIDTH, generator=generator)
