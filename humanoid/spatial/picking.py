"""Some points of many, laid out so that arithmetic on their components is fast.

Batched vectors come as (B, N, C), components innermost. A product of quaternions or a
rotation reads single components of all of them; those lie C numbers apart, and a processor
reads C times what it uses. One gather that picks points anyway can put whole components
side by side at no cost: every operation after it is several times faster on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Picker:
    """Picks the same K of N points of every batch entry."""

    def __init__(self, points: Tensor) -> None:
        """Prepare the columns of ``points (K,)``, an index on the device of what is picked from."""
        self.points = points
        self._columns = {
            width: (width * points + torch.arange(width, device=points.device)[:, None]).flatten()
            for width in (3, 4)
        }

    def __call__(self, values: Tensor) -> Tensor:
        """Return ``values (B, N, C)`` of the points, (B, K, C); C is 3 or 4.

        In memory components come before points: single ones, and only those, are contiguous.
        """
        width, count = values.shape[-1], len(self.points)
        picked = values.flatten(1).index_select(1, self._columns[width])
        return picked.unflatten(1, (width, count)).transpose(1, 2)


def joined(components: tuple[Tensor, ...]) -> Tensor:
    """Return C components (..., K) as vectors (..., K, C), laid out as a :class:`Picker` does."""
    if not components[0].ndim:
        return torch.stack(components)
    return torch.stack(components, dim=-2).transpose(-1, -2)
