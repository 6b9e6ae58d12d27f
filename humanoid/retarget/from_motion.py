"""A robot's motion seen as a captured skeleton, so that it can be put on another body."""

from __future__ import annotations

import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.mocap.skeleton import Clip
from humanoid.motion.motion import Motion
from humanoid.spatial import rotation as rot


def as_clip(motion: Motion, body: Embodiment) -> Clip:
    """Return the skeleton of a motion: the bodies, then the body's landmarks.

    At identity the skeleton stands as the body does in its T-pose, facing x: what links a
    robot is made of and how they are turned against each other at zero does not matter to a
    retargeter. A landmark is a joint without rotation that has SMPL's name
    (``L_Hip``, ``Head``, ...); landmarks that are bodies of the same name are not doubled.

    Args:
        motion: on ``body``, joints and bodies matched by name.
        body: the embodiment.

    Raises:
        MismatchError: the motion lacks a joint or body of ``body``.
    """
    motion = motion.for_body(body)
    pos, quat = motion.states.body_pos_w.double(), motion.states.body_quat_w.double()
    rest_pos, rest_quat = Kinematics(body, dtype=torch.float64).at_rest(body.t_pose)
    parents = [int(parent) for parent in body.parents]
    inner = torch.tensor(parents[1:], dtype=torch.long)
    offsets = torch.zeros_like(rest_pos)
    offsets[1:] = rest_pos[1:] - rest_pos[inner]
    world = rot.mul(quat, rot.conjugate(rest_quat).expand_as(quat))
    local = world.clone()
    local[:, 1:] = rot.mul(rot.conjugate(world[:, inner]), world[:, 1:])

    extra = {name: point for name, point in body.landmarks.items() if name not in body.body_names}
    owners = body.body_ids([point.body for point in extra.values()])
    points = torch.tensor([point.offset for point in extra.values()], dtype=torch.float64).reshape(-1, 3)
    identity = torch.tensor((1.0, 0.0, 0.0, 0.0), dtype=torch.float64).expand(len(pos), len(extra), 4)
    return Clip(
        name=motion.name,
        fps=motion.fps,
        joint_names=(*body.body_names, *extra),
        parents=(*parents, *owners),
        offsets=torch.cat((offsets, rot.rotate(rest_quat[owners], points))).float(),
        root_pos_w=pos[:, 0].float(),
        local_quat=rot.unwrap_sign(rot.normalize(torch.cat((local, identity), 1))).float(),
        source=str(motion.provenance.get("source") or motion.provenance.get("file", "")),
        licence=str(motion.provenance.get("licence", "")),
    )
