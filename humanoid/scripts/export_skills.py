"""``humanoid export`` of latent skills and of diffusion models.

Skills become one file: ``proprioception, latent -> actions, targets`` of the decoder and
``prior_mean, prior_log_var``. A diffusion model becomes one denoising step: ``states, latents,
state_level, latent_level -> clean_states, clean_latents``, which
:class:`humanoid.export.plan.Planner` turns into plans without torch. What was written is run
with onnxruntime and compared with torch before it gets its name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from humanoid.core.runs import atomic_path
from humanoid.diffusion import model as diffusion
from humanoid.diffusion.model import DiffusionModel
from humanoid.export.skills_onnx import write_denoiser, write_skills
from humanoid.export.skills_runtime import LATENT, OnnxDenoiser, OnnxSkills
from humanoid.nn.checkpoint import digest
from humanoid.skills import skills as latent
from humanoid.skills.skills import Skills

KINDS = (latent.KIND, diffusion.KIND)
"""Kinds of checkpoints that are exported here."""


def export(kind: str, checkpoint: str, out: str) -> dict[str, Any]:
    """Export a checkpoint and return what the file holds.

    Args:
        kind: one of :data:`KINDS`.
        checkpoint: its file.
        out: the ONNX file.

    Raises:
        InputError: the checkpoint is malformed, or the file cannot be written.
        MismatchError: the body is built differently here, or the file computes something else.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    source = Path(checkpoint).as_posix()
    with atomic_path(out) as unproven:  # a file that computes something else never gets its name
        if kind == latent.KIND:
            difference = write_skills(Skills.load(checkpoint), unproven, source, digest(checkpoint))
        else:
            difference = write_denoiser(DiffusionModel.load(checkpoint), unproven, source)
    body, inputs = _skills(out) if kind == latent.KIND else _denoiser(out)
    size = Path(out).stat().st_size
    return {
        "file": out,
        "format": kind,
        "body": body,
        "inputs": inputs,
        "bytes": size,
        "difference": difference,
    }


def table(result: dict[str, Any]) -> str:
    """Return what was written as text."""
    inputs = ", ".join(f"{name} {width}" for name, width in result["inputs"].items())
    worst = max(result["difference"].values())
    return "\n".join(
        (
            f"{result['file']}  {result['bytes'] / 1e6:.2f} MB, {result['format']}, {result['body']}",
            f"inputs       {inputs}",
            f"outputs      {', '.join(result['difference'])}",
            f"difference   {worst:.1e} between onnxruntime and torch",
        )
    )


def _skills(path: str) -> tuple[str, dict[str, int]]:
    """Return the body of exported skills and the widths of what goes in."""
    meta = OnnxSkills(path).metadata
    terms = dict(zip(meta.observation_names, meta.observation_widths, strict=True))
    return meta.body, {**terms, LATENT: meta.latent_width}


def _denoiser(path: str) -> tuple[str, dict[str, int]]:
    """Return the body of an exported denoiser, and how many tokens of which widths go in."""
    opened = OnnxDenoiser(path)
    tokens = {"state tokens": opened.layout.num_states, "latent tokens": opened.layout.num_latents}
    return opened.metadata.body, tokens | {
        "state width": opened.model_width,
        "latent width": opened.latent_width,
    }
