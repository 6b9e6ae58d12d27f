"""Batched forward kinematics and surface points of an embodiment, in torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.spatial import rotation as rot


class Kinematics:
    """Forward kinematics of one embodiment on one device."""

    def __init__(
        self, body: Embodiment, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        """Copy the tree of ``body`` to ``device``."""
        self.body = body
        options = {"device": device, "dtype": dtype}
        self._pos = torch.tensor(body.body_pos, **options)
        self._quat = torch.tensor(body.body_quat, **options)
        self._axis = torch.tensor(body.joint_axis, **options)
        self._joints: list[list[int]] = [[] for _ in body.body_names]
        for joint, owner in enumerate(body.joint_body):
            self._joints[owner].append(joint)
        owner, points, radius = body.surface_points
        self._point_body = torch.tensor(owner, device=device)
        self._point_pos = torch.tensor(points, **options)
        self._point_radius = torch.tensor(radius, **options)

    def poses(self, root_pos_w: Tensor, root_quat_w: Tensor, joint_pos: Tensor) -> tuple[Tensor, Tensor]:
        """Return the world poses of all bodies.

        Args:
            root_pos_w: (..., 3) [m], world.
            root_quat_w: (..., 4), world.
            joint_pos: (..., D) [rad].

        Returns:
            Positions (..., N, 3) [m] and rotations (..., N, 4), world.
        """
        pos, quat = [root_pos_w], [root_quat_w]
        for index, parent in enumerate(self.body.parents[1:], start=1):
            pos.append(pos[parent] + rot.rotate(quat[parent], self._pos[index]))
            turn = rot.mul(quat[parent], self._quat[index].expand_as(quat[parent]))
            for joint in self._joints[index]:
                turn = rot.mul(turn, rot.about_axis(self._axis[joint], joint_pos[..., joint]))
            quat.append(turn)
        return torch.stack(pos, dim=-2), torch.stack(quat, dim=-2)

    def at_rest(self, joint_pos: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return poses (N, 3) [m] and (N, 4) at joint angles (D,) [rad], root at the origin, unrotated."""
        zero = self._pos.new_zeros(3)
        unit = self._pos.new_tensor((1.0, 0.0, 0.0, 0.0))
        return self.poses(zero, unit, torch.as_tensor(joint_pos).to(zero))

    def state(
        self,
        root_pos_w: Tensor,
        root_quat_w: Tensor,
        joint_pos: Tensor,
        root_lin_vel_w: Tensor,
        root_ang_vel_w: Tensor,
        joint_vel: Tensor,
    ) -> BodyState:
        """Return the full state: poses and, by the chain rule along the tree, twists.

        Args:
            root_pos_w: (..., 3) [m], world.
            root_quat_w: (..., 4), world.
            joint_pos: (..., D) [rad].
            root_lin_vel_w: (..., 3) [m/s], world.
            root_ang_vel_w: (..., 3) [rad/s], world.
            joint_vel: (..., D) [rad/s].
        """
        pos, quat = [root_pos_w], [root_quat_w]
        lin, ang = [root_lin_vel_w], [root_ang_vel_w]
        for index, parent in enumerate(self.body.parents[1:], start=1):
            arm = rot.rotate(quat[parent], self._pos[index])
            pos.append(pos[parent] + arm)
            lin.append(lin[parent] + torch.linalg.cross(ang[parent], arm))
            turn = rot.mul(quat[parent], self._quat[index].expand_as(quat[parent]))
            spin = ang[parent]
            for joint in self._joints[index]:
                spin = spin + rot.rotate(turn, self._axis[joint]) * joint_vel[..., joint, None]
                turn = rot.mul(turn, rot.about_axis(self._axis[joint], joint_pos[..., joint]))
            quat.append(turn)
            ang.append(spin)
        return BodyState(
            joint_pos, joint_vel, *(torch.stack(parts, dim=-2) for parts in (pos, quat, lin, ang))
        )

    def standing(self, place: Tensor | None = None, yaw: float = 0.0) -> BodyState:
        """Return the default pose on the floor, at rest, without leading axes.

        Args:
            place: (2,) [m], world; the origin by default.
            yaw: [rad] of the root.
        """
        zero = self._pos.new_zeros(3)
        joints = torch.as_tensor(self.body.default_joint_pos).to(zero)
        turn = rot.about_axis(zero.new_tensor((0.0, 0.0, 1.0)), zero.new_tensor(yaw))
        height = -self.clearance(*self.poses(zero, turn, joints)).min()
        root = torch.cat((zero[:2] if place is None else place.to(zero), height[None]))
        return self.state(root, turn, joints, zero, zero, torch.zeros_like(joints))

    def clearance(self, body_pos_w: Tensor, body_quat_w: Tensor) -> Tensor:
        """Return the height (..., N) [m] of each body's lowest point above z = 0.

        Args:
            body_pos_w: (..., N, 3) [m], world.
            body_quat_w: (..., N, 4), world.
        """
        index = self._point_body
        arm = rot.rotate(body_quat_w[..., index, :], self._point_pos)
        height = body_pos_w[..., index, 2] + arm[..., 2] - self._point_radius
        lowest = height.new_full((*height.shape[:-1], self.body.num_bodies), torch.inf)
        return lowest.scatter_reduce(-1, index.expand_as(height), height, "amin")


GIMBAL_LOCK = 1e-4
"""Cosine of the middle Euler angle below which the first one is not observable in float32."""


def euler_angles(q: Tensor, axes: Sequence[int], near: Tensor | None = None) -> Tensor:
    """Decompose rotations into three successive rotations about body axes.

    ``q = R_axes[0](t0) R_axes[1](t1) R_axes[2](t2)`` with three different axes,
    as three MuJoCo hinges in that order do.

    Args:
        q: (..., 4).
        axes: a permutation of (0, 1, 2).
        near: (..., 3) [rad]; of the two solutions, return the one (with whole
            turns added) closest to these angles. Default: middle angle in [-pi/2, pi/2].

    Returns:
        Angles (..., 3) [rad].
    """
    i, j, k = axes
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    m = rot.to_matrix(q)
    cosine = torch.hypot(m[..., j, k], m[..., k, k])
    middle = torch.atan2(sign * m[..., i, k], cosine)
    # gimbal lock: only the sum of first and last is observable, so the first is kept
    kept = torch.zeros_like(middle) if near is None else near[..., 0].expand_as(middle)
    first = torch.where(cosine < GIMBAL_LOCK, kept, torch.atan2(-sign * m[..., j, k], m[..., k, k]))
    c, s = first.cos(), sign * first.sin()
    last = torch.atan2(sign * (c * m[..., j, i] + s * m[..., k, i]), c * m[..., j, j] + s * m[..., k, j])
    angles = torch.stack((first, middle, last), dim=-1)
    if near is None:
        return angles
    pi = torch.pi
    other = torch.stack((first + pi, pi - middle, last + pi), dim=-1)
    options = torch.stack((angles, other), dim=-2)
    options = options + 2 * pi * ((near.unsqueeze(-2) - options) / (2 * pi)).round()
    best = (options - near.unsqueeze(-2)).square().sum(-1).argmin(-1)
    return options.gather(-2, best[..., None, None].expand(*best.shape, 1, 3)).squeeze(-2)
