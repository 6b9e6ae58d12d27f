"""The encoder against torch's own layer."""

from __future__ import annotations

import torch
from torch import nn

from humanoid.nn import Transformer
from humanoid.nn.transformer import Block, LevelEmbedding

WIDTH, HEADS = 12, 3


def test_a_block_is_torch_s_pre_norm_layer() -> None:
    torch.manual_seed(0)
    block = Block(WIDTH, HEADS, 0.0)
    oracle = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    mine = block.state_dict()
    names = {
        "self_attn.in_proj_": "qkv.", "self_attn.out_proj.": "out.", "linear1.": "up.", "linear2.": "down.",
        "norm1.": "norm1.", "norm2.": "norm2.",
    }  # fmt: skip
    oracle.load_state_dict(
        {a + kind: mine[b + kind] for a, b in names.items() for kind in ("weight", "bias")}
    )
    mask = torch.rand(7, 7) < 0.5
    mask |= torch.eye(7, dtype=torch.bool)
    x = torch.randn(4, 7, WIDTH)
    torch.testing.assert_close(block(x, mask), oracle(x, src_mask=~mask), atol=1e-5, rtol=1e-5)


def test_dropout_only_while_training() -> None:
    torch.manual_seed(0)
    net, x, mask = (
        Transformer(WIDTH, 2, HEADS, 0.5),
        torch.randn(2, 5, WIDTH),
        torch.ones(5, 5, dtype=torch.bool),
    )
    assert not torch.equal(net(x, mask), net(x, mask))
    net.eval()
    assert torch.equal(net(x, mask), net(x, mask))


def test_levels_are_told_apart() -> None:
    torch.manual_seed(0)
    embedding = LevelEmbedding(20, WIDTH)
    found = embedding(torch.arange(21).view(3, 7))
    assert found.shape == (3, 7, WIDTH)
    distance = torch.cdist(embedding.table, embedding.table) + 10 * torch.eye(21)
    assert distance.min() > 0.05
