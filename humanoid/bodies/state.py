"""States of a body and of objects, shared by motions and simulators.

``Motion.at(t)`` and ``Simulator.state()`` both return a :class:`BodyState`, so
rewards, observations, terminations and metrics are functions of two of them;
``Simulator.scene_state()`` adds objects and pair contacts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


class _Batch:
    """A dataclass of tensors with the same leading axes."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply ``function`` to every tensor."""
        fields: Any = self
        return type(self)(*(function(getattr(self, f.name)) for f in dataclasses.fields(fields)))

    def __getitem__(self, index: object) -> Self:
        """Index the leading axes."""
        return self.map(lambda tensor: tensor[index])  # type: ignore[index]

    def to(self, device: str | torch.device) -> Self:
        """Return the state on another device."""
        return self.map(lambda tensor: tensor.to(device))


@dataclass(frozen=True)
class BodyState(_Batch):
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


@dataclass(frozen=True)
class ObjectState(_Batch):
    """Pose and twist of an object's root body and its joints, any leading axes (``...``).

    Attributes:
        pos_w: (..., 3) [m] origin of the root body, world.
        quat_w: (..., 4) wxyz, world.
        lin_vel_w: (..., 3) [m/s] of that origin, world.
        ang_vel_w: (..., 3) [rad/s], world.
        joint_pos: (..., J) [rad] or [m], depth-first; J = 0 for a rigid object.
        joint_vel: (..., J) [rad/s] or [m/s].
    """

    pos_w: Tensor
    quat_w: Tensor
    lin_vel_w: Tensor
    ang_vel_w: Tensor
    joint_pos: Tensor
    joint_vel: Tensor

    @classmethod
    def at_rest(
        cls, pos_w: Tensor, quat_w: Tensor | None = None, joint_pos: Tensor | None = None
    ) -> ObjectState:
        """Return an object at rest; upright and without joints by default."""
        still = torch.zeros_like(pos_w)
        if quat_w is None:
            quat_w = pos_w.new_tensor((1.0, 0.0, 0.0, 0.0)).expand(*pos_w.shape[:-1], 4)
        if joint_pos is None:
            joint_pos = pos_w.new_zeros(*pos_w.shape[:-1], 0)
        return cls(pos_w, quat_w, still, still, joint_pos, torch.zeros_like(joint_pos))


@dataclass(frozen=True)
class SceneState:
    """State of a body and the named objects around it.

    Attributes:
        robot: the body.
        objects: name -> state.
        contacts: pair of names -> (..., 3) [N] net contact force on the first by the second, world.
    """

    robot: BodyState
    objects: Mapping[str, ObjectState]
    contacts: Mapping[tuple[str, str], Tensor]
