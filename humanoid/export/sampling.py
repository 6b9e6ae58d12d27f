"""From noise to a trajectory in numpy: what :mod:`humanoid.planning.sampler` does with DDIM. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from humanoid.export.bend import bent, gap_gradient, pulled_back
from humanoid.export.guidance import Guidance
from humanoid.export.skills_runtime import OnnxDenoiser
from humanoid.export.tokens import Frame, TokenLayout
from humanoid.planning.sampler_cfg import DdimCfg

Draw = Callable[[tuple[int, ...]], np.ndarray]
"""Shape -> standard normal numbers."""


@dataclass(frozen=True)
class Known:
    """Numbers of a trajectory and which of them mean something.

    Attributes:
        states: (B, T, S) tokens seen from now, finite everywhere.
        state_mask: (B, T, S) bool.
        latents: (B, L, Z), finite everywhere.
        latent_mask: (B, L) bool.
        ahead: False where nothing after now is known, to save looking.
    """

    states: np.ndarray
    state_mask: np.ndarray
    latents: np.ndarray
    latent_mask: np.ndarray
    ahead: bool = True

    @property
    def whole_states(self) -> np.ndarray:
        """(B, T) state tokens of which every number is known."""
        return np.all(self.state_mask, axis=-1, keepdims=False)


@dataclass(frozen=True)
class Sample:
    """A drawn trajectory.

    Attributes:
        states: (B, T, S) tokens seen from now.
        latents: (B, L, Z).
        values: each cost (B,), before the last step down its gradient; empty without guidance.
    """

    states: np.ndarray
    latents: np.ndarray
    values: dict[str, np.ndarray]


def sample(
    denoiser: OnnxDenoiser,
    known: Known,
    frame: Frame,
    guidance: Guidance | None,
    cfg: DdimCfg,
    draw: Draw,
    warm: Known | None = None,
) -> Sample:
    """Draw a trajectory for each of B environments.

    Args:
        denoiser: the network.
        known: what holds. A token that is known entirely is seen clean at every step; of one
            that is known in part, the known numbers are put into each predicted trajectory.
        frame: heading frame of now.
        guidance: costs, or None.
        cfg: settings.
        draw: gives the noise: first that of the states (B, T, P), then that of the latents (B, L, Z).
        warm: what an earlier plan says, to begin from; only whole tokens count.
    """
    levels, latent_levels = _levels(denoiser.layout, denoiser.levels, known, warm, cfg)
    x, z = _begin(denoiser, known, warm)
    x = _noised(denoiser.alpha_bar, x, levels[0], draw)
    z = _noised(denoiser.alpha_bar, z, latent_levels[0], draw)
    values: dict[str, np.ndarray] = {}
    last = cfg.steps - 1
    for step in range(cfg.steps):
        tokens, latents = denoiser.clean(x, z, levels[step], latent_levels[step])
        tokens = np.where(known.state_mask, known.states, tokens)
        # what the last step predicts is kept as it is: states that go with their latents
        if step < last or not last:
            if known.ahead:
                tokens = _joined(tokens, known.state_mask, denoiser.layout, cfg)
            if guidance is not None:
                tokens, values = _guided(denoiser, guidance, tokens, known.state_mask, frame, cfg)
        if step == last:
            break
        x0, z0 = denoiser.states_to_model(tokens), denoiser.latents_to_model(latents)
        x = ddim(denoiser.alpha_bar, x, x0, levels[step], levels[step + 1])
        z = ddim(denoiser.alpha_bar, z, z0, latent_levels[step], latent_levels[step + 1])
    if guidance is not None:
        guidance.end_plan()
    return Sample(tokens, np.where(known.latent_mask[..., None], known.latents, latents), values)


def ddim(
    alpha_bar: np.ndarray, x: np.ndarray, x0: np.ndarray, level: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """Go from ``level`` to ``after`` without fresh noise (DDIM, arXiv 2010.02502, eta = 0).

    Args:
        alpha_bar: (K + 1,) share of the variance that is signal.
        x: (B, L, W) tokens at ``level``.
        x0: (B, L, W) what they are predicted to be, clean.
        level: (B, L); clean tokens stay as they are.
        after: (B, L).
    """
    now, then = alpha_bar[level][..., None], alpha_bar[after][..., None]
    noise = (x - np.sqrt(now) * x0) / np.sqrt(np.maximum(1.0 - now, 1e-12))
    moved = np.sqrt(then) * x0 + np.sqrt(1.0 - then) * noise
    return np.where((level > 0)[..., None], moved, x)


def _noised(alpha_bar: np.ndarray, x0: np.ndarray, level: np.ndarray, draw: Draw) -> np.ndarray:
    """Return clean tokens with noise up to ``level (B, L)``."""
    signal = alpha_bar[level][..., None]
    return np.sqrt(signal) * x0 + np.sqrt(1.0 - signal) * draw(x0.shape)


def _levels(
    layout: TokenLayout, noise: int, known: Known, warm: Known | None, cfg: DdimCfg
) -> tuple[np.ndarray, np.ndarray]:
    """Return the level of every state (steps + 1, B, T) and latent token (steps + 1, B, L) along the way."""
    start, latent_start = (np.full(mask.shape, noise) for mask in (known.whole_states, known.latent_mask))
    if warm is not None:
        ahead = np.maximum(np.arange(-layout.history, layout.horizon + 1), 0)
        rise = np.round(cfg.warm_rise / layout.horizon * ahead).astype(np.int64)
        states = np.minimum(cfg.warm_level + rise, noise)
        latents = np.minimum(cfg.warm_latent_level + rise[: layout.num_latents], noise)
        start = np.where(warm.whole_states, states, start)
        latent_start = np.where(warm.latent_mask, latents, latent_start)
    start = np.where(known.whole_states, 0, start)
    latent_start = np.where(known.latent_mask, 0, latent_start)
    left = np.linspace(1.0, 0.0, cfg.steps + 1, dtype=np.float32)[:, None, None]
    path, latent_path = (np.round(left * first.astype(np.float32)) for first in (start, latent_start))
    return path.astype(np.int64), latent_path.astype(np.int64)


def _begin(denoiser: OnnxDenoiser, known: Known, warm: Known | None) -> tuple[np.ndarray, np.ndarray]:
    """Return in model space what tokens are before noise: what is known, else was planned, else zero."""
    states, latents = np.zeros((), np.float32), np.zeros((), np.float32)
    if warm is not None:
        states = np.where(warm.whole_states[..., None], denoiser.states_to_model(warm.states), states)
        latents = np.where(warm.latent_mask[..., None], denoiser.latents_to_model(warm.latents), latents)
    return (
        np.where(known.whole_states[..., None], denoiser.states_to_model(known.states), states),
        np.where(known.latent_mask[..., None], denoiser.latents_to_model(known.latents), latents),
    )


def _joined(tokens: np.ndarray, held: np.ndarray, layout: TokenLayout, cfg: DdimCfg) -> np.ndarray:
    """Return tokens bent towards known places: clamped alone, a plan may jump there and back."""
    gradient = cfg.join * gap_gradient(tokens, held, layout)
    turn, push = _bounded(*pulled_back(tokens, gradient, layout), cfg)
    return np.where(held, tokens, bent(tokens, -turn, -push, layout))


def _guided(
    denoiser: OnnxDenoiser,
    guidance: Guidance,
    tokens: np.ndarray,
    held: np.ndarray,
    frame: Frame,
    cfg: DdimCfg,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return tokens moved down the gradient where they are not ``held``, and the costs before."""
    values: dict[str, np.ndarray] = {}
    for _ in range(cfg.guide_steps):
        gradient, values = guidance.gradient(denoiser.layout, tokens, frame)
        step = np.where(held, 0.0, cfg.guide_scale * denoiser.state_std * gradient)
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        turn, push = _bounded(*pulled_back(tokens, gradient, denoiser.layout), cfg)
        moved = tokens - denoiser.state_std * step * (cfg.guide_clip / np.maximum(length, cfg.guide_clip))
        tokens = np.where(held, tokens, bent(moved, -turn, -push, denoiser.layout))
    return tokens, values


def _bounded(turn: np.ndarray, push: np.ndarray, cfg: DdimCfg) -> tuple[np.ndarray, np.ndarray]:
    """Return a bend (B, H), (B, H, 2) within the bounds of the settings."""
    return _at_most(turn, cfg.guide_turn, (1,)), _at_most(push, cfg.guide_push, (1, 2))


def _at_most(step: np.ndarray, bound: float, axes: tuple[int, ...]) -> np.ndarray:
    """Return steps shortened where their root mean square over ``axes`` exceeds ``bound``."""
    size = np.sqrt(np.square(step).mean(axis=axes, keepdims=True))
    return step * (bound / np.maximum(size, max(bound, 1e-9)))
