"""A network that reads the last frames through a small embedding (SkillMimic-V2's history encoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KERNEL = 3
"""Frames a convolution sees at once (SkillMimic-V2, arXiv 2505.02094)."""


class HistoryEncoder(nn.Module):
    """Convolutions over time, then one linear layer: H frames of F numbers become E.

    The channels, the kernel and the rectifiers are SkillMimic-V2's. Frames are padded by
    one zero at both ends, so that a layer keeps their number and any H >= 1 fits.
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
        """Return embeddings (B, E) of histories (B, H * F): oldest first, frame after frame."""
        frames = flat.unflatten(-1, self.shape).transpose(-1, -2)
        return self.linear(self.conv(frames).flatten(-2))


class HistoryMlp(nn.Module):
    """A network whose input ends with a history, which it reads through its embedding."""

    def __init__(self, encoder: HistoryEncoder, head: nn.Module) -> None:
        """Join an encoder to a network of inputs (B, O - H * F + E)."""
        super().__init__()
        self.encoder, self.head = encoder, head
        self._width = encoder.shape[0] * encoder.shape[1]

    def forward(self, observation: Tensor) -> Tensor:
        """Return the head's output for normalised observations (B, O) that end with H * F of history."""
        rest, history = observation.split((observation.shape[-1] - self._width, self._width), dim=-1)
        return self.head(torch.cat((rest, self.encoder(history)), dim=-1))
