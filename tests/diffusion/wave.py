"""Tiny rollouts whose future follows from their past: a body that walks on a circle, swaying."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from humanoid.diffusion import Layout, Rollouts, ShardHeader, ShardWriter, TrajectoryCfg

FRAMES = TrajectoryCfg(history=2, horizon=6, latent_horizon=4)
LAYOUT = Layout(FRAMES, "pelvis", ("head", "hand"))
WIDTH = 3
CLIPS = ("walk", "turn")


def rollouts(count: int = 12, frames: int = 20, seed: int = 0) -> Rollouts:
    """Return rollouts of a phase and a place drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(count, 1, generator=generator)
    angle = phase + 0.2 * torch.arange(frames)
    place = 5.0 * torch.randn(count, 1, 2, generator=generator)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    pos = torch.cat((place + torch.stack((sin, -cos), dim=-1), 0.9 * one.unsqueeze(-1)), dim=-1)
    root = torch.stack(
        (cos, sin, zero, -sin, cos, zero, 5.0 * cos, 5.0 * sin, zero, zero, zero, 5.0 * one), dim=-1
    )
    sway = (cos, sin, -cos, -sin, (2 * angle).sin(), one)
    limbs = torch.stack((*sway, *sway), dim=-1)
    latents = torch.stack((cos, sin, (2 * angle).cos()), dim=-1)
    return Rollouts(torch.cat((pos, root, limbs), dim=-1), latents, torch.arange(count) % len(CLIPS), CLIPS)


def header() -> ShardHeader:
    """Return what these rollouts are of."""
    body = {"name": "stick", "body_names": ["pelvis", "head", "hand"], "kp": [1.0, 2.0]}
    return ShardHeader(
        root="pelvis",
        bodies=("head", "hand"),
        layout=tuple(LAYOUT.names()),
        dt=FRAMES.dt,
        latent_width=WIDTH,
        latent="0123456789abcdef",
        body=body,
        clips=CLIPS,
        collection={"seed": 1},
    )


def write(folder: Path) -> Path:
    """Write two shards into ``folder`` and return it."""
    writer = ShardWriter(folder, header())
    writer.add(rollouts(seed=0))
    writer.add(rollouts(seed=1))
    return folder
