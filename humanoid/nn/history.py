"""History encoder of SkillMimic-V2: convolutions over recent proprioception (arXiv 2505.02094)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KERNEL = 3
"""Kernel size in frames (SkillMimic-V2)."""


class HistoryEncoder(nn.Module):
    """Encoder of H frames of F features into an embedding of size E: 1-d convolutions, one linear layer.

    Channels, kernel and ReLU as in SkillMimic-V2. Zero padding keeps the number of frames, so
    any H >= 1 works.
    """

    def __init__(self, shape: tuple[int, int], channels: tuple[int, ...], embedding: int) -> None:
        """Build the network for ``shape`` (H, F), with one convolution for each of ``channels``."""
        super().__init__()
        self.shape = shape
        frames, features = shape
        layers: list[nn.Module] = []
        for before, after in zip((features, *channels), channels, strict=False):
            layers += [nn.Conv1d(before, after, KERNEL, padding=KERNEL // 2), nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(channels[-1] * frames, embedding)

    def forward(self, flat: Tensor) -> Tensor:
        """Return embeddings (B, E) of histories (B, H * F), oldest frame first."""
        frames = flat.unflatten(-1, self.shape).transpose(-1, -2)
        return self.linear(self.conv(frames).flatten(-2))


class HistoryMlp(nn.Module):
    """Network on an observation whose last H * F entries are a history, replaced by its embedding."""

    def __init__(self, encoder: HistoryEncoder, head: nn.Module) -> None:
        """Combine an encoder with a head on inputs (B, O - H * F + E)."""
        super().__init__()
        self.encoder, self.head = encoder, head
        self._width = encoder.shape[0] * encoder.shape[1]

    def forward(self, observation: Tensor) -> Tensor:
        """Return the head's output for normalised observations (B, O) that end with H * F of history."""
        rest, history = observation.split((observation.shape[-1] - self._width, self._width), dim=-1)
        return self.head(torch.cat((rest, self.encoder(history)), dim=-1))
