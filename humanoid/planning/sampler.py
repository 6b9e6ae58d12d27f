"""From noise to a trajectory: DDIM and DDPM with a noise level per token, guided and partly known.

A step predicts the clean trajectory, puts what is known into it, moves it down the gradient
of the costs and goes on from there (guidance at the predicted clean trajectory, BeyondMimic
arXiv 2508.08241 v4; the gradient does not pass through the network). Every token has its own
start level: 0 for one that is known, so that the others see it clean, the warm level for one
that an earlier plan holds, pure noise for the rest. With DDIM every token takes all steps
from its own start level to 0, so that a plan costs the same whatever is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from torch import Tensor

from humanoid.core.constraints import Checked, Count, Interval, Natural, NonNegative, Positive
from humanoid.planning.root_update import gap_gradient, root_vjp, update_root

if TYPE_CHECKING:
    from humanoid.diffusion.denoiser import Denoiser
    from humanoid.diffusion.model import DiffusionModel
    from humanoid.diffusion.trajectory import Frame, TrajectoryCfg
    from humanoid.planning.guidance import Guidance


@dataclass(frozen=True, kw_only=True)
class SamplerCfg(Checked):
    """Settings of the sampler."""

    steps: Annotated[int, Interval(1, 20)] = 8
    """Denoising steps; more than there are noise levels bring nothing."""
    guide_steps: Natural = 1
    """Steps down the gradient of the costs at every denoising step."""
    guide_scale: Positive = 3.0
    """Size of such a step in units of (standard deviation of the number)² times gradient."""
    guide_clip: Positive = 3.0
    """Longest step of one token, in standard deviations over all its numbers (Euclidean)."""
    guide_turn: NonNegative = 0.6
    """Largest change of the yaw rate by one root update, root mean square over frames [rad/s]; see
    :mod:`humanoid.planning.root_update`."""
    guide_push: NonNegative = 0.1
    """Largest change of the planar velocity by one root update, likewise [m/s]."""
    join: NonNegative = 200.0
    """Pull of a known place on frames next to it that are elsewhere, in root updates of the same bounds; 0
    leaves a plan that jumps there, as conditioning alone does."""
    warm_level: Count = 14
    """Level that states of the previous plan are noised to (14 of 20 in Diffuse-CLoC, arXiv 2503.11801)."""
    warm_latent_level: Count = 14
    """Level that latents of the previous plan are noised to."""
    warm_rise: Natural = 0
    """Levels by which both are higher at the end of the horizon than now (rolling levels of Diffuse-CLoC)."""
    kind: Literal["ddim", "ddpm"] = "ddim"
    """``ddim`` takes ``steps`` steps without new noise, ``ddpm`` one a level with new noise."""


@dataclass(frozen=True)
class Conditioning:
    """Numbers of a trajectory and which of them mean something.

    Attributes:
        states: (B, T, S) tokens seen from now, finite everywhere.
        state_mask: (B, T, S) bool.
        latents: (B, L, Z), finite everywhere.
        latent_mask: (B, L) bool.
        ahead: False where nothing after now is known, to save looking.
    """

    states: Tensor
    state_mask: Tensor
    latents: Tensor
    latent_mask: Tensor
    ahead: bool = True

    @property
    def whole_states(self) -> Tensor:
        """(B, T) state tokens of which every number is known."""
        return self.state_mask.all(-1)


@dataclass(frozen=True)
class Sample:
    """A drawn trajectory.

    Attributes:
        states: (B, T, S) tokens seen from now.
        latents: (B, L, Z).
        values: each cost (B,), before the last step down its gradient; empty without guidance.
    """

    states: Tensor
    latents: Tensor
    values: dict[str, Tensor]


@torch.no_grad()
def sample(
    model: DiffusionModel,
    known: Conditioning,
    frame: Frame,
    guidance: Guidance | None = None,
    cfg: SamplerCfg | None = None,
    generator: torch.Generator | None = None,
    warm: Conditioning | None = None,
    noise: tuple[Tensor, Tensor] | None = None,
) -> Sample:
    """Draw a trajectory for each of B environments.

    Args:
        model: denoiser and schedule.
        known: what holds. A token that is known entirely is seen clean at every step; of one
            that is known in part, the known numbers are put into each predicted trajectory.
        frame: heading frame of now, leading axis B; only the costs need it.
        guidance: costs, or None.
        cfg: settings.
        generator: of the noise, on the model's device.
        warm: what an earlier plan says, to begin from; only whole tokens count.
        noise: standard normal (B, T, P) and (B, L, Z) that the plan starts from; None draws it.
    """
    cfg = cfg or SamplerCfg()
    denoiser, schedule = model.denoiser, model.schedule
    levels, latent_levels = _levels(known, warm, denoiser.layout.cfg, schedule.levels, cfg)
    x, z = _begin(denoiser, known, warm)
    if noise is None:
        noise = (
            torch.empty_like(x).normal_(generator=generator),
            torch.empty_like(z).normal_(generator=generator),
        )
    x, z = schedule.noised(x, levels[0], noise[0]), schedule.noised(z, latent_levels[0], noise[1])

    def advance(x: Tensor, x0: Tensor, level: Tensor, after: Tensor) -> Tensor:
        if cfg.kind == "ddim":
            return schedule.ddim(x, x0, level, after)
        return torch.where((level == after).unsqueeze(-1), x, schedule.ddpm(x, x0, level, generator))

    tokens, x0_latents, values = known.states, z, {}
    last = len(levels) - 2
    for step in range(last + 1):
        x0, x0_latents = denoiser(x, z, levels[step], latent_levels[step])
        tokens = torch.where(known.state_mask, known.states, denoiser.states_from_model(x0))
        # what the last step predicts is kept as it is: states that go with their latents
        if step < last or not last:
            if known.ahead:
                tokens = _joined(tokens, known.state_mask, denoiser.layout.cfg, cfg)
            if guidance is not None:
                tokens, values = _guided(denoiser, guidance, tokens, known.state_mask, frame, cfg)
        if step < last:
            x = advance(x, denoiser.states_to_model(tokens), levels[step], levels[step + 1])
            z = advance(z, x0_latents, latent_levels[step], latent_levels[step + 1])
    if guidance is not None:
        guidance.end_plan()
    latents = denoiser.latents_from_model(x0_latents)
    return Sample(tokens, torch.where(known.latent_mask.unsqueeze(-1), known.latents, latents), values)


def _levels(
    known: Conditioning, warm: Conditioning | None, frames: TrajectoryCfg, noise: int, cfg: SamplerCfg
) -> tuple[Tensor, Tensor]:
    """Return the level of every state (steps + 1, B, T) and latent token (steps + 1, B, L) along the way."""
    clean, clean_latents = known.whole_states, known.latent_mask
    start = torch.full_like(clean, noise, dtype=torch.long)
    latent_start = torch.full_like(clean_latents, noise, dtype=torch.long)
    if warm is not None:
        ahead = torch.arange(-frames.history, frames.horizon + 1, device=start.device).clamp_min(0)
        rise = (cfg.warm_rise / frames.horizon * ahead).round().long()
        latent_rise = rise[: frames.num_latents]
        start = torch.where(warm.whole_states, (cfg.warm_level + rise).clamp_max(noise), start)
        latent_warm = (cfg.warm_latent_level + latent_rise).clamp_max(noise)
        latent_start = torch.where(warm.latent_mask, latent_warm, latent_start)
    start, latent_start = start.masked_fill(clean, 0), latent_start.masked_fill(clean_latents, 0)
    if cfg.kind == "ddpm":
        ceiling = torch.arange(noise, -1, -1, device=start.device).view(-1, 1, 1)
        return torch.minimum(start, ceiling), torch.minimum(latent_start, ceiling)
    left = torch.linspace(1.0, 0.0, cfg.steps + 1, device=start.device).view(-1, 1, 1)
    return (left * start).round().long(), (left * latent_start).round().long()


def _begin(denoiser: Denoiser, known: Conditioning, warm: Conditioning | None) -> tuple[Tensor, Tensor]:
    """Return in model space what tokens are before noise: what is known, else was planned, else zero."""
    clean, clean_latents = known.whole_states.unsqueeze(-1), known.latent_mask.unsqueeze(-1)
    states, latents = known.states.new_zeros(()), known.latents.new_zeros(())
    if warm is not None:
        states = torch.where(warm.whole_states.unsqueeze(-1), denoiser.states_to_model(warm.states), states)
        latents = torch.where(
            warm.latent_mask.unsqueeze(-1), denoiser.latents_to_model(warm.latents), latents
        )
    return (
        torch.where(clean, denoiser.states_to_model(known.states), states),
        torch.where(clean_latents, denoiser.latents_to_model(known.latents), latents),
    )


def _joined(tokens: Tensor, held: Tensor, frames: TrajectoryCfg, cfg: SamplerCfg) -> Tensor:
    """Return tokens bent towards known places: clamped alone, a plan may jump there and back."""
    gradient = cfg.join * gap_gradient(tokens, held, frames)
    turn, push = _bounded(*root_vjp(tokens, gradient, frames), cfg)
    return torch.where(held, tokens, update_root(tokens, -turn, -push, frames))


def _guided(
    denoiser: Denoiser, guidance: Guidance, tokens: Tensor, held: Tensor, frame: Frame, cfg: SamplerCfg
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return tokens moved down the gradient where they are not ``held``, and the costs before."""
    frames, values = denoiser.layout.cfg, dict[str, Tensor]()
    for _ in range(cfg.guide_steps):
        gradient, values = guidance.gradient(denoiser.layout, tokens, frame)
        step = (cfg.guide_scale * denoiser.state_std * gradient).masked_fill(held, 0.0)
        length = step.norm(dim=-1, keepdim=True)
        turn, push = _bounded(*root_vjp(tokens, gradient, frames), cfg)
        moved = tokens - denoiser.state_std * step * (cfg.guide_clip / length.clamp_min(cfg.guide_clip))
        tokens = torch.where(held, tokens, update_root(moved, -turn, -push, frames))
    return tokens, values


def _bounded(turn: Tensor, push: Tensor, cfg: SamplerCfg) -> tuple[Tensor, Tensor]:
    """Return a bend (B, H), (B, H, 2) within the bounds of the settings."""
    return _at_most(turn, cfg.guide_turn, (1,)), _at_most(push, cfg.guide_push, (1, 2))


def _at_most(step: Tensor, bound: float, dims: tuple[int, ...]) -> Tensor:
    """Return steps shortened where their root mean square over ``dims`` exceeds ``bound``."""
    size = step.square().mean(dims, keepdim=True).sqrt()
    return step * (bound / size.clamp_min(max(bound, 1e-9)))
