"""Samples against closed forms: a known truth, a normal law, a quadratic cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from humanoid.core import ConfigError
from humanoid.diffusion import Denoiser, Frame, Layout, Trajectory, TrajectoryCfg
from humanoid.diffusion.trajectory import VEL
from humanoid.planning import Guidance, SamplerCfg
from humanoid.planning.root_update import root_vjp, update_root
from humanoid.planning.sampler import Conditioning, Sample, sample
from tests.diffusion.denoisers import (
    LAYOUT,
    Attentive,
    Call,
    Credulous,
    Gaussian,
    Oracle,
    model_of,
    trajectories,
)

KINDS = ("ddim", "ddpm")
NOW = LAYOUT.cfg.history


@dataclass(frozen=True)
class Speed:
    """Sum of |v - target|^2 / 2 over the frames after now."""

    target: Tensor
    name: str = "speed"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,)."""
        off = trajectory.root_lin_vel_w[:, trajectory.future] - self.target
        return 0.5 * off.square().sum((1, 2))


@dataclass(frozen=True)
class Broken:
    """Not a number for the first plan."""

    name: str = "broken"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,), the first not a number."""
        value = trajectory.root_pos_w.sum((1, 2))
        return value * torch.where(torch.arange(len(value)) == 0, math.nan, 1.0)


def world(batch: int) -> Frame:
    return Frame(torch.zeros(batch, 2), torch.zeros(batch))


def unknown(batch: int) -> Conditioning:
    states, latents = trajectories(batch)
    states, latents = torch.zeros_like(states), torch.zeros_like(latents)
    return Conditioning(states, states.bool(), latents, latents[..., 0].bool())


def history(batch: int) -> Conditioning:
    """States up to now and latents before now."""
    (states, latents), known = trajectories(batch, seed=5), unknown(batch)
    known.state_mask[:, : NOW + 1] = True
    known.latent_mask[:, :NOW] = True
    return replace(known, states=states * known.state_mask, latents=latents * known.latent_mask.unsqueeze(-1))


def drawn(denoiser: Denoiser, known: Conditioning, seed: int = 0, **others: Any) -> Sample:
    guidance, warm = others.pop("guidance", None), others.pop("warm", None)
    generator = torch.Generator().manual_seed(seed)
    frame = world(len(known.states))
    return sample(model_of(denoiser), known, frame, guidance, SamplerCfg(**others), generator, warm)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_denoiser_is_sure_of_comes_out(kind: str) -> None:
    tokens, latents = trajectories(3)
    found = drawn(Oracle(tokens, latents), unknown(3), kind=kind)
    torch.testing.assert_close(found.states, tokens, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.latents, latents, rtol=1e-4, atol=1e-4)
    assert found.values == {}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_a_normal_law_have_its_conditional_mean_and_spread(kind: str) -> None:
    """The oracle is the closed form of conditioning a normal law on some of its numbers."""
    layout = Layout(TrajectoryCfg(history=1, horizon=2, latent_horizon=1), "Pelvis", ())
    tokens, latents = trajectories(2000, layout=layout)
    base = Attentive(layout)
    rows, width = layout.cfg.num_states, layout.width
    generator = torch.Generator().manual_seed(2)
    # states that hang together along time and with the latents, number by number
    mixing = torch.randn(rows + 2, rows + 2, generator=generator, dtype=torch.float64)
    law = mixing @ mixing.T / (rows + 2) + 0.1 * torch.eye(rows + 2, dtype=torch.float64)
    span = base.projection.double()
    blocks = [[law[i, j] * span @ span.T for j in range(rows)] for i in range(rows)]
    states_law = torch.cat([torch.cat(row, dim=1) for row in blocks])
    pick = torch.eye(3, dtype=torch.float64)
    latents_law = torch.kron(law[rows:, rows:], pick)
    cross = torch.cat(
        [torch.cat([law[i, rows + j] * span[:, :3] for j in range(2)], dim=1) for i in range(rows)]
    )
    covariance = torch.cat((torch.cat((states_law, cross), dim=1), torch.cat((cross.T, latents_law), dim=1)))
    mean = torch.cat(((0.3 * span.sum(1)).repeat(rows), torch.full((6,), -0.4, dtype=torch.float64)))
    denoiser = Gaussian(layout, mean, covariance)
    state_mask = torch.zeros_like(tokens, dtype=torch.bool)
    state_mask[:, :2] = True
    given = denoiser.states_from_model(
        (denoiser.projection @ torch.linspace(-1, 1, width)).expand(2000, rows, -1)
    )
    known = Conditioning(
        given * state_mask, state_mask, latents * 0.0, torch.zeros(2000, 2, dtype=torch.bool)
    )
    found = drawn(denoiser, known, kind=kind, steps=20)
    # the last frame and the last latent given the first two frames, all in normalised numbers
    weights = torch.linalg.solve(law[:2, :2], law[:2, 2:])
    offset = (torch.linspace(-1, 1, width) - 0.3).double()
    spread = (law[2:, 2:] - law[2:, :2] @ weights).diagonal().sqrt()
    states = ((found.states - base.state_mean) / base.state_std)[:, 2:].double()
    latent = ((found.latents - base.latent_mean) / base.latent_std).double()
    for row in range(rows - 2):
        expected = 0.3 + weights[:, row].sum() * offset
        torch.testing.assert_close(states[:, row].mean(0), expected, rtol=0, atol=5 * spread[row] / 2000**0.5)
        assert states[:, row].std(0).mean() == pytest.approx(float(spread[row]), rel=0.12)
    for row in range(2):
        expected = -0.4 + weights[:, rows - 2 + row].sum() * offset[:3]
        scale = spread[rows - 2 + row]
        torch.testing.assert_close(latent[:, row].mean(0), expected, rtol=0, atol=5 * scale / 2000**0.5)
        assert latent[:, row].std(0).mean() == pytest.approx(float(scale), rel=0.12)


@pytest.mark.parametrize("kind", KINDS)
def test_known_numbers_come_back_as_given_and_are_seen_clean(kind: str) -> None:
    denoiser, known = Attentive(), history(2)
    known.state_mask[1, -1, VEL] = True
    known.states[1, -1, VEL] = 7.0
    guidance = Guidance([Speed(torch.tensor([1.0, 0.0, 0.0]))])
    found = drawn(denoiser, known, kind=kind, guidance=guidance)
    assert (found.states == known.states)[known.state_mask].all()
    assert (found.latents == known.latents)[known.latent_mask].all()
    clean, clean_latents = denoiser.states_to_model(known.states), denoiser.latents_to_model(known.latents)
    for call in denoiser.calls:
        assert (call.states[:, : NOW + 1] == clean[:, : NOW + 1]).all()
        assert (call.latents[:, :NOW] == clean_latents[:, :NOW]).all()
        assert (call.state_level[:, : NOW + 1] == 0).all()
        assert (call.latent_level[:, :NOW] == 0).all()


def test_known_part_of_a_token_reaches_the_network() -> None:
    denoiser, known = Credulous(), unknown(1)
    known.state_mask[0, -1, VEL] = True
    known.states[0, -1, VEL] = 3.0
    drawn(denoiser, known)
    last = denoiser.calls[-1]
    seen = denoiser.states_from_model(denoiser.answer(last)[0])[0, -1, VEL]
    assert (seen - 3.0).abs().max() < 0.5  # one level of noise is left


def levels(calls: list[Call]) -> tuple[Tensor, Tensor]:
    return torch.stack([c.state_level for c in calls]), torch.stack([c.latent_level for c in calls])


@pytest.mark.parametrize(("kind", "steps", "count"), [("ddim", 4, 4), ("ddim", 20, 20), ("ddpm", 8, 20)])
def test_levels_fall_from_noise(kind: str, steps: int, count: int) -> None:
    denoiser = Attentive()
    drawn(denoiser, history(1), kind=kind, steps=steps)
    states, latents = levels(denoiser.calls)
    assert len(states) == count
    for level in (states[:, :, NOW + 1 :], latents[:, :, NOW:]):
        assert (level[0] == 20).all()
        assert (level.diff(dim=0) < 0).all()
        assert (level[-1] >= 1).all()
        assert (level[-1] <= 20 / count).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_begins_lower_and_where_it_is_told(kind: str) -> None:
    denoiser, known, cold = Credulous(), history(1), unknown(1)
    tokens, latents = trajectories(1, seed=9)
    kept, kept_latents = ~cold.state_mask, ~cold.latent_mask
    kept[:, -2:] = False
    warm = Conditioning(tokens, kept, latents, kept_latents)
    found = drawn(denoiser, known, kind=kind, warm=warm, warm_level=1, warm_latent_level=2)
    first = denoiser.calls[0]
    assert first.state_level.tolist() == [[0] * (NOW + 1) + [1] * 4 + [20] * 2]
    assert first.latent_level.tolist() == [[0] * NOW + [2] * 3]
    off = (found.states - tokens)[:, NOW + 1 : -2] / denoiser.state_std
    assert off.abs().max() < 1.0
    assert (found.latents - latents)[:, NOW:].abs().max() < 1.0


def test_rolling_levels_rise_along_the_horizon() -> None:
    denoiser, cold = Attentive(), unknown(1)
    tokens, latents = trajectories(1)
    warm = Conditioning(tokens, ~cold.state_mask, latents, ~cold.latent_mask)
    drawn(denoiser, cold, warm=warm, warm_level=14, warm_latent_level=4, warm_rise=12)
    first = denoiser.calls[0]
    assert first.state_level.tolist() == [[14, 14, 14, 16, 18, 20, 20, 20, 20]]
    assert first.latent_level.tolist() == [[4, 4, 4, 6, 8]]


UNBENT: dict[str, Any] = {"steps": 1, "guide_turn": 0.0, "guide_push": 0.0}
"""One denoising step, and tokens that move by themselves alone."""


@pytest.mark.parametrize("steps", [1, 3])
def test_guidance_steps_down_the_gradient_by_variance_and_scale(steps: int) -> None:
    tokens, latents = trajectories(2)
    denoiser, target = Oracle(tokens, latents), torch.tensor([1.0, -2.0, 0.5])
    guidance, size = Guidance([Speed(target)]), {"guide_scale": 0.3, "guide_clip": 1e6}
    found = drawn(denoiser, unknown(2), guidance=guidance, guide_steps=steps, **size, **UNBENT)
    future = slice(NOW + 1, None)
    kept = (1.0 - 0.3 * denoiser.state_std[VEL].square()) ** steps
    expected = tokens.clone()
    expected[:, future, VEL] = target + kept * (tokens[:, future, VEL] - target)
    torch.testing.assert_close(found.states, expected, rtol=1e-4, atol=1e-4)
    before = (1.0 - 0.3 * denoiser.state_std[VEL].square()) ** (steps - 1) * (tokens[:, future, VEL] - target)
    torch.testing.assert_close(found.values["speed"], 0.5 * before.square().sum((1, 2)), rtol=1e-4, atol=1e-4)


def test_the_step_of_a_token_is_no_longer_than_the_clip() -> None:
    tokens, latents = trajectories(2)
    denoiser = Oracle(tokens, latents)
    guidance = Guidance([Speed(torch.tensor([100.0, 0.0, 0.0]))])
    found = drawn(denoiser, unknown(2), guidance=guidance, guide_clip=0.25, **UNBENT)
    length = ((found.states - tokens) / denoiser.state_std).norm(dim=-1)
    torch.testing.assert_close(length[:, NOW + 1 :], torch.full((2, 6), 0.25), rtol=1e-3, atol=1e-3)
    assert length[:, : NOW + 1].max() < 1e-3


def test_a_bend_is_down_the_gradient_and_no_larger_than_its_bounds() -> None:
    """A far target: the bend is the one along the gradient whose root mean squares are the bounds."""
    tokens, latents = trajectories(2)
    guidance = Guidance([Speed(torch.tensor([100.0, 40.0, 0.0]))])
    size: dict[str, Any] = {"guide_clip": 1e-6, "guide_turn": 0.2, "guide_push": 0.05}
    found = drawn(Oracle(tokens, latents), unknown(2), guidance=guidance, steps=1, **size)
    slope, _ = guidance.gradient(LAYOUT, tokens, world(2))
    turn, push = root_vjp(tokens, slope, LAYOUT.cfg)
    turn = turn * 0.2 * 6**0.5 / turn.norm(dim=1, keepdim=True)
    push = push * 0.05 * 12**0.5 / push.flatten(1).norm(dim=1).view(2, 1, 1)
    torch.testing.assert_close(
        found.states, update_root(tokens, -turn, -push, LAYOUT.cfg), rtol=1e-3, atol=1e-4
    )
    small = 0.01 * slope
    turn, push = root_vjp(tokens, small, LAYOUT.cfg)
    size.update(guide_turn=1e3, guide_push=1e3)
    weak = Guidance(guidance.costs, [0.01])
    found = drawn(Oracle(tokens, latents), unknown(2), guidance=weak, steps=1, **size)
    torch.testing.assert_close(
        found.states, update_root(tokens, -turn, -push, LAYOUT.cfg), rtol=1e-3, atol=1e-4
    )


def test_numbers_that_are_held_are_not_bent() -> None:
    tokens, latents = trajectories(2)
    known = unknown(2)
    known.state_mask[:, NOW + 3] = True
    known.states[:, NOW + 3] = tokens[:, NOW + 3]
    guidance = Guidance([Speed(torch.tensor([100.0, 0.0, 0.0]))])
    found = drawn(Oracle(tokens, latents), known, guidance=guidance, steps=1)
    assert torch.equal(found.states[:, NOW + 3], tokens[:, NOW + 3])
    assert ((found.states - tokens)[:, NOW + 4 :, :2].abs() > 1e-3).any()


def jump(found: Sample) -> float:
    """Largest distance between two frames after now that their velocity does not explain [m]."""
    ahead = found.states[:, NOW:]
    step = ahead[..., :2].diff(dim=1) - LAYOUT.cfg.dt * ahead[:, 1:, 9:11]
    return float(step.norm(dim=-1).max())


def test_a_plan_walks_to_a_known_place_instead_of_jumping_there() -> None:
    """A network that predicts a standing body, and a place 12 cm ahead that is six frames off."""
    tokens, latents = (torch.zeros_like(part) for part in trajectories(1))
    tokens[..., 3], tokens[..., 7] = 1.0, 1.0
    known = unknown(1)
    known.states[:, -1, 0], known.state_mask[:, -1, :2] = 0.12, True
    loose: dict[str, Any] = {"steps": 1, "guide_push": 1e3, "guide_turn": 0.0}
    teleported = drawn(Oracle(tokens, latents), known, join=0.0, **loose)
    walked = drawn(Oracle(tokens, latents), known, join=60.0, **loose)
    assert jump(teleported) == pytest.approx(0.12, abs=1e-3)
    assert jump(walked) < 0.6 * jump(teleported)
    along = walked.states[0, NOW:, 0]
    assert (along.diff() > 0).all() and along[-1] == 0.12
    unaware = replace(known, ahead=False)
    assert torch.equal(drawn(Oracle(tokens, latents), unaware, **loose).states, teleported.states)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_step_is_kept_as_predicted(kind: str) -> None:
    """So states go with their latents; the steps before it were guided."""
    tokens, latents = trajectories(2)
    guidance = Guidance([Speed(torch.tensor([5.0, 0.0, 0.0]))])
    denoiser, free = Oracle(tokens, latents), Oracle(tokens, latents)
    found = drawn(denoiser, unknown(2), kind=kind, steps=3, guidance=guidance)
    drawn(free, unknown(2), kind=kind, steps=3)
    torch.testing.assert_close(found.states, tokens, rtol=1e-4, atol=1e-4)
    assert set(found.values) == {"speed"}
    assert torch.equal(denoiser.calls[0].states, free.calls[0].states)
    assert (denoiser.calls[-1].states - free.calls[-1].states).abs().max() > 0.1


def test_guidance_lowers_the_cost_of_what_is_drawn() -> None:
    guidance, denoiser = Guidance([Speed(torch.tensor([1.0, 0.0, 0.0]))]), Attentive()
    free = drawn(denoiser, history(8))
    led = drawn(denoiser, history(8), guidance=guidance)
    frame = world(8)
    assert (guidance.gradient(LAYOUT, led.states, frame)[1]["speed"]
            < guidance.gradient(LAYOUT, free.states, frame)[1]["speed"]).all()  # fmt: skip


def test_a_cost_that_is_not_a_number_is_dropped_and_the_rest_goes_on() -> None:
    speed = Speed(torch.tensor([1.0, 0.0, 0.0]))
    guidance = Guidance([Broken(), speed])
    found = drawn(Attentive(), history(3), guidance=guidance)
    alone = drawn(Attentive(), history(3), guidance=Guidance([speed]))
    assert found.states.isfinite().all()
    assert found.latents.isfinite().all()
    torch.testing.assert_close(found.states[0], alone.states[0])
    assert guidance.dropped == {"broken": 1, "speed": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_plan(kind: str) -> None:
    runs = [drawn(Attentive(), history(2), seed, kind=kind) for seed in (0, 0, 1)]
    assert torch.equal(runs[0].states, runs[1].states)
    assert torch.equal(runs[0].latents, runs[1].latents)
    assert not torch.equal(runs[0].states, runs[2].states)
    assert not torch.equal(runs[0].states[0], runs[0].states[1])


def test_no_graph_is_kept() -> None:
    found = drawn(Attentive(), history(2), guidance=Guidance([Speed(torch.zeros(3))]))
    assert not found.states.requires_grad
    assert not found.values["speed"].requires_grad


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 21},
        {"guide_scale": -1.0},
        {"guide_clip": math.nan},
        {"guide_steps": -1},
        {"warm_level": 0},
        {"warm_rise": -1},
    ],
)
def test_settings_without_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SamplerCfg(**wrong)


@pytest.mark.parametrize("name", ["guide_turn", "guide_push", "join"])
def test_a_bend_uphill_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        SamplerCfg(**{name: -0.1})
