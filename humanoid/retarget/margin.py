"""Self-collisions in inverse kinematics: pairs of balls along the capsules of a body.

Only pairs that come near in the frames at hand are considered. Each ball of a pair that is too close
moves by half the depth along the line between the two.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.geoms import balls
from humanoid.bodies.kinematics import Kinematics
from humanoid.retarget.tree import length
from humanoid.spatial import rotation as rot

NEAR = 0.05
"""[m] Balls farther apart than this at the start of a round do not meet during it."""
SPACING = 0.12
"""[m] Largest distance of two balls along a capsule."""


class Margin:
    """Pairs of balls on one body.

    Attributes:
        owner: (S,) body of each ball.
        at: (S, 3) [m] its centre in that body's frame.
        radius: (S,) [m].
        pairs: (P, 2) balls that may collide: of bodies whose shapes do, apart in the default pose.
    """

    def __init__(self, body: Embodiment) -> None:
        """Cover the body's round shapes with balls."""
        owner, at, radius = balls(body, SPACING)
        self.owner, self.at, self.radius = owner, torch.tensor(at), torch.tensor(radius)
        kinematics = Kinematics(body)
        touching = np.zeros((body.num_bodies, body.num_bodies), dtype=bool)
        for pose in (body.default_joint_pos, body.t_pose):
            pos, quat = kinematics.at_rest(pose)
            center = pos[owner] + rot.rotate(quat[owner], self.at)
            gap = torch.cdist(center, center) - self.radius - self.radius[:, None]
            first, second = (gap < 0).nonzero().T.numpy()
            touching[owner[first], owner[second]] = True
        may = body.collision_pairs & ~touching
        first, second = np.nonzero(np.triu(may[owner][:, owner], 1))
        self.pairs = torch.tensor(np.stack((first, second), -1))

    def near(self, center: Tensor) -> Tensor:
        """Return the pairs (Q, 2) that come near in any frame; centres (S, 3, T)."""
        first, second = self.pairs.to(center.device).T
        reach = (self.radius[:, None] + self.radius)[self.pairs[:, 0], self.pairs[:, 1]].to(center) + NEAR
        some = center[..., :: max(1, center.shape[-1] // 512)]
        close = ((some[first] - some[second]).square().sum(1).amin(-1)) < reach.square()
        return self.pairs.to(center.device)[close]

    def missing(self, center: Tensor, pairs: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Return what is missing (Q, T) [m] and the direction (Q, 3, T) from second to first ball."""
        first, second = pairs.T
        apart = center[first] - center[second]
        distance = length(apart).clamp_min(1e-6)
        radius = self.radius.to(center)
        wanted = (radius[first] + radius[second] + margin)[:, None]
        return (wanted - distance).clamp_min(0), apart / distance[:, None]
