"""A simulator of a few torch operations, so that what the environment adds can be counted and timed."""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies import BodyState, ContactState
from humanoid.motion import MotionLibrary
from humanoid.sim import PhysicsChange


class DriftingSimulator:
    """Joints go a third of the way to their targets, bodies drift with noise, nothing waits for a device."""

    def __init__(self, library: MotionLibrary, num_envs: int, noise: float = 0.5) -> None:
        """Put every environment on the first frame; ``noise`` [m/s, rad/s] is what a step adds."""
        self.body, self.num_envs, self.noise = library.body, num_envs, noise
        self.dt, self.device = 1.0 / library.fps, library.device
        self._generator = torch.Generator(device=self.device).manual_seed(0)
        self._state = library.rows(torch.zeros(num_envs, dtype=torch.long, device=self.device))
        self._targets = self._state.joint_pos
        self._around = self._state.body_pos_w - self._state.root_pos_w.unsqueeze(1)
        self._upright = self._state.body_quat_w

    def state(self) -> BodyState:
        """Return the state; nothing writes to its tensors."""
        return self._state

    def contacts(self) -> ContactState:
        """Return no contact."""
        return ContactState(torch.zeros_like(self._state.body_pos_w))

    def set_targets(self, joint_pos: Tensor) -> None:
        """Keep the targets."""
        self._targets = joint_pos

    def step(self) -> None:
        """Move joints towards their targets and bodies along their velocities."""
        old = self._state
        change = (self._targets - old.joint_pos) / 3.0
        shape = old.body_lin_vel_w.shape
        kick = self.noise * torch.randn(shape, generator=self._generator, device=self.device)
        self._state = BodyState(
            joint_pos=old.joint_pos + change,
            joint_vel=change / self.dt,
            body_pos_w=old.body_pos_w + old.body_lin_vel_w * self.dt,
            body_quat_w=old.body_quat_w,
            body_lin_vel_w=0.9 * old.body_lin_vel_w + kick,
            body_ang_vel_w=0.9 * old.body_ang_vel_w + kick,
        )

    def reset(self, mask: Tensor, state: BodyState) -> None:
        """Put the masked environments' roots where ``state`` has them, bodies as in the first frame."""
        old, rows = self._state, mask[:, None, None]

        def put(new: Tensor, now: Tensor) -> Tensor:
            return torch.where(rows, new.expand_as(now), now)

        self._state = BodyState(
            joint_pos=torch.where(mask[:, None], state.joint_pos, old.joint_pos),
            joint_vel=torch.where(mask[:, None], state.joint_vel, old.joint_vel),
            body_pos_w=put(state.body_pos_w[:, :1] + self._around, old.body_pos_w),
            body_quat_w=put(self._upright, old.body_quat_w),
            body_lin_vel_w=put(state.body_lin_vel_w[:, :1], old.body_lin_vel_w),
            body_ang_vel_w=put(state.body_ang_vel_w[:, :1], old.body_ang_vel_w),
        )

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor) -> None:
        """Add to the twist of all bodies."""
        old = self._state
        self._state = BodyState(
            old.joint_pos,
            old.joint_vel,
            old.body_pos_w,
            old.body_quat_w,
            old.body_lin_vel_w + lin_vel_w.unsqueeze(1),
            old.body_ang_vel_w + ang_vel_w.unsqueeze(1),
        )

    def randomize(self, change: PhysicsChange) -> None:
        """Nothing to change."""

    def self_collision_pairs(self) -> set[frozenset[str]]:
        """Return no pair."""
        return set()

    def close(self) -> None:
        """Nothing is held."""
