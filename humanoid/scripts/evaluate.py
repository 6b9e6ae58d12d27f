"""``humanoid eval``: measure trackers, latent skills and guided skills."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from humanoid.core.config import load_config
from humanoid.eval.config import EvalCfg, LatentEvalCfg, PerturbCfg, RecoverCfg, TaskEvalCfg
from humanoid.scripts.verbs import GuidedEvalCfg, TrackEvalCfg
from humanoid.view.progress import Bar


def track(cfg: TrackEvalCfg) -> dict[str, Any]:
    """Measure a tracker on its clips, or under pushes."""
    from humanoid.eval import perturb, tracking

    if cfg.perturb:
        return perturb.perturb(PerturbCfg(**_part(cfg, PerturbCfg)), Bar("step"))
    return tracking.evaluate(EvalCfg(**_part(cfg, EvalCfg)), Bar("step"))


def track_table(result: dict[str, Any]) -> str:
    """Return the result of :func:`track` as text."""
    from humanoid.eval import perturb, report

    first = next(iter(result.get("sims", {"": result}).values()))
    return (perturb.table if "sizes" in first else report.table)(result)


def recover(cfg: RecoverCfg) -> dict[str, Any]:
    """Measure whether a tracker gets up."""
    from humanoid.eval import recover as getting_up

    return getting_up.recover(cfg, Bar("step"))


def latent(cfg: LatentEvalCfg) -> dict[str, Any]:
    """Measure latent skills."""
    from humanoid.eval import latent as skills

    return skills.evaluate(cfg, Bar("step"))


def guide(cfg: GuidedEvalCfg) -> dict[str, Any]:
    """Measure guided skills on a task."""
    from humanoid.eval import tasks
    from humanoid.planning.sampler import SamplerCfg
    from humanoid.tasks.task import TaskCfg

    given = [f"replan={cfg.replan}", f"latency={cfg.latency}", *(f"weights.{pair}" for pair in cfg.weights)]
    whole = tasks.GuideCfg(
        **_part(cfg, TaskEvalCfg),
        loop=load_config(tasks.LoopCfg, None, given),
        setup=TaskCfg(frame=cfg.frame, ways=cfg.ways),
        sampler=SamplerCfg(steps=cfg.steps),
    )
    return tasks.guide(whole, Bar("step"))


def _part(cfg: Any, of: type[Any]) -> dict[str, Any]:  # noqa: ANN401 - configurations
    """Return the fields that a configuration has from a base class."""
    return {field.name: getattr(cfg, field.name) for field in fields(of)}
