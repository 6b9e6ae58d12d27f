"""Where in the library each environment is, and what lies ahead of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.motion.library import MotionLibrary


class ReferenceCursor:
    """One table row an environment, moving one frame a control step.

    Attributes:
        row: (B,) current row of the library's table.
        last: (B,) last row of the current clip.
    """

    def __init__(self, library: MotionLibrary, num_envs: int, future_steps: Sequence[int]) -> None:
        """Start every environment at the first frame of the first clip."""
        self.library = library
        self.row = torch.zeros(num_envs, dtype=torch.long, device=library.device)
        self._ends = library.start + library.length - 1
        self.last = self._ends[library.clip[self.row]]
        self._ahead = torch.tensor(tuple(future_steps), device=library.device)

    def jump(self, mask: Tensor, rows: Tensor) -> None:
        """Move the environments of ``mask (B,)`` to ``rows (B,)``."""
        self.row = torch.where(mask, rows, self.row)
        self.last = self._ends[self.library.clip[self.row]]

    def advance(self, waiting: Tensor | None = None) -> None:
        """Move every environment one frame on, staying on the last frame of its clip.

        Args:
            waiting: (B,) bool, whose reference stands still; nobody's by default.
        """
        step = 1 if waiting is None else (~waiting).long()
        self.row = torch.minimum(self.row + step, self.last)

    def at_end(self) -> Tensor:
        """Return whether the last frame is reached. (B,) bool."""
        return self.row >= self.last

    def now(self) -> BodyState:
        """Return the reference of the current frame, leading axis B."""
        return self.library.rows(self.row)

    def ahead(self) -> BodyState:
        """Return the references ``future_steps`` frames ahead, leading axes (B, S): joints and the anchor."""
        rows = torch.minimum(self.row[:, None] + self._ahead, self.last[:, None])
        return self.library.anchors(rows)
