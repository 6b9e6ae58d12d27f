"""Training samples: windows cut from rollouts on the fly, and the noise levels they get."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.core.errors import ConfigError, InputError
from humanoid.diffusion.shards import Rollouts
from humanoid.diffusion.trajectory import Frame, Layout, TrajectoryCfg


class Windows:
    """Draws windows of N + 1 + H frames, each frame of each rollout equally often as now."""

    def __init__(self, rollouts: Rollouts, layout: Layout, device: torch.device) -> None:
        """Put rollouts on a device.

        Raises:
            InputError: the rollouts are shorter than a window, or there is none.
        """
        self.layout, self.device = layout, device
        self.num_rollouts, frames, width = rollouts.states.shape
        self._starts = frames - layout.cfg.num_states + 1
        if self._starts < 1 or self.num_rollouts < 1:
            raise InputError(
                f"{self.num_rollouts} rollouts of {frames} frames; at least one of "
                f"{layout.cfg.num_states} frames is needed: record longer or lower trajectory.horizon"
            )
        self._frames = frames
        self._states = rollouts.states.reshape(-1, width).to(device)
        self._latents = rollouts.latents.reshape(-1, rollouts.latents.shape[-1]).to(device)
        self._state_row = torch.arange(layout.cfg.num_states, device=device)
        self._latent_row = torch.arange(layout.cfg.num_latents, device=device)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``count`` windows: state tokens (B, T, S) and latents (B, L, Z)."""
        rollout = self._integers(self.num_rollouts, count, generator)
        first = (rollout * self._frames + self._integers(self._starts, count, generator)).unsqueeze(-1)
        states = self._rows(self._states, first + self._state_row)
        now = Frame.of_features(states[:, self.layout.cfg.history])
        return self.layout.localized(states, now), self._rows(self._latents, first + self._latent_row)

    def _integers(self, end: int, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(end, (count,), generator=generator, device=self.device)

    @staticmethod
    def _rows(table: Tensor, index: Tensor) -> Tensor:
        return table.index_select(0, index.flatten()).unflatten(0, tuple(index.shape))


@dataclass(frozen=True, kw_only=True)
class NoisingCfg:
    """Which noise levels a training window gets.

    BeyondMimic draws every token's level independently. That alone hardly ever shows the
    network what a planner shows it: a clean past, and a future at one level. The shares
    below are ours.
    """

    clean_history: float = 0.8
    """Share of windows whose history is clean; in the others it is noised like the future."""
    latent_dropout: float = 0.1
    """Share of windows whose past latents are pure noise, as after a start or a switch of skills."""
    shared: float = 0.5
    """Share of windows whose future has one level; in the others each token has its own."""
    keyframes: float = 0.25
    """Share of the windows of one level in which some future states are clean."""
    keyframe_share: float = 0.1
    """Share of future states that are clean there."""

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in self.__dataclass_fields__:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"noising.{name} is {getattr(self, name)}; a share from 0 to 1 is needed")


def draw_levels(
    cfg: NoisingCfg, frames: TrajectoryCfg, levels: int, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return noise levels of ``count`` windows, (B, T) of states and (B, L) of latents, long.

    The history is the states up to now and the latents before now.
    """
    device = generator.device

    def chance(share: float, width: int = 1) -> Tensor:
        return torch.rand(count, width, generator=generator, device=device) < share

    width = frames.num_states + frames.num_latents
    own = torch.randint(levels + 1, (count, width), generator=generator, device=device)
    one = torch.randint(1, levels + 1, (count, 1), generator=generator, device=device)
    shared = chance(cfg.shared)
    level = torch.where(shared, one, own)
    state, latent = level.split((frames.num_states, frames.num_latents), dim=1)
    keyframe = shared & chance(cfg.keyframes) & chance(cfg.keyframe_share, frames.num_states)
    state = state.masked_fill(keyframe, 0)
    past_state = torch.arange(frames.num_states, device=device) <= frames.history
    past_latent = torch.arange(frames.num_latents, device=device) < frames.history
    clean = chance(cfg.clean_history)
    state = state.masked_fill(clean & past_state, 0)
    latent = latent.masked_fill(clean & past_latent, 0)
    return state, latent.masked_fill(chance(cfg.latent_dropout) & past_latent, levels)
