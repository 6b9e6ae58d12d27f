"""Transformer encoder with a fixed attention mask, and the embedding of noise levels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from humanoid.core.errors import ConfigError


class LevelEmbedding(nn.Module):
    """Sinusoidal embedding of a token's noise level and a two-layer network (DDPM, arXiv 2006.11239)."""

    table: Tensor

    def __init__(self, levels: int, width: int) -> None:
        """Embed levels 0 .. ``levels`` in ``width`` dimensions."""
        super().__init__()
        half = width // 2
        frequency = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        # levels are spread over the 1000 steps of DDPM's frequencies
        angle = (torch.arange(levels + 1) * (1000.0 / levels)).unsqueeze(-1) * frequency
        table = torch.cat((angle.sin(), angle.cos(), torch.zeros(levels + 1, width - 2 * half)), dim=-1)
        self.register_buffer("table", table, persistent=False)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, level: Tensor) -> Tensor:
        """Return embeddings (..., W) of integer levels (...)."""
        return functional.embedding(level, self.layers(self.table))


class Block(nn.Module):
    """Pre-norm transformer layer: self-attention and a two-layer GELU network."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Build one layer."""
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return tokens (B, L, W); token i attends to token j where ``mask[i, j]`` (L, L) bool."""
        x = x + self.out(self._attention(self.norm1(x), mask))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:
        # (B, L, 3 W) -> three of (B, heads, L, W / heads)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.dropout if self.training else 0.0
        if x.is_cuda or not torch.is_grad_enabled():
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        else:
            mixed = _plain_attention(q, k, v, mask, dropout)
        return mixed.transpose(1, 2).flatten(-2)


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """Return scaled dot-product attention as two matrix products.

    On a CPU the backward pass of torch's fused attention is 4 times slower (57 tokens, bfloat16).
    """
    bias = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    heads = q.shape[0] * q.shape[1]
    q, k, v_flat = (part.reshape(heads, *part.shape[2:]) for part in (q, k, v))
    scores = torch.baddbmm(bias.expand(heads, -1, -1), q, k.transpose(-1, -2), alpha=q.shape[-1] ** -0.5)
    return (functional.dropout(scores.softmax(-1), dropout) @ v_flat).unflatten(0, v.shape[:2])


class Transformer(nn.Module):
    """Transformer encoder: layers of :class:`Block` and a final normalisation."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float = 0.0) -> None:
        """Build the encoder.

        Args:
            width: of a token.
            layers: number of layers.
            heads: attention heads; must divide ``width``.
            dropout: share of attention weights dropped while training.

        Raises:
            ConfigError: an invalid size or dropout.
        """
        super().__init__()
        if min(width, layers, heads) < 1 or width % heads:
            raise ConfigError(f"width {width}, layers {layers}, heads {heads}; heads must divide width")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout is {dropout}; 0 or more and less than 1 is needed")
        blocks = [Block(width, heads, dropout) for _ in range(layers)]
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(width)
        for block in blocks:
            # residual branches start small, so that their sum has unit scale (GPT-2)
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return tokens (B, L, W); ``mask`` (L, L) bool is the attention mask, query by key."""
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)
