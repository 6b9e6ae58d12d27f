"""Noise on executed actions that a body cannot average away."""

from __future__ import annotations

import torch
from torch import Tensor


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
