"""State of a step: the argument of observations, rewards and terminations.

Observations, rewards and terminations are pure functions of one :class:`StepState`, never of an
environment: simulated, recorded and imagined states are scored by the same functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState, SceneState
from humanoid.core.errors import ConfigError, nearest
from humanoid.envs.commands import Command, Place, Pose, Reference, Velocity
from humanoid.spatial import BodySelector, frames
from humanoid.spatial import rotation as rot


class BodyTensors:
    """Indices and constants of one embodiment on one device.

    Attributes:
        anchor: index of the anchor body.
        pick: selects the K tracked bodies of (B, N, C) tensors.
        end_effectors: (E,) rows of the tracked bodies that are end effectors.
        feet: (F,) indices of the bodies that may carry weight.
        not_feet: (M,) indices of the bodies that should touch nothing: neither feet nor end effectors.
        default: (D,) joint angles around which actions may act [rad].
        scale: (D,) angle of an action of 1 [rad].
        lead: (D,) ``kd / kp`` [s]: velocity times this cancels the servo's lag.
        limits: (D, 2) joint limits [rad].
        posture: head height and torso tilt.
        names: names of the N bodies.
    """

    def __init__(self, body: Embodiment, device: torch.device) -> None:
        """Copy the constants of ``body`` to the device."""

        def floats(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        self.anchor = body.body_id(body.anchor)
        self.pick = BodySelector(torch.tensor(body.body_ids(body.tracked), device=device))
        rows = [body.tracked.index(name) for name in body.end_effectors]
        self.end_effectors = torch.tensor(rows, device=device)
        self.feet = torch.tensor(body.body_ids(body.feet), device=device)
        touching = body.body_ids((*body.feet, *body.end_effectors))
        others = [i for i in range(body.num_bodies) if i not in touching]
        self.not_feet = torch.tensor(others, device=device)
        self.default, self.scale = floats(body.default_joint_pos), floats(body.action_scale)
        self.lead = floats(body.kd / body.kp)
        self.limits = floats(body.joint_range)
        self.posture, self.names = Posture(body, device), body.body_names
        self._soft_limits: dict[float, tuple[Tensor, Tensor]] = {}

    def soft_limits(self, share: float) -> tuple[Tensor, Tensor]:
        """Return the bounds (D,) [rad] of the middle ``share`` of each joint's range."""
        if share not in self._soft_limits:
            middle, half = self.limits.mean(-1), 0.5 * (self.limits[:, 1] - self.limits[:, 0])
            self._soft_limits[share] = (middle - share * half, middle + share * half)
        return self._soft_limits[share]


@dataclass(frozen=True)
class Errors:
    """Errors of a state against its command, computed once and shared by all terms.

    Attributes:
        squared: name -> (B,) squared error, of several bodies their mean.
        pos_w: (B, K, 3) [m] tracked bodies, for reference commands.
        target_pos_w: (B, K, 3) [m] reference bodies in the frame of the robot's anchor.
    """

    squared: dict[str, Tensor]
    pos_w: Tensor | None = None
    target_pos_w: Tensor | None = None


@dataclass(frozen=True)
class StepState:
    """One instant of B environments.

    Attributes:
        state: bodies and joints, leading axis B.
        command: what is to be done; a :class:`Reference` holds ``now`` for rewards and terminations
            and ``ahead`` for observations.
        action: (B, D) latest action.
        last_action: (B, D) action before it.
        body: constants of the embodiment.
        errors: of ``state`` against ``command``; None for observations.
        contact_force_w: (B, N, 3) [N], where a term needs contacts.
        scene: objects and pair contacts, where the scene has any.
        history: (B, H * F) past proprioception, where it is observed.
        memo: intermediate values that terms share, see :meth:`once`.
    """

    state: BodyState
    command: Command
    action: Tensor
    last_action: Tensor
    body: BodyTensors
    errors: Errors | None = None
    contact_force_w: Tensor | None = None
    scene: SceneState | None = None
    history: Tensor | None = None
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: str, compute: Callable[[StepState], Any]) -> Any:  # noqa: ANN401 - of any type
        """Return ``compute(self)``, computed once for all terms that share ``key``."""
        if key not in self.memo:
            self.memo[key] = compute(self)
        return self.memo[key]

    def with_errors(self) -> StepState:
        """Return the same with ``errors`` computed."""
        return replace(self, errors=command_errors(self.state, self.command, self.body))


Term = Callable[..., Tensor]
"""A pure function of a :class:`StepState` and keyword parameters."""


def bound(name: str, term: Term, params: Mapping[str, float], required: int = 1) -> Term:
    """Return a term with its parameters set.

    Args:
        name: of the term, for messages.
        term: function of a :class:`StepState` and parameters.
        params: parameter -> value; those with defaults may be left out.
        required: number of positional arguments.

    Raises:
        ConfigError: an unknown or missing parameter.
    """
    known = list(inspect.signature(term).parameters.values())[required:]
    names = [parameter.name for parameter in known]
    for given in params:
        if given not in names:
            raise ConfigError(f"'{name}' has no parameter '{given}'{nearest(given, names)}")
    for parameter in known:
        if parameter.default is inspect.Parameter.empty and parameter.name not in params:
            raise ConfigError(f"'{name}' needs the parameter '{parameter.name}'; set params.{parameter.name}")
    return partial(term, **params) if params else term


