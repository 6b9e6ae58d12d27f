"""A trained policy without its trainer: normaliser and network."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from humanoid.core.errors import InputError, one_line
from humanoid.nn.history import HistoryEncoder, HistoryMlp

NORMALIZER_EPS = 1e-2
"""Added to the standard deviation, as rsl-rl's EmpiricalNormalization does."""


class Policy(Protocol):
    """Anything that turns observations into actions."""

    def __call__(self, observation: Tensor) -> Tensor:
        """Return actions (B, A) for observations (B, O)."""
        ...


class MlpPolicy(nn.Module):
    """Running normalisation and an ELU network, a history encoder before it: an actor's mean action."""

    mean: Tensor
    std: Tensor

    def __init__(self, weights: dict[str, Tensor], source: str | Path = "checkpoint") -> None:
        """Rebuild the network that ``weights`` describe.

        Raises:
            InputError: the weights are not those of a normalised multi-layer network.
        """
        super().__init__()
        if "obs_normalizer._mean" not in weights or not any(key.startswith("mlp.") for key in weights):
            raise InputError(f"{source}: the actor is not a normalised multi-layer network")
        for name, tensor in weights.items():
            if not isinstance(tensor, Tensor) or not tensor.isfinite().all():
                raise InputError(f"{source}: '{name}' holds a number that is not finite")
        try:
            self.register_buffer("mean", weights["obs_normalizer._mean"])
            self.register_buffer("std", weights["obs_normalizer._std"])
            self.network = _rebuilt(weights)
            with torch.no_grad():
                self(self.mean * torch.ones_like(self.std))  # layers of other widths fail here
        except (KeyError, RuntimeError, IndexError, ValueError, TypeError) as error:
            raise InputError(
                f"{source}: the actor's weights do not fit together: {one_line(error)}"
            ) from error

    def forward(self, observation: Tensor) -> Tensor:
        """Return mean actions (B, A) for observations (B, O)."""
        return self.network((observation - self.mean) / (self.std + NORMALIZER_EPS))


def _rebuilt(weights: dict[str, Tensor]) -> nn.Module:
    """Return the network behind the normaliser, with its history encoder if it has one."""
    if "mlp.encoder.linear.weight" not in weights:
        return _layers(weights, "mlp")
    convolutions = _numbered(weights, "mlp.encoder.conv")
    channels = tuple(weights[f"mlp.encoder.conv.{layer}.weight"].shape[0] for layer in convolutions)
    features = weights[f"mlp.encoder.conv.{convolutions[0]}.weight"].shape[1]
    embedding, width = weights["mlp.encoder.linear.weight"].shape
    encoder = HistoryEncoder((width // channels[-1], features), channels, embedding)
    prefix = "mlp.encoder."
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    encoder.load_state_dict(own)
    return HistoryMlp(encoder, _layers(weights, "mlp.head"))


def _layers(weights: dict[str, Tensor], prefix: str) -> nn.Sequential:
    """Return the linear layers below ``prefix`` with ELU between them."""
    modules: list[nn.Module] = []
    for layer in _numbered(weights, prefix):
        weight, bias = weights[f"{prefix}.{layer}.weight"], weights[f"{prefix}.{layer}.bias"]
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        modules += [linear, nn.ELU()]
    return nn.Sequential(*modules[:-1])


def _numbered(weights: dict[str, Tensor], prefix: str) -> list[int]:
    """Return the numbers N of the keys ``prefix.N.weight`` in order; there must be one."""
    layers = sorted(
        int(key[len(prefix) + 1 : -len(".weight")])
        for key in weights
        if key.startswith(f"{prefix}.") and key.endswith(".weight")
    )
    if not layers:
        raise KeyError(f"{prefix}.0.weight")
    return layers
