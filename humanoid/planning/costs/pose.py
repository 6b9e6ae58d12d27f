"""Costs of how the body moves: keyframes, style, symmetry, effort.

As in :mod:`humanoid.planning.costs.steering`, sums over the frames after now of half squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.mirror import reflect_vector, twin_name
from humanoid.core.errors import InputError, MismatchError, nearest
from humanoid.diffusion.trajectory import Layout, Trajectory
from humanoid.spatial.parameters import Parameter, check_number, check_values, rows

VELOCITY_SECONDS = 0.1
"""[s] Time that turns a difference of velocities into one of positions, where poses are compared."""
GRAVITY = 9.81
"""[m/s^2]"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Keyframe:
    """Bring chosen bodies to places of the world at given times.

    ``sum_q sum_b mask_qb |P_b(frame_q) - positions_qb|^2 / 2``; between two frames ``P_b`` is
    interpolated linearly. A key at or before now, or beyond the horizon, costs nothing.
    Gradient: ``P_b - positions``, split between two frames as they were mixed.

    Attributes:
        frames: (Q,) or (B, Q) frames after now, fractions allowed.
        positions_w: (Q, P, 3) or (B, Q, P, 3) [m], world.
        bodies: P names, the root's "root"; None: the root, then all others in their order.
        mask: (Q, P) or (B, Q, P) which of them count, from 0 to 1; None: all.
        name: see :class:`humanoid.planning.costs.steering.Cost`.
    """

    frames: Parameter
    positions_w: Parameter
    bodies: tuple[str, ...] | None = None
    mask: Parameter | None = None
    name: str = "keyframe"

    def __post_init__(self) -> None:
        """Check the numbers."""
        count = -1 if self.bodies is None else len(self.bodies)
        check_values(f"{self.name}.frames", self.frames, (-1,))
        keys = torch.as_tensor(self.frames).shape[-1]
        check_values(f"{self.name}.positions_w", self.positions_w, (keys, count, 3))
        if self.mask is not None:
            points = torch.as_tensor(self.positions_w).shape[-2]
            check_values(f"{self.name}.mask", self.mask, (keys, points))

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2]."""
        points = self._points(trajectory)
        last = points.shape[1] - 1
        frames = rows(f"{self.name}.frames", self.frames, 1, points).expand(points.shape[0], -1)
        wanted = rows(f"{self.name}.positions_w", self.positions_w, 3, points)
        if wanted.shape[2] != points.shape[2]:
            raise InputError(
                f"{self.name}.positions_w: {wanted.shape[2]} bodies given, but there are {points.shape[2]}; "
                "give as many, or name them in bodies"
            )
        at = frames.clamp(0.0, float(last))
        low = at.floor().clamp_max(last - 1.0)
        part = (at - low)[..., None, None]
        index = low.long()[..., None, None].expand(-1, -1, *points.shape[2:])
        place = (1.0 - part) * points.gather(1, index) + part * points.gather(1, index + 1)
        counts = ((frames > 0) & (frames <= last)).to(points).unsqueeze(-1)
        if self.mask is not None:
            counts = counts * rows(f"{self.name}.mask", self.mask, 2, points)
        return 0.5 * (counts.unsqueeze(-1) * (place - wanted).square()).sum((1, 2, 3))

    def _points(self, trajectory: Trajectory) -> Tensor:
        """Return the bodies' places (B, 1 + H, P, 3) [m], the first row now and given."""
        points = trajectory.points_w()
        now = points[:, trajectory.history : trajectory.history + 1].detach()
        points = torch.cat((now, points[:, trajectory.future]), dim=1)
        if self.bodies is None:
            return points
        names = ("root", *trajectory.body_names)
        for body in self.bodies:
            if body not in names:
                raise InputError(f"{self.name}.bodies: no body '{body}'{nearest(body, names)}")
        return points[:, :, [names.index(body) for body in self.bodies]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """Stay close to the poses of a clip, or of all clips with a tag, whatever their order.

    ``sum_i -tau ln sum_r exp(-d_ir / tau)``, a soft minimum over reference poses of
    ``d_ir = |x_i - x_r|^2 / 2``. A pose ``x`` [m] is the root's height, the bodies' positions
    in its heading frame and 0.1 s times their velocities there, relative to the root's:
    neither where it is nor how fast it goes. Up to ``tau ln R`` below the distance to the
    nearest pose, so close to the reference it may be negative. Gradient: ``x_i`` less the
    mean of the reference weighted by ``softmax(-d_i / tau)``.

    Attributes:
        poses: (R, 1 + 6 K) or (B, R, 1 + 6 K) [m], from :meth:`of`.
        bodies: their K names.
        temperature: ``tau`` [m^2]; neighbouring frames of a walk at 25 Hz are about 0.02 apart.
        name: see :class:`humanoid.planning.costs.steering.Cost`.
    """

    poses: Tensor
    bodies: tuple[str, ...]
    temperature: float = 0.03
    name: str = "style"

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_values(f"{self.name}.poses", self.poses, (-1, 1 + 6 * len(self.bodies)))
        check_number(f"{self.name}.temperature", self.temperature, 0.0)

    @classmethod
    def of(cls, layout: Layout, features: Tensor, *, temperature: float = 0.03, name: str = "style") -> Style:
        """Return the style of frames of motion; of ``layout.mirrored(features)`` the mirrored one.

        Args:
            layout: where numbers stand.
            features: (R, S) or (B, R, S) world features.
            temperature: see the attribute.
            name: see the attribute.
        """
        check_values(f"{name}.features", features, (-1, layout.width))
        parts = (features[..., 2:3], features[..., layout.body_pos])
        velocities = VELOCITY_SECONDS * features[..., layout.body_vel]
        return cls(
            poses=torch.cat((*parts, velocities), dim=-1),
            bodies=layout.bodies,
            temperature=temperature,
            name=name,
        )

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2]."""
        if trajectory.body_names != self.bodies:
            raise MismatchError(
                f"{self.name}: poses of the bodies {', '.join(self.bodies)}, but the plans have "
                f"{', '.join(trajectory.body_names)}; make it with the layout of the model"
            )
        poses = _local_poses(trajectory)
        return _soft_nearest(poses, rows(f"{self.name}.poses", self.poses, 2, poses), self.temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class Symmetry:
    """Move alike on both sides: each pose of the plan has its mirror image somewhere in the plan.

    ``sum_i -tau ln sum_j exp(-|x_i - M x_j|^2 / (2 tau))`` with the poses of :class:`Style`
    and their sagittal reflection M. In a symmetric gait that image is half a cycle away,
    which a horizon of one cycle holds, whatever the cadence; standing must be symmetric itself.
    To follow a given clip mirrored, use ``Style.of(layout, layout.mirrored(features))``.

    Attributes:
        temperature: ``tau`` [m^2].
        name: see :class:`humanoid.planning.costs.steering.Cost`.
    """

    temperature: float = 0.03
    name: str = "mirror"

    def __post_init__(self) -> None:
        """Check the temperature."""
        check_number(f"{self.name}.temperature", self.temperature, 0.0)

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) [m^2]."""
        poses = _local_poses(trajectory)
        return _soft_nearest(poses, _mirrored(poses, trajectory.body_names), self.temperature)


