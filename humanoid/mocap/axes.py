"""From a file's axes to z up."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from humanoid.spatial import rotation as rot

_TURN = {"z": (1.0, 0.0, 0.0, 0.0), "y": (0.5, 0.5, 0.5, 0.5), "x": (0.5, -0.5, -0.5, -0.5)}


def to_z_up(up: Literal["x", "y", "z"]) -> Tensor:
    """Return the rotation (4,) that takes the file's ``up`` to z, as float64.

    It permutes the axes cyclically: of y up and z forward (SMPL's own axes) it makes z up and
    x forward.
    """
    return torch.tensor(_TURN[up], dtype=torch.float64)


def rebased(turn: Tensor, quat: Tensor) -> Tensor:
    """Return rotations (..., 4) in axes that were turned by ``turn (4,)``."""
    vector = rot.rotate(turn.expand_as(quat), quat[..., 1:])
    return torch.cat((quat[..., :1], vector), dim=-1)
