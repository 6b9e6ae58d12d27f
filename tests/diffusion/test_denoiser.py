"""The network: who looks at whom, and model space and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from humanoid.core import ConfigError
from humanoid.diffusion import PRESETS, Denoiser, DenoiserCfg, Layout, TrajectoryCfg
from humanoid.diffusion.denoiser import STATE_FLOOR
from humanoid.diffusion.trajectory import ROOT
from tests.diffusion.wave import FRAMES, LAYOUT, WIDTH

T, L, N = FRAMES.num_states, FRAMES.num_latents, FRAMES.history
TINY = DenoiserCfg(width=16, layers=3, heads=2, random_rows=5)


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(TINY, LAYOUT, WIDTH).eval()


@pytest.fixture
def inputs(denoiser: Denoiser) -> list[Tensor]:
    torch.manual_seed(1)
    tokens = [torch.randn(2, T, denoiser.model_width), torch.randn(2, L, WIDTH)]
    return [*tokens, torch.randint(0, 21, (2, T)), torch.randint(0, 21, (2, L))]


def _changed(denoiser: Denoiser, inputs: list[Tensor], part: int, row: int) -> tuple[Tensor, Tensor]:
    """Return which states and latents of the output change with one token of the input."""
    before = denoiser(*inputs)
    other = [value.clone() for value in inputs]
    other[part][:, row] += 1
    after = denoiser(*other)
    states, latents = ((a - b).abs().amax((0, 2)) > 1e-7 for a, b in zip(before, after, strict=True))
    return states, latents


@pytest.mark.parametrize("row", range(L))
@pytest.mark.parametrize("part", [1, 3], ids=["value", "level"])
def test_a_latent_changes_no_state_and_no_earlier_latent(
    denoiser: Denoiser, inputs: list[Tensor], part: int, row: int
) -> None:
    inputs[3].clamp_(max=19)
    states, latents = _changed(denoiser, inputs, part, row)
    assert not states.any()
    assert latents.tolist() == [column >= row for column in range(L)]


@pytest.mark.parametrize("row", [0, N, T - 1])
def test_a_state_changes_all_states(denoiser: Denoiser, inputs: list[Tensor], row: int) -> None:
    states, latents = _changed(denoiser, inputs, 0, row)
    assert states.all()
    assert latents.all()  # a latent sees the future through the states that see it


def test_a_latent_does_not_look_at_later_states_itself(inputs: list[Tensor]) -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(DenoiserCfg(width=16, layers=1, heads=2, random_rows=5), LAYOUT, WIDTH).eval()
    _, latents = _changed(denoiser, inputs, 0, N)
    assert latents.tolist() == [row >= N for row in range(L)]


def test_training_and_inference_compute_the_same(denoiser: Denoiser, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        quick = denoiser(*inputs)
    for a, b in zip(quick, denoiser(*inputs), strict=True):
        assert b.requires_grad
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_model_space_and_back() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(TINY, LAYOUT, WIDTH)
    scale = torch.logspace(-1, 1, LAYOUT.width)
    tokens, latents = 2.0 + scale * torch.randn(5000, LAYOUT.width), 3.0 * torch.randn(5000, WIDTH)
    tokens[:, -1] = 7.0
    denoiser.fit(tokens, latents)
    states = denoiser.states_to_model(tokens)
    assert states.shape == (5000, LAYOUT.width + TINY.random_rows)
    torch.testing.assert_close(states.mean(0), torch.zeros(denoiser.model_width), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(states.std(0)[:-1], torch.ones(denoiser.model_width - 1), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(denoiser.states_from_model(states), tokens, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(denoiser.latents_from_model(denoiser.latents_to_model(latents)), latents)
    torch.testing.assert_close(denoiser.state_std[:-1], tokens.std(0)[:-1])
    assert denoiser.state_std[-1] == STATE_FLOOR


def test_the_random_rows_are_mostly_about_the_root() -> None:
    rows = Denoiser(DenoiserCfg(), LAYOUT, WIDTH).projection[: DenoiserCfg().random_rows]
    root, rest = rows[:, :ROOT].square().mean(), rows[:, ROOT:].square().mean()
    assert 25.0 < root / rest < 50.0  # 6 squared


def test_an_error_outside_the_projection_s_range_is_averaged_out(denoiser: Denoiser) -> None:
    torch.manual_seed(0)
    denoiser.fit(torch.randn(1000, LAYOUT.width), torch.randn(1000, WIDTH))
    noise = torch.randn(4000, denoiser.model_width)
    back = (denoiser.states_from_model(noise) - denoiser.state_mean) / denoiser.state_std
    assert back[:, :ROOT].var() < 0.9 < back[:, ROOT:].var() < 1.05


def test_presets_are_what_they_are_said_to_be() -> None:
    layout = Layout(TrajectoryCfg(), "pelvis", [f"body{i}" for i in range(15)])
    sizes = {
        name: sum(p.numel() for p in Denoiser(cfg, layout, 32).parameters()) for name, cfg in PRESETS.items()
    }
    assert 1.5e6 < sizes["small"] < 2.5e6
    assert 18e6 < sizes["base"] < 21e6  # Diffuse-CLoC: 19.95 M


@pytest.mark.parametrize("change", [{"heads": 5}, {"layers": 0}, {"dropout": 1.0}, {"random_rows": -1}])
def test_sizes_that_make_no_network_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Denoiser(DenoiserCfg(**change), LAYOUT, WIDTH)  # type: ignore[arg-type]
