"""Exponential moving average of network weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average with warm-up: decay = 1 - (1 + step)^-power.

    The warm-up of k-diffusion and diffusers; power 0.75 and a decay of at most
    0.9999 are BeyondMimic's (arXiv 2508.08241, table S7).
    """

    def __init__(self, model: nn.Module, power: float = 0.75, max_decay: float = 0.9999) -> None:
        """Start from the current parameters."""
        self.power, self.max_decay, self.step = power, max_decay, 0
        self._names = [name for name, _ in model.named_parameters()]
        self._live = [parameter.detach() for parameter in model.parameters()]
        self._mean = [parameter.clone() for parameter in self._live]

    @property
    def decay(self) -> float:
        """Weight of the past in the next update."""
        return min(self.max_decay, 1.0 - (1.0 + self.step) ** -self.power)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the current parameters."""
        share = 1.0 - self.decay
        for mean, live in zip(self._mean, self._live, strict=True):
            mean.lerp_(live, share)
        self.step += 1

    def weights(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor], step: int) -> None:
        """Restore averages and their number of updates."""
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(weights[name])
        self.step = step
