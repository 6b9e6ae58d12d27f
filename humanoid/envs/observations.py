"""Observation terms: an open registry of pure functions of a :class:`StepState`.

Terms, order and noise of the tracking task follow BeyondMimic (arXiv 2508.08241, section S1; reference of
:class:`ObservationCfg`). Added: projected gravity, and references further ahead. The layouts
``beyondmimic`` and ``beyondmimic_blind`` reproduce BeyondMimic's observation number by number, so that
controllers written for its policies can drive ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Among, Checked, Natural, NonNegative, NotEmpty
from humanoid.core.errors import ConfigError
from humanoid.core.registry import Registry
from humanoid.envs.commands import Place, Pose, Reference, Velocity
from humanoid.envs.terms import StepState, Term, config_terms, next_keyframe
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot

OBSERVATIONS: Registry[Term] = Registry("observation")
"""Name -> function of a :class:`StepState` and parameters, returns (B, width)."""
register = OBSERVATIONS.register

Layout = Literal["native", "beyondmimic", "beyondmimic_blind"]
"""Which terms the actor observes, in what order, and how rotations are written."""
PUBLISHED = {
    "joint_pos_ref": "command",
    "joint_vel_ref": "command",
    "anchor_pos_b": "motion_anchor_pos_b",
    "anchor_rot_b": "motion_anchor_ori_b",
    "root_lin_vel_b": "base_lin_vel",
    "root_ang_vel_b": "base_ang_vel",
    "joint_pos": "joint_pos",
    "joint_vel": "joint_vel",
    "last_action": "actions",
}
"""Terms of BeyondMimic's layout in its order -> its names; neighbours of one name are one term."""
_ESTIMATED = ("anchor_pos_b", "root_lin_vel_b")
"""Terms that need state estimation on a robot (BeyondMimic's ``WoStateEstimation`` drops them)."""
_ROTATIONS = ("anchor_rot_b", "body_rot_b")


@dataclass(frozen=True, kw_only=True)
class ObservationTerm:
    """Noise and parameters of one observation term."""

    noise: float = 0.0
    """Half-width of uniform noise; the critic observes without noise."""
    privileged: bool = False
    """Whether only the critic observes the term."""
    params: dict[str, float] = field(default_factory=dict)
    """Keyword parameters of the function."""


TRACKING_OBSERVATIONS = {
    "joint_pos_ref": ObservationTerm(),
    "joint_vel_ref": ObservationTerm(),
    "anchor_pos_b": ObservationTerm(noise=0.25),
    "anchor_rot_b": ObservationTerm(noise=0.05),
    "root_lin_vel_b": ObservationTerm(noise=0.5),
    "root_ang_vel_b": ObservationTerm(noise=0.2),
    "gravity_b": ObservationTerm(noise=0.05),
    "joint_pos": ObservationTerm(noise=0.01),
    "joint_vel": ObservationTerm(noise=0.5),
    "last_action": ObservationTerm(),
    "history": ObservationTerm(noise=0.05),
    "body_pos_b": ObservationTerm(privileged=True),
    "body_rot_b": ObservationTerm(privileged=True),
}
"""Terms of the tracking task; ``history`` only where ``history_steps`` is set."""
PROPRIOCEPTION = ("root_lin_vel_b", "root_ang_vel_b", "gravity_b", "joint_pos", "joint_vel", "last_action")
"""Terms of the body alone, shared by the tasks without a reference."""


def goal_observations(*goal: str) -> dict[str, ObservationTerm]:
    """Return the named command terms and proprioception with its noise."""
    return {name: TRACKING_OBSERVATIONS.get(name, ObservationTerm()) for name in (*goal, *PROPRIOCEPTION)}


