"""Receding-horizon plans: from what the body did and what it should do to what it will do.

A planner sees a window of recorded frames in the world, draws a trajectory that goes on from
it, and hands back what it expects in the world and the latents that the decoder is to hold.
Before a plan has run out it is asked again, and begins from its last answer: shifted by the
frames that have passed, seen from the new now, noised to the warm level.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.diffusion.model import DiffusionModel
from humanoid.diffusion.trajectory import ROOT, Frame, Layout
from humanoid.planning.guidance import Guidance
from humanoid.planning.sampler import Conditioning, SamplerCfg, sample

REACH = 0.5
"""[m] in the plane; a body farther from where its plan has it was moved, and is planned for anew."""


@dataclass(frozen=True)
class Window:
    """Past states and latents of B environments.

    Attributes:
        features: (B, N + 1, S) world features, oldest first, now last.
        latents: (B, N, Z) that were held from each frame before now to the next.
        latents_known: (B, N) bool; others may hold anything.
        states_known: (B, N + 1) bool, true for now; others may hold anything.
        tick: frames since some start, by which plans of one run are put in order.
    """

    features: Tensor
    latents: Tensor
    latents_known: Tensor
    states_known: Tensor
    tick: int


@dataclass(frozen=True)
class Keyframes:
    """Keyframes of B environments.

    Attributes:
        frame: (B, Q) [frames] from now. They are rounded to the nearest frame; those that are
            then not in 1 .. H are ignored. Where two meet, the later in the list wins.
        features: (B, Q, S) world features.
        mask: (B, Q, S) bool: which of them count. Of a vector of the root x and y are given both or
            neither, because they turn into each other in the frame of now.
    """

    frame: Tensor
    features: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Plan:
    """Predicted motion of B environments and the latents that make it.

    Attributes:
        features: (B, T, S) world features of the frames -N .. H.
        latents: (B, A, Z) to hold from now on, one a frame.
        frame: heading frames of now, leading axis B.
        values: each cost (B,), as in :class:`humanoid.planning.sampler.Sample`.
        seconds: [s] that planning took.
        tick: of the window it is for; the frames since then are its age.
        dropped: for how many environments a cost was left out because it was not finite; by
            name, where any.
    """

    features: Tensor
    latents: Tensor
    frame: Frame
    values: dict[str, Tensor]
    seconds: float
    tick: int
    dropped: dict[str, int] = field(default_factory=dict)


class DiffusionPlanner:
    """A diffusion model that plans; everything is on its device."""

    def __init__(self, model: DiffusionModel, cfg: SamplerCfg | None = None) -> None:
        """Plan with ``model``."""
        self.model, self.cfg = model, cfg or SamplerCfg()
        self.layout: Layout = model.layout

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.denoiser.state_std.device

    @classmethod
    def load(
        cls, path: str | Path, cfg: SamplerCfg | None = None, device: str | torch.device = "cpu"
    ) -> DiffusionPlanner:
        """Plan with the model in a checkpoint of ``humanoid train diffusion``.

        Raises:
            InputError: missing, damaged or foreign file.
            MismatchError: it is another kind of checkpoint.
        """
        return cls(DiffusionModel.load(path, device), cfg)

    def plan(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """Plan for each of B environments.

        Args:
            window: what they did.
            guidance: costs, or None for whatever comes natural.
            keyframes: what they shall look like, or None.
            previous: an earlier plan to begin from, or None. It counts where it still has
                frames left and the body is where it says.
            generator: of the noise, on the model's device.

        Raises:
            InputError: shapes that do not belong together, or a number that is known and not
                finite; names the environment.
        """
        begun = time.perf_counter()
        _check(window, keyframes, previous, self.layout, self.model.denoiser.latent_width)
        before = guidance.dropped if guidance else {}
        plan = self.draw(window, guidance, keyframes, previous, generator)
        if plan.features.is_cuda:
            torch.cuda.synchronize(plan.features.device)  # so that the time is that of the work
        seconds = time.perf_counter() - begun
        after = guidance.dropped if guidance else {}
        dropped = {name: count - before[name] for name, count in after.items() if count > before[name]}
        return replace(plan, seconds=seconds, dropped=dropped)

    def draw(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        generator: torch.Generator | None = None,
        noise: tuple[Tensor, Tensor] | None = None,
    ) -> Plan:
        """Plan without checks: a pure function of tensors that can be traced.

        Args:
            window: recorded frames.
            guidance: costs, or None.
            keyframes: or None.
            previous: an earlier plan to begin from, or None.
            generator: of the noise, on the model's device.
            noise: as in :func:`humanoid.planning.sampler.sample`.
        """
        frame = Frame.of_features(window.features[:, -1])
        known = self._known(window, keyframes, frame)
        warm = None if previous is None else self._warm(window, previous, frame)
        drawn = sample(self.model, known, frame, guidance, self.cfg, generator, warm, noise)
        features = self.layout.globalized(drawn.states, frame)
        latents = drawn.latents[:, self.layout.cfg.history :]
        return Plan(features, latents, frame, drawn.values, 0.0, window.tick)

    def _known(self, window: Window, keyframes: Keyframes | None, frame: Frame) -> Conditioning:
        """Return history and keyframes as tokens seen from now."""
        cfg, held = self.layout.cfg, window.states_known.unsqueeze(-1)
        batch, rows = window.states_known.shape
        states = window.features.new_zeros(batch, cfg.num_states, self.layout.width)
        mask = torch.zeros_like(states, dtype=torch.bool)
        if keyframes is not None and keyframes.frame.shape[1] > 0:
            states, mask = _placed(keyframes, self.layout)
        states[:, :rows] = window.features.masked_fill(~held, 0.0)
        mask[:, :rows] = held
        latents = window.latents.new_zeros(batch, cfg.num_latents, window.latents.shape[-1])
        latent_mask = torch.zeros_like(latents[..., 0], dtype=torch.bool)
        latents[:, : cfg.history] = window.latents.masked_fill(~window.latents_known.unsqueeze(-1), 0.0)
        latent_mask[:, : cfg.history] = window.latents_known
        ahead = keyframes is not None and keyframes.frame.numel() > 0
        return Conditioning(self.layout.localized(states, frame), mask, latents, latent_mask, ahead)

    def _warm(self, window: Window, previous: Plan, frame: Frame) -> Conditioning:
        """Return the rest of an earlier plan, seen from now; nothing of it is known where it is of no use."""
        cfg, device = self.layout.cfg, window.features.device
        age = torch.as_tensor(window.tick - previous.tick, device=device)
        row = torch.arange(cfg.num_states, device=device) + age
        left = previous.features.index_select(1, row.clamp(0, cfg.num_states - 1))
        gap = left[:, cfg.history, :2] - window.features[:, -1, :2]
        of_use = (gap.square().sum(-1) < REACH**2) & (age >= 0) & (age < cfg.horizon)
        mask = of_use.unsqueeze(-1) & (row < cfg.num_states)
        states = self.layout.localized(left, frame).masked_fill(~mask.unsqueeze(-1), 0.0)
        row = torch.arange(-cfg.history, cfg.latent_horizon, device=device) + age
        ahead = previous.latents.index_select(1, row.clamp(0, cfg.latent_horizon - 1))
        inside = (row >= age) & (row < cfg.latent_horizon)
        latent_mask = of_use.unsqueeze(-1) & inside
        latents = ahead.masked_fill(~latent_mask.unsqueeze(-1), 0.0)
        return Conditioning(states, mask.unsqueeze(-1).expand_as(states), latents, latent_mask)


def _placed(keyframes: Keyframes, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return world features (B, T, S) of keyframes at their frames, and which numbers are given."""
    cfg, (batch, count) = layout.cfg, keyframes.frame.shape
    offset = torch.floor(keyframes.frame + 0.5)
    inside = (offset >= 1) & (offset <= cfg.horizon)
    row = torch.where(inside, offset + cfg.history, 0.0).long().unsqueeze(-1)
    given = keyframes.mask & inside.unsqueeze(-1)
    order = torch.arange(count, device=row.device).view(1, count, 1)
    # a maximum, because what a scatter does with two at one place is not defined
    which = torch.full((batch, cfg.num_states, layout.width), -1, device=row.device)
    which = which.scatter_reduce(1, row.expand_as(given), torch.where(given, order, -1), "amax")
    placed = which >= 0
    return torch.where(placed, keyframes.features.gather(1, which.clamp_min(0)), 0.0), placed


