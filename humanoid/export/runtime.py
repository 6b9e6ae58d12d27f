"""Running exported policies and skills with numpy and onnxruntime alone: no torch, no simulator.

policy = OnnxPolicy("policy.onnx")
frame = policy.run(observation, time_step)      # actions, and the motion's frame if it is inside
targets = policy.targets(frame["actions"])      # [rad], for the servos of policy.metadata

skills = OnnxSkills("latent.onnx")
mean, log_var = skills.prior(proprioception)
targets, actions = skills.targets(proprioception, mean)

Plans are made by :class:`humanoid.export.plan.OnnxPlanner`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from humanoid.core.errors import InputError, MismatchError, one_line, require
from humanoid.export.metadata import PolicyMetadata, SkillsMetadata

EXTRA = "deploy"
"""Extra of this package that brings onnx and onnxruntime."""
OBSERVATION, TIME_STEP, ACTIONS = "obs", "time_step", "actions"
"""Inputs of an exported tracker and its first output."""
PROPRIOCEPTION, LATENT = "proprioception", "latent"
"""Inputs of exported skills."""
SKILLS = ("actions", "targets", "prior_mean", "prior_log_var")
"""Their outputs."""


class Session:
    """A network that was exported.

    Attributes:
        path: its file.
        inputs: names of the inputs.
        outputs: names of the outputs.
        shapes: input -> shape, a text where the length may change.
        texts: metadata, key -> text.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            path: the ONNX file.
            threads: of the CPU.

        Raises:
            InputError: missing, or not a model.
            MissingExtraError: onnxruntime is not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; write one with 'humanoid export CHECKPOINT --out {path}'"
            )
        runtime = require("onnxruntime", EXTRA)
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # its warnings are of optimisations that it leaves out
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base
            raise InputError(f"{path}: not a readable ONNX model: {one_line(error)[:200]}") from error
        self.path = path
        self.shapes = {str(entry.name): tuple(entry.shape) for entry in self._session.get_inputs()}
        self.inputs = tuple(self.shapes)
        self.outputs = tuple(str(entry.name) for entry in self._session.get_outputs())
        self.texts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feed: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return every output by its name."""
        return dict(zip(self.outputs, self._session.run(None, feed), strict=True))


class OnnxPolicy:
    """An exported policy.

    Attributes:
        metadata: what it fits.
        inputs: names of the inputs.
        outputs: names of the outputs.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a policy.

        Args:
            path: the ONNX file.
            threads: of the CPU; one is fastest for networks of this size.

        Raises:
            InputError: missing, not a model, or without the metadata of this package.
            MismatchError: what was exported is not a tracker.
            MissingExtraError: onnxruntime is not installed.
        """
        self._session = Session(path, threads)
        self.path, self.inputs, self.outputs = self._session.path, self._session.inputs, self._session.outputs
        self.metadata = PolicyMetadata.from_text(self._session.texts, str(path))

    @property
    def has_motion(self) -> bool:
        """Whether the motion is inside."""
        return TIME_STEP in self.inputs

    def run(self, observation: np.ndarray, time_step: int = 0) -> dict[str, np.ndarray]:
        """Return every output for observations ``(B, O)`` or ``(O,)``, with the same leading axes.

        Args:
            observation: as ``metadata.observation_names`` says; one only where the motion is inside.
            time_step: frame of the motion, held at both ends; unused where none is inside.

        Raises:
            MismatchError: another number of columns, or several observations for a motion.
        """
        rows = np.atleast_2d(np.asarray(observation, dtype=np.float32))
        width = sum(self.metadata.observation_widths)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise MismatchError(
                f"{self.path}: observation of shape {np.shape(observation)}, expected (..., {width})"
            )
        feed = {OBSERVATION: rows}
        if self.has_motion:
            if len(rows) != 1:
                raise MismatchError(
                    f"{self.path}: {len(rows)} observations; a policy with its motion takes one"
                )
            feed[TIME_STEP] = np.full((1, 1), time_step, dtype=np.float32)
        found = self._session.run(feed)
        return found if np.ndim(observation) == 2 else {name: value[0] for name, value in found.items()}

    def targets(
        self,
        actions: np.ndarray,
        joint_pos_ref: np.ndarray | None = None,
        joint_vel_ref: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return servo targets (..., D) [rad] for actions (..., D).

        Args:
            actions: of :meth:`run`.
            joint_pos_ref: (..., D) [rad] of the motion one control step ahead, where actions are
                around the reference.
            joint_vel_ref: (..., D) [rad/s] of that frame.

        Raises:
            MismatchError: the reference is needed and not given.
        """
        meta = self.metadata
        offset = np.asarray(meta.action_scale) * actions
        if meta.action_around == "default":
            return np.asarray(meta.default_joint_pos) + offset
        if joint_pos_ref is None or joint_vel_ref is None:
            raise MismatchError(
                f"{self.path}: its actions are around the motion; give joint_pos_ref and joint_vel_ref"
            )
        if meta.velocity_lead:
            offset = offset + np.divide(meta.joint_damping, meta.joint_stiffness) * joint_vel_ref
        return joint_pos_ref + offset


class OnnxSkills:
    """Exported decoder and prior.

    Attributes:
        metadata: what they fit.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Open a file.

        Args:
            path: the ONNX file.
            threads: of the CPU; one is fastest for networks of this size.

        Raises:
            InputError: missing, not a model, or without the metadata of this package.
            MismatchError: what was exported are not skills.
            MissingExtraError: onnxruntime is not installed.
        """
        self._session = Session(path, threads)
        self.path = self._session.path
        self.metadata = SkillsMetadata.from_text(self._session.texts, str(path))

    def targets(self, proprioception: np.ndarray, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return servo targets (B, D) [rad] and the actions (B, D) behind them.

        Args:
            proprioception: (B, P) as ``metadata.observation_names`` says.
            latent: (B, Z), held for ``metadata.latent_hold`` control steps.

        Raises:
            MismatchError: another number of rows or columns.
        """
        found = self.run(proprioception, latent)
        return found["targets"], found["actions"]

    def prior(self, proprioception: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and log-variance (B, Z) of the skills that make sense here.

        Args:
            proprioception: (B, P) as ``metadata.observation_names`` says.

        Raises:
            MismatchError: another number of columns.
        """
        found = self.run(proprioception, np.zeros((len(proprioception), self.metadata.latent_width)))
        return found["prior_mean"], found["prior_log_var"]

    def run(self, proprioception: np.ndarray, latent: np.ndarray) -> dict[str, np.ndarray]:
        """Return every output for proprioception (B, P) and latents (B, Z).

        Raises:
            MismatchError: another number of rows or columns.
        """
        rows = len(proprioception)
        widths = {PROPRIOCEPTION: sum(self.metadata.observation_widths), LATENT: self.metadata.latent_width}
        feed = {}
        for (name, width), array in zip(widths.items(), (proprioception, latent), strict=True):
            if np.shape(array) != (rows, width):
                raise MismatchError(
                    f"{self.path}: {name} of shape {np.shape(array)}, expected ({rows}, {width})"
                )
            feed[name] = np.asarray(array, dtype=np.float32)
        return self._session.run(feed)
