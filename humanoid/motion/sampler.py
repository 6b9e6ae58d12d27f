"""Adaptive sampling: start more often where tracking fails.

Clips are cut into bins of about a second. Each bin keeps exponential averages of
failures and of visited steps; their ratio, spread backwards in time because a failure
is prepared before it happens, is the adaptive part of the starting distribution
(BeyondMimic, arXiv 2508.08241, section S1, uses counts; with many clips a rate keeps
rarely visited bins comparable). The rest is uniform in time, so nothing is forgotten.

Instead of failures, rewards can lead (SkillMimic-V2, arXiv 2505.02094, adaptive trajectory
sampling): each bin keeps the mean reward of what started in it, and bins are drawn with
``exp(-10 reward)`` within a clip, clips with ``exp(-5 reward)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from humanoid.core.constraints import Checked, Count, NonNegative, Positive, Share
from humanoid.core.errors import InputError
from humanoid.motion.library import MotionLibrary

_LEAST_RATE = 1e-6
"""Failures per visit that every bin is credited with."""
_IN_CLIP, _AMONG_CLIPS = 10.0, 5.0
"""SkillMimic-V2's lambda_s and lambda_c: how fast a well performed start is drawn less."""
_KEPT = ("failures", "visits", "rewards", "episodes")
"""Averages that a resumed run goes on with."""


@dataclass(frozen=True, kw_only=True)
class SamplerCfg(Checked):
    """Where episodes start."""

    bin_seconds: Positive = 1.0
    """Length of a bin [s]."""
    by: Literal["failures", "reward"] = "failures"
    """Statistic of the adaptive part."""
    uniform: Share = 0.5
    """Share of starts that are uniform in time; the rest is adaptive."""
    memory: Share = 0.998
    """Factor by which past failures and visits fade in a control step."""
    kernel: Count = 3
    """Bins before a failure that share in it."""
    decay: Share = 0.8
    """Share of each further bin before the failure."""
    prior_failures: NonNegative = 0.05
    """Failures assumed per bin before anything is known."""