def _check(
    window: Window, keyframes: Keyframes | None, previous: Plan | None, layout: Layout, width: int
) -> None:
    """Refuse what does not fit the model or is not finite, in one look at the device."""
    cfg, batch = layout.cfg, window.features.shape[0]
    past, plan = (batch, cfg.history), (batch, cfg.num_states, layout.width)
    shapes = [
        ("window.features", window.features, (batch, cfg.history + 1, layout.width)),
        ("window.latents", window.latents, (*past, width)),
        ("window.latents_known", window.latents_known, past),
        ("window.states_known", window.states_known, (batch, cfg.history + 1)),
    ]
    if keyframes is not None:
        count = keyframes.frame.shape[-1]
        for name, shape in {"frame": (), "features": (layout.width,), "mask": (layout.width,)}.items():
            shapes.append((f"keyframes.{name}", getattr(keyframes, name), (batch, count, *shape)))
    if previous is not None:
        shapes.append(("previous.features", previous.features, plan))
        shapes.append(("previous.latents", previous.latents, (batch, cfg.latent_horizon, width)))
    for name, tensor, shape in shapes:
        if tuple(tensor.shape) != shape:
            raise InputError(f"{name}: its shape is {tuple(tensor.shape)}, expected {shape}")
    faults = _faults(window, keyframes)
    found = torch.stack(list(faults.values())).cpu()
    if found.any():
        fault, environment = found.nonzero()[0].tolist()
        raise InputError(f"environment {environment}: {list(faults)[fault]}")


def _faults(window: Window, keyframes: Keyframes | None) -> dict[str, Tensor]:
    """Return what can be wrong with numbers, and for which environments (B,) it is."""
    broken = ~window.features.isfinite().all(-1) & window.states_known
    lost = ~window.latents.isfinite().all(-1) & window.latents_known
    faults = {
        "the state of now is not known": ~window.states_known[:, -1],
        "a known state of the window is not finite": broken.any(-1),
        "a known latent of the window is not finite": lost.any(-1),
    }
    if keyframes is not None:
        wrong = ~keyframes.features.isfinite() & keyframes.mask
        x, y = (keyframes.mask[..., axis:ROOT:3] for axis in (0, 1))
        faults |= {
            "the time of a keyframe is not finite": ~keyframes.frame.isfinite().all(-1),
            "a given number of a keyframe is not finite": wrong.flatten(1).any(-1),
            "a keyframe gives only x or only y of a vector of the root": (x ^ y).flatten(1).any(-1),
        }
    return faults
