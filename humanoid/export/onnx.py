"""A policy as an ONNX file: normaliser and network, and if wanted the motion it performs.

BeyondMimic's form takes ``obs (1, O)`` and ``time_step (1, 1)`` and returns, beside the
actions, that frame of the motion: a controller needs no motion file (``whole_body_tracking``,
``utils/exporter.py``). Without a motion a batch of observations goes in and actions come out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from humanoid.core.errors import InputError, MismatchError, one_line, require
from humanoid.core.runs import atomic_path
from humanoid.export.metadata import Metadata, PolicyMetadata
from humanoid.export.runtime import ACTIONS, EXTRA, OBSERVATION, TIME_STEP, OnnxPolicy
from humanoid.motion.motion import Motion

OPSET = 18
MOTION = ("joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w")
"""Outputs that are a frame of the motion."""
TOLERANCE = 1e-4
"""Largest difference of an output from torch, in its unit and relative to it where it is larger than 1."""
SAMPLES = 64
_FAR = 1_000_000


class MotionPolicy(nn.Module):
    """A policy and the frames of one motion, in BeyondMimic's form."""

    def __init__(
        self, policy: nn.Module, motion: Motion, joints: Sequence[str], bodies: Sequence[str]
    ) -> None:
        """Bind a policy to a motion.

        Args:
            policy: observations (1, O) -> actions (1, D).
            motion: what it performs.
            joints: D joints, the order of the columns.
            bodies: K bodies, the order of the rows.

        Raises:
            MismatchError: the motion lacks one of them.
        """
        super().__init__()
        self.policy, self.last = policy, motion.num_frames - 1
        columns = _places(motion.name, "joint", motion.joint_names, joints)
        rows = _places(motion.name, "body", motion.body_names, bodies)
        for name in MOTION:
            kept = columns if name.startswith("joint") else rows
            self.register_buffer(name, getattr(motion.states, name)[:, kept].float())

    def forward(self, observation: Tensor, time_step: Tensor) -> tuple[Tensor, ...]:
        """Return actions and the motion's frame ``time_step (1, 1)``, held at both ends."""
        frame = time_step.long().squeeze(-1).clamp(0, self.last)
        return self.policy(observation), *(getattr(self, name).index_select(0, frame) for name in MOTION)


def write_policy(policy: nn.Module, path: str | Path, metadata: PolicyMetadata) -> None:
    """Write a policy: ``obs (B, O) -> actions (B, D)``.

    Args:
        policy: observations (B, O) -> actions (B, D).
        path: the ONNX file.
        metadata: written into the file.

    Raises:
        MissingExtraError: onnx is not installed.
        InputError: the file cannot be written, or the policy is not of a kind that ONNX can hold.
    """
    example = torch.zeros(1, sum(metadata.observation_widths))
    batch = {OBSERVATION: {0: "batch"}, ACTIONS: {0: "batch"}}
    write_module(policy, (example,), path, metadata, [OBSERVATION], [ACTIONS], batch)


def write_motion_policy(policy: MotionPolicy, path: str | Path, metadata: PolicyMetadata) -> None:
    """Write a policy with its motion: ``obs (1, O), time_step (1, 1)`` -> actions and a frame.

    Raises:
        MissingExtraError: onnx is not installed.
        InputError: the file cannot be written, or the policy is not of a kind that ONNX can hold.
    """
    example = (torch.zeros(1, sum(metadata.observation_widths)), torch.zeros(1, 1))
    write_module(policy, example, path, metadata, [OBSERVATION, TIME_STEP], [ACTIONS, *MOTION], {})


def write_module(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: str | Path,
    metadata: Metadata,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write any network.

    Args:
        module: the network.
        example: inputs that it takes.
        path: the ONNX file.
        metadata: written into the file.
        inputs: names of the inputs.
        outputs: names of the outputs.
        axes: input or output -> axis -> name, of the axes whose length may change.

    Raises:
        MissingExtraError: onnx is not installed.
        InputError: the file cannot be written, or the network is not of a kind that ONNX can hold.
    """
    onnx = require("onnx", EXTRA)
    with atomic_path(path) as temporary:
        try:
            with warnings.catch_warnings(), torch.no_grad():
                # the exporter that is the default since torch 2.9 needs one more package and
                # writes what older controllers cannot read; this one warns of its age
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    module.eval(), example, str(temporary), input_names=list(inputs),
                    output_names=list(outputs), dynamic_axes=axes, opset_version=OPSET, dynamo=False,
                )  # fmt: skip
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            raise InputError(
                f"{path}: the network cannot be written as ONNX: {one_line(error)[:200]}"
            ) from error
        save_model(onnx.load(str(temporary)), temporary, metadata)


def save_model(model: Any, path: str | Path, metadata: Metadata) -> None:  # noqa: ANN401 - onnx is optional
    """Write an ``onnx.ModelProto`` with its metadata.

    Raises:
        InputError: the metadata cannot be written as text.
    """
    onnx = require("onnx", EXTRA)
    onnx.helper.set_model_props(model, metadata.to_text())
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


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


def _places(motion: str, kind: str, have: Sequence[str], want: Sequence[str]) -> list[int]:
    for name in want:
        if name not in have:
            raise MismatchError(f"motion '{motion}' has no {kind} '{name}' that the policy's body has")
    return [list(have).index(name) for name in want]


def _observations(policy: nn.Module, width: int, samples: int, seed: int) -> Tensor:
    """Return observations (S, O) at 0 to 3 standard deviations from the normaliser's mean."""
    draw = torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))
    draw = draw * torch.linspace(0.0, 3.0, samples)[:, None]
    buffers = dict(policy.named_buffers())
    mean, std = buffers.get("mean"), buffers.get("std")
    return draw if mean is None or std is None else mean + std * draw
