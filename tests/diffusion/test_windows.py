"""Windows and their noise levels."""

from __future__ import annotations

import pytest
import torch

from humanoid.core import ConfigError, InputError
from humanoid.diffusion import Frame, NoisingCfg, Windows, draw_levels
from tests.diffusion.wave import FRAMES, LAYOUT, rollouts

K = 20
CPU = torch.device("cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_window_is_a_stretch_of_one_rollout_seen_from_now() -> None:
    data = rollouts(count=3, frames=12)
    states, latents = Windows(data, LAYOUT, CPU).draw(100, generator())
    assert states.shape == (100, FRAMES.num_states, LAYOUT.width)
    starts = [(rollout, start) for rollout in range(3) for start in range(12 - FRAMES.num_states + 1)]
    stretches = torch.stack([data.states[rollout, start:][: FRAMES.num_states] for rollout, start in starts])
    held = torch.stack([data.latents[rollout, start:][: FRAMES.num_latents] for rollout, start in starts])
    found = torch.cdist(latents.flatten(1), held.flatten(1)).argmin(1)
    assert torch.equal(latents, held[found])
    now = Frame.of_features(stretches[found, FRAMES.history])
    torch.testing.assert_close(states, LAYOUT.localized(stretches[found], now))
    assert len(found.unique()) == len(starts)


def test_now_is_the_origin_of_every_window() -> None:
    states, _ = Windows(rollouts(), LAYOUT, CPU).draw(50, generator())
    now = states[:, FRAMES.history]
    torch.testing.assert_close(now[:, :2], torch.zeros(50, 2), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(now[:, 3:5], torch.tensor([[1.0, 0.0]]).expand(50, 2), atol=1e-5, rtol=0.0)


def test_rollouts_too_short_are_refused() -> None:
    with pytest.raises(InputError, match="8 frames.* 9 frames"):
        Windows(rollouts(frames=8), LAYOUT, CPU)


def test_independent_levels_are_uniform_and_independent() -> None:
    cfg = NoisingCfg(clean_history=0.0, latent_dropout=0.0, shared=0.0)
    state, latent = draw_levels(cfg, FRAMES, K, 20_000, generator())
    both = torch.cat((state, latent), dim=1).float()
    assert both.shape[1] == FRAMES.num_states + FRAMES.num_latents
    share = torch.bincount(both.long().flatten()) / both.numel()
    torch.testing.assert_close(share, torch.full((K + 1,), 1 / (K + 1)), atol=2e-3, rtol=0.0)
    assert (both.T.corrcoef() - torch.eye(both.shape[1])).abs().max() < 0.04


def test_a_shared_level_is_one_level_with_clean_keyframes() -> None:
    cfg = NoisingCfg(clean_history=1.0, latent_dropout=0.0, shared=1.0, keyframes=0.5, keyframe_share=0.3)
    state, latent = draw_levels(cfg, FRAMES, K, 4000, generator())
    assert not state[:, : FRAMES.history + 1].any() and not latent[:, : FRAMES.history].any()
    one = latent[:, -1:]
    future = state[:, FRAMES.history + 1 :]
    assert (latent[:, FRAMES.history :] == one).all() and one.min() == 1 and one.max() == K
    assert ((future == one) | (future == 0)).all()
    assert abs(float((future == 0).float().mean()) - 0.15) < 0.02


def test_a_past_of_latents_can_be_missing() -> None:
    cfg = NoisingCfg(clean_history=1.0, latent_dropout=0.25)
    _, latent = draw_levels(cfg, FRAMES, K, 4000, generator())
    past = latent[:, : FRAMES.history]
    assert ((past == K).all(1) | (past == 0).all(1)).all()
    assert abs(float((past == K).float().mean()) - 0.25) < 0.03


def test_shares_are_shares() -> None:
    with pytest.raises(ConfigError, match="shared"):
        NoisingCfg(shared=1.5)
