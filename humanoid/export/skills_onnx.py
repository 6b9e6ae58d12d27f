"""Latent skills as an ONNX file, compared with torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from humanoid.export.metadata import of_skills
from humanoid.export.onnx import difference, require_small, write_module
from humanoid.export.runtime import LATENT, PROPRIOCEPTION, SKILLS, OnnxSkills
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


def write_skills(skills: Skills, path: str | Path, run_path: str, digest: str) -> dict[str, float]:
    """Write decoder and prior; return the largest difference of every output from torch.

    Args:
        skills: on the CPU.
        path: the ONNX file.
        run_path: where they come from, for the metadata.
        digest: of their checkpoint, as planners of their latents name it.

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
