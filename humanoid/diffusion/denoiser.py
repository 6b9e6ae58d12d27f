"""The network that predicts a clean trajectory from a noisy one.

Tokens are states at the frames -N .. H and latents at -N .. A - 1, each at a noise level of
its own. Attention is Diffuse-CLoC's (arXiv 2503.11801): states look at all states and at no
latent, the latent of frame n looks at states and latents up to n. The prediction is the
clean trajectory itself.

Inside, in *model space*, a state is normalised and stretched by BeyondMimic's emphasis
projection P = [A B; I] (arXiv 2508.08241): rows of A are random, B weighs the root's numbers
by 6, so that the few numbers that say where the body is are not lost among its many limbs.
Every row is then scaled to unit variance, so that noise is equally strong in all, and the
way back is the pseudo-inverse: least squares over all rows. The size of A is not published.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from humanoid.core.errors import ConfigError
from humanoid.diffusion.trajectory import ROOT, Layout
from humanoid.nn.transformer import LevelEmbedding, Transformer

STATE_FLOOR = 0.01
"""Least standard deviation that a state's number is divided by [m, m/s, rad/s or 1]."""
LATENT_FLOOR = 0.05
"""Least standard deviation of a latent's number, as a share of the latents' own."""
_INIT = 0.2
"""Standard deviation of embeddings at the start: beside values of order 1, GPT-2's 0.02 is learnt late."""


@dataclass(frozen=True, kw_only=True)
class DenoiserCfg:
    """Size of the network and of the emphasis projection."""

    width: int = 192
    """Numbers of a token inside."""
    layers: int = 4
    """Layers of the transformer."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.0
    """Share of attention weights dropped while training."""
    emphasis: float = 6.0
    """Weight of the root's numbers in the random rows."""
    random_rows: int = 32
    """Rows of A; 0 for normalised states alone."""
    projection_seed: int = 0
    """Of A."""


PRESETS = {
    "small": DenoiserCfg(),
    "base": DenoiserCfg(width=512, layers=6, heads=8, dropout=0.3),
}
"""``small`` plans and trains on two CPU cores; ``base`` is Diffuse-CLoC's, for a GPU."""


