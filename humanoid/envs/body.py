"""What a step needs of the body, as tensors on its device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.spatial import BodySelector


class BodyTensors:
    """Indices and constants of one embodiment on one device.

    Attributes:
        anchor: index of the anchor body.
        tracked: (K,) indices of the tracked bodies.
        pick: picks the tracked bodies of (B, N, C) tensors.
        end_effectors: (E,) rows of ``tracked`` that are end effectors.
        not_feet: (M,) indices of the bodies that shall touch nothing: neither feet nor end effectors.
        default: (D,) joint angles around which actions may act [rad].
        scale: (D,) angle of an action of 1 [rad].
        lead: (D,) ``kd / kp`` [s]: velocity times this cancels the servo's lag.
        limits: (D, 2) joint limits [rad].
    """

    def __init__(self, body: Embodiment, device: torch.device) -> None:
        """Copy what is needed of ``body``."""

        def floats(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        self.anchor = body.body_id(body.anchor)
        self.tracked = torch.tensor(body.body_ids(body.tracked), device=device)
        self.pick = BodySelector(self.tracked)
        rows = [body.tracked.index(name) for name in body.end_effectors]
        self.end_effectors = torch.tensor(rows, device=device)
        feet = body.body_ids((*body.feet, *body.end_effectors))
        others = [i for i in range(body.num_bodies) if i not in feet]
        self.not_feet = torch.tensor(others, device=device)
        self.default, self.scale = floats(body.default_joint_pos), floats(body.action_scale)
        self.lead = floats(body.kd / body.kp)
        self.limits = floats(body.joint_range)

    def soft_limits(self, share: float) -> tuple[Tensor, Tensor]:
        """Return the bounds (D,) [rad] of the middle ``share`` of each joint's range."""
        middle, half = self.limits.mean(-1), 0.5 * (self.limits[:, 1] - self.limits[:, 0])
        return middle - share * half, middle + share * half
