"""Bodies that lie as they fell: dropped limp from random poses onto the floor."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState
from humanoid.envs.events import uniform
from humanoid.sim.protocol import Simulator
from humanoid.spatial import rotation as rot

HEIGHT = (0.05, 0.4)
"""Height of the lowest point from which bodies fall [m]."""
SECONDS = 2.0
"""Time that they are given to come to rest [s]."""
BEND = 0.3
"""Share of each joint's range, about its middle, in which the poses are drawn."""
STILL = 2.0
"""A body whose root is faster than this [m/s] after that time has not come to rest."""


def drop(sim: Simulator, limits: Tensor, generator: torch.Generator) -> BodyState:
    """Let every environment fall once; return those at rest, all bodies, velocities as they are.

    The servos follow the joints, so that they only damp. The simulator is left as it lies.

    Args:
        sim: where they fall.
        limits: (D, 2) joint limits [rad].
        generator: of the simulator's device.
    """
    count, joints = sim.num_envs, len(limits)
    middle, half = limits.mean(-1), 0.5 * (limits[:, 1] - limits[:, 0])
    low, high = HEIGHT
    joint_pos = middle + BEND * half * uniform((count, joints), generator)
    zero = torch.zeros(count, 3, device=sim.device)
    # four normal numbers, normalised, are a rotation drawn uniformly
    turn = rot.normalize(torch.randn(count, 4, generator=generator, device=sim.device))
    kinematics = Kinematics(sim.body, sim.device)
    lowest = kinematics.clearance(*kinematics.poses(zero, turn, joint_pos)).amin(-1)
    lift = low + (high - low) * torch.rand(count, generator=generator, device=sim.device)
    root = torch.stack((zero[:, 0], zero[:, 1], lift - lowest), dim=-1)
    start = BodyState(
        joint_pos=joint_pos,
        joint_vel=torch.zeros(count, joints, device=sim.device),
        body_pos_w=root[:, None],
        body_quat_w=turn[:, None],
        body_lin_vel_w=zero[:, None],
        body_ang_vel_w=zero[:, None],
    )
    sim.reset(torch.ones(count, dtype=torch.bool, device=sim.device), start)
    for _ in range(round(SECONDS / sim.dt)):
        sim.set_targets(sim.state().joint_pos)
        sim.step()
    state = sim.state()
    rest = state.root_lin_vel_w.norm(dim=-1) < STILL  # false where it is not a number
    return state[rest & state.joint_pos.isfinite().all(-1)]