class Denoiser(nn.Module):
    """Predicts clean tokens in model space."""

    state_mean: Tensor
    """(S,) of a state's numbers."""
    state_std: Tensor
    """(S,) of a state's numbers, never less than :data:`STATE_FLOOR`."""
    latent_mean: Tensor
    """(Z,)"""
    latent_std: Tensor
    """(Z,)"""
    projection: Tensor
    """(P, S) from normalised states to model space."""
    inverse: Tensor
    """(S, P) its pseudo-inverse."""
    mask: Tensor

    def __init__(self, cfg: DenoiserCfg, layout: Layout, latent_width: int, levels: int = 20) -> None:
        """Build the network, with normalisation that changes nothing until :meth:`fit`.

        Raises:
            ConfigError: a size that makes no network.
        """
        super().__init__()
        if cfg.random_rows < 0 or latent_width < 1:
            raise ConfigError(
                f"random_rows is {cfg.random_rows}, latent width {latent_width}; 0 and 1 at least"
            )
        self.cfg, self.layout, self.latent_width, self.levels = cfg, layout, latent_width, levels
        frames, width = layout.cfg, cfg.width
        self.num_states, self.num_latents = frames.num_states, frames.num_latents
        self._add_normalisation()
        self.model_width = self.projection.shape[0]
        self.state_in = nn.Linear(self.model_width, width)
        self.latent_in = nn.Linear(latent_width, width)
        self.frame = nn.Parameter(_INIT * torch.randn(max(self.num_states, self.num_latents), width))
        self.kind = nn.Parameter(_INIT * torch.randn(2, width))
        self.level = LevelEmbedding(levels, width)
        self.encoder = Transformer(width, cfg.layers, cfg.heads, cfg.dropout)
        self.state_out = nn.Linear(width, self.model_width)
        self.latent_out = nn.Linear(width, latent_width)
        self.register_buffer("mask", attention_mask(self.num_states, self.num_latents), persistent=False)

    def forward(
        self, states: Tensor, latents: Tensor, state_level: Tensor, latent_level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predict the clean tokens.

        Args:
            states: (B, T, P) noisy, model space.
            latents: (B, L, Z) noisy, model space.
            state_level: (B, T) long, 0 is clean.
            latent_level: (B, L) long.

        Returns:
            States (B, T, P) and latents (B, L, Z), clean, model space.
        """
        place = torch.cat(
            (self.frame[: self.num_states] + self.kind[0], self.frame[: self.num_latents] + self.kind[1])
        )
        tokens = torch.cat((self.state_in(states), self.latent_in(latents)), dim=1)
        levels = self.level(torch.cat((state_level, latent_level), dim=1))
        found = self.encoder(tokens + place + levels, self.mask)
        return self.state_out(found[:, : self.num_states]), self.latent_out(found[:, self.num_states :])

    def states_to_model(self, tokens: Tensor) -> Tensor:
        """Return state tokens (..., S) in model space (..., P)."""
        return ((tokens - self.state_mean) / self.state_std) @ self.projection.T

    def states_from_model(self, states: Tensor) -> Tensor:
        """Return state tokens (..., S) nearest to model space (..., P)."""
        return (states @ self.inverse.T) * self.state_std + self.state_mean

    def latents_to_model(self, latents: Tensor) -> Tensor:
        """Return latents (..., Z) in model space."""
        return (latents - self.latent_mean) / self.latent_std

    def latents_from_model(self, latents: Tensor) -> Tensor:
        """Return latents (..., Z) as the decoder takes them."""
        return latents * self.latent_std + self.latent_mean

    @torch.no_grad()
    def fit(self, tokens: Tensor, latents: Tensor) -> None:
        """Set normalisation and projection from samples.

        Args:
            tokens: (M, S) state tokens of any frames.
            latents: (M', Z).
        """
        self.state_mean.copy_(tokens.mean(0))
        self.state_std.copy_(tokens.std(0).clamp_min(STATE_FLOOR))
        self.latent_mean.copy_(latents.mean(0))
        spread = latents.std(0)
        self.latent_std.copy_(
            spread.clamp_min(LATENT_FLOOR * float(spread.square().mean().sqrt())).clamp_min(1e-6)
        )
        self._project((tokens - self.state_mean) / self.state_std)

    def _add_normalisation(self) -> None:
        """Register buffers for states of zero mean and unit, independent variances."""
        width, rows = self.layout.width, self.cfg.random_rows + self.layout.width
        self.register_buffer("state_mean", torch.zeros(width))
        self.register_buffer("state_std", torch.ones(width))
        self.register_buffer("latent_mean", torch.zeros(self.latent_width))
        self.register_buffer("latent_std", torch.ones(self.latent_width))
        self.register_buffer("projection", torch.zeros(rows, width))
        self.register_buffer("inverse", torch.zeros(width, rows))
        self._project(None)

    def _project(self, normalised: Tensor | None) -> None:
        """Set projection and inverse; rows of A B get unit variance over ``normalised`` (M, S)."""
        generator = torch.Generator().manual_seed(self.cfg.projection_seed)
        random = torch.randn(
            self.cfg.random_rows, self.layout.width, generator=generator, dtype=torch.float64
        )
        random[:, :ROOT] *= self.cfg.emphasis
        if normalised is None:
            spread = random.norm(dim=-1)
        else:
            spread = (normalised.cpu().double() @ random.T).std(0).clamp_min(STATE_FLOOR)
        rows = torch.cat((random / spread.unsqueeze(-1), torch.eye(self.layout.width, dtype=torch.float64)))
        self.projection.copy_(rows)
        self.inverse.copy_(torch.linalg.pinv(rows))


def attention_mask(num_states: int, num_latents: int) -> Tensor:
    """Return which token (row) looks at which (column), (T + L, T + L) bool: states, then latents."""
    state, latent = torch.arange(num_states), torch.arange(num_latents)
    mask = torch.zeros(num_states + num_latents, num_states + num_latents, dtype=torch.bool)
    mask[:num_states, :num_states] = True
    mask[num_states:, :num_states] = state <= latent.unsqueeze(-1)
    mask[num_states:, num_states:] = latent <= latent.unsqueeze(-1)
    return mask
