"""Latent skills and denoisers as ONNX files, and whether a file computes what torch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from humanoid.diffusion.denoiser import Denoiser
from humanoid.diffusion.model import DiffusionModel
from humanoid.export.onnx import write_module
from humanoid.export.parity import difference, require_small
from humanoid.export.skills_metadata import DenoiserMetadata, of_denoiser, of_skills
from humanoid.export.skills_runtime import (
    CLEAN,
    LATENT,
    NOISY,
    PROPRIOCEPTION,
    SKILLS,
    OnnxDenoiser,
    OnnxSkills,
)
from humanoid.export.tokens import TokenLayout
from humanoid.planning.costs.obstacles import default_radius
from humanoid.skills import model as latent
from humanoid.skills.skills import Skills

SAMPLES = 32
"""Inputs that are compared."""


class SkillNetworks(nn.Module):
    """Decoder and prior in one graph."""

    default: Tensor
    scale: Tensor

    def __init__(self, skills: Skills) -> None:
        """Take the networks of ``skills``."""
        super().__init__()
        self.model = skills.model
        self.register_buffer("default", skills.default)
        self.register_buffer("scale", skills.scale)

    def forward(self, proprioception: Tensor, latent: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return actions, targets (B, D) [rad], the prior's mean and log-variance (B, Z)."""
        actions = self.model.decode(proprioception, latent)
        return actions, self.default + self.scale * actions, *self.model.prior(proprioception)


class CleanTokens(nn.Module):
    """A denoiser whose predictions are tokens: projection and normalisation are inside."""

    def __init__(self, denoiser: Denoiser) -> None:
        """Take a denoiser."""
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self, states: Tensor, latents: Tensor, state_level: Tensor, latent_level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return clean state tokens (B, T, S) and latents (B, L, Z) of noisy ones in model space."""
        found, found_latents = self.denoiser(states, latents, state_level, latent_level)
        return self.denoiser.states_from_model(found), self.denoiser.latents_from_model(found_latents)


def write_skills(skills: Skills, path: str | Path, run_path: str, digest: str) -> dict[str, float]:
    """Write decoder and prior; return the largest difference of every output from torch.

    Args:
        skills: on the CPU.
        path: the ONNX file.
        run_path: where they come from, for the metadata.
        digest: of their checkpoint, by which denoisers name it.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        InputError: the file cannot be written.
        MismatchError: the file computes something else.
    """
    terms = latent.PROPRIOCEPTION
    metadata = of_skills(skills.header, run_path, digest, terms, skills.width, skills.hold)
    networks, model = SkillNetworks(skills).eval(), skills.model
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(0.0, 3.0, SAMPLES).unsqueeze(-1)  # standard deviations from the mean
    draw = torch.randn(SAMPLES, model.prop_mean.shape[0], generator=generator)
    felt = model.prop_mean + model.prop_std * spread * draw
    z = spread * torch.randn(SAMPLES, skills.width, generator=generator)
    axes = {name: {0: "batch"} for name in (PROPRIOCEPTION, LATENT, *SKILLS)}
    write_module(networks, (felt[:2], z[:2]), path, metadata, (PROPRIOCEPTION, LATENT), SKILLS, axes)
    found = OnnxSkills(path).run(felt.numpy(), z.numpy())
    with torch.no_grad():
        wanted = dict(zip(SKILLS, networks(felt, z), strict=True))
    return require_small(path, {name: difference(found[name], wanted[name].numpy()) for name in SKILLS})


def write_denoiser(model: DiffusionModel, path: str | Path, run_path: str) -> dict[str, float]:
    """Write one denoising step; return the largest difference of every output from torch.

    Args:
        model: on the CPU.
        path: the ONNX file.
        run_path: where it comes from, for the metadata.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        InputError: the file cannot be written.
        MismatchError: the file computes something else.
    """
    step = CleanTokens(model.denoiser).eval()
    axes = {name: {0: "batch"} for name in (*NOISY, *CLEAN)}
    example, inputs = _noisy(model, 2), _noisy(model, SAMPLES)
    write_module(step, example, path, denoiser_metadata(model, run_path), NOISY, CLEAN, axes)
    found = OnnxDenoiser(path).clean(*(part.numpy() for part in inputs))
    with torch.no_grad():
        wanted = step(*inputs)
    pairs = zip(CLEAN, found, wanted, strict=True)
    return require_small(path, {name: difference(one, two.numpy()) for name, one, two in pairs})


def denoiser_metadata(model: DiffusionModel, run_path: str) -> DenoiserMetadata:
    """Return what travels with an exported denoiser."""
    frames, denoiser = model.layout.cfg, model.denoiser
    layout = TokenLayout(
        root=model.layout.root,
        bodies=model.layout.bodies,
        history=frames.history,
        horizon=frames.horizon,
        latent_horizon=frames.latent_horizon,
        dt=frames.dt,
    )
    names = ("state_mean", "state_std", "latent_mean", "latent_std", "projection")
    numbers: dict[str, np.ndarray] = {name: getattr(denoiser, name).numpy() for name in names}
    numbers["alpha_bar"] = model.schedule.alpha_bar.numpy()
    numbers["body_radius"] = np.array([default_radius(name) for name in ("root", *layout.bodies)])
    return of_denoiser(model.header, run_path, layout, numbers)


def _noisy(model: DiffusionModel, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return inputs of a denoising step: noise, with levels of every kind."""
    generator, denoiser = torch.Generator().manual_seed(0), model.denoiser
    shapes = (denoiser.num_states, denoiser.model_width), (denoiser.num_latents, denoiser.latent_width)
    noise = [torch.randn(rows, *shape, generator=generator) for shape in shapes]
    levels = [
        torch.randint(model.schedule.levels + 1, (rows, shape[0]), generator=generator) for shape in shapes
    ]
    return noise[0], noise[1], levels[0], levels[1]
