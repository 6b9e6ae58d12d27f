"""The tracking reward: BeyondMimic's table as pure functions of two states.

Tracking terms are ``exp(-e / sigma^2)`` with e the mean over bodies of a squared error;
penalties are squared or summed excesses. Weights are per second: the environment
multiplies the sum by the control period (arXiv 2508.08241, Table S2).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.spatial import BodySelector, frames
from humanoid.spatial import rotation as rot


@dataclass(frozen=True, kw_only=True)
class RewardCfg:
    """Weights and widths of the reward terms."""

    weight: dict[str, float] = field(
        default_factory=lambda: {
            "anchor_pos": 0.5,
            "anchor_rot": 0.5,
            "body_pos": 1.0,
            "body_rot": 1.0,
            "body_lin_vel": 1.0,
            "body_ang_vel": 1.0,
            "action_rate": -0.05,
            "joint_limit": -10.0,
            "undesired_contact": 0.0,
        }
    )
    """Weight of each term [1/s]; a term with weight 0 is not computed where it costs."""
    sigma: dict[str, float] = field(
        default_factory=lambda: {
            "anchor_pos": 0.3,
            "anchor_rot": 0.4,
            "body_pos": 0.3,
            "body_rot": 0.4,
            "body_lin_vel": 1.0,
            "body_ang_vel": 3.14,
        }
    )
    """Width of each tracking term [m, rad, m/s, rad/s]."""
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Group -> its terms, each term in one group, for a critic a group (SLIM); none: one for all."""
    soft_limit: float = 0.9
    """Share of the joint range, about its middle, that costs nothing."""
    contact_force: float = 1.0
    """Force [N] on a body other than feet and end effectors from which a contact is undesired."""


@dataclass(frozen=True)
class TrackingErrors:
    """Squared errors and relative targets that rewards and terminations share.

    Attributes:
        squared: term name -> (B,) mean squared error.
        target_pos_w: (B, K, 3) [m] reference bodies moved to the robot.
        pos_w: (B, K, 3) [m] bodies of the robot.
    """

    squared: dict[str, Tensor]
    target_pos_w: Tensor
    pos_w: Tensor


def tracking_errors(
    state: BodyState, ref: BodyState, anchor: int, bodies: Tensor | BodySelector
) -> TrackingErrors:
    """Compare a state with its reference.

    Args:
        state: current state, leading axis B.
        ref: reference of the same instant, leading axis B.
        anchor: index of the anchor body.
        bodies: (K,) indices of the tracked bodies, or what picks them.
    """
    pick = bodies if isinstance(bodies, BodySelector) else BodySelector(bodies)
    anchor_pos, anchor_quat = state.body_pos_w[:, anchor], state.body_quat_w[:, anchor]
    anchor_pos_ref, anchor_quat_ref = ref.body_pos_w[:, anchor], ref.body_quat_w[:, anchor]
    pos, quat = pick(state.body_pos_w), pick(state.body_quat_w)
    target_pos, target_quat = frames.anchored_targets(
        anchor_pos,
        anchor_quat,
        anchor_pos_ref,
        anchor_quat_ref,
        pick(ref.body_pos_w),
        pick(ref.body_quat_w),
    )
    squared = {
        "anchor_pos": (anchor_pos - anchor_pos_ref).square().sum(-1),
        "anchor_rot": rot.angle_between(anchor_quat, anchor_quat_ref).square(),
        "body_pos": _mean_square(pos - target_pos),
        "body_rot": rot.angle_between(quat, target_quat).square().mean(-1),
        "body_lin_vel": _mean_square(pick(state.body_lin_vel_w - ref.body_lin_vel_w)),
        "body_ang_vel": _mean_square(pick(state.body_ang_vel_w - ref.body_ang_vel_w)),
    }
    return TrackingErrors(squared, target_pos, pos)


def _mean_square(difference: Tensor) -> Tensor:
    """Return the mean over bodies of the squared length of ``difference (B, K, 3)``. (B,)."""
    return difference.square().sum((-2, -1)) / difference.shape[-2]


def tracking_rewards(errors: TrackingErrors, cfg: RewardCfg) -> dict[str, Tensor]:
    """Return ``exp(-e / sigma^2)`` in (0, 1] for every tracking term. Each (B,)."""
    return {name: torch.exp(error * (-1.0 / cfg.sigma[name] ** 2)) for name, error in errors.squared.items()}


def action_rate(action: Tensor, last_action: Tensor) -> Tensor:
    """Return the squared change of the action, summed over joints. (B,)."""
    return (action - last_action).square().sum(-1)


def joint_limit(joint_pos: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the angle outside [low, high] (D,), summed over joints. (B,) [rad]."""
    return (joint_pos - joint_pos.clamp(low, high)).abs().sum(-1)


def undesired_contact(force_w: Tensor, bodies: Tensor, threshold: float) -> Tensor:
    """Return how many of ``bodies (K,)`` feel more than ``threshold`` [N]. (B,)."""
    return (force_w[:, bodies].norm(dim=-1) > threshold).float().sum(-1)
