"""Numbers and pieces of a denoiser's optimisation."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from humanoid.core.constraints import Checked, Count, Positive


@dataclass(frozen=True, kw_only=True)
class OptimCfg(Checked):
    """Numbers of the optimisation; BeyondMimic's (table S7) but for batch, rate and warm-up."""

    batch: Count = 128
    """Windows a step (512 there)."""
    learning_rate: Positive = 3e-4
    """After warm-up (1e-4 there, over many more steps)."""
    weight_decay: float = 1e-3
    """Of AdamW, on matrices."""
    warmup_steps: int = 500
    """Steps in which the rate rises linearly (10 000 there)."""
    final_rate: float = 0.02
    """Rate at the end of the cosine, as a share of ``learning_rate``."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient."""
    latent_weight: float = 1.0
    """Weight of the latents' error beside that of the states."""
    ema_power: float = 0.75
    """Of the average's warm-up."""
    ema_max: float = 0.9999
    """Largest decay of the average."""
    autocast: Literal["auto", "bf16", "none"] = "auto"
    """Whether matrices are multiplied in bfloat16; ``auto`` measures whether that is faster."""
    validation_windows: Count = 256
    """Windows of held-back rollouts that the averaged weights are tried on."""


def bf16_is_faster(device: torch.device) -> bool:
    """Return whether a product of matrices as large as a layer's takes less time in bfloat16."""

    def seconds(dtype: torch.dtype) -> float:
        a, b = (
            torch.ones(4096, 256, device=device, dtype=dtype),
            torch.ones(256, 768, device=device, dtype=dtype),
        )
        best = math.inf
        for _ in range(4):
            begin = time.perf_counter()
            (a @ b)[0, 0].item()  # waits for the device
            best = min(best, time.perf_counter() - begin)
        return best

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def masked_mse(found: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error over the tokens of ``mask`` (B, L)."""
    error = (found - wanted).square().mean(-1)
    return (error * mask).sum() / mask.sum().clamp_min(1)


def adamw(model: nn.Module, cfg: OptimCfg) -> torch.optim.AdamW:
    """Return AdamW that decays matrices and leaves biases and gains alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": cfg.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=cfg.learning_rate, fused=True)
