"""Reward terms: an open registry of pure functions of a :class:`StepState`, and their weights.

Tracking terms are ``exp(-e / sigma^2)`` with e a squared error; penalties are squared or summed excesses.
Weights are per second: the environment multiplies the sum by the control period (BeyondMimic, arXiv
2508.08241, Table S2). A term of a user's: ``rewards.register("name", function)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from humanoid.core.constraints import Among
from humanoid.core.errors import ConfigError
from humanoid.core.registry import Registry
from humanoid.envs.terms import StepState, Term, config_terms

REWARDS: Registry[Term] = Registry("reward")
"""Name -> function of a :class:`StepState` and parameters, returns (B,)."""
register = REWARDS.register


@dataclass(frozen=True, kw_only=True)
class RewardTerm:
    """Weight and parameters of one reward term."""

    weight: float = 0.0
    """Weight [1/s]; a term of weight 0 is not computed."""
    params: dict[str, float] = field(default_factory=dict)
    """Keyword parameters of the function."""
    group: str = "all"
    """Critic that learns the value of this term; with several groups, one critic a group (SLIM)."""


Rewards = dict[Annotated[str, Among(REWARDS)], RewardTerm]
"""Reward term -> weight and parameters."""


def tracking_term(weight: float, sigma: float) -> RewardTerm:
    """Return a term ``exp(-e / sigma^2)``."""
    return RewardTerm(weight=weight, params={"sigma": sigma})


TRACKING_REWARDS = {
    "anchor_pos": tracking_term(0.5, 0.3),
    "anchor_rot": tracking_term(0.5, 0.4),
    "body_pos": tracking_term(1.0, 0.3),
    "body_rot": tracking_term(1.0, 0.4),
    "body_lin_vel": tracking_term(1.0, 1.0),
    "body_ang_vel": tracking_term(1.0, 3.14),
    "action_rate": RewardTerm(weight=-0.05),
    "joint_limit": RewardTerm(weight=-10.0, params={"soft_limit": 0.9}),
    "undesired_contact": RewardTerm(weight=0.0, params={"force": 1.0}),
}
"""Terms of the tracking task."""
REGULARISATION = {
    "alive": RewardTerm(weight=0.5),
    "action_rate": RewardTerm(weight=-0.01),
    "joint_limit": RewardTerm(weight=-10.0),
}
"""Terms of every goal task."""
UPRIGHT = {"upright": tracking_term(0.5, 0.5), "head_height": tracking_term(0.5, 0.3), **REGULARISATION}
"""Terms of goal tasks on two feet."""


def reads_contacts(term: Term) -> Term:
    """Mark a term that reads contact forces: they are computed where it has a weight."""
    term.reads_contacts = True  # type: ignore[attr-defined]
    return term


def need_contacts(cfg: Mapping[str, RewardTerm]) -> bool:
    """Return whether a term with a weight reads contact forces."""
    return any(term.weight and getattr(REWARDS[name], "reads_contacts", False) for name, term in cfg.items())


def exp_error(name: str) -> Term:
    """Return the term ``exp(-e / sigma^2)`` of the squared error called ``name``."""

    def term(step: StepState, sigma: float) -> Tensor:
        assert step.errors is not None
        return torch.exp(step.errors.squared[name] * (-1.0 / sigma**2))

    return term


for _name in (
    "anchor_pos", "anchor_rot", "body_pos", "body_rot", "body_lin_vel", "body_ang_vel",
    "velocity", "yaw_rate", "place", "pose",
):  # fmt: skip
    register(_name, exp_error(_name))


@register("action_rate")
def action_rate(step: StepState) -> Tensor:
    """Return the squared change of the action, summed over joints. (B,)."""
    return (step.action - step.last_action).square().sum(-1)


@register("joint_limit")
def joint_limit(step: StepState, soft_limit: float = 0.9) -> Tensor:
    """Return the angle outside the middle ``soft_limit`` of each joint's range, summed. (B,) [rad]."""
    joint_pos, (low, high) = step.state.joint_pos, step.body.soft_limits(soft_limit)
    return (joint_pos - joint_pos.clamp(low, high)).abs().sum(-1)


