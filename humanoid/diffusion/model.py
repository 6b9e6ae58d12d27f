"""A trained denoiser with its schedule and its header."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.config import first_difference, from_dict
from humanoid.core.errors import HumanoidError, InputError, MismatchError, one_line
from humanoid.diffusion.denoiser import Denoiser, DenoiserCfg
from humanoid.diffusion.schedule import Schedule
from humanoid.diffusion.shards import ShardHeader
from humanoid.diffusion.trajectory import Layout, TrajectoryCfg
from humanoid.nn.checkpoint import Checkpoint, Header

KIND = "diffusion"
_DETAILS: dict[str, type] = {
    "root": str, "bodies": list, "trajectory": dict, "latent_width": int, "levels": int, "denoiser": dict,
}  # fmt: skip


class DiffusionModel:
    """Trained denoiser with its schedule and header."""

    def __init__(self, denoiser: Denoiser, schedule: Schedule, header: Header) -> None:
        """Join the parts.

        Args:
            denoiser: the network.
            schedule: with as many levels as the network knows.
            header: see :func:`make_header`.

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
        checkpoint = Checkpoint.load(path, KIND, device)
        for key, kind in _DETAILS.items():
            if not isinstance(checkpoint.header.details.get(key), kind):
                raise InputError(f"{path}: not a checkpoint of this version: no '{key}'; train it again")
        denoiser = _denoiser(str(path), checkpoint.header)
        _load_weights(denoiser, checkpoint.weights, str(path))
        schedule = Schedule(denoiser.levels)
        return cls(denoiser.to(device).eval().requires_grad_(False), schedule.to(device), checkpoint.header)

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
        Checkpoint(Path(path), self.header, weights).save()

    def require(self, body: Embodiment, latent: str, source: str = "diffusion checkpoint") -> None:
        """Check that the trajectories are of a body and of latent skills.

        Args:
            body: who is to move.
            latent: digest of the latent checkpoint that is to decode.
            source: file of this model, for the message.

        Raises:
            MismatchError: naming the first difference.
        """
        body.require_signature(self.header.body, source)
        if self.header.parent != latent:
            raise MismatchError(
                f"{source}: plans latents of the latent checkpoint {self.header.parent[:12]}, the one "
                f"given is {latent[:12]}; give that one or train diffusion on rollouts of this one"
            )


def make_header(
    rollouts: ShardHeader,
    denoiser: Denoiser,
    config: dict[str, Any],
    iteration: int = 0,
    samples: int = 0,
    seconds: float = 0.0,
) -> Header:
    """Return the header of a checkpoint.

    Args:
        rollouts: what the training data are of.
        denoiser: the network.
        config: resolved configuration of the run.
        iteration: steps of training.
        samples: windows learned from.
        seconds: [s] of training.
    """
    layout = denoiser.layout
    details = {
        "root": layout.root,
        "bodies": list(layout.bodies),
        "trajectory": asdict(layout.cfg),
        "latent_width": denoiser.latent_width,
        "clips": list(rollouts.clips),
        "levels": denoiser.levels,
        "denoiser": asdict(denoiser.cfg),
    }
    return Header(
        kind=KIND,
        body=rollouts.body,
        observation=tuple((name, 1) for name in layout.names()),
        control_dt=layout.cfg.dt,
        config=config,
        iteration=iteration,
        samples=samples,
        seconds=seconds,
        parent=rollouts.latent,
        details=details,
    )


def _denoiser(source: str, header: Header) -> Denoiser:
    """Return the untrained network that a header describes."""
    try:
        details = header.details
        cfg = from_dict(DenoiserCfg, details["denoiser"], source, "denoiser.")
        frames = from_dict(TrajectoryCfg, details["trajectory"], source, "trajectory.")
        layout = Layout(frames, details["root"], details["bodies"])
        first_difference("layout", [name for name, _ in header.observation], layout.names(), source)
        return Denoiser(cfg, layout, details["latent_width"], details["levels"])
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
