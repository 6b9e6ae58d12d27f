"""Failure tests: an open registry of pure functions of a :class:`StepState` and a threshold.

The tracking tests are BeyondMimic's (arXiv 2508.08241, section S1). Numbers that are not finite are the
guard's business (:mod:`humanoid.envs.guard`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Among, Checked, NonNegative
from humanoid.core.registry import Registry
from humanoid.envs.commands import Reference
from humanoid.envs.terms import StepState, Term, bound

TERMINATIONS: Registry[Term] = Registry("termination")
"""Name -> function of a :class:`StepState` and a threshold, returns (B,) bool."""
register = TERMINATIONS.register

Terminations = dict[Annotated[str, Among(TERMINATIONS)], float]
"""Termination -> threshold; any of them ends an episode as failed."""
TRACKING_TERMINATIONS = {"anchor_height": 0.25, "anchor_tilt": 0.8, "end_effector_height": 0.25}
"""Tests of the tracking task and their thresholds."""


@dataclass(frozen=True, kw_only=True)
class CurriculumCfg(Checked):
    """Thresholds that tighten while a run learns."""

    termination: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Termination -> first and last threshold; in place of the constant one."""
    samples: NonNegative = 0.0
    """Control steps of this process over which they move from the first to the last."""

    def thresholds(self, samples: int) -> dict[str, float]:
        """Return name -> threshold after so many control steps."""
        share = min(1.0, samples / self.samples) if self.samples else 1.0
        return {name: first + share * (last - first) for name, (first, last) in self.termination.items()}


class FailureTest:
    """Disjunction of the configured terminations."""

    def __init__(self, cfg: Mapping[str, float], curriculum: CurriculumCfg) -> None:
        """Find the functions.

        Raises:
            ConfigError: a termination that is not registered.
        """
        names = dict.fromkeys((*cfg, *curriculum.termination))
        self._tests = {name: bound(f"termination.{name}", TERMINATIONS[name], {}, 2) for name in names}
        self._thresholds = dict(cfg)

    def __call__(self, step: StepState, moving: Mapping[str, Tensor]) -> Tensor:
        """Return which environments have failed. (B,) bool.

        Args:
            step: with errors.
            moving: name -> () threshold, in place of the configured one.
        """
        failed = torch.zeros_like(step.action[:, 0], dtype=torch.bool)
        for name, test in self._tests.items():
            failed = failed | test(step, moving[name] if name in moving else self._thresholds[name])
        return failed


def _reference(step: StepState) -> BodyState:
    assert isinstance(step.command, Reference) and step.command.now is not None
    return step.command.now


@register("anchor_height")
def anchor_height(step: StepState, threshold: float | Tensor) -> Tensor:
    """Height error of the anchor body exceeds ``threshold`` [m]. (B,) bool."""
    anchor = step.body.anchor
    return (step.state.body_pos_w[:, anchor, 2] - _reference(step).body_pos_w[:, anchor, 2]).abs() > threshold


@register("anchor_tilt")
def anchor_tilt(step: StepState, threshold: float | Tensor) -> Tensor:
    """Vertical components of gravity in the anchor frames differ by more than ``threshold``, 0-2."""
    anchor = step.body.anchor
    quat, ref = step.state.body_quat_w[:, anchor], _reference(step).body_quat_w[:, anchor]
    return (_up(quat) - _up(ref)).abs() > threshold


@register("end_effector_height")
def end_effector_height(step: StepState, threshold: float | Tensor) -> Tensor:
    """Height error of any end effector against its anchored target exceeds ``threshold`` [m]."""
    errors, rows = step.errors, step.body.end_effectors
    assert errors is not None and errors.pos_w is not None and errors.target_pos_w is not None
    difference = errors.pos_w[:, rows, 2] - errors.target_pos_w[:, rows, 2]
    return (difference.abs() > threshold).any(-1)


@register("body_distance")
def body_distance(step: StepState, threshold: float | Tensor) -> Tensor:
    """Mean distance of all bodies from the reference, in the world, exceeds ``threshold`` [m]."""
    return world_distance(step.state, _reference(step)) > threshold


@register("head_height")
def head_height(step: StepState, threshold: float | Tensor) -> Tensor:
    """Head is lower than the share ``threshold`` of its standing height."""
    posture = step.body.posture
    return posture.head_height(step.state) < threshold * posture.standing


@register("tilt")
def tilt(step: StepState, threshold: float | Tensor) -> Tensor:
    """Torso tilts by more than ``threshold`` [rad]."""
    return step.body.posture.tilt(step.state) > threshold


def world_distance(state: BodyState, ref: BodyState) -> Tensor:
    """Return the mean distance of all bodies from the reference's. (B,) [m]."""
    return (state.body_pos_w - ref.body_pos_w).norm(dim=-1).mean(-1)


def _up(quat: Tensor) -> Tensor:
    """Return the vertical component of the body's z axis. (...,)."""
    return 1.0 - 2.0 * (quat[..., 1].square() + quat[..., 2].square())
