"""Network modules, policies and checkpoints: torch only, no bodies, no simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.nn.checkpoint import Checkpoint, Header, digest, find, read_torch
    from humanoid.nn.ema import Ema
    from humanoid.nn.history import HistoryEncoder, HistoryMlp
    from humanoid.nn.policy import MlpPolicy, Policy
    from humanoid.nn.transformer import Transformer

__all__ = [
    "Checkpoint", "Ema", "Header", "HistoryEncoder", "HistoryMlp", "MlpPolicy", "Policy", "Transformer",
    "digest", "find", "read_torch",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "checkpoint": ("Checkpoint", "Header", "digest", "find", "read_torch"),
        "ema": ("Ema",),
        "history": ("HistoryEncoder", "HistoryMlp"),
        "policy": ("MlpPolicy", "Policy"),
        "transformer": ("Transformer",),
    },
)
