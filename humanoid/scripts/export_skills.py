"""``humanoid export`` of latent skills and of planners.

Skills become one file: ``proprioception, latent -> actions, targets`` of the decoder and
``prior_mean, prior_log_var``. A planner becomes one graph with all costs, from recorded frames and
commands to planned frames and latents (:class:`humanoid.export.plan.OnnxPlanner` runs it without
torch). A file is run with onnxruntime and compared with torch before it gets its name.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from humanoid.core.runs import atomic_path
from humanoid.diffusion import model as diffusion
from humanoid.export.plan import INPUTS, OnnxPlanner
from humanoid.export.plan_onnx import default_costs, write_plan
from humanoid.export.runtime import LATENT, OnnxSkills
from humanoid.export.skills_onnx import write_skills
from humanoid.nn.checkpoint import digest
from humanoid.planning.planner import Planner
from humanoid.planning.sampler import SamplerCfg
from humanoid.scripts.verbs import ExportCfg
from humanoid.skills import skills as latent
from humanoid.skills.skills import Skills

KINDS = (latent.KIND, diffusion.KIND)
"""Kinds of checkpoints that are exported here."""


def export(kind: str, cfg: ExportCfg) -> dict[str, Any]:
    """Export a checkpoint and return the contents of the file.

    Args:
        kind: one of :data:`KINDS`.
        cfg: checkpoint, file and size of the planner.

    Raises:
        InputError: the checkpoint is malformed, or the file cannot be written.
        MismatchError: the body is built differently here, or the file computes something else.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    source = Path(cfg.checkpoint).as_posix()
    with atomic_path(cfg.out) as unproven:  # a file that computes something else never gets its name
        if kind == latent.KIND:
            difference = write_skills(Skills.load(cfg.checkpoint), unproven, source, digest(cfg.checkpoint))
        else:
            planner = Planner.load(cfg.checkpoint, SamplerCfg(steps=cfg.steps))
            difference = write_plan(planner, unproven, source, default_costs(planner.layout, cfg.obstacles))
    body, inputs = _skills(cfg.out) if kind == latent.KIND else _planner(cfg.out)
    return {
        "file": cfg.out,
        "format": kind,
        "body": body,
        "inputs": inputs,
        "bytes": Path(cfg.out).stat().st_size,
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
    """Return the body of exported skills and the widths of their inputs."""
    meta = OnnxSkills(path).metadata
    terms = dict(zip(meta.observation_names, meta.observation_widths, strict=True))
    return meta.body, {**terms, LATENT: meta.latent_width}


def _planner(path: str) -> tuple[str, dict[str, int]]:
    """Return the body of an exported planner and the sizes of the commands of its costs."""
    meta = OnnxPlanner(path).metadata
    return meta.body, {name: math.prod(shape) for name, shape in meta.shapes.items() if name not in INPUTS}
