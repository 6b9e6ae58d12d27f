"""What travels beside an exported policy, as text: which body, which numbers in what order.

Keys and form are BeyondMimic's (arXiv 2508.08241; ``whole_body_tracking`` and mjlab write
them): lists are separated by commas. Added are the keys from ``kind`` on, which tell a
controller what it would otherwise have to assume. Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from humanoid.export.texts import Metadata

if TYPE_CHECKING:  # reading needs no torch
    from humanoid.nn.checkpoint import Header

COMMAND = "motion"
"""BeyondMimic's name for what a tracker is told."""
HISTORY = "history"
"""The only term with several frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyMetadata(Metadata):
    """Everything that a controller needs besides the network.

    Attributes:
        run_path: where the policy comes from.
        joint_names: D joints, the order of actions and of every joint quantity.
        joint_stiffness: (D,) [N m/rad] of the servos.
        joint_damping: (D,) [N m s/rad] of the servos.
        default_joint_pos: (D,) [rad] that ``joint_pos`` is measured from.
        action_scale: (D,) [rad] that an action of 1 asks for.
        command_names: what the policy is told.
        observation_names: terms of the observation in the order of its columns.
        observation_history_lengths: frames of each term, oldest first.
        anchor_body_name: body whose pose anchors the motion.
        body_names: bodies of the motion's outputs, in order.
        kind: kind of policy, ``tracker``.
        body: short name of the embodiment.
        body_fingerprint: of the embodiment; equal where everything a policy depends on is.
        control_dt: [s] between two actions.
        observation_widths: columns of each term.
        reference_steps: control steps ahead at which the observation shows the motion.
        action_around: ``default`` or ``reference``: the pose that ``action_scale * action`` is added to.
        velocity_lead: with ``reference``, whether ``joint_damping / joint_stiffness`` times the
            reference's joint velocity is added too.
    """

    KIND: ClassVar[str] = "tracker"
    LENGTHS: ClassVar[dict[str, str]] = {
        "joint_stiffness": "joint_names",
        "joint_damping": "joint_names",
        "default_joint_pos": "joint_names",
        "action_scale": "joint_names",
        "observation_history_lengths": "observation_names",
        "observation_widths": "observation_names",
    }

    run_path: str
    joint_names: tuple[str, ...]
    joint_stiffness: np.ndarray
    joint_damping: np.ndarray
    default_joint_pos: np.ndarray
    action_scale: np.ndarray
    command_names: tuple[str, ...]
    observation_names: tuple[str, ...]
    observation_history_lengths: tuple[int, ...]
    anchor_body_name: str
    body_names: tuple[str, ...]
    kind: str
    body: str
    body_fingerprint: str
    control_dt: float
    observation_widths: tuple[int, ...]
    reference_steps: tuple[int, ...]
    action_around: str
    velocity_lead: bool


def of_checkpoint(header: Header, run_path: str) -> PolicyMetadata:
    """Return the metadata of a tracker.

    Args:
        header: of its checkpoint.
        run_path: where it comes from.
    """
    body, task = header.body, header.config.get("task", {})
    action, observation = task.get("action", {}), task.get("observation", {})
    terms = header.observation
    history, around = int(observation.get("history_steps", 0)), str(action.get("around", "reference"))
    return PolicyMetadata(
        run_path=run_path,
        joint_names=tuple(body["joint_names"]),
        joint_stiffness=np.array(body["kp"]),
        joint_damping=np.array(body["kd"]),
        default_joint_pos=np.array(body["default_joint_pos"]),
        action_scale=np.array(body["action_scale"]),
        command_names=(COMMAND,),
        observation_names=tuple(name for name, _ in terms),
        observation_history_lengths=tuple(history if name == HISTORY else 1 for name, _ in terms),
        anchor_body_name=str(body["anchor"]),
        body_names=tuple(body["tracked"]),
        kind=header.kind,
        body=str(body["name"]),
        body_fingerprint=fingerprint(body),
        control_dt=header.control_dt,
        observation_widths=tuple(width for _, width in terms),
        reference_steps=tuple(int(step) for step in observation.get("future_steps", (1,))),
        action_around=around,
        velocity_lead=around == "reference" and bool(action.get("velocity_lead", True)),
    )


def fingerprint(signature: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal digits (SHA-256) of a body's signature."""
    return hashlib.sha256(json.dumps(signature, sort_keys=True).encode()).hexdigest()
