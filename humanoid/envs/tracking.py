"""The tracking environment: bodies that follow motions of a library (BeyondMimic, arXiv 2508.08241)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import MismatchError
from humanoid.envs.env import ActionCfg, Env, EnvCfg, StepResult
from humanoid.envs.reference import ReferenceCursor, ReferenceSource
from humanoid.envs.rewards import TRACKING_REWARDS, Rewards
from humanoid.envs.starts import StartCfg
from humanoid.envs.terminations import TRACKING_TERMINATIONS, Terminations
from humanoid.motion.library import MotionLibrary
from humanoid.motion.sampler import AdaptiveSampler, SamplerCfg
from humanoid.sim.protocol import Simulator

__all__ = ["ActionCfg", "StepResult", "TrackingCfg", "TrackingEnv"]


@dataclass(frozen=True, kw_only=True)
class TrackingCfg(EnvCfg):
    """Configuration of the tracking task."""

    reward: Rewards = field(default_factory=lambda: dict(TRACKING_REWARDS))
    termination: Terminations = field(default_factory=lambda: dict(TRACKING_TERMINATIONS))
    start: StartCfg = field(default_factory=StartCfg)
    sampler: SamplerCfg = field(default_factory=SamplerCfg)


class TrackingEnv(Env):
    """An environment whose commands are reference motions; it can be started anywhere in its library."""

    kind = "tracker"
    source: ReferenceSource

    def __init__(self, cfg: TrackingCfg, sim: Simulator, library: MotionLibrary, seed: int = 0) -> None:
        """Bind a simulator and a library of the same body and device.

        Raises:
            ConfigError: an unknown term or parameter, or a kind of start that has none.
            MismatchError: the library's rate is not the simulator's control rate.
        """
        if abs(library.fps * sim.dt - 1.0) > 1e-4:
            raise MismatchError(f"motions have {library.fps:g} fps, control runs at {1 / sim.dt:g} Hz")
        self.library = library
        super().__init__(
            cfg, sim, lambda env: ReferenceSource(env, library, cfg.sampler, cfg.start), seed, library
        )

    @property
    def cursor(self) -> ReferenceCursor:
        """Where each environment is in the library."""
        return self.source.cursor

    @property
    def sampler(self) -> AdaptiveSampler:
        """Distribution of the starts."""
        return self.source.sampler

    def start(self, rows: Tensor, state: BodyState | None = None, grace: Tensor | None = None) -> None:
        """Begin every episode at a given row of the library ``(B,)``.

        Args:
            rows: (B,) rows of the library.
            state: joints and root to start in; by default the reference, perturbed as configured.
            grace: (B,) control steps for which the reference stands still; none by default.
        """
        self.source.start(self._everyone, rows, grace)
        self.place(self._everyone, self.perturbed(self.library.roots(rows)) if state is None else state)
        self.last_action = torch.zeros_like(self.last_action)
        self._read(self._everyone)
