"""What the actor and the critic see: pure functions of states.

Terms, order and noise follow BeyondMimic (arXiv 2508.08241, section S1; reference of
:class:`ObservationCfg`). Added: projected gravity, and references further ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot


@dataclass(frozen=True, kw_only=True)
class ObservationCfg:
    """Observation terms and their noise."""

    future_steps: tuple[int, ...] = (1,)
    """Control steps ahead at which the reference is shown."""
    noise: dict[str, float] = field(
        default_factory=lambda: {
            "anchor_pos_b": 0.25,
            "anchor_rot_b": 0.05,
            "root_lin_vel_b": 0.5,
            "root_ang_vel_b": 0.2,
            "gravity_b": 0.05,
            "joint_pos": 0.01,
            "joint_vel": 0.5,
        }
    )
    """Half-width of uniform noise on the actor's terms, 0 where a term is not named."""


def actor_terms(
    state: BodyState, ahead: BodyState, last_action: Tensor, default_joint_pos: Tensor, anchor: int
) -> dict[str, Tensor]:
    """Return the actor's terms without noise, each (B, width).

    Args:
        state: current state, leading axis B.
        ahead: references ahead, leading axes (B, S).
        last_action: (B, D).
        default_joint_pos: (D,) or (B, D) [rad].
        anchor: index of the anchor body.
    """
    root_quat = state.root_quat_w
    anchor_pos, anchor_quat = state.body_pos_w[:, anchor, None], state.body_quat_w[:, anchor, None]
    pos_b, quat_b = frames.relative_pose(
        anchor_pos,
        anchor_quat.expand_as(ahead.body_quat_w[:, :, anchor]),
        ahead.body_pos_w[:, :, anchor],
        ahead.body_quat_w[:, :, anchor],
    )
    w, x, y, z = root_quat.unbind(-1)
    gravity = torch.stack((2 * (w * y - x * z), -2 * (w * x + y * z), 2 * (x * x + y * y) - 1), dim=-1)
    return {
        "joint_pos_ref": ahead.joint_pos.flatten(1),
        "joint_vel_ref": ahead.joint_vel.flatten(1),
        "anchor_pos_b": pos_b.flatten(1),
        "anchor_rot_b": rot.to_6d(quat_b).flatten(1),
        "root_lin_vel_b": rot.rotate_inverse(root_quat, state.root_lin_vel_w),
        "root_ang_vel_b": rot.rotate_inverse(root_quat, state.root_ang_vel_w),
        "gravity_b": gravity,
        "joint_pos": state.joint_pos - default_joint_pos,
        "joint_vel": state.joint_vel,
        "last_action": last_action,
    }


def critic_terms(state: BodyState, anchor: int, bodies: Tensor) -> dict[str, Tensor]:
    """Return what only the critic sees: all tracked bodies in the anchor frame.

    Args:
        state: current state, leading axis B.
        anchor: index of the anchor body.
        bodies: (K,) indices of the tracked bodies.
    """
    pos, quat = state.body_pos_w.index_select(1, bodies), state.body_quat_w.index_select(1, bodies)
    anchor_quat = state.body_quat_w[:, anchor, None].expand_as(quat)
    pos_b, quat_b = frames.relative_pose(state.body_pos_w[:, anchor, None], anchor_quat, pos, quat)
    return {"body_pos_b": pos_b.flatten(1), "body_rot_b": rot.to_6d(quat_b).flatten(1)}


def with_noise(
    terms: dict[str, Tensor], noise: dict[str, float], generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the terms with uniform noise of the given half-widths added."""
    noisy = dict(terms)
    for name, width in noise.items():
        if width > 0.0:
            term = terms[name]
            draw = torch.rand(term.shape, generator=generator, device=term.device)
            noisy[name] = term + (2.0 * draw - 1.0) * width
    return noisy


def layout(terms: dict[str, Tensor]) -> list[tuple[str, int]]:
    """Return the names and widths of the terms, in the order they are concatenated."""
    return [(name, term.shape[-1]) for name, term in terms.items()]
