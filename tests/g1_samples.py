"""A motion of a robot like the G1, made by hand."""

from __future__ import annotations

import torch

from humanoid.bodies import Embodiment, Kinematics
from humanoid.motion import Motion
from humanoid.spatial.signals import derivative

FPS = 50.0


def squat(body: Embodiment, name: str = "squat", frames: int = 61, depth: float = 0.4) -> Motion:
    """Return a slow squat with the feet on the floor, from the default pose."""
    phase = torch.linspace(0.0, torch.pi, frames)
    angle = 0.5 * depth * (1.0 - phase.cos())
    joint_pos = torch.from_numpy(body.default_joint_pos).float().repeat(frames, 1)
    for joint, factor in (("hip_pitch", -1.0), ("knee", 2.0), ("ankle_pitch", -1.0)):
        columns = body.joint_ids([f"{side}_{joint}_joint" for side in ("left", "right")])
        joint_pos[:, columns] += factor * angle[:, None]
    kinematics, zero = Kinematics(body), torch.zeros(frames, 3)
    upright = torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(frames, 1)
    height = -kinematics.clearance(*kinematics.poses(zero, upright, joint_pos)).amin(-1)
    root = torch.stack((zero[:, 0], zero[:, 0], height), dim=-1)
    return Motion(
        name=name,
        fps=FPS,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=kinematics.state(
            root, upright, joint_pos, derivative(root, FPS), zero, derivative(joint_pos, FPS)
        ),
        contact=torch.zeros(frames, 0, dtype=torch.bool),
        contact_names=(),
    )