def command_errors(state: BodyState, command: Command, body: BodyTensors) -> Errors:
    """Compare a state with its command.

    Args:
        state: leading axis B.
        command: of the same instant.
        body: constants of the embodiment.

    Raises:
        ConfigError: a command that no state can be compared with.
    """
    if isinstance(command, Reference):
        assert command.now is not None
        return tracking_errors(state, command.now, body.anchor, body.pick)
    root = state.root_pos_w[:, :2]
    if isinstance(command, Velocity):
        squared, target = {}, command.velocity
        if target is not None:
            velocity = state.root_lin_vel_w[:, :2]
            if command.frame == "heading":
                velocity = frames.turned(velocity, -frames.yaw(state.root_quat_w))
            elif command.yaw is not None:
                target = frames.turned(target, command.yaw)
            squared["velocity"] = (velocity - target).square().sum(-1)
        if command.yaw_rate is not None:
            squared["yaw_rate"] = (state.root_ang_vel_w[:, 2] - command.yaw_rate).square()
        return Errors(squared)
    if isinstance(command, Place):
        return Errors({"place": (root - command.pos_w).square().sum(-1)})
    if isinstance(command, Pose):
        return Errors({"pose": _mean_square(state.body_pos_w - next_keyframe(command)[1].body_pos_w)})
    raise ConfigError(f"a command of type {type(command).__name__} has no error")


def next_keyframe(command: Pose) -> tuple[Tensor, BodyState]:
    """Return time (B,) [s] from now and state of the next keyframe; the last one after all have passed."""
    later = torch.where(command.time >= 0.0, command.time, torch.inf)
    index = torch.where(later.isfinite().any(-1), later.argmin(-1), command.time.shape[1] - 1)
    rows = torch.arange(len(index), device=index.device)
    return command.time[rows, index], command.state.map(lambda tensor: tensor[rows, index])


def tracking_errors(state: BodyState, ref: BodyState, anchor: int, bodies: Tensor | BodySelector) -> Errors:
    """Compare a state with its reference (BeyondMimic, arXiv 2508.08241, section S1).

    Args:
        state: current state, leading axis B.
        ref: reference of the same instant, leading axis B.
        anchor: index of the anchor body.
        bodies: (K,) indices of the tracked bodies, or their selector.
    """
    pick = bodies if isinstance(bodies, BodySelector) else BodySelector(bodies)
    anchor_pos, anchor_quat = state.body_pos_w[:, anchor], state.body_quat_w[:, anchor]
    anchor_pos_ref, anchor_quat_ref = ref.body_pos_w[:, anchor], ref.body_quat_w[:, anchor]
    pos, quat = pick(state.body_pos_w), pick(state.body_quat_w)
    target_pos, target_quat = frames.anchored_targets(
        anchor_pos,
        anchor_quat,
        anchor_pos_ref,
        anchor_quat_ref,
        pick(ref.body_pos_w),
        pick(ref.body_quat_w),
    )
    squared = {
        "anchor_pos": (anchor_pos - anchor_pos_ref).square().sum(-1),
        "anchor_rot": rot.angle_between(anchor_quat, anchor_quat_ref).square(),
        "body_pos": _mean_square(pos - target_pos),
        "body_rot": rot.angle_between(quat, target_quat).square().mean(-1),
        "body_lin_vel": _mean_square(pick(state.body_lin_vel_w - ref.body_lin_vel_w)),
        "body_ang_vel": _mean_square(pick(state.body_ang_vel_w - ref.body_ang_vel_w)),
    }
    return Errors(squared, pos, target_pos)


def finite(state: BodyState, errors: Errors) -> Tensor:
    """Return where everything computed from a state is a finite number. (B,) bool.

    A coordinate that is not finite shows in the joints or, through the root, in the errors; so do
    numbers whose squares float32 cannot hold.
    """
    joints = state.joint_pos.square().sum(-1) + state.joint_vel.square().sum(-1)
    return sum(errors.squared.values(), joints).isfinite()


def _mean_square(difference: Tensor) -> Tensor:
    """Return the mean over bodies of the squared length of ``difference (B, K, 3)``. (B,)."""
    return difference.square().sum((-2, -1)) / difference.shape[-2]


def config_terms(kind: str, terms: Mapping[str, Any], registry: Mapping[str, Term]) -> dict[str, Term]:
    """Return name -> function with parameters, in the order of the configuration.

    Raises:
        ConfigError: a term that is not registered, or its parameters.
    """
    return {name: bound(f"{kind}.{name}", registry[name], term.params) for name, term in terms.items()}
