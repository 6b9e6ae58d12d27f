"""Tokens in numpy are the tokens of torch, and gradients go back the way positions came."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.diffusion import trajectory
from humanoid.diffusion.trajectory import Layout
from humanoid.export.tokens import Frame, Quantities, TokenLayout
from tests.export.skill_samples import CFG, features, frames, twin

NAMES = [field.name for field in fields(Quantities)]


@pytest.fixture
def layout(body: Embodiment) -> Layout:
    """Layout of the default body."""
    return Layout.of(body, CFG)


@pytest.fixture
def own(layout: Layout) -> TokenLayout:
    """The same for numpy."""
    return twin(layout)


def test_layout_is_that_of_torch(layout: Layout, own: TokenLayout) -> None:
    assert own.names() == tuple(layout.names())
    assert (own.width, own.num_states, own.num_latents) == (layout.width, CFG.num_states, CFG.num_latents)


def test_tokens_are_those_of_torch_and_come_back(layout: Layout, own: TokenLayout) -> None:
    world = features(layout, CFG.num_states, batch=3).double()
    theirs, mine = trajectory.Frame.of_features(world[:, 2]), Frame.of_features(world[:, 2].numpy())
    np.testing.assert_allclose(mine.yaw, theirs.yaw.numpy())
    tokens = own.localized(world.numpy(), mine)
    np.testing.assert_allclose(tokens, layout.localized(world, theirs).numpy(), atol=1e-12)
    np.testing.assert_allclose(own.globalized(tokens, mine), world.numpy(), atol=1e-12)


def test_decoded_is_what_torch_decodes(layout: Layout, own: TokenLayout) -> None:
    tokens = features(layout, CFG.num_states, batch=3).double()
    theirs, mine = frames(3)
    wanted, found = layout.decode(tokens, theirs), own.decode(tokens.numpy(), mine)
    for name in NAMES:
        np.testing.assert_allclose(
            getattr(found.world, name), getattr(wanted, name).numpy(), atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(found.yaw, wanted.yaw.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.points_w(), wanted.points_w().numpy(), atol=1e-12)
    assert (found.future, found.body_names, found.dt) == (wanted.future, wanted.body_names, wanted.dt)


@pytest.mark.parametrize("name", [*NAMES, "yaw"])
def test_gradient_is_that_of_autograd(layout: Layout, own: TokenLayout, name: str) -> None:
    tokens = features(layout, CFG.num_states, batch=2).double().requires_grad_()
    theirs, mine = frames(2)
    quantity = getattr(layout.decode(tokens, theirs), name)
    slope = torch.randn(quantity.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    (wanted,) = torch.autograd.grad((quantity * slope).sum(), tokens)
    plan = own.decode(tokens.detach().numpy(), mine)
    gradient = plan.world.zeros()
    if name == "yaw":
        gradient.add_yaw(slope.numpy(), plan.world)
    else:
        getattr(gradient, name)[...] = slope.numpy()
    np.testing.assert_allclose(own.gradient(plan, gradient), wanted.numpy(), atol=1e-12)
