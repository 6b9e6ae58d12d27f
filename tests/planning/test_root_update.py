"""Bent walks: consistent in themselves, and their gradient is autograd's."""

from __future__ import annotations

import torch

from humanoid.diffusion import Frame, Layout, TrajectoryCfg
from humanoid.planning.root_update import gap_gradient, root_vjp, update_root

CFG = TrajectoryCfg(history=2, horizon=20, latent_horizon=4)
LAYOUT = Layout(CFG, "root", ("hand", "foot"))


def straight(speed: float) -> torch.Tensor:
    """A root that glides forward, (1, T, S)."""
    tokens = torch.zeros(1, CFG.num_states, LAYOUT.width, dtype=torch.float64)
    tokens[..., 0] = speed * CFG.dt * (torch.arange(CFG.num_states, dtype=torch.float64) - CFG.history)
    tokens[..., 3], tokens[..., 7], tokens[..., 9] = 1.0, 1.0, speed
    return tokens


def nothing() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, 20, dtype=torch.float64), torch.zeros(1, 20, 2, dtype=torch.float64)


def test_no_bend_changes_nothing() -> None:
    tokens = torch.randn(3, CFG.num_states, LAYOUT.width, dtype=torch.float64)
    turn, push = (part.expand(3, *part.shape[1:]) for part in nothing())
    torch.testing.assert_close(update_root(tokens, turn, push, CFG), tokens)


def test_an_even_turn_makes_an_arc() -> None:
    """Radius v / w, heading w t, velocity along the heading, yaw rate w."""
    turn, push = nothing()
    found = LAYOUT.decode(
        update_root(straight(0.8), turn + 0.5, push, CFG), Frame(torch.zeros(1, 2), torch.zeros(1))
    )
    time = CFG.dt * torch.arange(21, dtype=torch.float64)
    torch.testing.assert_close(found.yaw[0, 2:], 0.5 * time, atol=1e-9, rtol=0)
    end = 0.8 / 0.5 * torch.stack((torch.sin(0.5 * time[-1]), 1.0 - torch.cos(0.5 * time[-1])))
    torch.testing.assert_close(found.root_pos_w[0, -1, :2], end, atol=0.02, rtol=0)
    forward = torch.stack((found.yaw.cos(), found.yaw.sin()), dim=-1)
    torch.testing.assert_close(found.root_lin_vel_w[..., :2], 0.8 * forward, atol=1e-9, rtol=0)
    assert torch.allclose(found.root_ang_vel_w[0, 3:, 2], torch.tensor(0.5, dtype=torch.float64))


def test_velocities_stay_those_of_the_places() -> None:
    turn, push = (torch.randn_like(part) for part in nothing())
    found = update_root(straight(0.8), turn, push, CFG)[0, 2:]
    torch.testing.assert_close(found[:, :2].diff(dim=0) / CFG.dt, found[1:, 9:11], atol=1e-9, rtol=0)


def test_what_was_and_poses_stay() -> None:
    tokens = torch.randn(1, CFG.num_states, LAYOUT.width, dtype=torch.float64)
    turn, push = (torch.randn_like(part) for part in nothing())
    found = update_root(tokens, turn, push, CFG)
    assert torch.equal(found[:, :3], tokens[:, :3])
    assert torch.equal(found[..., 15:], tokens[..., 15:]) and torch.equal(found[..., 2], tokens[..., 2])


def test_the_gradient_is_that_of_autograd() -> None:
    tokens = torch.randn(2, CFG.num_states, LAYOUT.width, dtype=torch.float64)
    slope = torch.randn_like(tokens)
    turn, push = (part.repeat(2, *[1] * (part.ndim - 1)).requires_grad_() for part in nothing())
    expected = torch.autograd.grad((update_root(tokens, turn, push, CFG) * slope).sum(), (turn, push))
    for found, wanted in zip(root_vjp(tokens, slope, CFG), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_gap_pulls_the_places_beside_what_is_known() -> None:
    """Two known places apart, two together, one at the end; autograd of the cost, at what is not known."""
    tokens = torch.randn(2, CFG.num_states, LAYOUT.width, dtype=torch.float64)
    held = torch.zeros_like(tokens, dtype=torch.bool)
    held[:, :3] = True
    known, beside = (5, 9, 10, 22), {5: (4, 6), 9: (8,), 10: (11,), 22: (21,)}
    held[:, known, :2] = True
    held[:, 15, 0] = True  # half a place is none
    place = tokens[..., :2].clone().requires_grad_()
    cost = torch.zeros((), dtype=torch.float64)
    for k, neighbours in beside.items():
        for i in neighbours:
            on_the_way = place[:, i] + (k - i) * CFG.dt * tokens[:, k, 9:11]
            cost = cost + 0.5 * (on_the_way - place[:, k].detach()).square().sum()
    (expected,) = torch.autograd.grad(cost, place)
    found = gap_gradient(tokens, held, CFG)
    torch.testing.assert_close(found[..., :2], expected)
    assert not found[..., 2:].any()


def test_a_walk_that_arrives_has_no_gap() -> None:
    tokens = straight(0.8)
    held = torch.zeros_like(tokens, dtype=torch.bool)
    held[:, 12] = True
    assert gap_gradient(tokens, held, CFG).abs().max() < 1e-12
    assert not gap_gradient(tokens, torch.zeros_like(held), CFG).any()
