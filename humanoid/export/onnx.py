"""A policy as an ONNX file: normaliser and network, and if wanted the motion it performs.

BeyondMimic's form takes ``obs (1, O)`` and ``time_step (1, 1)`` and returns, beside the
actions, that frame of the motion: a controller needs no motion file (``whole_body_tracking``,
``utils/exporter.py``). Without a motion a batch of observations goes in and actions come out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from humanoid.core.errors import InputError, MismatchError, one_line, require
from humanoid.core.runs import atomic_path
from humanoid.export.metadata import PolicyMetadata
from humanoid.export.runtime import ACTIONS, OBSERVATION, TIME_STEP
from humanoid.export.session import EXTRA
from humanoid.export.texts import Metadata
from humanoid.motion.motion import Motion

OPSET = 18
MOTION = ("joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w")
"""Outputs that are a frame of the motion."""


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
    texts = metadata.to_text()
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
        model = onnx.load(str(temporary))
        onnx.helper.set_model_props(model, texts)
        onnx.checker.check_model(model)
        onnx.save(model, str(temporary))


def _places(motion: str, kind: str, have: Sequence[str], want: Sequence[str]) -> list[int]:
    for name in want:
        if name not in have:
            raise MismatchError(f"motion '{motion}' has no {kind} '{name}' that the policy's body has")
    return [list(have).index(name) for name in want]
