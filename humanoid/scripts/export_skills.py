"""``humanoid export`` of latent skills and of planners.

Skills become one file: ``proprioception, latent -> actions, targets`` of the decoder and
``prior_mean, prior_log_var``. A planner becomes one graph with all costs, from recorded frames and
commands to planned frames and latents (:class:`humanoid.export.plan.OnnxPlanner` runs it without
torch). A file is run with onnxruntime and compared with torch before it gets its name.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from humanoid.core.errors import ConfigError, nearest
from humanoid.core.runs import atomic_path
from humanoid.diffusion import model as diffusion
from humanoid.export.plan import INPUTS, OnnxPlanner
from humanoid.export.plan_onnx import default_costs, write_plan
from humanoid.export.runtime import LATENT, OnnxSkills
from humanoid.export.skills_onnx import write_skills
from humanoid.nn.checkpoint import digest
from humanoid.planning.costs import Cost
from humanoid.planning.planner import DiffusionPlanner
from humanoid.planning.sampler import SamplerCfg
from humanoid.scripts.verbs import ExportCfg
from humanoid.skills import skills as latent
from humanoid.skills.skills import Skills

KINDS = (latent.KIND, diffusion.KIND)
"""Kinds of checkpoints that are exported here."""
PLANS = 20
"""Plans of which the median time is taken."""


def export(kind: str, cfg: ExportCfg) -> dict[str, Any]:
    """Export a checkpoint and return the contents of the file.

    Args:
        kind: one of :data:`KINDS`.
        cfg: checkpoint, file and size of the planner.

    Raises:
        InputError: the checkpoint is malformed, or the file cannot be written.
        ConfigError: an unknown cost.
        MismatchError: the body is built differently here, or the file computes something else.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    source, begun = Path(cfg.checkpoint).as_posix(), time.perf_counter()
    with atomic_path(cfg.out) as unproven:  # a file that computes something else never gets its name
        if kind == latent.KIND:
            difference = write_skills(Skills.load(cfg.checkpoint), unproven, source, digest(cfg.checkpoint))
        else:
            planner = DiffusionPlanner.load(cfg.checkpoint, SamplerCfg(steps=cfg.steps))
            difference = write_plan(planner, unproven, source, _costs(planner, cfg))
    seconds = time.perf_counter() - begun
    body, inputs, timed = _skills(cfg.out) if kind == latent.KIND else _planner(cfg.out)
    return {
        "file": cfg.out,
        "format": kind,
        "body": body,
        "inputs": inputs,
        "bytes": Path(cfg.out).stat().st_size,
        "difference": difference,
        "seconds": seconds,
        **timed,
    }


def table(result: dict[str, Any]) -> str:
    """Return what was written as text."""
    inputs = ", ".join(f"{name} {width}" for name, width in result["inputs"].items())
    worst = max(result["difference"].values())
    timed = f", {result['plan_ms']:.1f} ms a plan on one thread" if "plan_ms" in result else ""
    return "\n".join(
        (
            f"{result['file']}  {result['bytes'] / 1e6:.2f} MB, {result['format']}, {result['body']}",
            f"inputs       {inputs}",
            f"outputs      {', '.join(result['difference'])}",
            f"difference   {worst:.1e} between onnxruntime and torch",
            f"time         {result['seconds']:.0f} s to export{timed}",
        )
    )


def _costs(planner: DiffusionPlanner, cfg: ExportCfg) -> list[Cost]:
    costs = {cost.name: cost for cost in default_costs(planner.layout, cfg.obstacles)}
    for name in cfg.costs:
        if name not in costs:
            raise ConfigError(f"costs: no cost '{name}'{nearest(name, costs)}")
    return [costs[name] for name in dict.fromkeys(cfg.costs) or costs]


def _skills(path: str) -> tuple[str, dict[str, int], dict[str, float]]:
    """Return the body of exported skills and the widths of their inputs."""
    meta = OnnxSkills(path).metadata
    terms = dict(zip(meta.observation_names, meta.observation_widths, strict=True))
    return meta.body, {**terms, LATENT: meta.latent_width}, {}


def _planner(path: str) -> tuple[str, dict[str, int], dict[str, float]]:
    """Return the body of an exported planner, the sizes of its costs' commands, and the time of a plan."""
    planner = OnnxPlanner(path)
    meta, previous, seconds = planner.metadata, None, []
    past = [np.zeros(meta.shapes[name], np.float32) for name in ("features", "latents")]
    for tick in range(PLANS):
        previous = planner.plan(past[0], past[1], tick=tick, previous=previous)
        seconds.append(previous.seconds)
    sizes = {name: math.prod(shape) for name, shape in meta.shapes.items() if name not in INPUTS}
    return meta.body, sizes, {"plan_ms": 1e3 * float(np.median(seconds))}
