"""Physical feasibility of a motion, from the motion alone.

In flight the height of the centre of mass is a parabola with 9.81 m/s^2: a wrong frame rate shows as another
acceleration, a wrong floor as a flight longer than a leap of its height. Where nothing beyond a joint touches
the floor, inverse dynamics gives its torque.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.motion.motion import Motion
from humanoid.retarget.trace import runs
from humanoid.retarget.tree import subtree
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative

GRAVITY = 9.81
"""[m/s^2]"""
TOUCH_M = 0.03
"""[m] Height up to which a body may rest on the floor; uncertainty of heights in flight."""
LEAST_SECONDS, LEAST_FRAMES = 0.08, 4
"""[s] and number of frames of the shortest flight that is judged."""
SPEEDS = 0.5, 2.0
"""Range of time scales that count as a wrong frame rate."""
_EDGE = 2
"""Frames at either end whose second differences are one-sided."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Flight:
    """Interval of frames in which no body is near the floor.

    Attributes:
        start: its first frame.
        height: (T,) [m] of the centre of mass.
        fps: frames per second.
    """

    start: int
    height: Tensor
    fps: float

    @property
    def seconds(self) -> float:
        """Time [s] from its first frame to its last."""
        return (len(self.height) - 1) / self.fps

    @property
    def acceleration(self) -> float:
        """Vertical acceleration [m/s^2] of the nearest parabola: -9.81 in a true flight."""
        time = self._time(1.0)
        powers = torch.stack((torch.ones_like(time), time, 0.5 * time.square()), -1)
        return float(torch.linalg.lstsq(powers, self.height.unsqueeze(-1)).solution[2])

    @property
    def longest(self) -> float:
        """The longest [s] that a true flight can last between these heights, :data:`TOUCH_M` allowed."""
        top, ends = self.height.max(), self.height[[0, -1]]
        return float((2 * (top - ends + TOUCH_M) / GRAVITY).sqrt().sum())

    @property
    def hover(self) -> float:
        """Time [s] by which the flight exceeds :attr:`longest`."""
        return max(0.0, self.seconds - self.longest)

    def miss(self, speed: float = 1.0) -> float:
        """Return how far [m] the heights leave the nearest fall under gravity, performed at a speed."""
        time = self._time(speed)
        powers = torch.stack((torch.ones_like(time), time), -1)
        wanted = (self.height + 0.5 * GRAVITY * time.square()).unsqueeze(-1)
        return float((wanted - powers @ torch.linalg.lstsq(powers, wanted).solution).abs().max())

    def _time(self, speed: float) -> Tensor:
        return torch.arange(len(self.height), dtype=self.height.dtype) / (self.fps * speed)


def mass_centre(motion: Motion, body: Embodiment) -> Tensor:
    """Return the centre of mass (T, 3) [m], world, of a motion whose columns are the body's."""
    mass = torch.tensor(body.body_mass)
    return (_centres(motion, body) * mass.unsqueeze(-1)).sum(1) / mass.sum()


def flights(motion: Motion, body: Embodiment, clearance: Tensor) -> list[Flight]:
    """Return the stretches in the air that are long enough to be judged.

    Args:
        motion: its columns are the body's.
        body: the embodiment.
        clearance: (T, N) [m] lowest point of each body over the floor.
    """
    height = mass_centre(motion, body)[:, 2]
    least = max(LEAST_FRAMES, math.ceil(LEAST_SECONDS * motion.fps - 1e-6) + 1)
    start, stop = runs(clearance.amin(-1) > TOUCH_M)
    return [
        Flight(start=a, height=height[a:b], fps=motion.fps)
        for a, b in zip(start.tolist(), stop.tolist(), strict=True)
        if b - a >= least
    ]


def ballistic_speed(found: Sequence[Flight], limit: float) -> float | None:
    """Return the time scale at which every flight is within ``limit`` [m] of free fall; None if none is.

    It is ``sqrt(g / acceleration)`` of the flight farthest from free fall.
    """
    worst = max(found, key=Flight.miss, default=None)
    if worst is None or worst.acceleration >= 0:
        return None
    speed = round(math.sqrt(GRAVITY / -worst.acceleration), 2)
    right = SPEEDS[0] <= speed <= SPEEDS[1] and all(flight.miss(speed) <= limit for flight in found)
    return speed if right else None


def servo_load(motion: Motion, body: Embodiment, clearance: Tensor) -> Tensor:
    """Return the share (T, D) of its torque limit that each joint needs; 0 where unknown.

    Newton-Euler inverse dynamics of the bodies beyond a joint, and its rotor. It is known where none of
    these bodies is near the floor.

    Args:
        motion: its columns are the body's.
        body: the embodiment.
        clearance: (T, N) [m] lowest point of each body over the floor.
    """
    states, fps = motion.states.to("cpu"), motion.fps
    load = torch.zeros(motion.num_frames, body.num_joints, dtype=torch.float64)
    if motion.num_frames <= 2 * _EDGE:
        return load
    pos, quat, angles = states.body_pos_w.double(), states.body_quat_w.double(), states.joint_pos.double()
    centre = _centres(motion, body)
    force = torch.tensor(body.body_mass).unsqueeze(-1) * _second(centre, fps)
    force[..., 2] += torch.tensor(body.body_mass) * GRAVITY
    turn = rot.to_matrix(quat)
    inertia = turn @ torch.tensor(body.inertia[1]) @ turn.mT
    spin = angular_velocity(quat, fps)
    moment = _apply(inertia, derivative(spin, fps)) + torch.linalg.cross(spin, _apply(inertia, spin))
    rotor = torch.tensor(body.joint_armature) * _second(angles, fps)
    axes = _axes(body, quat, angles)
    for joint, owner in enumerate(body.joint_body.tolist()):
        beyond = subtree(body.parents.tolist(), owner)
        arm = centre[:, beyond] - pos[:, owner, None]
        total = (moment[:, beyond] + torch.linalg.cross(arm, force[:, beyond])).sum(1)
        torque = (axes[:, joint] * total).sum(-1) + rotor[:, joint]
        free = clearance[:, beyond].amin(-1) > TOUCH_M
        load[:, joint] = torch.where(free, torque.abs() / float(body.effort[joint]), 0.0)
    load[:_EDGE] = load[-_EDGE:] = 0.0
    return load


def _centres(motion: Motion, body: Embodiment) -> Tensor:
    """Return each body's centre of mass (T, N, 3) [m], world."""
    states = motion.states.to("cpu")
    offset = torch.tensor(body.inertia[0])
    quat = states.body_quat_w.double()
    return states.body_pos_w.double() + rot.rotate(quat, offset)


def _second(x: Tensor, fps: float) -> Tensor:
    return derivative(derivative(x, fps), fps)


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _axes(body: Embodiment, quat: Tensor, angles: Tensor) -> Tensor:
    """Return the hinges' axes (T, D, 3), world."""
    axes = quat.new_zeros(*angles.shape, 3)
    before: dict[int, Tensor] = {}
    for joint, owner in enumerate(body.joint_body.tolist()):
        if owner not in before:
            start = torch.tensor(body.body_quat[owner]).expand(len(quat), 4)
            before[owner] = rot.mul(quat[:, int(body.parents[owner])], start)
        axis = torch.tensor(body.joint_axis[joint])
        axes[:, joint] = rot.rotate(before[owner], axis)
        before[owner] = rot.mul(before[owner], rot.about_axis(axis, angles[:, joint]))
    return axes
