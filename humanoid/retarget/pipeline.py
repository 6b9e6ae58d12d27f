"""A captured clip onto an embodiment: Clip + Embodiment -> Motion.

Joint rotations are projected on the hinges the body has, the hip centre's path is
scaled by the ratio of leg lengths, the lowest point is put on the floor, velocities
are differences on the manifold. A general inverse-kinematics retargeter can take
:func:`joint_angles`' place; everything after it stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.mocap.skeleton import Clip
from humanoid.motion.motion import Motion
from humanoid.retarget.contacts import standing
from humanoid.retarget.correspond import Correspondence, correspondence
from humanoid.retarget.ground import bend_toes, floor_shift, lift_out
from humanoid.retarget.hinges import hinge_angles
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative


@dataclass(frozen=True, kw_only=True)
class RetargetCfg:
    """How clips become motions."""

    fps: float = 50.0
    """Rate of the motion, the control rate."""
    min_seconds: float = 4.0
    """A looping clip is repeated until it lasts this long [s]."""
    ground_quantile: float = 0.05
    """Share of frames whose lowest point may end up under the floor."""


def retarget(clip: Clip, body: Embodiment, cfg: RetargetCfg | None = None) -> Motion:
    """Put a captured clip on a body.

    Args:
        clip: the take; a looping one is unrolled with its displacement.
        body: an embodiment with the bodies that the clip's skeleton family names.
        cfg: rate, repetition, ground; the defaults if None.

    Raises:
        InputError: the skeleton belongs to no known family.
    """
    cfg = cfg or RetargetCfg()
    rules = correspondence(clip)
    clip = clip.resampled(cfg.fps).unrolled(cfg.min_seconds)
    _, source_quat = clip.global_poses()
    wanted = _wanted_rotations(clip, source_quat, rules, body)
    angles = joint_angles(wanted, body)
    limits = torch.tensor(body.joint_range, dtype=torch.float32)
    clipped = angles.clamp(limits[:, 0], limits[:, 1])
    excess = float((angles - clipped).abs().max())

    kinematics = Kinematics(body)
    root_quat = rot.unwrap_sign(wanted["Pelvis"])
    root_pos = _root_path(clip, rules, body, root_quat)
    up = torch.tensor((0.0, 0.0, 1.0))
    pos, quat = kinematics.poses(root_pos, root_quat, clipped)
    drop = floor_shift(kinematics, pos, quat, cfg.ground_quantile)
    root_pos = root_pos - up * drop
    clipped = bend_toes(body, pos - up * drop, quat, clipped)
    lift = lift_out(kinematics, *kinematics.poses(root_pos, root_quat, clipped))
    root_pos = root_pos + up * lift.unsqueeze(-1)

    states = kinematics.state(
        root_pos,
        root_quat,
        clipped,
        derivative(root_pos, cfg.fps),
        angular_velocity(root_quat, cfg.fps),
        derivative(clipped, cfg.fps),
    )
    feet = body.body_ids(body.feet)
    clearance = kinematics.clearance(states.body_pos_w, states.body_quat_w)[:, feet]
    return Motion(
        name=clip.name,
        fps=cfg.fps,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=states,
        contact=standing(clearance, states.body_lin_vel_w[:, feet]),
        contact_names=body.feet,
        provenance={
            "source": clip.source,
            "licence": clip.licence,
            "embodiment": body.name,
            "ground_shift_m": round(-float(drop), 4),
            "largest_lift_m": round(float(lift.max()), 4),
            "limit_excess_rad": round(excess, 4),
        },
    )


def joint_angles(wanted: dict[str, Tensor], body: Embodiment) -> Tensor:
    """Return hinge angles (T, D) [rad] whose bodies turn as ``wanted`` as the hinges allow.

    Going from the root outwards, each body is given the rotation that takes its parent,
    as it really ended up, to the wanted world rotation (T, 4) of ``wanted[name]``.
    """
    frames = len(wanted[body.body_names[0]])
    angles = torch.zeros(frames, body.num_joints)
    reached: list[Tensor] = []
    for index, name in enumerate(body.body_names):
        parent = int(body.parents[index])
        if parent < 0:
            reached.append(wanted[name])
            continue
        rest = torch.tensor(body.body_quat[index], dtype=torch.float32)
        base = rot.mul(reached[parent], rest.expand(frames, 4))
        joints = np.flatnonzero(body.joint_body == index)
        turn = base
        if name in wanted and len(joints):
            axes = torch.tensor(body.joint_axis[joints], dtype=torch.float32)
            limits = torch.tensor(body.joint_range[joints], dtype=torch.float32)
            local = rot.mul(rot.conjugate(base), wanted[name])
            angles[:, joints] = hinge_angles(local, axes, limits)
            for axis, joint in zip(axes, joints, strict=True):
                turn = rot.mul(turn, rot.about_axis(axis, angles[:, joint]))
        reached.append(turn)
    return angles


def _wanted_rotations(
    clip: Clip, source_quat: Tensor, table: Correspondence, body: Embodiment
) -> dict[str, Tensor]:
    """Return world rotations (T, 4) of the bodies that have a rule."""
    wanted = {}
    for name, rule in table.rules.items():
        if name not in body.body_names:
            continue
        quat = source_quat[:, clip.joint_id(rule.joint)]
        if rule.share < 1.0:
            since = source_quat[:, clip.joint_id(rule.since)]
            quat = rot.slerp(since, quat, torch.full((len(quat),), rule.share))
        align = rot.exp(torch.tensor(rule.align))
        wanted[name] = rot.mul(quat, align.expand_as(quat))
    return wanted


def _root_path(clip: Clip, table: Correspondence, body: Embodiment, root_quat: Tensor) -> Tensor:
    """Return the root's path (T, 3) [m]: hip centre scaled by leg length, from the origin."""
    source_pos, _ = clip.global_poses()
    hips = torch.stack([source_pos[:, clip.joint_id(name)] for name in table.hips]).mean(0)
    knee, ankle = (clip.offsets[clip.joint_id(name)].norm() for name in table.leg[1:])
    rest = torch.tensor(body.rest_pos, dtype=torch.float32)
    hip, shin, foot = body.body_ids(("L_Hip", "L_Knee", "L_Ankle"))
    length = (rest[hip] - rest[shin]).norm() + (rest[shin] - rest[foot]).norm()
    path = hips * (length / (knee + ankle))
    start = path[0] * torch.tensor((1.0, 1.0, 0.0))
    center = rest[body.body_ids(("L_Hip", "R_Hip"))].mean(0)
    return path - start - rot.rotate(root_quat, center.expand(len(path), 3))
