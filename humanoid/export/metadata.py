"""Metadata of exported files: which body, which numbers in which order. Needs no torch.

BeyondMimic's keys (arXiv 2508.08241; ``whole_body_tracking`` and mjlab write them) are text with
lists separated by commas; everything else is one JSON object under the key :data:`JSON`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from humanoid.core.config import from_dict
from humanoid.core.errors import ConfigError, InputError, MismatchError

if TYPE_CHECKING:  # reading needs no torch
    from humanoid.diffusion.trajectory import Layout
    from humanoid.nn.checkpoint import Header

JSON = "humanoid"
"""Key of the fields that BeyondMimic does not have."""
COMMAND = "motion"
"""BeyondMimic's name of a tracker's command."""
HISTORY = "history"
"""The only observation term with several frames."""
DIGITS = 9
"""Significant digits of a number, from which a float32 is restored bit by bit."""

Numbers = tuple[float, ...]
Names = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Metadata:
    """Fields of an exported file.

    Attributes:
        KIND: value of the field ``kind`` in files of this kind.
        TEXTS: fields that are written as text of their own.
        LENGTHS: field -> the field whose number of entries it must have.
        run_path: where the network comes from.
        kind: kind of network.
        body: short name of the embodiment.
        body_fingerprint: of the embodiment; equal where everything that a policy depends on is.
    """

    KIND: ClassVar[str]
    TEXTS: ClassVar[Names] = ()
    LENGTHS: ClassVar[dict[str, str]] = {}

    run_path: str
    kind: str
    body: str
    body_fingerprint: str

    def to_text(self) -> dict[str, str]:
        """Return every field as text.

        Raises:
            InputError: a name holds a comma, which separates names.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        texts = {name: _text(name, values.pop(name)) for name in self.TEXTS}
        return {**texts, JSON: json.dumps(values)}

    @classmethod
    def from_text(cls, texts: Mapping[str, str], source: str) -> Self:
        """Read the output of :meth:`to_text`.

        Args:
            texts: key -> text; keys of others are ignored.
            source: file of the texts, for messages.

        Raises:
            InputError: a key is missing, not of its kind, or lists that belong together differ in length.
            MismatchError: a file of another kind.
        """
        try:
            tree = json.loads(texts[JSON])
            kind = tree["kind"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{source}: its metadata '{JSON}' are missing or broken; export it again"
            ) from error
        if kind != cls.KIND:
            raise MismatchError(f"{source}: holds a '{str(kind)[:80]}', a '{cls.KIND}' is needed")
        hints = typing.get_type_hints(cls)
        for name in cls.TEXTS:
            if name not in texts:
                raise InputError(f"{source}: its metadata have no '{name}'; export it again")
            try:
                tree[name] = _parsed(hints[name], texts[name])
            except ValueError as error:
                shown = texts[name][:80]
                raise InputError(f"{source}: metadata '{name}' is {shown!r}, not numbers") from error
        try:
            found = from_dict(cls, tree, source)
        except ConfigError as error:
            raise InputError(str(error)) from error
        for name, other in cls.LENGTHS.items():
            have, want = len(getattr(found, name)), len(getattr(found, other))
            if have != want:
                raise InputError(f"{source}: metadata '{name}' has {have} entries, expected {want}")
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class JointMetadata(Metadata):
    """Metadata of networks that see observations and move joints.

    Attributes:
        joint_names: D joints, the order of actions and of every joint quantity.
        joint_stiffness: (D,) [N m/rad] of the servos.
        joint_damping: (D,) [N m s/rad] of the servos.
        default_joint_pos: (D,) [rad] that ``joint_pos`` is measured from.
        action_scale: (D,) [rad] of an action of 1.
        observation_names: terms of the observation in the order of its columns.
        observation_widths: columns of each term.
        control_dt: [s] between two actions.
    """

    LENGTHS: ClassVar[dict[str, str]] = {
        "joint_stiffness": "joint_names",
        "joint_damping": "joint_names",
        "default_joint_pos": "joint_names",
        "action_scale": "joint_names",
        "observation_widths": "observation_names",
    }

    joint_names: Names
    joint_stiffness: Numbers
    joint_damping: Numbers
    default_joint_pos: Numbers
    action_scale: Numbers
    observation_names: Names
    observation_widths: tuple[int, ...]
    control_dt: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyMetadata(JointMetadata):
    """Everything that a controller needs besides a tracker's network.

    Attributes:
        command_names: commands of the policy.
        observation_history_lengths: frames of each term, oldest first.
        anchor_body_name: body whose pose anchors the motion.
        body_names: bodies of the motion's outputs, in order.
        reference_steps: control steps ahead at which the observation shows the motion.
        action_around: ``default`` or ``reference``: the pose that ``action_scale * action`` is added to.
        velocity_lead: with ``reference``, whether ``joint_damping / joint_stiffness`` times the
            reference's joint velocity is added too.
    """

    KIND: ClassVar[str] = "tracker"
    TEXTS: ClassVar[Names] = (
        "run_path", "joint_names", "joint_stiffness", "joint_damping", "default_joint_pos", "action_scale",
        "command_names", "observation_names", "observation_history_lengths", "anchor_body_name", "body_names",
    )  # fmt: skip
    LENGTHS: ClassVar[dict[str, str]] = {
        **JointMetadata.LENGTHS,
        "observation_history_lengths": "observation_names",
    }

    command_names: Names
    observation_history_lengths: tuple[int, ...]
    anchor_body_name: str
    body_names: Names
    reference_steps: tuple[int, ...]
    action_around: str
    velocity_lead: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class SkillsMetadata(JointMetadata):
    """Everything that a controller needs besides decoder and prior.

    Terms of the observation are those of proprioception: velocities and the direction of gravity in
    the frame of the root, joints, the action before. Actions are added to ``default_joint_pos``.

    Attributes:
        latent_width: numbers Z of a latent.
        latent_hold: control steps of one latent.
        latent_digest: of their checkpoint; a planner of these latents has the same.
    """

    KIND: ClassVar[str] = "latent"

    latent_width: int
    latent_hold: int
    latent_digest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanMetadata(Metadata):
    """Everything that a controller needs besides the graph of a planner.

    Attributes:
        latent_digest: of the checkpoint of the skills whose latents are planned.
        root_body_name: body of the first 15 numbers of a state token.
        body_names: K bodies of the others.
        state_names: S, every number of a state token.
        history: frames N before now.
        horizon: frames H after now of the planned states.
        latent_horizon: frames A from now on of the planned latents.
        frame_dt: [s] between two frames, for which a latent is held.
        steps: denoising steps.
        costs: C names in the order of the weights, each with the weight that its commands get by default.
        shapes: input -> shape.
        defaults: command COST.PARAMETER -> its numbers at export, flat, or a single one where all are alike.
    """

    KIND: ClassVar[str] = "diffusion"

    latent_digest: str
    root_body_name: str
    body_names: Names
    state_names: Names
    history: int
    horizon: int
    latent_horizon: int
    frame_dt: float
    steps: int
    costs: dict[str, float]
    shapes: dict[str, tuple[int, ...]]
    defaults: dict[str, Numbers]


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
        **_common(header, run_path),
        **_joints(body),
        kind=header.kind,
        command_names=(COMMAND,),
        observation_names=tuple(name for name, _ in terms),
        observation_history_lengths=tuple(history if name == HISTORY else 1 for name, _ in terms),
        anchor_body_name=str(body["anchor"]),
        body_names=tuple(body["tracked"]),
        control_dt=header.control_dt,
        observation_widths=tuple(width for _, width in terms),
        reference_steps=tuple(int(step) for step in observation.get("future_steps", (1,))),
        action_around=around,
        velocity_lead=around == "reference" and bool(action.get("velocity_lead", True)),
    )