@dataclass(frozen=True, kw_only=True, eq=False)
class Effort:
    """Move without jerks and haste: accelerations of the root and bodies.

    ``sum_i mean_b |(V_b,i+1 - V_b,i) / (dt g)|^2 / 2``. A plan holds motion, no torques: this is
    what it can know of effort. Standing and coasting are free, however tiring they are.

    Attributes:
        name: see :class:`humanoid.planning.costs.steering.Cost`.
    """

    name: str = "effort"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return costs (B,) in squares of the acceleration of gravity."""
        future = trajectory.future
        velocities = torch.cat(
            (trajectory.root_lin_vel_w[:, future].unsqueeze(2), trajectory.body_lin_vel_w[:, future]), dim=2
        )
        acceleration = velocities.diff(dim=1) / (trajectory.dt * GRAVITY)
        return 0.5 * acceleration.square().sum(-1).mean(-1).sum(1)


def _local_poses(trajectory: Trajectory) -> Tensor:
    """Return the poses (B, H, 1 + 6 K) [m] after now that :class:`Style` compares."""
    future = trajectory.future
    root, yaw = trajectory.root_pos_w[:, future], trajectory.yaw[:, future]
    pos = trajectory.body_pos_w[:, future] - root.unsqueeze(2)
    vel = trajectory.body_lin_vel_w[:, future] - trajectory.root_lin_vel_w[:, future].unsqueeze(2)
    cos, sin = yaw.cos()[..., None, None], yaw.sin()[..., None, None]
    both = torch.cat((pos, VELOCITY_SECONDS * vel), dim=2)
    x, y, z = both.split(1, dim=-1)
    turned = torch.cat((cos * x + sin * y, cos * y - sin * x, z), dim=-1)
    return torch.cat((root[..., 2:], turned.flatten(2)), dim=-1)


def _mirrored(poses: Tensor, names: tuple[str, ...]) -> Tensor:
    """Return the sagittal mirror images of poses (B, H, 1 + 6 K)."""
    twins = [names.index(twin_name(name, names)) for name in names]
    both = poses[..., 1:].unflatten(-1, (2, len(names), 3))
    return torch.cat((poses[..., :1], reflect_vector(both[..., twins, :]).flatten(-3)), dim=-1)


def _soft_nearest(poses: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return sums (B,) over H of soft minima over R of half squared distances.

    Args:
        poses: (B, H, F) [m].
        others: (B or 1, R, F) [m].
        temperature: [m^2].
    """
    squares = poses.square().sum(-1).unsqueeze(-1) + others.square().sum(-1).unsqueeze(-2)
    distance = 0.5 * squares - poses @ others.transpose(-1, -2)
    return -temperature * (-distance / temperature).logsumexp(-1).sum(-1)
