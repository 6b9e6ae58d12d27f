"""The numbers of a sampler: one for the planner in torch and the one that runs without it. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from humanoid.core.errors import ConfigError

MOST_STEPS = 20
"""More denoising steps than noise levels bring nothing."""


@dataclass(frozen=True, kw_only=True)
class DdimCfg:
    """How a plan is drawn with DDIM."""

    steps: int = 8
    """Denoising steps, 1 to 20."""
    guide_steps: int = 1
    """Steps down the gradient of the costs at every denoising step."""
    guide_scale: float = 3.0
    """Size of such a step in units of (standard deviation of the number)² times gradient."""
    guide_clip: float = 3.0
    """Longest step of one token, in standard deviations over all its numbers (Euclidean)."""
    guide_turn: float = 0.6
    """Largest change of the yaw rate by one bend, root mean square over frames [rad/s]; see
    :mod:`humanoid.planning.root_update`."""
    guide_push: float = 0.1
    """Largest change of the planar velocity by one bend, likewise [m/s]."""
    join: float = 200.0
    """Pull of a known place on frames next to it that are elsewhere, in bends of the same bounds; 0 leaves
    a plan that jumps there, as clamping alone does."""
    warm_level: int = 14
    """Level that states of the previous plan are noised to (14 of 20 in Diffuse-CLoC, arXiv 2503.11801)."""
    warm_latent_level: int = 14
    """Level that latents of the previous plan are noised to."""
    warm_rise: int = 0
    """Levels by which both are higher at the end of the horizon than now (rolling levels of Diffuse-CLoC)."""

    def __post_init__(self) -> None:
        """Refuse numbers that no plan comes out of."""
        for name, least in {"steps": 1, "guide_steps": 0, "warm_level": 1, "warm_latent_level": 1}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"sampler.{name} is {getattr(self, name)}; at least {least} is needed")
        if self.steps > MOST_STEPS:
            raise ConfigError(f"sampler.steps is {self.steps}; at most {MOST_STEPS} are allowed")
        for name in ("guide_scale", "guide_clip"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f"sampler.{name} is {getattr(self, name):g}; it must be positive")
        for name in ("guide_turn", "guide_push", "join"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"sampler.{name} is {getattr(self, name):g}; it must be 0 or more")
        if self.warm_rise < 0:
            raise ConfigError(f"sampler.warm_rise is {self.warm_rise}; it must not be negative")