@register("undesired_contact")
@reads_contacts
def undesired_contact(step: StepState, force: float = 1.0) -> Tensor:
    """Return how many bodies other than feet and end effectors feel more than ``force`` [N]. (B,)."""
    assert step.contact_force_w is not None
    return (step.contact_force_w[:, step.body.not_feet].norm(dim=-1) > force).float().sum(-1)


@register("alive")
def alive(step: StepState) -> Tensor:
    """Return 1. (B,)."""
    return torch.ones_like(step.action[:, 0])


@register("upright")
def upright(step: StepState, sigma: float = 0.5) -> Tensor:
    """Return ``exp(-tilt^2 / sigma^2)`` of the torso's tilt [rad]. (B,)."""
    return torch.exp(step.body.posture.tilt(step.state).square() * (-1.0 / sigma**2))


@register("head_height")
def head_height(step: StepState, sigma: float = 0.3) -> Tensor:
    """Return ``exp(-e^2 / sigma^2)``, e the head's height below its standing height [m]. (B,)."""
    below = (step.body.posture.standing - step.body.posture.head_height(step.state)).clamp_min(0.0)
    return torch.exp(below.square() * (-1.0 / sigma**2))


@register("joint_speed")
def joint_speed(step: StepState) -> Tensor:
    """Return the squared joint velocities, summed. (B,) [rad^2/s^2]."""
    return step.state.joint_vel.square().sum(-1)


@register("default_pose")
def default_pose(step: StepState) -> Tensor:
    """Return the squared distance of the joints from the default pose, summed. (B,) [rad^2]."""
    return (step.state.joint_pos - step.body.default).square().sum(-1)


class RewardSum:
    """Weighted sum of reward terms, one sum a group.

    Attributes:
        terms: name -> function, of the terms that have a weight.
        groups: names of the G groups.
        best: reward of a step without error: the sum of the weights of terms with a ``sigma``.
        needs_contacts: whether a term reads contact forces.
    """

    def __init__(self, cfg: Mapping[str, RewardTerm], dt: float, device: torch.device) -> None:
        """Lay out the weights (terms, G) per control period ``dt`` [s].

        Raises:
            ConfigError: no term has a weight, an unknown term, or its parameters.
        """
        used = {name: term for name, term in cfg.items() if term.weight}
        self.terms = config_terms("reward", used, REWARDS)
        if not used:
            raise ConfigError("reward: no term has a weight")
        self.groups = tuple(dict.fromkeys(term.group for term in used.values()))
        table = [
            [term.weight * dt * (term.group == group) for group in self.groups] for term in used.values()
        ]
        self._weights = torch.tensor(table, device=device)
        self.best = dt * sum(term.weight for term in used.values() if "sigma" in term.params)
        self.needs_contacts = need_contacts(used)

    def __call__(self, step: StepState, good: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reward of each group (B, G) and means of terms and errors for the log.

        Args:
            step: with errors.
            good: (B,) bool; elsewhere all is 0.
        """
        assert step.errors is not None
        squared = step.errors.squared
        terms = [term(step) for term in self.terms.values()]
        every = torch.where(good, torch.stack((*terms, *squared.values())), 0.0)
        means, count = every.mean(-1), len(terms)
        log = dict(zip((f"reward/{name}" for name in self.terms), means, strict=False))
        log |= dict(zip((f"error/{name}" for name in squared), means[count:].sqrt(), strict=True))
        return every[:count].T @ self._weights, log


__all__ = [
    "REWARDS", "TRACKING_REWARDS", "RewardSum", "RewardTerm", "need_contacts", "reads_contacts", "register",
    "tracking_term",
]  # fmt: skip
