"""Noise levels: closed forms of DDPM and DDIM."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from humanoid.core import ConfigError
from humanoid.diffusion import Schedule

K = 20


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(K)


def test_levels_go_from_clean_to_noise(schedule: Schedule) -> None:
    assert schedule.alpha_bar.shape == (K + 1,)
    assert schedule.alpha_bar[0] == 1.0 and 0.0 < schedule.alpha_bar[-1] < 1e-4
    assert (schedule.alpha_bar.diff() < 0.0).all()
    with pytest.raises(ConfigError, match="at least 1"):
        Schedule(0)


def test_noising_has_the_share_of_signal_and_noise_of_its_level(schedule: Schedule) -> None:
    torch.manual_seed(0)
    level = torch.arange(K + 1).unsqueeze(0)
    x0 = torch.full((1, K + 1, 20_000), 3.0)
    x = schedule.noised(x0, level, torch.randn_like(x0))
    torch.testing.assert_close(x.mean(-1)[0], 3.0 * schedule.alpha_bar.sqrt(), atol=0.03, rtol=0.0)
    torch.testing.assert_close(x.var(-1)[0], 1.0 - schedule.alpha_bar, atol=0.03, rtol=0.0)
    assert torch.equal(x[:, 0], x0[:, 0])


@pytest.mark.parametrize("path", [range(K, -1, -1), (20, 16, 11, 5, 2, 0)])
def test_ddim_with_the_truth_keeps_the_noise_and_ends_at_the_truth(schedule: Schedule, path: range) -> None:
    torch.manual_seed(0)
    x0, noise = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    levels = [torch.full((2, 5), level) for level in path]
    x = schedule.noised(x0, levels[0], noise)
    for now, then in pairwise(levels):
        x = schedule.ddim(x, x0, now, then)
        torch.testing.assert_close(x, schedule.noised(x0, then, noise), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(x, x0, atol=1e-5, rtol=0.0)


def test_ddpm_with_the_truth_has_the_marginals_of_noising(schedule: Schedule) -> None:
    torch.manual_seed(0)
    level = torch.tensor([[20, 13, 7, 2, 1]])
    x0 = torch.linspace(-2.0, 2.0, 5).view(1, 5, 1).expand(1, 5, 40_000)
    x = schedule.noised(x0, level, torch.randn(1, 5, 40_000))
    down = schedule.ddpm(x, x0, level, torch.Generator().manual_seed(1))
    kept = schedule.alpha_bar[level - 1]
    torch.testing.assert_close(down.mean(-1), kept.sqrt() * x0[..., 0], atol=0.03, rtol=0.0)
    torch.testing.assert_close(down.var(-1), 1.0 - kept, atol=0.02, rtol=0.0)


def test_clean_tokens_stay_whatever_is_predicted(schedule: Schedule) -> None:
    torch.manual_seed(0)
    x, x0 = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    level = torch.tensor([[0, 5, 0]])
    for moved in (schedule.ddim(x, x0, level, torch.zeros_like(level)), schedule.ddpm(x, x0, level)):
        assert torch.equal(moved[:, ::2], x[:, ::2])
        assert not torch.equal(moved[:, 1], x[:, 1]) and moved.isfinite().all()


def test_ddpm_repeats_with_its_generator(schedule: Schedule) -> None:
    x, level = torch.randn(1, 3, 4), torch.full((1, 3), 9)
    first, second = (schedule.ddpm(x, 0 * x, level, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