@dataclass(frozen=True, kw_only=True)
class ObservationCfg(Checked):
    """Observation terms and their noise."""

    terms: dict[Annotated[str, Among(OBSERVATIONS)], ObservationTerm] = field(
        default_factory=lambda: dict(TRACKING_OBSERVATIONS)
    )
    """Term -> noise and parameters, in the order of the actor's columns."""
    noise_scale: NonNegative = 1.0
    """Factor on all noise; 0 switches it off."""
    layout: Layout = "native"
    """``beyondmimic``: its terms, names and order (160 numbers on G1); ``beyondmimic_blind``: those that
    need no state estimation (154). Their rotations are two columns of the matrix, row after row."""
    future_steps: Annotated[tuple[Natural, ...], NotEmpty] = (1,)
    """Control steps ahead at which the reference is observed."""
    history_steps: Natural = 0
    """Frames of past proprioception that the actor observes (SkillMimic-V2: 60); 0 for none."""

    def __post_init__(self) -> None:
        """Check the fields; a published layout shows one reference frame."""
        super().__post_init__()
        if self.layout != "native" and tuple(self.future_steps) != (1,):
            raise ConfigError(
                f"observation.future_steps is {list(self.future_steps)}; layout '{self.layout}' shows the "
                "next frame only: [1]"
            )
        if self.history_steps and "history" not in self.terms:
            raise ConfigError("observation.history_steps is set, but 'history' is not in observation.terms")

    def observed(self) -> dict[str, ObservationTerm]:
        """Return the observed terms, ``history`` last."""
        terms = {name: term for name, term in self.terms.items() if name != "history"}
        if self.layout != "native":
            privileged = {name: term for name, term in terms.items() if term.privileged}
            terms = {name: terms[name] for name in PUBLISHED if name in terms} | privileged
        if self.history_steps:
            terms["history"] = self.terms["history"]
        return terms


