"""Editing motions: mirror, cut, put elsewhere, join with a blend.

All of it works on the root's path and the joint angles; wherever these are new, body
poses and velocities come out of the body's own kinematics, so a state never contradicts
itself. A handled thing goes along with a cut and into the mirror; elsewhere it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.mirror import Mirror, twin_name
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError, MismatchError
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative, smooth_step

MIRRORED = "_mirrored"
"""How the name of a mirror image ends."""
_FPS_TOLERANCE = 1e-3
_LEAST_TWIST = 1e-6


def mirror(motion: Motion, body: Embodiment) -> Motion:
    """Return the motion with left and right exchanged; twice gives the motion itself.

    Raises:
        InputError: the two sides of the body differ.
        MismatchError: the motion lacks a joint or body, or one foot's contact labels.
    """
    motion = motion.for_body(body)
    names = motion.contact_names
    twins = [twin_name(name, body.body_names) for name in names]
    for name, twin in zip(names, twins, strict=True):
        if twin not in names:
            raise MismatchError(
                f"motion '{motion.name}': contact labels of '{name}' but none of '{twin}', which it becomes"
            )
    swapped = not motion.provenance.get("mirrored", False)
    rest = {key: value for key, value in motion.provenance.items() if key != "mirrored"}
    return replace(
        motion,
        name=f"{motion.name}{MIRRORED}" if swapped else motion.name.removesuffix(MIRRORED),
        states=Mirror.of(body).state(motion.states),
        contact=motion.contact[:, [names.index(twin) for twin in twins]],
        prop=None if motion.prop is None else motion.prop.mirrored(),
        provenance={**rest, "mirrored": True} if swapped else rest,
    )


def cut(motion: Motion, start: float, stop: float | None = None) -> Motion:
    """Return the frames from ``start`` to ``stop`` [s], both included.

    Times are rounded to the nearest frame; neighbouring cuts share one frame, so their
    durations add up. Without ``stop`` the cut goes to the end.

    Raises:
        InputError: times outside the motion, or out of order.
    """
    stop = motion.duration if stop is None else stop
    half = 0.5 / motion.fps
    if not -half <= start < stop <= motion.duration + half:
        raise InputError(
            f"motion '{motion.name}': cannot cut {start:g} to {stop:g} s; it lasts from 0 to "
            f"{motion.duration:g} s and a cut must end after it starts"
        )
    first = round(start * motion.fps)
    frames = slice(first, max(round(stop * motion.fps), first) + 1)
    return replace(
        motion,
        states=motion.states[frames],
        contact=motion.contact[frames],
        prop=None if motion.prop is None else motion.prop[frames],
        provenance={**motion.provenance, "cut_s": [round(start, 4), round(stop, 4)]},
    )


def split(motion: Motion, times: Sequence[float]) -> list[Motion]:
    """Return the pieces between ``times`` [s], ascending, named ``NAME_00``, ``NAME_01``, ...

    Neighbours share a frame, as in :func:`cut`.
    """
    edges = (0.0, *times, motion.duration)
    pieces = [cut(motion, start, stop) for start, stop in pairwise(edges)]
    return [replace(piece, name=f"{motion.name}_{index:02d}") for index, piece in enumerate(pieces)]


def retimed(motion: Motion, speed: float, body: Embodiment) -> Motion:
    """Return the motion performed ``speed`` times as fast, at the same rate.

    Raises:
        InputError: a speed that is not positive, or one that leaves less than two frames.
        MismatchError: the motion lacks a joint or body.
    """
    count = int(motion.duration * motion.fps / speed + 1e-6) + 1 if speed > 0 else 0
    if not 2 <= count <= 1e7:
        raise InputError(
            f"motion '{motion.name}' of {motion.num_frames} frames cannot be {speed:g} times as fast"
        )
    phase = torch.arange(count, dtype=torch.float64) * speed
    found = played(motion, phase, torch.full_like(phase, speed), body)
    return replace(found, provenance={**motion.provenance, "speed": round(speed, 4)})


def played(motion: Motion, frames: Tensor, speed: Tensor, body: Embodiment) -> Motion:
    """Return a time-warped motion: each of its frames is a frame of ``motion``.

    Args:
        motion: the source; its prop is dropped.
        frames: (T,) source frames, interpolated; 0 is the first.
        speed: (T,) time scales, negative for reverse playback.
        body: the embodiment it is for.

    Raises:
        MismatchError: the motion lacks a joint or body.
    """
    motion = motion.for_body(body)
    s = motion.at(frames / motion.fps)
    speed = speed.to(s.joint_pos.dtype).unsqueeze(-1)
    states = Kinematics(body).state(
        s.root_pos_w,
        s.root_quat_w,
        s.joint_pos,
        speed * s.root_lin_vel_w,
        speed * s.root_ang_vel_w,
        speed * s.joint_vel,
    )
    nearest = frames.round().long().clamp(0, motion.num_frames - 1)
    return replace(motion, states=states, contact=motion.contact[nearest], prop=None)


def heading(q: Tensor) -> Tensor:
    """Return the rotation about world z that comes nearest to ``q``. (..., 4).

    The twist of ``q`` about z. Unlike the yaw of the x axis it is well defined for a body
    that lies on its back or belly; only upside down it is not, and then it is none.
    """
    twist = torch.stack((q[..., 0], 0 * q[..., 1], 0 * q[..., 2], q[..., 3]), dim=-1)
    length = twist.norm(dim=-1, keepdim=True)
    return torch.where(
        length > _LEAST_TWIST, twist / length.clamp_min(_LEAST_TWIST), q.new_tensor((1.0, 0, 0, 0))
    )


def moved(motion: Motion, turn: Tensor, shift: Tensor) -> Motion:
    """Return the motion turned about the origin by ``turn (4,)``, then shifted by ``shift (3,)`` [m]."""
    s = motion.states
    states = BodyState(
        s.joint_pos,
        s.joint_vel,
        rot.rotate(turn, s.body_pos_w) + shift,
        rot.mul(turn.expand_as(s.body_quat_w), s.body_quat_w),
        rot.rotate(turn, s.body_lin_vel_w),
        rot.rotate(turn, s.body_ang_vel_w),
    )
    return replace(motion, states=states, prop=None)


def align(motion: Motion, target: Motion, frame: int = 0, target_frame: int = -1) -> Motion:
    """Return the motion put where ``target`` is: one frame on top of one of the target's.

    Their roots then agree in x and y, and in heading as far as a turn about the vertical
    can bring them together. Heights stay.

    Args:
        motion: what is moved.
        target: what stays.
        frame: frame of ``motion``.
        target_frame: frame of ``target``.
    """
    here, there = motion.states[frame], target.states[target_frame]
    turn = heading(rot.mul(there.root_quat_w, rot.conjugate(here.root_quat_w)))
    shift = there.root_pos_w - rot.rotate(turn, here.root_pos_w)
    return moved(motion, turn, shift * shift.new_tensor((1.0, 1.0, 0.0)))


def concatenate(
    motions: Sequence[Motion], body: Embodiment, blend_seconds: float = 0.3, name: str = ""
) -> Motion:
    """Join motions end to start, each put where the one before it ends.

    Neighbours overlap by ``blend_seconds``: root and joints pass from one to the other with
    a weight whose first two derivatives vanish at both ends, so neither position nor
    velocity jumps; the body's lowest point passes from one clip's height to the other's, so
    a blend neither sinks nor floats. The middles of the overlaps are in
    ``provenance["seams_s"]``.

    Args:
        motions: one or more, of one rate.
        body: the embodiment they are for.
        blend_seconds: length of an overlap [s]; 0 joins without.
        name: of the result; by default the names joined by ``+``.

    Raises:
        InputError: no motion, a negative blend, or a motion too short for its blends.
        MismatchError: rates or contact labels differ, or a joint or body is missing.
    """
    motions = [motion.for_body(body) for motion in motions]
    frames = _overlap(motions, blend_seconds)
    kinematics = Kinematics(body)
    joined, seams = motions[0], list[float]()
    for motion in motions[1:]:
        seams.append((joined.num_frames - frames + 0.5 * (frames - 1)) / joined.fps)
        joined = _joined(joined, motion, frames, kinematics)
    parts = [motion.name for motion in motions]
    return replace(
        joined,
        name=name or "+".join(parts),
        provenance={
            "concatenated": parts,
            "seams_s": [round(seam, 4) for seam in seams],
            "blend_s": blend_seconds,
            "embodiment": body.name,
        },
    )


def _overlap(motions: Sequence[Motion], seconds: float) -> int:
    """Return the frames of an overlap after checking that the motions fit together."""
    if not motions:
        raise InputError("nothing to concatenate: give one motion or more")
    first = motions[0]
    if not 0.0 <= seconds < 1e6:
        raise InputError(f"a blend of {seconds:g} s is not possible; it must be 0 or more")
    frames = round(seconds * first.fps)
    for place, motion in enumerate(motions):
        if abs(motion.fps - first.fps) > _FPS_TOLERANCE:
            raise MismatchError(
                f"motion '{motion.name}' has {motion.fps:g} fps, '{first.name}' has {first.fps:g}"
            )
        if motion.contact_names != first.contact_names:
            raise MismatchError(
                f"motion '{motion.name}' labels contacts of {motion.contact_names}, "
                f"'{first.name}' of {first.contact_names}"
            )
        needed = frames * ((place > 0) + (place + 1 < len(motions)))
        if motion.num_frames < max(needed, 1):
            raise InputError(
                f"motion '{motion.name}' of {motion.num_frames} frames is too short for blends of "
                f"{seconds:g} s; it needs {needed}"
            )
    return frames


def _joined(a: Motion, b: Motion, frames: int, kinematics: Kinematics) -> Motion:
    """Return ``a`` and, after an overlap of ``frames``, ``b`` moved to its end."""
    if frames == 0:
        b = align(b, a)
        parts = (a.states, b.states)
        contact = (a.contact, b.contact)
    else:
        b = align(b, a, frames // 2, a.num_frames - frames + frames // 2)
        tail, head = a.states[-frames:], b.states[:frames]
        before, after = a.states[: a.num_frames - frames], b.states[frames:]
        late = frames - frames // 2
        parts = (before, _blend(before, tail, head, after, a.fps, kinematics), after)
        contact = (a.contact[: a.num_frames - late], b.contact[frames - late :])
    arrays = ([getattr(part, key) for part in parts] for key in BodyState.__dataclass_fields__)
    states = BodyState(*(torch.cat(array) for array in arrays))
    return replace(a, states=states, contact=torch.cat(contact), prop=None)


def _blend(
    before: BodyState, tail: BodyState, head: BodyState, after: BodyState, fps: float, kinematics: Kinematics
) -> BodyState:
    """Return the states of an overlap, between the frames ``before`` and ``after`` it."""
    frames = len(tail.joint_pos)
    phase = (torch.arange(frames, dtype=torch.float32) + 1) / (frames + 1)
    weight = smooth_step(phase).unsqueeze(-1)
    root_pos = torch.lerp(tail.root_pos_w, head.root_pos_w, weight)
    root_quat = rot.slerp(tail.root_quat_w, head.root_quat_w, weight[:, 0])
    joint_pos = torch.lerp(tail.joint_pos, head.joint_pos, weight)
    lowest = [kinematics.clearance(s.body_pos_w, s.body_quat_w).amin(-1) for s in (tail, head)]
    wanted = torch.lerp(lowest[0], lowest[1], weight[:, 0])
    reached = kinematics.clearance(*kinematics.poses(root_pos, root_quat, joint_pos)).amin(-1)
    root_pos = torch.cat((root_pos[:, :2], root_pos[:, 2:] + (wanted - reached).unsqueeze(-1)), dim=-1)
    # differences reach over the ends of the overlap: velocities there fit what surrounds it
    edge = (before[-1:], after[:1])
    inside = slice(len(edge[0].joint_pos), len(edge[0].joint_pos) + frames)
    path = torch.cat((edge[0].root_pos_w, root_pos, edge[1].root_pos_w))
    turns = torch.cat((edge[0].root_quat_w, root_quat, edge[1].root_quat_w))
    angles = torch.cat((edge[0].joint_pos, joint_pos, edge[1].joint_pos))
    return kinematics.state(
        root_pos,
        root_quat,
        joint_pos,
        derivative(path, fps)[inside],
        angular_velocity(turns, fps)[inside],
        derivative(angles, fps)[inside],
    )
