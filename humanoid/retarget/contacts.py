"""Contact labels: which feet stand, from their height and speed."""

from __future__ import annotations

import torch
from torch import Tensor

HEIGHT = 0.04
"""[m] A foot's lowest point below this may stand."""
SPEED = 0.6
"""[m/s] A foot slower than this may stand."""


def standing(clearance: Tensor, lin_vel_w: Tensor) -> Tensor:
    """Label frames in which a body is low and slow.

    Args:
        clearance: (T, F) [m] height of each body's lowest point above the floor.
        lin_vel_w: (T, F, 3) [m/s], world.

    Returns:
        (T, F) bool.
    """
    return torch.logical_and(clearance < HEIGHT, lin_vel_w.norm(dim=-1) < SPEED)
