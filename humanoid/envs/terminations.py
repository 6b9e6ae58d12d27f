"""When an episode has failed: BeyondMimic's three tests (arXiv 2508.08241, section S1).

A state whose numbers are not finite is outside of the tests: see :func:`finite`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.envs.rewards import TrackingErrors


@dataclass(frozen=True, kw_only=True)
class TerminationCfg:
    """Thresholds beyond which tracking has failed."""

    anchor_height: float = 0.25
    """Height error of the anchor body [m]."""
    anchor_tilt: float = 0.8
    """Difference of the vertical component of gravity in the anchor frame, 0-2."""
    end_effector_height: float = 0.25
    """Height error of any end effector against its relative target [m]."""
    body_distance: float = 0.0
    """Mean distance of all bodies in the world [m]; 0 switches the test off."""
    episode_seconds: float = 10.0
    """Length after which an episode is cut without failing [s]."""


def failed(
    state: BodyState,
    ref: BodyState,
    errors: TrackingErrors,
    anchor: int,
    end_effectors: Tensor,
    cfg: TerminationCfg,
) -> Tensor:
    """Return which environments have failed. (B,) bool.

    Args:
        state: current state, leading axis B.
        ref: reference of the same instant, leading axis B.
        errors: of the two, over the tracked bodies.
        anchor: index of the anchor body.
        end_effectors: (E,) rows of ``errors.pos_w`` that are end effectors.
        cfg: thresholds.
    """
    height = (state.body_pos_w[:, anchor, 2] - ref.body_pos_w[:, anchor, 2]).abs()
    tilt = (_up(state.body_quat_w[:, anchor]) - _up(ref.body_quat_w[:, anchor])).abs()
    reach = (errors.pos_w[:, end_effectors, 2] - errors.target_pos_w[:, end_effectors, 2]).abs()
    bad = height > cfg.anchor_height
    bad |= tilt > cfg.anchor_tilt
    bad |= (reach > cfg.end_effector_height).any(-1)
    if cfg.body_distance > 0.0:
        bad |= world_distance(state, ref) > cfg.body_distance
    return bad


def world_distance(state: BodyState, ref: BodyState) -> Tensor:
    """Return the mean distance of all bodies from the reference's. (B,) [m]."""
    return (state.body_pos_w - ref.body_pos_w).norm(dim=-1).mean(-1)


def finite(state: BodyState, errors: TrackingErrors) -> Tensor:
    """Return where everything computed from a state is a finite number. (B,) bool.

    A coordinate that is not finite shows in the joints or, through the root, in the
    errors of every body; so do numbers whose squares float32 cannot hold.
    """
    joints = state.joint_pos.square().sum(-1) + state.joint_vel.square().sum(-1)
    return sum(errors.squared.values(), joints).isfinite()


def _up(quat: Tensor) -> Tensor:
    """Return the vertical component of the body's z axis. (...,)."""
    return 1.0 - 2.0 * (quat[..., 1].square() + quat[..., 2].square())
