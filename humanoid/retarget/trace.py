"""Per-frame measures of a motion: foot slide, clearance, limits, jerk, discontinuities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment, Landmark
from humanoid.bodies.kinematics import Kinematics
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot

JUMP_M, JUMP_RAD = 0.08, 0.5
"""[m] and [rad] by which a step must differ from the mean of its neighbours to be a jump."""
JUMP_RATIO = 6.0
"""And how many times that difference's median over the :data:`_AROUND` frames about it."""
LIMIT_SLACK = 1e-4
"""[rad] of rounding beyond a joint's limit."""
STILL_M, STILL_RAD, STILL_FRAMES = 1e-5, 1e-5, 3
"""Largest steps [m, rad] and least number of frozen frames in a row; people never hold so still."""
_AROUND = 9
_POINTS = 300_000
"""Surface points per batch."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The measures of one motion frame by frame; a step belongs to the frame it ends in.

    Attributes:
        feet: F labelled feet.
        contact: (T, F) bool, label of each.
        height: (T, F) [m] lowest point of each foot over the floor.
        skates: (T, F) bool, whether the label is on here and in the frame before.
        slide: (T, F) [m] horizontal way of the foot's point since the frame before.
        clearance: (T, N) [m] lowest point of each body over the floor.
        excess: (T, D) [rad] over the joints' limits.
        speed: (T, D) [rad/s] of the joints.
        jerk: (T, K) [m/s^3] of the tracked bodies; 0 in the first three frames.
        jumped: (T, N + D) bodies' and joints' deviation in units of a jump, 0 where none is.
        frozen: (T,) bool.
    """

    feet: tuple[str, ...]
    contact: Tensor
    height: Tensor
    skates: Tensor
    slide: Tensor
    clearance: Tensor
    excess: Tensor
    speed: Tensor
    jerk: Tensor
    jumped: Tensor
    frozen: Tensor


def trace(motion: Motion, body: Embodiment, most_points: int = 300_000) -> Trace:
    """Measure every frame of a motion.

    Args:
        motion: on ``body``, joints and bodies matched by name.
        body: the embodiment.
        most_points: surface points that are rotated at once; bounds the memory.

    Raises:
        MismatchError: the motion lacks a joint or body of ``body``.
    """
    if (motion.joint_names, motion.body_names) != (body.joint_names, body.body_names):
        motion = motion.for_body(body)
    states = motion.states.to("cpu")
    pos, joint, quat = states.body_pos_w.double(), states.joint_pos.double(), states.body_quat_w
    kinematics = Kinematics(body, dtype=torch.float64)
    chunk = max(1, _POINTS // len(body.surface_points[0]))  # meshes have many points
    pairs = zip(pos.split(chunk), quat.double().split(chunk), strict=True)
    clearance = torch.cat([kinematics.clearance(*pair) for pair in pairs])
    feet = {name: foot for name in motion.contact_names if (foot := _foot(body, name)) is not None}
    rows = body.body_ids([foot.body for foot in feet.values()])
    offset = pos.new_tensor([foot.offset for foot in feet.values()]).reshape(-1, 3)
    points = pos[:, rows] + rot.rotate(quat[:, rows].double(), offset)
    contact = motion.contact[:, [motion.contact_names.index(name) for name in feet]].cpu()
    skates = torch.zeros_like(contact)
    skates[1:] = contact[1:] & contact[:-1]
    low, high = pos.new_tensor(body.joint_range).unbind(-1)
    excess = torch.maximum(low - joint, joint - high)
    jerk = _steps(pos[:, body.body_ids(body.tracked)], 3).norm(dim=-1) * motion.fps**3
    return Trace(
        feet=tuple(feet),
        contact=contact,
        height=clearance[:, rows],
        skates=skates,
        slide=_steps(points[..., :2]).norm(dim=-1),
        clearance=clearance,
        excess=torch.where(excess > LIMIT_SLACK, excess, 0.0),
        speed=_steps(joint).abs() * motion.fps,
        jerk=jerk,
        jumped=torch.cat((_jumps(pos, JUMP_M), _jumps(joint.unsqueeze(-1), JUMP_RAD)), dim=-1),
        frozen=_frozen(pos, joint),
    )


def runs(on: Tensor) -> tuple[Tensor, Tensor]:
    """Return first frames and ends (not included) of the runs of ``on (T,)``."""
    padded = torch.zeros(len(on) + 2, dtype=torch.long)
    padded[1:-1] = on
    edge = torch.diff(padded)
    return (edge > 0).nonzero().squeeze(-1), (edge < 0).nonzero().squeeze(-1)


def _foot(body: Embodiment, name: str) -> Landmark | None:
    """Return the point of a labelled foot; None for other labels (a hand, a ball)."""
    point = Landmark(body=name) if name in body.feet else body.landmarks.get(name)
    return point if point is not None and point.body in body.feet else None


def _steps(x: Tensor, order: int = 1) -> Tensor:
    """Return the differences of ``x (T, ...)``, 0 in the first ``order`` frames."""
    out = torch.zeros_like(x)
    if len(x) > order:
        out[order:] = torch.diff(x, n=order, dim=0)
    return out


def _jumps(x: Tensor, least: float) -> Tensor:
    """Return (T, N) by how many ``least`` each step of ``x (T, N, C)`` leaves its path, 0 for no jump.

    A step is compared with the mean of the two beside it, and that difference with its own
    median over the frames about it, so that a fast but steady kick is none.
    """
    out = x.new_zeros(x.shape[:2])
    step = torch.diff(x, dim=0)
    if len(step) < 3:
        return out
    deviation = x.new_zeros(step.shape[:2])
    deviation[1:-1] = (step[1:-1] - 0.5 * (step[2:] + step[:-2])).norm(dim=-1)
    for end, beside in ((0, [1, 2]), (-1, [-2, -3])):  # one of which may be the jump itself
        deviation[end] = (step[end] - step[beside]).norm(dim=-1).amin(0)
    frame, row = (deviation > least).nonzero(as_tuple=True)
    first = (frame - _AROUND // 2).clamp_max(len(deviation) - _AROUND).clamp_min(0)
    around = (first[:, None] + torch.arange(_AROUND)).clamp_max(len(deviation) - 1)
    level = deviation[around, row[:, None]].median(dim=-1).values
    real = deviation[frame, row] > JUMP_RATIO * level
    out[frame[real] + 1, row[real]] = deviation[frame[real], row[real]] / least
    return out


def _frozen(pos: Tensor, joint: Tensor) -> Tensor:
    """Return (T,) bool, frames that repeat the one before in a run of several."""
    still = _steps(pos).abs().amax((1, 2)) < STILL_M
    still &= _steps(joint).abs().amax(1) < STILL_RAD
    still[0] = False
    start, stop = runs(still)
    for first, end in zip(start.tolist(), stop.tolist(), strict=True):
        still[first:end] = end - first >= STILL_FRAMES
    return still
