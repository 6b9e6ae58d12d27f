"""A selection equals indexing; only its memory layout differs."""

from __future__ import annotations

import pytest
import torch

from humanoid.spatial import BodySelector, stack_components


@pytest.mark.parametrize("width", [3, 4])
@pytest.mark.parametrize("bodies", [[0], [2, 0, 5], [1, 1, 3, 4]])
def test_selects_bodies_in_order(width: int, bodies: list[int]) -> None:
    values = torch.arange(7.0 * 6 * width).reshape(7, 6, width)
    selected = BodySelector(torch.tensor(bodies))(values)
    assert torch.equal(selected, values[:, bodies])
    assert selected[0, :, 1].is_contiguous()


def test_selects_from_a_slice_of_a_row() -> None:
    row = torch.arange(5.0 * 40).reshape(5, 40)
    values = row[:, 4:22].unflatten(-1, (6, 3))
    assert torch.equal(BodySelector(torch.tensor([5, 1]))(values), values[:, [5, 1]])


@pytest.mark.parametrize("shape", [(), (4,), (2, 4)])
def test_stacking_inverts_unbind(shape: tuple[int, ...]) -> None:
    values = torch.randn(*shape, 3)
    assert torch.equal(stack_components(values.unbind(-1)), values)
