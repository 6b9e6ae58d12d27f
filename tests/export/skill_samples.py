"""Small untrained skills and diffusion models."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from humanoid.bodies import Embodiment
from humanoid.diffusion import (
    Denoiser,
    DenoiserCfg,
    DiffusionModel,
    Layout,
    Schedule,
    ShardHeader,
    TrajectoryCfg,
    make_header,
    trajectory,
)
from humanoid.nn import Header
from humanoid.skills import LatentCfg, LatentModel
from humanoid.skills.model import PROPRIOCEPTION, REFERENCE

CFG = TrajectoryCfg(history=2, horizon=6, latent_horizon=3)
LATENT = 4


def features(layout: Layout, frames: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    """Return world features (B, F, S) of roots that stand anywhere and face any way."""
    generator = torch.Generator().manual_seed(seed)
    made = 0.4 * torch.randn(batch, frames, layout.width, generator=generator)
    made[..., 2] += 1.0
    yaw = 3.0 * torch.randn(batch, 1, generator=generator) + 0.1 * torch.arange(frames)
    zero = torch.zeros_like(yaw)
    made[..., 3:9] = torch.stack((yaw.cos(), yaw.sin(), zero, -yaw.sin(), yaw.cos(), zero), dim=-1)
    return made


def denoiser(layout: Layout, **parts: Any) -> Denoiser:
    """Return an untrained network that is fitted to tokens of some spread."""
    torch.manual_seed(3)
    made = Denoiser(DenoiserCfg(width=16, layers=2, heads=2, random_rows=5), layout, LATENT, **parts)
    tokens = features(layout, 200, seed=1)[0]
    latents = 0.7 * torch.randn(300, LATENT) + 0.2
    made.fit(layout.localized(tokens[None], trajectory.Frame.of_features(tokens[:1]))[0], latents)
    with torch.no_grad():
        made.state_out.weight.mul_(3.0)
        made.latent_out.weight.mul_(3.0)
    return made.eval().requires_grad_(False)


def diffusion_model(body: Embodiment, digest: str) -> DiffusionModel:
    """Return a model of a body for latents of the skills of that digest."""
    layout = Layout.of(body, CFG)
    network = denoiser(layout)
    header = make_header(ShardHeader.of(layout, body, LATENT, digest, ("clip",)), network, {})
    return DiffusionModel(network, Schedule(network.levels), header)


def latent_content(body: Embodiment) -> dict[str, Any]:
    """Return the content of a checkpoint of untrained skills."""
    torch.manual_seed(4)
    cfg = LatentCfg(width=LATENT, encoder_hidden=(8,), prior_hidden=(8,), decoder_hidden=(16,))
    count = body.num_joints
    widths = dict(
        zip((*REFERENCE, *PROPRIOCEPTION), (count, count, 3, 6, 3, 3, 3, *[count] * 3), strict=True)
    )
    seen, felt = (sum(widths[name] for name in names) for names in (REFERENCE, PROPRIOCEPTION))
    model = LatentModel(cfg, seen, felt, count)
    model.fit_normalizer(torch.randn(50, seen), 2.0 * torch.randn(50, felt) + 1.0)
    hidden = {
        f"{name}_hidden": list(getattr(cfg, f"{name}_hidden")) for name in ("encoder", "prior", "decoder")
    }
    header = Header(
        kind="latent",
        body=body.signature(),
        observation=tuple(widths.items()),
        control_dt=0.02,
        config={"latent": {"width": LATENT, **hidden}},
    )
    return {"header": asdict(header), "weights": model.state_dict()}
