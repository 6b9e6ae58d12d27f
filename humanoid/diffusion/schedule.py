"""Noise levels: 0 is clean, K is noise; every token has its own.

The paper's schedule of variances is not published. This one is the cosine of Nichol and
Dhariwal (arXiv 2102.09672, equation 17), with K = 20 levels as in BeyondMimic and
Diffuse-CLoC: unlike a linear schedule of 1000 steps thinned out, it ends in noise and
spends its few levels evenly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from humanoid.core.errors import ConfigError

OFFSET = 0.008
"""Keeps the first level from being almost clean (equation 17's s)."""
MAX_BETA = 0.999
"""Most of the variance that one level may replace (section 3.2 there)."""


class Schedule(nn.Module):
    """Forward and reverse steps between noise levels; x is ``(B, L, W)``, levels are ``(B, L)`` long."""

    alpha_bar: Tensor
    """(K + 1,) share of the variance that is signal; 1 at level 0."""

    def __init__(self, levels: int = 20) -> None:
        """Make K = ``levels`` levels beside the clean one.

        Raises:
            ConfigError: fewer than one.
        """
        super().__init__()
        if levels < 1:
            raise ConfigError(f"levels is {levels}; at least 1 is needed")
        self.levels = levels
        angle = (torch.linspace(0.0, 1.0, levels + 1, dtype=torch.float64) + OFFSET) / (1.0 + OFFSET)
        cosine = (angle * math.pi / 2).cos().square()
        kept = (cosine[1:] / cosine[:-1]).clamp_min(1.0 - MAX_BETA)
        alpha_bar = torch.cat((torch.ones(1, dtype=torch.float64), kept.cumprod(0)))
        self.register_buffer("alpha_bar", alpha_bar.float(), persistent=False)

    def noised(self, x0: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """Return clean ``x0`` with ``noise`` (standard normal) up to ``level``."""
        signal = self._at(level)
        return signal.sqrt() * x0 + (1.0 - signal).sqrt() * noise

    def ddim(self, x: Tensor, x0: Tensor, level: Tensor, next_level: Tensor) -> Tensor:
        """Go from ``level`` to ``next_level`` without fresh noise (DDIM, arXiv 2010.02502, eta = 0).

        Args:
            x: tokens at ``level``.
            x0: what they are predicted to be, clean.
            level: clean tokens stay as they are.
            next_level: any, usually a lower one.
        """
        now, then = self._at(level), self._at(next_level)
        noise = (x - now.sqrt() * x0) / (1.0 - now).clamp_min(1e-12).sqrt()
        moved = then.sqrt() * x0 + (1.0 - then).sqrt() * noise
        return torch.where((level > 0).unsqueeze(-1), moved, x)

    def ddpm(self, x: Tensor, x0: Tensor, level: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Go one level down: draw from the posterior of DDPM (arXiv 2006.11239, equation 7).

        Args:
            x: tokens at ``level``.
            x0: what they are predicted to be, clean.
            level: clean tokens stay as they are.
            generator: of the fresh noise, on the device of ``x``.
        """
        now, then = self._at(level), self._at((level - 1).clamp_min(0))
        kept = now / then
        noise_var = (1.0 - now).clamp_min(1e-12)
        mean = (then.sqrt() * (1.0 - kept) * x0 + kept.sqrt() * (1.0 - then) * x) / noise_var
        var = (1.0 - then) * (1.0 - kept) / noise_var
        noise = torch.empty_like(x).normal_(generator=generator)
        return torch.where((level > 0).unsqueeze(-1), mean + var.sqrt() * noise, x)

    def _at(self, level: Tensor) -> Tensor:
        """Return alpha_bar at levels (B, L) as (B, L, 1)."""
        return self.alpha_bar[level].unsqueeze(-1)