def of_skills(
    header: Header, run_path: str, digest: str, terms: Sequence[str], width: int, hold: int
) -> SkillsMetadata:
    """Return the metadata of decoder and prior.

    Args:
        header: of their checkpoint.
        run_path: where they come from.
        digest: of their checkpoint.
        terms: of the observation, those of proprioception in order.
        width: numbers of a latent.
        hold: control steps of one latent.
    """
    widths = dict(header.observation)
    return SkillsMetadata(
        **_common(header, run_path),
        **_joints(header.body),
        kind=SkillsMetadata.KIND,
        observation_names=tuple(terms),
        observation_widths=tuple(widths[name] for name in terms),
        control_dt=header.control_dt,
        latent_width=width,
        latent_hold=hold,
        latent_digest=digest,
    )


def of_planner(header: Header, run_path: str, layout: Layout, **inputs: Any) -> PlanMetadata:  # noqa: ANN401
    """Return the metadata of a planner.

    Args:
        header: of its checkpoint.
        run_path: where it comes from.
        layout: of its tokens.
        inputs: ``steps``, ``costs``, ``shapes`` and ``defaults`` of :class:`PlanMetadata`.
    """
    return PlanMetadata(
        **_common(header, run_path),
        kind=PlanMetadata.KIND,
        latent_digest=header.parent,
        root_body_name=layout.root,
        body_names=layout.bodies,
        state_names=tuple(layout.names()),
        history=layout.cfg.history,
        horizon=layout.cfg.horizon,
        latent_horizon=layout.cfg.latent_horizon,
        frame_dt=layout.cfg.dt,
        **inputs,
    )


def fingerprint(signature: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal digits (SHA-256) of a body's signature."""
    return hashlib.sha256(json.dumps(signature, sort_keys=True).encode()).hexdigest()


def _common(header: Header, run_path: str) -> dict[str, str]:
    body = header.body
    return {"run_path": run_path, "body": str(body["name"]), "body_fingerprint": fingerprint(body)}


def _joints(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the joints of a body's signature and their servos."""
    numbers = {"joint_stiffness": "kp", "joint_damping": "kd"}
    numbers |= {name: name for name in ("default_joint_pos", "action_scale")}
    servos = {name: tuple(float(value) for value in body[key]) for name, key in numbers.items()}
    return {"joint_names": tuple(body["joint_names"]), **servos}


def _text(name: str, value: str | Sequence[str | float]) -> str:
    """Return a name, or names and numbers separated by commas."""
    if isinstance(value, str):
        return value
    texts = [entry if isinstance(entry, str) else f"{entry:.{DIGITS}g}" for entry in value]
    for text in texts:
        if "," in text:
            raise InputError(f"metadata '{name}': '{text}' holds a comma, which separates names; rename it")
    return ",".join(texts)


def _parsed(hint: Any, text: str) -> Any:  # noqa: ANN401 - a field's type and value
    """Return the value of a field of :attr:`Metadata.TEXTS`."""
    if hint is str:
        return text
    of = typing.get_args(hint)[0]
    return [of(entry) for entry in text.split(",")] if text else []
