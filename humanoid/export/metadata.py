"""What travels beside an exported policy, as text: which body, which numbers in what order.

Keys and form are BeyondMimic's (arXiv 2508.08241; ``whole_body_tracking`` and mjlab write
them): lists are separated by commas. Added are the keys from ``kind`` on, which tell a
controller what it would otherwise have to assume. Needs no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from humanoid.core.errors import InputError

DIGITS = 9
"""Significant digits of a number, which bring a float32 back bit by bit."""
COMMAND = "motion"
"""BeyondMimic's name for what a tracker is told."""
HISTORY = "history"
"""The only term with several frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyMetadata:
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

    def to_text(self) -> dict[str, str]:
        """Return every field as text.

        Raises:
            InputError: a name holds a comma, which separates names.
        """
        return {
            field.name: _text(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)
        }

    @classmethod
    def from_text(cls, texts: Mapping[str, str], source: str) -> PolicyMetadata:
        """Read what :meth:`to_text` wrote.

        Args:
            texts: key -> text; keys of others are ignored.
            source: file they came from, for messages.

        Raises:
            InputError: a key is missing, not of its kind, or lists that belong together differ in length.
        """
        values = {}
        for name, hint in typing.get_type_hints(cls).items():
            if name not in texts:
                raise InputError(f"{source}: its metadata have no '{name}'; export the policy again")
            try:
                values[name] = _READERS[hint](texts[name])
            except ValueError as error:
                raise InputError(
                    f"{source}: metadata '{name}' is {texts[name][:80]!r}, not as written"
                ) from error
        made = cls(**values)
        joints, terms = len(made.joint_names), len(made.observation_names)
        for name, count in (
            *dict.fromkeys(_OF_JOINTS, joints).items(),
            *dict.fromkeys(_OF_TERMS, terms).items(),
        ):
            if len(values[name]) != count:
                raise InputError(
                    f"{source}: metadata '{name}' has {len(values[name])} entries, expected {count}"
                )
        return made


_OF_JOINTS = ("joint_stiffness", "joint_damping", "default_joint_pos", "action_scale")
_OF_TERMS = ("observation_history_lengths", "observation_widths")


def of_checkpoint(header: Mapping[str, Any], run_path: str) -> PolicyMetadata:
    """Return the metadata of a tracker.

    Args:
        header: of its checkpoint.
        run_path: where it comes from.
    """
    body, task = header["body"], header["config"].get("task", {})
    action, observation = task.get("action", {}), task.get("observation", {})
    terms = [(str(name), int(width)) for name, width in header["observation"]]
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
        kind=str(header["kind"]),
        body=str(body["name"]),
        body_fingerprint=fingerprint(body),
        control_dt=float(header["control_dt"]),
        observation_widths=tuple(width for _, width in terms),
        reference_steps=tuple(int(step) for step in observation.get("future_steps", (1,))),
        action_around=around,
        velocity_lead=around == "reference" and bool(action.get("velocity_lead", True)),
    )


def fingerprint(signature: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal digits (SHA-256) of a body's signature."""
    return hashlib.sha256(json.dumps(signature, sort_keys=True).encode()).hexdigest()


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a field's value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (float, int)):
        return f"{value:.{DIGITS}g}"
    texts = [_text(name, entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    for text in texts:
        if "," in text:
            raise InputError(f"metadata '{name}': '{text}' holds a comma, which separates names; rename it")
    return ",".join(texts)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _numbers(text: str) -> np.ndarray:
    return np.array([float(entry) for entry in _names(text)], dtype=np.float64)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(entry) for entry in _names(text))


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    float: float,
    bool: _truth,
    np.ndarray: _numbers,
    tuple[str, ...]: _names,
    tuple[int, ...]: _counts,
}
