"""Whether an exported policy is the policy: onnxruntime against torch, number by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from humanoid.core.errors import MismatchError
from humanoid.export.onnx import MOTION, MotionPolicy
from humanoid.export.runtime import ACTIONS, OnnxPolicy

TOLERANCE = 1e-4
"""Largest difference of an output, in its unit and relative to it where it is larger than 1."""
SAMPLES = 64
_FAR = 1_000_000


def differences(
    path: str | Path, policy: nn.Module, samples: int = SAMPLES, seed: int = 0
) -> dict[str, float]:
    """Return the largest difference of every output.

    Observations are drawn about what the normaliser has seen. Of a motion the first frames,
    the middle, the last and steps beyond both ends are compared with the motion's arrays.

    Args:
        path: the exported policy.
        policy: what was exported, a :class:`MotionPolicy` where the motion is inside.
        samples: observations.
        seed: of the observations.
    """
    exported = OnnxPolicy(path)
    inner = policy.policy if isinstance(policy, MotionPolicy) else policy
    assert isinstance(inner, nn.Module)
    observations = _observations(inner, sum(exported.metadata.observation_widths), samples, seed)
    with torch.no_grad():
        wanted = inner(observations).numpy()
    rows = observations.numpy()
    found = np.stack([exported.run(row)[ACTIONS] for row in rows])
    largest = {ACTIONS: difference(found, wanted)}
    if not isinstance(policy, MotionPolicy):
        return largest
    arrays = {name: getattr(policy, name).numpy() for name in MOTION}
    for step in (0, 1, policy.last // 2, policy.last, policy.last + 1, policy.last + _FAR, -1):
        frame = exported.run(rows[0], step)
        for name, array in arrays.items():
            error = difference(frame[name], array[min(max(step, 0), policy.last)])
            largest[name] = max(largest.get(name, 0.0), error)
    return largest


def require_parity(path: str | Path, policy: nn.Module) -> dict[str, float]:
    """Return :func:`differences`, none of them above :data:`TOLERANCE`.

    Raises:
        MismatchError: the exported policy is another one.
    """
    return require_small(path, differences(path, policy))


def require_small(path: str | Path, found: dict[str, float]) -> dict[str, float]:
    """Return the differences of a file's outputs, none of them above :data:`TOLERANCE`.

    Raises:
        MismatchError: one is larger, or not a number.
    """
    for name, value in found.items():
        if not value <= TOLERANCE:
            raise MismatchError(
                f"{path}: '{name}' differs by {value:.2g} from torch, at most {TOLERANCE:g} is allowed; "
                "export it again with the versions of constraints.txt"
            )
    return found


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference, relative to what is wanted where that is larger than 1."""
    return float((np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)).max())


def _observations(policy: nn.Module, width: int, samples: int, seed: int) -> Tensor:
    """Return observations (S, O) at 0 to 3 standard deviations from the normaliser's mean."""
    draw = torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))
    draw = draw * torch.linspace(0.0, 3.0, samples)[:, None]
    buffers = dict(policy.named_buffers())
    mean, std = buffers.get("mean"), buffers.get("std")
    return draw if mean is None or std is None else mean + std * draw
