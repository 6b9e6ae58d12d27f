"""Similarity of poses up to planar position and heading: the nearest frame of each state.

SkillMimic-V2 (arXiv 2505.02094) connects states by a similarity ``exp(-d^2)`` of body
positions, rotations and velocities after aligning place and heading. Heading is badly
defined for a body that lies on the floor; here the aligning turn is the one that brings
the bodies closest (Kabsch in the plane), which has a closed form for all pairs at once:
with centred planar positions as complex numbers, ``min = |a|^2 + |b|^2 - 2 |<a, b>|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.spatial import rotation as rot

POSITION, ANGLE, SPEED = 20.0, 20.0, 0.1
"""Weights of mean squared positions [1/m^2], joint angles [1/rad^2] and speeds (SkillMimic-V2, STG)."""


@dataclass(frozen=True)
class Pairing:
    """For each of M states the most similar of F frames.

    Attributes:
        index: (M,) the frame.
        distance: (M,) squared distance d^2; the similarity is ``exp(-d^2)``.
        turn: (M,) [rad] about z that brings the state to the frame's heading.
        state_centre: (M, 2) [m] planar centre of the state's bodies.
        frame_centre: (M, 2) [m] planar centre of the frame's bodies.
    """

    index: Tensor
    distance: Tensor
    turn: Tensor
    state_centre: Tensor
    frame_centre: Tensor


def pair(
    states: BodyState,
    frames: BodyState,
    allowed: Tensor | None = None,
    chunk: int = 1024,
    in_place: bool = False,
) -> Pairing:
    """Return the most similar frame of each state.

    Args:
        states: leading axis M, all bodies.
        frames: leading axis F, all bodies.
        allowed: (M, F) bool, pairs that may be; all by default.
        chunk: states compared at once.
        in_place: compare place and heading too, as they are: ``turn`` is 0 then.
    """
    parts = []
    for low in range(0, len(states.joint_pos), chunk):
        few = states[slice(low, low + chunk)]
        parts.append(_pair(few, frames, None if allowed is None else allowed[low : low + chunk], in_place))
    return Pairing(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def moved(state: BodyState, pairing: Pairing) -> BodyState:
    """Return the root and joints of states put where their frames are, facing their way."""
    half = 0.5 * pairing.turn
    zero = torch.zeros_like(half)
    turn = torch.stack((half.cos(), zero, zero, half.sin()), dim=-1)
    old = torch.cat((pairing.state_centre, zero[:, None]), dim=-1)
    new = torch.cat((pairing.frame_centre, zero[:, None]), dim=-1)
    root = rot.rotate(turn, state.root_pos_w - old) + new
    return BodyState(
        state.joint_pos,
        state.joint_vel,
        root[:, None],
        rot.mul(turn, state.root_quat_w)[:, None],
        rot.rotate(turn, state.root_lin_vel_w)[:, None],
        rot.rotate(turn, state.root_ang_vel_w)[:, None],
    )


def _pair(states: BodyState, frames: BodyState, allowed: Tensor | None, in_place: bool) -> Pairing:
    a, a_centre, a_rest = _features(states)
    b, b_centre, b_rest = _features(frames)
    inner = a.conj() @ b.T
    bodies = states.body_pos_w.shape[1]
    plane = a.abs().square().sum(-1)[:, None] + b.abs().square().sum(-1)
    if in_place:
        plane = plane + bodies * torch.cdist(a_centre, b_centre).square() - 2 * inner.real
    else:
        plane = plane - 2 * inner.abs()
    distance = POSITION / (3 * bodies) * plane.clamp_min(0) + torch.cdist(a_rest, b_rest).square()
    if allowed is not None:
        distance = torch.where(allowed, distance, torch.inf)
    best, index = distance.min(-1)
    turn = torch.zeros_like(best) if in_place else inner.gather(-1, index[:, None])[:, 0].angle()
    return Pairing(index, best, turn, a_centre, b_centre[index])


def _features(state: BodyState) -> tuple[Tensor, Tensor, Tensor]:
    """Return centred planar positions (M, N) complex, their centres (M, 2) and the rest (M, R)."""
    pos = state.body_pos_w
    centre = pos[..., :2].mean(1)
    plane = torch.view_as_complex((pos[..., :2] - centre[:, None]).contiguous())
    joints = state.joint_pos.shape[-1]
    rest = (
        pos[..., 2] * (POSITION / (3 * pos.shape[1])) ** 0.5,
        state.joint_pos * (ANGLE / joints) ** 0.5,
        state.joint_vel * (SPEED / joints) ** 0.5,
    )
    return plane, centre, torch.cat(rest, dim=-1)
