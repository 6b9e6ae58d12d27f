"""Picked points are the points; only where they lie in memory is different."""

from __future__ import annotations

import pytest
import torch

from humanoid.spatial.picking import Picker, joined


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("points", [[0], [2, 0, 5], [1, 1, 3, 4]])
def test_picks_points_in_order(width: int, points: list[int]) -> None:
    values = torch.arange(7.0 * 6 * width).reshape(7, 6, width)
    picked = Picker(torch.tensor(points))(values)
    assert torch.equal(picked, values[:, points])
    assert picked[0, :, 1].is_contiguous()


def test_picks_from_parts_of_a_row() -> None:
    row = torch.arange(5.0 * 40).reshape(5, 40)
    values = row[:, 4:22].unflatten(-1, (6, 3))
    assert torch.equal(Picker(torch.tensor([5, 1]))(values), values[:, [5, 1]])


@pytest.mark.parametrize("shape", [(), (4,), (2, 4)])
def test_joined_undoes_unbind(shape: tuple[int, ...]) -> None:
    values = torch.randn(*shape, 3)
    assert torch.equal(joined(values.unbind(-1)), values)
