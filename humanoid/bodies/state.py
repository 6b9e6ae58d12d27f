"""The one state type that motions and simulators share.

``Motion.at(t)`` and ``Simulator.state()`` both return a :class:`BodyState`, so
rewards, observations, terminations and metrics are functions of two of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BodyState:
    """Joints and bodies of one embodiment, any leading axes (``...``).

    Attributes:
        joint_pos: (..., D) [rad].
        joint_vel: (..., D) [rad/s].
        body_pos_w: (..., N, 3) [m] origins of the bodies, world.
        body_quat_w: (..., N, 4) wxyz, world.
        body_lin_vel_w: (..., N, 3) [m/s] of the body origins, world.
        body_ang_vel_w: (..., N, 3) [rad/s], world.

    Body 0 is the root: the free joint's pose and twist are its rows.
    """

    joint_pos: Tensor
    joint_vel: Tensor
    body_pos_w: Tensor
    body_quat_w: Tensor
    body_lin_vel_w: Tensor
    body_ang_vel_w: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> BodyState:
        """Apply ``function`` to every tensor."""
        return BodyState(*(function(getattr(self, f.name)) for f in dataclasses.fields(self)))

    def __getitem__(self, index: object) -> BodyState:
        """Index the leading axes."""
        return self.map(lambda tensor: tensor[index])  # type: ignore[index]

    def to(self, device: str | torch.device) -> BodyState:
        """Return the state on another device."""
        return self.map(lambda tensor: tensor.to(device))

    @property
    def root_pos_w(self) -> Tensor:
        """(..., 3) [m], world."""
        return self.body_pos_w[..., 0, :]

    @property
    def root_quat_w(self) -> Tensor:
        """(..., 4), world."""
        return self.body_quat_w[..., 0, :]

    @property
    def root_lin_vel_w(self) -> Tensor:
        """(..., 3) [m/s], world."""
        return self.body_lin_vel_w[..., 0, :]

    @property
    def root_ang_vel_w(self) -> Tensor:
        """(..., 3) [rad/s], world."""
        return self.body_ang_vel_w[..., 0, :]


def cat(states: Sequence[BodyState]) -> BodyState:
    """Return states one after the other along their first axis."""
    return _each(torch.cat, states)


def stack(states: Sequence[BodyState]) -> BodyState:
    """Return states along a new first axis."""
    return _each(torch.stack, states)


def where(mask: Tensor, yes: BodyState, no: BodyState) -> BodyState:
    """Return ``yes`` where ``mask (B,)``, else ``no``; leading axis B."""

    def pick(pair: Sequence[Tensor]) -> Tensor:
        return torch.where(mask.reshape(-1, *([1] * (pair[0].ndim - 1))), *pair)

    return _each(pick, (yes, no))


def _each(function: Callable[[list[Tensor]], Tensor], states: Sequence[BodyState]) -> BodyState:
    names = [field.name for field in dataclasses.fields(BodyState)]
    return BodyState(*(function([getattr(state, name) for state in states]) for name in names))


@dataclass(frozen=True)
class ContactState:
    """Contact of each body with anything.

    Attributes:
        force_w: (..., N, 3) [N] net contact force on each body, world.
    """

    force_w: Tensor
