"""Commands: a reference motion, a velocity, a place, a pose, solids to avoid, a style; plain data.

A task hands commands to an agent and to the observation and reward terms of an environment. None of
them knows who follows it: a tracker follows a :class:`Reference`, a guided agent turns the others
into costs (:mod:`humanoid.control.commands`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.spatial.solids import Boxes, Capsules, Spheres


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Follow a motion.

    Attributes:
        now: reference of this instant, leading axis B; what rewards and terminations compare with.
        ahead: references of future control steps, leading axes (B, S), joints and at least the anchor;
            what observations show.
    """

    now: BodyState | None = None
    ahead: BodyState | None = None


@dataclass(frozen=True, kw_only=True)
class Velocity:
    """Move at a planar velocity.

    Attributes:
        velocity: (B, 2) [m/s] along x and y of ``frame``; None leaves the pace free.
        yaw_rate: (B,) [rad/s] counter-clockwise; None leaves turning free.
        frame: ``heading`` turns with the body, ``world`` is fixed.
        yaw: (B,) [rad] heading that world velocities are relative to; None for the world's x axis.
        face: whether a body turns to face a world velocity, so that it walks forward there.
        detour: whether a body that does so takes the fastest path round what it avoids.
    """

    velocity: Tensor | None
    yaw_rate: Tensor | None = None
    frame: Literal["heading", "world"] = "heading"
    yaw: Tensor | None = None
    face: bool = True
    detour: bool = True


@dataclass(frozen=True, kw_only=True)
class Place:
    """Go to a place.

    Attributes:
        pos_w: (B, 2) [m], world.
        speed: [m/s] on the way.
        reach: [m] distance from which the body slows down to rest there; 0 to pass at speed.
        detour: whether it takes the fastest path round what it avoids.
    """

    pos_w: Tensor
    speed: float
    reach: float = 1.0
    detour: bool = True


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Pass through keyframes.

    Attributes:
        time: (B, Q) [s] from now.
        state: keyframes, leading axes (B, Q).
        bodies: names of the bodies that count; all by default.
    """

    time: Tensor
    state: BodyState
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Avoid:
    """Keep clear of solids.

    Attributes:
        spheres: or None.
        capsules: or None.
        boxes: or None.
    """

    spheres: Spheres | None = None
    capsules: Capsules | None = None
    boxes: Boxes | None = None


@dataclass(frozen=True, kw_only=True)
class Imitate:
    """Move in the style of a clip: like its poses, in any order, anywhere.

    Attributes:
        states: poses, leading axis R.
    """

    states: BodyState


Command = Reference | Velocity | Place | Pose | Avoid | Imitate
"""Anything that a task may command."""
