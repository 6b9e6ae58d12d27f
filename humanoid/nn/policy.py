"""A trained policy without its trainer: normaliser, network, and what it was made for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from humanoid.core.errors import InputError, MismatchError, one_line
from humanoid.nn.history import HistoryEncoder, HistoryMlp

NORMALIZER_EPS = 1e-2
"""Added to the standard deviation, as rsl-rl's EmpiricalNormalization does."""
_REQUIRED: dict[str, type] = {
    "kind": str, "body": dict, "observation": list, "control_dt": float, "config": dict, "actor": dict,
}  # fmt: skip


class Policy(Protocol):
    """Anything that turns observations into actions."""

    def __call__(self, observation: Tensor) -> Tensor:
        """Return actions (B, A) for observations (B, O)."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """A policy's weights and the header that says what it fits.

    Attributes:
        path: file it came from.
        header: plain values: ``kind``, ``body`` (signature), ``observation`` (names and
            widths), ``control_dt`` [s], ``config``, ``iteration``, ``samples``, ...
        weights: state dictionary of the actor.
    """

    path: Path
    header: dict[str, Any]
    weights: dict[str, Tensor]

    @classmethod
    def load(cls, path: str | Path, kind: str, device: str | torch.device = "cpu") -> Checkpoint:
        """Read a checkpoint; nothing in it can execute (``weights_only``).

        Raises:
            InputError: missing, truncated or foreign file.
            MismatchError: a checkpoint of another kind of policy.
        """
        content = read_torch(path, device)
        for key, kind_of in _REQUIRED.items():
            if not isinstance(content.get(key), kind_of):
                raise InputError(f"{path}: not a checkpoint of this project: no '{key}'")
        if content["kind"] != kind:
            raise MismatchError(f"{path}: holds a '{content['kind']}', a '{kind}' is needed")
        weights = content.pop("actor")
        return cls(Path(path), content, weights)

    def require(self, observation: list[tuple[str, int]], control_dt: float) -> None:
        """Refuse to run in an environment with other observations or another rate.

        Raises:
            MismatchError: naming the first difference.
        """
        theirs = [(str(name), int(width)) for name, width in self.header["observation"]]
        for index in range(max(len(theirs), len(observation))):
            a = theirs[index] if index < len(theirs) else None
            b = observation[index] if index < len(observation) else None
            if a != b:
                raise MismatchError(f"{self.path}: observation term {index} is {a}, here it is {b}")
        if abs(float(self.header["control_dt"]) - control_dt) > 1e-6:
            raise MismatchError(
                f"{self.path}: made for a control period of {self.header['control_dt']} s, "
                f"here it is {control_dt} s"
            )

    def policy(self, device: str | torch.device = "cpu") -> MlpPolicy:
        """Return the policy on a device."""
        return MlpPolicy(self.weights, self.path).to(device).eval()


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


def read_torch(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a dictionary that torch saved, refusing anything that could execute.

    Raises:
        InputError: missing, empty, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign files, which the error tells in one line
            content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise InputError(
            f"{path}: not a readable checkpoint: truncated, not written by this project, "
            f"or holding more than tensors and plain values ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a checkpoint of this project")
    return content
