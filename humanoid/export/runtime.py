"""Running an exported policy with numpy and onnxruntime alone: no torch, no simulator.

policy = OnnxPolicy("policy.onnx")
frame = policy.run(observation, time_step)      # actions, and the motion's frame if it is inside
targets = policy.targets(frame["actions"])      # [rad], for the servos of policy.metadata
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from humanoid.core.errors import MismatchError
from humanoid.export.metadata import PolicyMetadata
from humanoid.export.session import Session

OBSERVATION, TIME_STEP, ACTIONS = "obs", "time_step", "actions"
"""Names of the file's inputs and of its first output."""


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
        offset = meta.action_scale * actions
        if meta.action_around == "default":
            return meta.default_joint_pos + offset
        if joint_pos_ref is None or joint_vel_ref is None:
            raise MismatchError(
                f"{self.path}: its actions are around the motion; give joint_pos_ref and joint_vel_ref"
            )
        if meta.velocity_lead:
            offset = offset + meta.joint_damping / meta.joint_stiffness * joint_vel_ref
        return joint_pos_ref + offset