class AdaptiveSampler:
    """Draws table rows to start from; learns from failures."""

    def __init__(self, library: MotionLibrary, cfg: SamplerCfg, generator: torch.Generator) -> None:
        """Cut the clips of ``library`` into bins; draws use ``generator`` (of its device).

        Raises:
            InputError: a clip of one frame, from which no step can be taken.
        """
        for name, length in zip(library.names, library.length.tolist(), strict=True):
            if length < 2:
                raise InputError(
                    f"motion '{name}' has {length} frame; a start needs a frame after it: 2 or more"
                )
        self.cfg, self.library, self.generator = cfg, library, generator
        device = library.device
        per_clip = (library.length / (cfg.bin_seconds * library.fps)).round().long().clamp_min(1)
        bin_clip = torch.repeat_interleave(torch.arange(library.num_clips, device=device), per_clip)
        first_bin = per_clip.cumsum(0) - per_clip
        within = torch.arange(len(bin_clip), device=device) - first_bin[bin_clip]
        # the last frame of a clip is never a start: the next step would leave the clip
        usable = (library.length - 1)[bin_clip]
        self._low = library.start[bin_clip] + within * usable // per_clip[bin_clip]
        self._high = library.start[bin_clip] + (within + 1) * usable // per_clip[bin_clip]
        rows = torch.arange(library.num_frames, device=device)
        self.bin_of_row = torch.searchsorted(self._low, rows, right=True) - 1
        ahead = torch.arange(len(bin_clip), device=device)[:, None] + torch.arange(cfg.kernel, device=device)
        inside = ahead < len(bin_clip)
        self._ahead = ahead.clamp(max=len(bin_clip) - 1)
        inside &= bin_clip[self._ahead] == bin_clip[:, None]
        weights = cfg.decay ** torch.arange(cfg.kernel, device=device, dtype=torch.float32)
        self._kernel = torch.where(inside, weights, torch.zeros_like(weights))
        seconds = (self._high - self._low) * library.weight[bin_clip]
        self._uniform = seconds / seconds.sum()
        self.failures = torch.full((len(bin_clip),), cfg.prior_failures, device=device)
        self.visits = torch.ones(len(bin_clip), device=device)
        self.rewards = torch.zeros(len(bin_clip), device=device)
        self.episodes = torch.full((len(bin_clip),), _LEAST_RATE, device=device)
        self._bin_clip, self._weight = bin_clip, library.weight

    @property
    def num_bins(self) -> int:
        """Number of bins of all clips."""
        return len(self._low)

    def update(self, rows: Tensor, failed: Tensor, counted: Tensor | None = None) -> None:
        """Count one control step.

        Args:
            rows: (B,) table row each environment is at.
            failed: (B,) bool, ended there by failure; any number may fall in one bin.
            counted: (B,) bool, the environments that count; all by default.
        """
        bins = self.bin_of_row[rows]
        there = torch.ones_like(failed) if counted is None else counted
        self.failures.mul_(self.cfg.memory).index_add_(0, bins, (failed & there).to(self.failures.dtype))
        self.visits.mul_(self.cfg.memory).index_add_(0, bins, there.to(self.visits.dtype))

    def credit(self, started: Tensor, reward: Tensor, ended: Tensor) -> None:
        """Count the episodes that end in this control step, for where they started.

        Args:
            started: (B,) table row at which each environment's episode began.
            reward: (B,) mean reward a step of the episode, 1 for perfect tracking.
            ended: (B,) bool.
        """
        bins, ones = self.bin_of_row[started], ended.to(self.rewards.dtype)
        self.rewards.mul_(self.cfg.memory).index_add_(0, bins, torch.where(ended, reward, 0.0))
        self.episodes.mul_(self.cfg.memory).index_add_(0, bins, ones)

    def probabilities(self) -> Tensor:
        """Return the probability of each bin. (M,)."""
        adaptive = self._by_failures() if self.cfg.by == "failures" else self._by_reward()
        return self.cfg.uniform * self._uniform + (1.0 - self.cfg.uniform) * adaptive

    def _by_reward(self) -> Tensor:
        reward = self.rewards / self.episodes.clamp_min(_LEAST_RATE)
        within = self._uniform * (-_IN_CLIP * reward).exp()
        clips = len(self._weight)
        nothing = torch.zeros(clips, device=reward.device)
        in_clip = nothing.index_add(0, self._bin_clip, within)
        share = nothing.index_add(0, self._bin_clip, self._uniform)
        mean = nothing.index_add(0, self._bin_clip, self._uniform * reward) / share.clamp_min(_LEAST_RATE)
        among = share * (-_AMONG_CLIPS * mean).exp()
        each = within / in_clip.clamp_min(torch.finfo(within.dtype).tiny)[self._bin_clip]
        return each * (among / among.sum())[self._bin_clip]

    def _by_failures(self) -> Tensor:
        # failures fade for ever where none happen: the floor keeps the sum from becoming 0
        rate = (self.failures / self.visits.clamp_min(1.0)).clamp_min(_LEAST_RATE)
        spread = (rate[self._ahead] * self._kernel).sum(-1) * self._uniform
        return spread / spread.sum()

    def sample(self, count: int) -> Tensor:
        """Return ``count`` table rows to start from, (count,)."""
        edges = self.probabilities().cumsum(0)
        options = {"generator": self.generator, "device": edges.device}
        draw = torch.rand(count, **options) * edges[-1]
        bins = torch.searchsorted(edges, draw, right=True).clamp(max=self.num_bins - 1)
        width = (self._high - self._low)[bins]
        inside = (torch.rand(count, **options) * width).long()
        return self._low[bins] + torch.minimum(inside, (width - 1).clamp_min(0))

    def entropy(self) -> Tensor:
        """Return the entropy of the distribution over bins, 1 for uniform. ()."""
        p = self.probabilities()
        size = torch.tensor(float(max(self.num_bins, 2)), device=p.device)
        return -(p * p.clamp_min(1e-12).log()).sum() / size.log()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {name: getattr(self, name).clone() for name in _KEPT}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the averages of an earlier run; over another library they start afresh."""
        if state["failures"].shape != self.failures.shape:
            return
        for name in _KEPT:
            if name in state:  # runs of earlier versions kept no rewards
                getattr(self, name).copy_(state[name])