class Observer:
    """Evaluates the terms of actor and critic."""

    def __init__(self, cfg: ObservationCfg) -> None:
        """Find the functions.

        Raises:
            ConfigError: a term that is not registered, or its parameters.
        """
        self._cfg, self._terms = cfg, cfg.observed()
        self._functions = config_terms("observation.terms", self._terms, OBSERVATIONS)
        self._noise = {name: cfg.noise_scale * term.noise for name, term in self._terms.items()}

    def terms(self, step: StepState, privileged: bool = False) -> dict[str, Tensor]:
        """Return name -> (B, width) without noise; terms of state estimation included."""
        found = {}
        for name, term in self._terms.items():
            if term.privileged == privileged:
                value = self._functions[name](step)
                if self._cfg.layout != "native" and name in _ROTATIONS:
                    value = _row_major(value)
                found[name] = value
        return found

    def actor(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return those of ``terms`` that the actor observes; a blind actor's critic has all of them."""
        if self._cfg.layout != "beyondmimic_blind":
            return dict(terms)
        return {name: term for name, term in terms.items() if name not in _ESTIMATED}

    def layout(self, terms: Mapping[str, Tensor]) -> list[tuple[str, int]]:
        """Return names and widths of the actor's columns in order, BeyondMimic's names in its layouts."""
        columns: list[tuple[str, int]] = []
        for name, term in self.actor(terms).items():
            label = name if self._cfg.layout == "native" else PUBLISHED.get(name, name)
            width = term.shape[-1]
            if columns and columns[-1][0] == label:
                width += columns.pop()[1]
            columns.append((label, width))
        return columns

    def noise_width(self, terms: Mapping[str, Tensor]) -> int:
        """Return how many of the actor's numbers have noise."""
        return sum(term.shape[-1] for name, term in self.actor(terms).items() if self._noise[name])

    def __call__(self, step: StepState, draw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the observations of actor (B, O), with noise, and critic (B, P).

        Args:
            step: current instant.
            draw: (B, noise_width) uniform in 0-1; one for all terms, one kernel on a GPU.
        """
        terms = self.terms(step)
        noisy, at = self.actor(terms), 0
        for name, term in noisy.items():
            if self._noise[name]:
                width = term.shape[-1]
                noisy[name] = term + (2.0 * draw[:, at : at + width] - 1.0) * self._noise[name]
                at += width
        # the critic observes the whole state without noise; the past would only widen it
        present = [term for name, term in terms.items() if name != "history"]
        critic = (*present, *self.terms(step, privileged=True).values())
        return torch.cat(tuple(noisy.values()), dim=-1), torch.cat(critic, dim=-1)


class History:
    """The last H frames of proprioception of every environment, oldest first (arXiv 2505.02094)."""

    def __init__(self, steps: int, features: int, count: int, device: torch.device) -> None:
        """Allocate ``steps`` frames of ``features`` numbers of ``count`` environments."""
        self.shape = (steps, features) if steps else (0, 0)
        self._frames = torch.zeros(count, *self.shape, device=device)

    def push(self, frame: Tensor, fresh: Tensor) -> None:
        """Append ``frame (B, F)``; where ``fresh (B,) bool``, an episode begins: it fills all frames."""
        moved = torch.cat((self._frames[:, 1:], frame[:, None]), dim=1)
        self._frames = torch.where(fresh[:, None, None], frame[:, None], moved)

    def flat(self) -> Tensor:
        """Return the frames one after the other, (B, H * F)."""
        return self._frames.flatten(1)


def proprioception(state: BodyState, default_joint_pos: Tensor) -> Tensor:
    """Return one history frame (B, 7 + D): root height, gravity and turn rate in its frame, joint angles.

    Angles are measured from ``default_joint_pos``, (D,) or (B, D) [rad]. SkillMimic-V2 takes heights,
    local positions and joint angles; positions follow from the angles.
    """
    gravity = frames.projected_gravity(state.root_quat_w)
    turn = rot.rotate_inverse(state.root_quat_w, state.root_ang_vel_w)
    return torch.cat((state.root_pos_w[..., 2:], gravity, turn, state.joint_pos - default_joint_pos), dim=-1)


def _ahead(step: StepState) -> BodyState:
    assert isinstance(step.command, Reference) and step.command.ahead is not None
    return step.command.ahead


def _anchor_pose(step: StepState) -> tuple[Tensor, Tensor]:
    """Return position (B, 1, 3) [m] and rotation (B, 1, 4) of the anchor body, world."""
    anchor = step.body.anchor
    return step.state.body_pos_w[:, anchor, None], step.state.body_quat_w[:, anchor, None]


def _anchor_ahead_b(step: StepState) -> tuple[Tensor, Tensor]:
    """Return the anchor of the references ahead in the anchor frame: (B, S, 3) [m] and (B, S, 4)."""
    ahead = _ahead(step)
    column = step.body.anchor if ahead.body_pos_w.shape[2] > 1 else 0
    pos, quat = ahead.body_pos_w[:, :, column], ahead.body_quat_w[:, :, column]
    return frames.relative_pose(*_anchor_pose(step), pos, quat)


def _bodies_b(step: StepState) -> tuple[Tensor, Tensor]:
    """Return the tracked bodies in the anchor frame: (B, K, 3) [m] and (B, K, 4)."""
    pick = step.body.pick
    pos, quat = pick(step.state.body_pos_w), pick(step.state.body_quat_w)
    return frames.relative_pose(*_anchor_pose(step), pos, quat)


@register("joint_pos_ref")
def joint_pos_ref(step: StepState) -> Tensor:
    """Joint angles of the references ahead. (B, S * D) [rad]."""
    return _ahead(step).joint_pos.flatten(1)


@register("joint_vel_ref")
def joint_vel_ref(step: StepState) -> Tensor:
    """Joint velocities of the references ahead. (B, S * D) [rad/s]."""
    return _ahead(step).joint_vel.flatten(1)


@register("anchor_pos_b")
def anchor_pos_b(step: StepState) -> Tensor:
    """Anchor positions of the references ahead in the anchor frame. (B, S * 3) [m]."""
    return step.once("anchor_ahead_b", _anchor_ahead_b)[0].flatten(1)


@register("anchor_rot_b")
def anchor_rot_b(step: StepState) -> Tensor:
    """Anchor rotations of the references ahead in the anchor frame, 6-d. (B, S * 6)."""
    return rot.to_6d(step.once("anchor_ahead_b", _anchor_ahead_b)[1]).flatten(1)


@register("root_lin_vel_b")
def root_lin_vel_b(step: StepState) -> Tensor:
    """Root velocity in the root frame. (B, 3) [m/s]."""
    return rot.rotate_inverse(step.state.root_quat_w, step.state.root_lin_vel_w)


@register("root_ang_vel_b")
def root_ang_vel_b(step: StepState) -> Tensor:
    """Root angular velocity in the root frame. (B, 3) [rad/s]."""
    return rot.rotate_inverse(step.state.root_quat_w, step.state.root_ang_vel_w)


@register("gravity_b")
def gravity_b(step: StepState) -> Tensor:
    """Unit vector of gravity in the root frame. (B, 3)."""
    return frames.projected_gravity(step.state.root_quat_w)


@register("joint_pos")
def joint_pos(step: StepState) -> Tensor:
    """Joint angles from the default pose. (B, D) [rad]."""
    return step.state.joint_pos - step.body.default


@register("joint_vel")
def joint_vel(step: StepState) -> Tensor:
    """Joint velocities. (B, D) [rad/s]."""
    return step.state.joint_vel


@register("last_action")
def last_action(step: StepState) -> Tensor:
    """Latest action. (B, D)."""
    return step.action


@register("history")
def history(step: StepState) -> Tensor:
    """Past proprioception, oldest frame first. (B, H * F)."""
    assert step.history is not None
    return step.history


@register("body_pos_b")
def body_pos_b(step: StepState) -> Tensor:
    """Positions of the tracked bodies in the anchor frame. (B, K * 3) [m]."""
    return step.once("bodies_b", _bodies_b)[0].flatten(1)


@register("body_rot_b")
def body_rot_b(step: StepState) -> Tensor:
    """Rotations of the tracked bodies in the anchor frame, 6-d. (B, K * 6)."""
    return rot.to_6d(step.once("bodies_b", _bodies_b)[1]).flatten(1)


@register("velocity_command_h")
def velocity_command_h(step: StepState) -> Tensor:
    """Commanded velocity in the heading frame [m/s] and yaw rate [rad/s], 0 where free. (B, 3)."""
    command, free = step.command, torch.zeros_like(step.action[:, 0])
    assert isinstance(command, Velocity)
    velocity = torch.stack((free, free), dim=-1) if command.velocity is None else command.velocity
    if command.frame == "world":
        offset = free if command.yaw is None else command.yaw
        velocity = frames.turned(velocity, offset - frames.yaw(step.state.root_quat_w))
    rate = free if command.yaw_rate is None else command.yaw_rate
    return torch.cat((velocity, rate[:, None]), dim=-1)


@register("place_h")
def place_h(step: StepState) -> Tensor:
    """Offset of the commanded place in the heading frame, its length capped at the reach. (B, 2) [m]."""
    assert isinstance(step.command, Place)
    offset = step.command.pos_w - step.state.root_pos_w[:, :2]
    capped = offset * (step.command.reach / offset.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp(max=1.0)
    return frames.turned(capped, -frames.yaw(step.state.root_quat_w))


@register("keyframe_b")
def keyframe_b(step: StepState) -> Tensor:
    """Time to the next keyframe [s] and its bodies' positions in the anchor frame [m]. (B, 1 + N * 3)."""
    assert isinstance(step.command, Pose)
    time, keyframe = next_keyframe(step.command)
    pos, _ = frames.relative_pose(*_anchor_pose(step), keyframe.body_pos_w, keyframe.body_quat_w)
    return torch.cat((time[:, None], pos.flatten(1)), dim=-1)


def _row_major(six: Tensor) -> Tensor:
    """Return 6-d rotations (B, S * 6) with the matrix's columns interleaved along its rows, as BeyondMimic.

    ``r00, r01, r10, r11, r20, r21`` in place of one column after the other.
    """
    return six.unflatten(-1, (-1, 2, 3)).transpose(-1, -2).flatten(1)
