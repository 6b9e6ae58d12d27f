"""A body without physics that glides as it is told: stands in for a simulated one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from humanoid.bodies import BodyState, Embodiment, Kinematics
from humanoid.spatial import rotation as rot
from humanoid.teleop import TeleopCommand
from humanoid.teleop.controls import STANDING


class Glider:
    """A ``Walker`` of ``teleop.loop`` whose bodies all have the commanded velocity at once."""

    def __init__(self, body: Embodiment, dt: float = 0.02) -> None:
        """Stand at the origin."""
        self.body, self.dt = body, dt
        kinematics, self._joints = Kinematics(body), torch.zeros(1, body.num_joints)
        root, upright = torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        self._pos, self._quat = kinematics.poses(root, upright, self._joints)
        self._height = -float(kinematics.clearance(self._pos, self._quat).min())
        self.plan_times: list[float] = []
        self.plan_misses = 0
        self.path: np.ndarray | None = None
        self.trouble: list[str] = []
        self.steered: list[TeleopCommand] = []
        self.lying, self.broken = False, False
        self.reset()

    def reset(self) -> None:
        """Stand at the origin again."""
        self.place, self.yaw, self.extra = np.zeros(2), 0.0, np.zeros(2)
        self.command, self.resets = STANDING, getattr(self, "resets", -1) + 1
        self.lying, self.broken = False, False
        self._place()

    def steer(self, orders: TeleopCommand) -> None:
        """Take the command; what a plan would be is a straight line."""
        self.command = orders.command
        self.steered.append(orders)
        if len(self.steered) % 10 == 1:
            self.plan_times.append(0.04)
            ahead = np.linspace(0.0, 1.28, 33)[:, None] * self._velocity()
            self.path = self.place + ahead

    def messages(self) -> list[str]:
        """Return problems that the test brings, once."""
        taken, self.trouble = self.trouble, []
        return taken

    def step(self) -> None:
        """Glide for one control period."""
        self.place = self.place + self.dt * (self._velocity() + self.extra)
        self.yaw += self.dt * self.command.turn
        self.extra = 0.95 * self.extra
        self._place()

    def push(self, velocity_w: Sequence[float]) -> None:
        """Glide aside for a moment."""
        self.extra = self.extra + np.asarray(velocity_w)

    def close(self) -> None:
        """Nothing is held."""

    def _velocity(self) -> np.ndarray:
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        forward, left = self.command.forward, self.command.left
        return np.array((cos * forward - sin * left, sin * forward + cos * left))

    def _place(self) -> None:
        half = 0.5 * self.yaw
        turn = torch.tensor([[math.cos(half), 0.0, 0.0, math.sin(half)]])
        if self.lying:
            turn = torch.tensor([[math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0]])
        turn = turn.expand(self.body.num_bodies, 4)
        root = torch.tensor([*self.place, 0.1 if self.lying else self._height], dtype=torch.float32)
        speed = torch.tensor([*(self._velocity() + self.extra), 0.0], dtype=torch.float32)
        self.state = BodyState(
            joint_pos=self._joints,
            joint_vel=self._joints,
            body_pos_w=root + rot.rotate(turn, self._pos),
            body_quat_w=rot.mul(turn, self._quat),
            body_lin_vel_w=speed.expand_as(self._pos),
            body_ang_vel_w=torch.tensor([0.0, 0.0, self.command.turn]).expand_as(self._pos),
        )
        if self.broken:
            self.state.body_pos_w[:] = math.nan
