"""Similarity of states up to planar position and heading (SkillMimic-V2, arXiv 2505.02094).

The similarity ``exp(-d^2)`` is of weighted mean squared differences after alignment. The motion graph aligns
planar root position and heading, so that ``d`` is a distance of feature vectors (:func:`alignment_features`).
The heading of a body on the floor is badly defined; initial states are therefore aligned by the turn that
brings the bodies closest (:func:`pair`; Kabsch in the plane). It has a closed form for all pairs at once:
with centred planar positions as complex numbers, ``min = |a|^2 + |b|^2 - 2 |<a, b>|``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.motion.edit import heading
from humanoid.motion.library import MotionLibrary
from humanoid.spatial import rotation as rot

POSITION, ANGLE, SPEED = 20.0, 20.0, 0.1
"""Weights of mean squared positions [1/m^2], angles [1/rad^2] and velocities (SkillMimic-V2, STG)."""


@dataclass(frozen=True, kw_only=True)
class SimilarityCfg:
    """Weights of the similarity of two frames of a motion graph, and its threshold."""

    position: float = POSITION
    """Of the mean squared distance of the bodies [1/m^2]."""
    rotation: float = ANGLE
    """Of the mean squared angle between their rotations [1/rad^2]."""
    lin_vel: float = SPEED
    """Of the mean squared difference of their velocities [s^2/m^2]."""
    ang_vel: float = SPEED
    """Of the mean squared difference of their angular velocities [s^2/rad^2]."""
    threshold: float = 1e-10
    """Least similarity of an edge, in [0, 1)."""

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("position", "rotation", "lin_vel", "ang_vel"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"similarity: {name} is {getattr(self, name)}; it must be 0 or more")
        if not 0.0 <= self.threshold < 1.0:
            raise ConfigError(f"similarity: threshold is {self.threshold}; it must be in [0, 1)")


def alignment_features(library: MotionLibrary, cfg: SimilarityCfg) -> Tensor:
    """Return features (F, K) whose squared distance is ``d^2`` of two frames of a library.

    Positions, rotations and velocities of the tracked bodies, relative to planar position and heading of
    the root. Rotations are matrices: their squared distance ``4 sin^2(angle / 2)`` is the squared angle
    where it is small.
    """
    bodies = library.body.body_ids(library.body.tracked)
    parts = []
    for rows in torch.arange(library.num_frames, device=library.device).split(8192):
        s = library.rows(rows)
        inverse = rot.conjugate(heading(s.root_quat_w)).unsqueeze(1)
        ground = s.root_pos_w * s.root_pos_w.new_tensor((1.0, 1.0, 0.0))
        turns = rot.mul(inverse.expand(-1, len(bodies), -1), s.body_quat_w[:, bodies])
        terms = (
            (cfg.position, rot.rotate(inverse, s.body_pos_w[:, bodies] - ground.unsqueeze(1))),
            (cfg.rotation, rot.to_matrix(turns).flatten(2) / math.sqrt(2.0)),
            (cfg.lin_vel, rot.rotate(inverse, s.body_lin_vel_w[:, bodies])),
            (cfg.ang_vel, rot.rotate(inverse, s.body_ang_vel_w[:, bodies])),
        )
        parts.append(_weighted(*((weight / len(bodies), part) for weight, part in terms)))
    return torch.cat(parts)


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
        allowed: (M, F) bool, candidate pairs; all by default.
        chunk: states compared at once.
        in_place: compare without alignment; ``turn`` is 0.
    """
    parts = []
    for low in range(0, len(states.joint_pos), chunk):
        few = states[slice(low, low + chunk)]
        parts.append(_pair(few, frames, None if allowed is None else allowed[low : low + chunk], in_place))
    return Pairing(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def moved(state: BodyState, pairing: Pairing) -> BodyState:
    """Return root and joints of the states after alignment with their frames."""
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
    count, joints = pos.shape[1], state.joint_pos.shape[-1]
    height = (POSITION / (3 * count), pos[..., 2])
    rest = _weighted(height, (ANGLE / joints, state.joint_pos), (SPEED / joints, state.joint_vel))
    return plane, centre, rest


def _weighted(*terms: tuple[float, Tensor]) -> Tensor:
    """Concatenate (M, ...) tensors, each times the square root of its weight, to (M, R)."""
    return torch.cat([math.sqrt(weight) * part.flatten(1) for weight, part in terms], dim=1)
