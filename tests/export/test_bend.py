"""Bends in numpy: those of torch, and their gradient is right by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from humanoid.diffusion.trajectory import Layout
from humanoid.export.bend import bent, gap_gradient, pulled_back
from humanoid.planning import root_update as torch_bend
from tests.export.skill_samples import CFG, twin

LAYOUT = Layout(CFG, "root", ("hand", "foot"))
BATCH = 3
Some = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def some() -> Some:
    """Tokens, a gradient, a turn and a push, of no particular motion."""
    random, tokens = np.random.default_rng(1), (BATCH, CFG.num_states, LAYOUT.width)
    shapes = (tokens, tokens, (BATCH, CFG.horizon), (BATCH, CFG.horizon, 2))
    made, slope, turn, push = (random.normal(size=shape) for shape in shapes)
    return made, slope, turn, push


def test_a_bend_is_that_of_torch(some: Some) -> None:
    tokens, _, turn, push = some
    before = tokens.copy()
    wanted = torch_bend.bent(torch.from_numpy(tokens), torch.from_numpy(turn), torch.from_numpy(push), CFG)
    np.testing.assert_allclose(bent(tokens, turn, push, twin(LAYOUT)), wanted.numpy(), atol=1e-12)
    np.testing.assert_array_equal(tokens, before)


def test_the_gradient_is_that_of_torch_and_of_finite_differences(some: Some) -> None:
    tokens, slope, turn, push = some
    found = pulled_back(tokens, slope, twin(LAYOUT))
    wanted = torch_bend.pulled_back(torch.from_numpy(tokens), torch.from_numpy(slope), CFG)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-12)
    more, less = (bent(tokens, step * turn, step * push, twin(LAYOUT)) for step in (1e-6, -1e-6))
    along = (found[0] * turn).sum(1) + (found[1] * push).sum((1, 2))
    np.testing.assert_allclose(along, ((more - less) * slope).sum((1, 2)) / 2e-6, rtol=1e-6)


def test_gaps_beside_known_places_are_those_of_torch(some: Some) -> None:
    tokens = some[0]
    held = np.random.default_rng(2).random((BATCH, CFG.num_states, 1)) < 0.4
    held = np.repeat(held, LAYOUT.width, axis=-1)
    wanted = torch_bend.gap_gradient(torch.from_numpy(tokens), torch.from_numpy(held), CFG)
    np.testing.assert_allclose(gap_gradient(tokens, held, twin(LAYOUT)), wanted.numpy(), atol=1e-12)
    assert wanted.any()
