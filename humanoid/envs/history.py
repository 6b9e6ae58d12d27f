"""What the body did lately, for policies with a memory (SkillMimic-V2, arXiv 2505.02094)."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot


class History:
    """The last H frames of proprioception of every environment, oldest first."""

    def __init__(self, steps: int, features: int, count: int, device: torch.device) -> None:
        """Make room for ``steps`` frames of ``features`` numbers of ``count`` environments."""
        self.shape = (steps, features) if steps else (0, 0)
        self._frames = torch.zeros(count, *self.shape, device=device)

    def push(self, frame: Tensor, fresh: Tensor) -> None:
        """Append ``frame (B, F)``; where ``fresh (B,) bool``, an episode begins: it fills all frames."""
        moved = torch.cat((self._frames[:, 1:], frame[:, None]), dim=1)
        self._frames = torch.where(fresh[:, None, None], frame[:, None], moved)

    def flat(self) -> Tensor:
        """Return the frames one after the other, (B, H * F)."""
        return self._frames.flatten(1)


def proprioception(state: BodyState, default_joint_pos: Tensor) -> Tensor:
    """Return one frame (B, 7 + D): root height, gravity and turn rate in its frame, joint angles.

    Angles are measured from ``default_joint_pos``, (D,) or (B, D) [rad].

    SkillMimic-V2 takes heights, local positions and joint angles; positions follow from the angles.
    """
    gravity = frames.projected_gravity(state.root_quat_w)
    turn = rot.rotate_inverse(state.root_quat_w, state.root_ang_vel_w)
    return torch.cat((state.root_pos_w[..., 2:], gravity, turn, state.joint_pos - default_joint_pos), dim=-1)
