"""The networks' arithmetic against torch's distributions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from humanoid.core import ConfigError
from humanoid.skills import LatentCfg, LatentModel, OrnsteinUhlenbeck
from humanoid.skills.model import LOG_VAR, divergence, draw

SMALL = LatentCfg(width=5, encoder_hidden=(16,), prior_hidden=(16,), decoder_hidden=(16,))


def test_divergence_is_that_of_diagonal_gaussians(generator: torch.Generator) -> None:
    q, p = [
        (torch.randn(7, 5, generator=generator), torch.randn(7, 5, generator=generator)) for _ in range(2)
    ]
    expected = kl_divergence(Normal(q[0], (0.5 * q[1]).exp()), Normal(p[0], (0.5 * p[1]).exp())).sum(-1)
    torch.testing.assert_close(divergence(q, p), expected)
    assert divergence(q, q).abs().max() < 1e-6


def test_samples_have_the_mean_and_the_variance_that_is_said(generator: torch.Generator) -> None:
    mean, log_var = torch.tensor([1.0, -2.0]), torch.tensor([-2.0, 1.0])
    found = draw((mean.expand(20000, 2), log_var.expand(20000, 2)), generator)
    torch.testing.assert_close(found.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(found.var(0), log_var.exp(), atol=0.1, rtol=0)


def test_what_is_seen_is_normalised_by_what_was_fitted(generator: torch.Generator) -> None:
    model = LatentModel(SMALL, 4, 6, 3)
    ref, prop = torch.randn(50, 4, generator=generator), torch.randn(50, 6, generator=generator)
    before = model.decode(prop, torch.zeros(50, 5))
    model.fit_normalizer(10.0 * ref + 3.0, 10.0 * prop + 3.0)
    scaled = 10.0 * (prop * prop.std(0) + prop.mean(0)) + 3.0
    torch.testing.assert_close(model.decode(scaled, torch.zeros(50, 5)), before, atol=1e-4, rtol=1e-4)


def test_variances_stay_inside_their_bounds() -> None:
    model = LatentModel(SMALL, 4, 6, 3)
    log_var = model.encode(1e4 * torch.randn(100, 4), 1e4 * torch.randn(100, 6))[1]
    assert LOG_VAR[0] <= log_var.min() and log_var.max() <= LOG_VAR[1]


def test_noise_is_correlated_as_its_pull_says(generator: torch.Generator) -> None:
    noise = OrnsteinUhlenbeck(torch.tensor([0.1, 0.0]), 400, generator)
    path = torch.stack([noise.step() for _ in range(400)])[50:]
    assert not path[:, 1].any()
    one = path[:, 0]
    assert float(one.std()) == pytest.approx(0.1 / math.sqrt(1.0 - 0.2**2), rel=0.02)
    assert float((one[1:] * one[:-1]).mean() / one.square().mean()) == pytest.approx(0.2, abs=0.02)
    noise.reset(torch.tensor([True, False]))
    assert not noise.value.any()


def test_sizes_that_no_network_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        LatentCfg(encoder_hidden=(16, 0))
