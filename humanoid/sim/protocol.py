"""The simulator protocol: batched scenes of a body under position servos and objects.

Control runs at ``1 / dt`` with the physics substeps inside one :meth:`step`.
All tensors are on ``device`` with the environments (B) first, in world frame;
conversions (body-frame angular velocity, joint order, COM velocities) happen
inside the backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState, ContactState, ObjectState, SceneState
from humanoid.core.errors import ConfigError

CONSTRAINT_TIME_CONSTANT = 0.01
"""[s] of contacts and joint limits in both backends: twice the default physics step, Genesis' default."""


@dataclass(frozen=True, kw_only=True)
class SimCfg:
    """Physics settings; both backends honour them where the text names none."""

    backend: str = "mujoco"
    """``genesis`` or ``mujoco``."""
    device: str = "cpu"
    """torch device of the state tensors; ``mujoco`` runs on ``cpu`` only."""
    dt: float = 0.02
    """Control period [s]."""
    substeps: int = 4
    """Physics steps in one control period."""
    friction: float = 1.0
    """Sliding friction coefficient of body and floor where nothing is randomised."""
    solver_iterations: int = 10
    """Newton iterations of the constraint solver at most."""
    threads: int = 0
    """CPU threads of the ``mujoco`` backend; 0 means one a core."""
    contacts: bool = False
    """Whether :meth:`Simulator.contacts` is available (it costs time)."""
    randomizable: bool = False
    """Whether :meth:`Simulator.randomize` is available (it costs memory)."""
    performance_mode: bool = False
    """``genesis`` only: compile longer, run faster."""

    def __post_init__(self) -> None:
        """Refuse numbers that a simulator would crash on or that no physics has."""
        for name in ("dt", "friction"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f"sim.{name} is {getattr(self, name):g}; it must be positive")
        for name, least in {"substeps": 1, "solver_iterations": 1, "threads": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"sim.{name} is {getattr(self, name)}; at least {least} is needed")


def require_device(name: str) -> torch.device:
    """Return the torch device of a name, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: another name, or a GPU that torch does not see.
    """
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise ConfigError(f"device '{name}' is unknown; 'cpu' or 'cuda' (or 'cuda:N') is needed")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device '{name}' needs a CUDA build of torch and a GPU; use device=cpu")
    return torch.device(name)


@dataclass(frozen=True, kw_only=True)
class PhysicsChange:
    """Per-environment physics, each (B,) or (B, 3) or None to leave it as built.

    Attributes:
        friction: (B,) sliding friction of body against floor; against an object the larger of this
            and the object's counts. Objects and their friction on the floor do not change.
        mass_scale: (B,) factor on every body's mass and inertia.
        com_offset: (B, 3) [m] added to the centre of mass of ``com_body``, its frame.
        com_body: name of the body whose centre of mass moves.
        kp_scale: (B,) factor on the servo stiffness.
        kd_scale: (B,) factor on the servo damping.
    """

    friction: Tensor | None = None
    mass_scale: Tensor | None = None
    com_offset: Tensor | None = None
    com_body: str = ""
    kp_scale: Tensor | None = None
    kd_scale: Tensor | None = None


class Simulator(Protocol):
    """Batched rigid-body simulation of one embodiment, and objects, on a flat floor.

    An environment whose numbers are no longer finite, or that has more contacts than the
    simulator holds, has diverged, be it the body or an object: the others go on as if it were
    not there, and its :meth:`state` has NaN for joint angles and body positions until it is
    reset; those of objects in :meth:`scene_state` likewise.
    """

    num_envs: int
    """Number B of environments."""
    dt: float
    """Control period [s]."""
    device: torch.device
    """Device of every tensor in and out."""
    body: Embodiment
    """The embodiment in every environment."""

    def state(self) -> BodyState:
        """Return the current state of all environments, leading axis B; fresh tensors."""
        ...

    def contacts(self) -> ContactState:
        """Return net contact forces of the last substep, leading axis B."""
        ...

    def scene_state(self) -> SceneState:
        """Return body, objects and pair contacts of the last substep, leading axis B."""
        ...

    def set_targets(self, joint_pos: Tensor) -> None:
        """Set servo targets (B, D) [rad]; torque = clip(kp (target - q) - kd dq, +-effort)."""
        ...

    def step(self) -> None:
        """Advance one control period."""
        ...

    def reset(self, mask: Tensor, state: BodyState, objects: Mapping[str, ObjectState] | None = None) -> None:
        """Put the environments of ``mask (B,) bool`` into ``state`` and ``objects``.

        Root pose and twist are rows 0 of the body tensors of ``state``; its other
        bodies follow from the joints and are not read. Leading axis of all states: B.
        Objects that are not given keep their state; of a fixed one only the joints are set.

        Raises:
            InputError: no such object.
        """
        ...

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor, name: str | None = None) -> None:
        """Add (B, 3) [m/s] and (B, 3) [rad/s], world, to the twist of the root or of an object.

        Raises:
            InputError: no such object, or a fixed one.
        """
        ...

    def randomize(self, change: PhysicsChange) -> None:
        """Set per-environment physics; needs ``SimCfg.randomizable``."""
        ...

    def self_collision_pairs(self) -> set[frozenset[str]]:
        """Return the pairs of body names that may touch each other."""
        ...

    def close(self) -> None:
        """Release what the simulator holds."""
        ...
