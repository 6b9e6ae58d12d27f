"""Tracks of captured objects: poses of a ball or a box, and contacts with a hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.spatial import rotation as rot


@dataclass(frozen=True, kw_only=True)
class PropTrack:
    """An object captured with the person.

    Attributes:
        name: ball, box, ...
        pos_w: (T, 3) [m], world.
        quat_w: (T, 4), world.
        touched: (T,) bool, whether a hand of the person touches it.
        size: (3,) [m] half extents; a ball's radius three times.
    """

    name: str
    pos_w: Tensor
    quat_w: Tensor
    touched: Tensor
    size: tuple[float, float, float]

    def sample(self, phase: Tensor) -> PropTrack:
        """Interpolate at frames ``phase (S,)``, clamped to the ends."""
        phase = phase.clamp(0, len(self.pos_w) - 1)
        low = phase.floor().long().clamp(max=max(len(self.pos_w) - 2, 0))
        high = (low + 1).clamp(max=len(self.pos_w) - 1)
        blend = (phase - low).to(self.pos_w.dtype)
        return replace(
            self,
            pos_w=torch.lerp(self.pos_w[low], self.pos_w[high], blend[:, None]),
            quat_w=rot.slerp(self.quat_w[low], self.quat_w[high], blend),
            touched=self.touched[phase.round().long()],
        )

    def __getitem__(self, frames: slice) -> PropTrack:
        """Return some frames."""
        pos, quat, touched = self.pos_w[frames], self.quat_w[frames], self.touched[frames]
        return replace(self, pos_w=pos, quat_w=quat, touched=touched)

    def mirrored(self) -> PropTrack:
        """Reflect y."""
        pos = self.pos_w * self.pos_w.new_tensor((1.0, -1.0, 1.0))
        quat = self.quat_w * self.quat_w.new_tensor((1.0, -1.0, 1.0, -1.0))
        return replace(self, pos_w=pos, quat_w=quat)
