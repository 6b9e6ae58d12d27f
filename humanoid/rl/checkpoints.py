"""Checkpoints of a training run: three files that belong together, or none of them.

``checkpoint.pt`` is actor and header, what ships; ``training_N.pt`` is critic, optimiser,
sampler and generators; ``moments_N.pt`` is the optimiser's second moments, apart to keep
files small. The first is written last and names the iteration N, so a kill or a full disk
at any moment leaves files that belong together.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.core.errors import InputError, TrainingError
from humanoid.core.runs import atomic_save
from humanoid.nn.checkpoint import CHECKPOINT, Checkpoint, Header, read_torch
from humanoid.rl.ppo import PpoCfg

KIND = "tracker"
_WIDEST = 2048
"""Inputs that :func:`bytes_needed` assumes of a network, above what the task gives it."""
_LOGS = 64 * 2**20
"""Bytes that it adds for TensorBoard's events and the small files."""


def write(
    folder: Path,
    header: Header,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    tables: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint and remove the one before it.

    Args:
        folder: run folder.
        header: of this iteration.
        weights: of the actor, with its observation statistics.
        state: the rest; ``optimizer`` is Adam's state dictionary.
        tables: further tensors that ship with the weights.

    Raises:
        TrainingError: it cannot be written; the one before it stays.
    """
    iteration = header.iteration
    training = f"training_{iteration:06d}.pt"
    optimizer = _shallow(state["optimizer"])
    moments = {index: entry.pop("exp_avg_sq") for index, entry in optimizer["state"].items()}
    new = (folder / _moments_of(training), folder / training)
    try:
        atomic_save({"iteration": iteration, "exp_avg_sq": moments}, new[0])
        atomic_save({**state, "iteration": iteration, "optimizer": optimizer}, new[1])
        header = replace(header, details={**header.details, "training": training})
        Checkpoint(folder / CHECKPOINT, header, weights, tables or {}).save()
    except InputError as error:
        for path in new:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise TrainingError(
            f"{error} ({shutil.disk_usage(folder).free / 1e6:.0f} MB free); iteration {iteration} is "
            "not saved, the checkpoint before it stays: free space, run the same command again"
        ) from error
    for old in (*folder.glob("training_*.pt"), *folder.glob("moments_*.pt")):
        if old not in new:
            old.unlink()


def read(folder: Path, device: str | torch.device, kind: str = KIND) -> tuple[Checkpoint, dict[str, Any]]:
    """Return a run's checkpoint and the rest of its training state.

    Raises:
        InputError: one of its files is missing, unreadable or of another iteration.
        MismatchError: a checkpoint of another kind of policy.
    """
    path = folder / CHECKPOINT
    checkpoint = Checkpoint.load(path, kind, device)
    training = checkpoint.header.details.get("training")
    if not training:
        raise InputError(f"{path}: a policy without its training state; choose another run name")
    state = read_torch(folder / training, device)
    second = read_torch(folder / _moments_of(training), device)
    for part in (state, second):
        if part.get("iteration") != checkpoint.header.iteration:
            raise InputError(f"{path}: {training} or its moments belong to another iteration")
    for index, entry in state["optimizer"]["state"].items():
        entry["exp_avg_sq"] = second["exp_avg_sq"][index]
    return checkpoint, state


def bytes_needed(ppo: PpoCfg) -> int:
    """Return how much a run writes at most, known before anything is built.

    Two checkpoints (a new one is whole before the old one goes) of float32 weights and
    Adam's two moments, for inputs that are wider than any of ours, and the logs.
    """
    weights = 0
    for hidden in (ppo.actor_hidden, ppo.critic_hidden):
        weights += sum((a + 1) * b for a, b in pairwise((_WIDEST, *hidden, hidden[-1])))
    return 2 * 3 * 4 * weights + _LOGS


def _moments_of(training: str) -> str:
    """Return the name of the file of second moments that belongs to ``training_N.pt``."""
    return f"moments_{training.removeprefix('training_')}"


def _shallow(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an optimiser's state whose entries can be taken out."""
    return {**optimizer, "state": {index: dict(entry) for index, entry in optimizer["state"].items()}}
