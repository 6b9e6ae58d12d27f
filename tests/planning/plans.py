"""Small plans for tests of costs, and gradients by finite differences."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from humanoid.diffusion import Frame, Layout, Trajectory, TrajectoryCfg
from humanoid.diffusion.trajectory import ROOT, ROT, VEL
from humanoid.planning.costs import Cost

BODIES = ("L_Hip", "R_Hip", "Head", "L_Wrist", "R_Wrist")
LAYOUT = Layout(TrajectoryCfg(history=2, horizon=6, latent_horizon=3), "Pelvis", BODIES)


def random_tokens(batch: int = 1, seed: int = 0) -> Tensor:
    """Return tokens (B, T, S) of no particular motion, float64."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, LAYOUT.cfg.num_states, LAYOUT.width)
    return 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)


def some_frame(batch: int = 1) -> Frame:
    """Return heading frames that are not the world's."""
    place = torch.tensor([[0.3, -0.4]], dtype=torch.float64).expand(batch, -1)
    return Frame(place, torch.full((batch,), 0.7, dtype=torch.float64))


def decoded(tokens: Tensor, layout: Layout = LAYOUT) -> Trajectory:
    """Return tokens (B, T, S) seen from :func:`some_frame`."""
    return layout.decode(tokens, some_frame(tokens.shape[0]))


def gradient(cost: Cost, tokens: Tensor) -> Tensor:
    """Return the gradient of one plan's cost by its tokens (1, T, S), by autograd."""
    tokens = tokens.clone().requires_grad_()
    return torch.autograd.grad(cost(decoded(tokens)).sum(), tokens)[0]


def differences(cost: Cost, tokens: Tensor, step: float = 1e-6) -> Tensor:
    """Return the same by central differences, every number moved in a plan of its own."""
    moves = step * torch.eye(tokens.numel(), dtype=tokens.dtype).unflatten(1, tokens.shape[1:])
    change = cost(decoded(tokens + moves)) - cost(decoded(tokens - moves))
    return (change / (2.0 * step)).view_as(tokens)


def circling(
    velocity: tuple[float, float], yaw_rate: float, layout: Layout = LAYOUT, lean: float = 0.0
) -> Tensor:
    """Return world features (1, T, S) of a root that keeps a velocity of its own heading frame.

    The path is integrated exactly: an arc of a circle. Its first heading is 0.4 rad.
    """
    cfg = layout.cfg
    time = cfg.dt * torch.arange(cfg.num_states, dtype=torch.float64)
    yaw = 0.4 + yaw_rate * time
    features = torch.zeros(1, cfg.num_states, layout.width, dtype=torch.float64)
    forward, left = velocity
    cos, sin = yaw.cos(), yaw.sin()
    moving = torch.stack((forward * cos - left * sin, forward * sin + left * cos), dim=-1)
    if yaw_rate:
        turned = torch.stack((moving[:, 1], -moving[:, 0]), dim=-1) / yaw_rate
        features[0, :, :2] = turned - turned[0]
    else:
        features[0, :, :2] = moving * time.unsqueeze(-1)
    features[0, :, 2] = 0.9
    tilt = math.cos(lean)
    columns = (cos * tilt, sin * tilt, torch.full_like(cos, -math.sin(lean)))
    features[0, :, ROT] = torch.stack((*columns, -sin, cos, torch.zeros_like(cos)), dim=-1)
    features[0, :, VEL][:, :2] = moving
    features[0, :, ROOT - 1] = yaw_rate
    return features


def seen(features: Tensor, layout: Layout = LAYOUT) -> Trajectory:
    """Return the plan whose world features are given, through tokens seen from its frame of now."""
    frame = Frame.of_features(features[:, layout.cfg.history])
    return layout.decode(layout.localized(features, frame), frame)
