"""A trained denoiser with its schedule and the header that says what it fits; one file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.compare import first_difference
from humanoid.core.config import from_dict
from humanoid.core.errors import HumanoidError, InputError, MismatchError, one_line
from humanoid.core.runs import atomic_save
from humanoid.diffusion.denoiser import Denoiser, DenoiserCfg
from humanoid.diffusion.schedule import Schedule
from humanoid.diffusion.shards import ShardHeader
from humanoid.diffusion.trajectory import Layout, TrajectoryCfg
from humanoid.nn.policy import read_torch

KIND = "diffusion"
_REQUIRED: dict[str, type] = {
    "kind": str, "body": dict, "root": str, "bodies": list, "layout": list, "trajectory": dict,
    "latent_width": int, "latent": str, "levels": int, "denoiser": dict, "config": dict, "weights": dict,
}  # fmt: skip


class DiffusionModel:
    """What a planner needs of a training run."""

    def __init__(self, denoiser: Denoiser, schedule: Schedule, header: dict[str, Any]) -> None:
        """Join the parts.

        Args:
            denoiser: the network.
            schedule: with as many levels as the network knows.
            header: plain values, see :func:`make_header`.

        Raises:
            MismatchError: network and schedule have different numbers of levels.
        """
        if denoiser.levels != schedule.levels:
            raise MismatchError(
                f"the denoiser knows {denoiser.levels} levels, the schedule {schedule.levels}"
            )
        self.denoiser, self.schedule, self.header = denoiser, schedule, header

    @property
    def layout(self) -> Layout:
        """Where everything stands in a state token."""
        return self.denoiser.layout

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> DiffusionModel:
        """Read a checkpoint for inference; nothing in it can execute (``weights_only``).

        Raises:
            InputError: missing, truncated or foreign file, or weights that do not fit.
            MismatchError: a checkpoint of another kind, or of another layout of states.
        """
        content = read_torch(path, device)
        kind = content.get("kind")
        if not isinstance(kind, str):
            raise InputError(f"{path}: not a checkpoint of this project: no 'kind'")
        if kind != KIND:
            raise MismatchError(f"{path}: holds a '{kind}', a '{KIND}' is needed")
        for key, kind_of in _REQUIRED.items():
            if not isinstance(content.get(key), kind_of):
                raise InputError(f"{path}: not a checkpoint of this version: no '{key}'; train it again")
        weights = content.pop("weights")
        denoiser = _denoiser(str(path), content)
        _load_weights(denoiser, weights, str(path))
        schedule = Schedule(denoiser.levels)
        return cls(denoiser.to(device).eval().requires_grad_(False), schedule.to(device), content)

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write the checkpoint.

        Args:
            path: file.
            half: store the network in half precision (normalisation stays in single); it
                computes in single precision when loaded.

        Raises:
            InputError: it cannot be written.
        """
        weights = {name: value.detach().cpu() for name, value in self.denoiser.state_dict().items()}
        if half:
            network = {name for name, _ in self.denoiser.named_parameters()}
            weights |= {name: weights[name].half() for name in network}
        atomic_save({**self.header, "weights": weights}, path)

    def require(self, body: Embodiment, latent: str, source: str = "diffusion checkpoint") -> None:
        """Refuse a body or latent skills that the trajectories are not of.

        Args:
            body: who is to move.
            latent: digest of the latent checkpoint that is to decode.
            source: file of this model, for the message.

        Raises:
            MismatchError: naming the first difference.
        """
        body.require_signature(self.header["body"], source)
        if self.header["latent"] != latent:
            raise MismatchError(
                f"{source}: plans latents of the latent checkpoint {self.header['latent'][:12]}, the one "
                f"given is {latent[:12]}; give that one or train diffusion on rollouts of this one"
            )


def make_header(
    rollouts: ShardHeader, denoiser: Denoiser, config: dict[str, Any], **progress: float
) -> dict[str, Any]:
    """Return what a checkpoint says about itself, plain values.

    Args:
        rollouts: what the training data are of.
        denoiser: the network.
        config: resolved configuration of the run.
        progress: ``step``, ``samples`` and ``seconds`` of training.
    """
    layout = denoiser.layout
    return {
        "kind": KIND,
        "body": rollouts.body,
        "root": layout.root,
        "bodies": list(layout.bodies),
        "layout": layout.names(),
        "trajectory": asdict(layout.cfg),
        "latent_width": denoiser.latent_width,
        "latent": rollouts.latent,
        "clips": list(rollouts.clips),
        "levels": denoiser.levels,
        "denoiser": asdict(denoiser.cfg),
        "config": config,
        **progress,
    }


def _denoiser(source: str, header: dict[str, Any]) -> Denoiser:
    """Return the untrained network that a header describes."""
    try:
        cfg = from_dict(DenoiserCfg, header["denoiser"], source, "denoiser.")
        frames = from_dict(TrajectoryCfg, header["trajectory"], source, "trajectory.")
        layout = Layout(frames, header["root"], header["bodies"])
        first_difference("layout", header["layout"], layout.names(), source)
        return Denoiser(cfg, layout, header["latent_width"], header["levels"])
    except HumanoidError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{source}: its header describes no network: {one_line(error)[:200]}") from error


def _load_weights(denoiser: Denoiser, weights: dict[str, Any], source: str) -> None:
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not tensor.isfinite().all():
            raise InputError(f"{source}: '{name}' holds something that is not a finite number")
    try:
        denoiser.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{source}: the weights do not fit the header: {one_line(error)[:200]}") from error
