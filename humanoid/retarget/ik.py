"""Inverse kinematics of all frames at once: Levenberg-Marquardt on the hinge tree.

Every frame has position targets of landmarks, rotation targets of segments, contacts of
standing feet, self-collisions, the floor and the ranges of hinges. One more term couples
frames, the distance to smoothed joint angles, which are recomputed between rounds of steps:
descent on the angles and on the smooth angles in turn, so that a step is solved frame by frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.retarget.anatomy import of_body
from humanoid.retarget.margin import Margin
from humanoid.retarget.tree import HingeTree, Poses, apply, length, matmul
from humanoid.spatial import rotation as rot

BLOCKED = 1e4
"""Armature of a hinge at its limit that is driven against it."""


@dataclass(frozen=True, kw_only=True)
class IkCfg:
    """Weights of the IK targets, of squared metres unless noted, and steps."""

    rounds: tuple[int, ...] = (6, 3, 3, 3)
    """Steps between two smoothings."""
    position: dict[str, float] = field(
        default_factory=lambda: {
            "Pelvis": 2.0, "Hip": 1.0, "Knee": 1.0, "Ankle": 4.0, "Toe": 1.0,
            "Shoulder": 2.0, "Elbow": 1.0, "Wrist": 3.0, "Head": 1.0,
        }
    )  # fmt: skip
    """Position weight of each landmark; others have none."""
    rotation: dict[str, float] = field(
        default_factory=lambda: {
            "Pelvis": 0.2, "Chest": 0.1, "Head": 0.02, "Hip": 0.01, "Knee": 0.002,
            "Ankle": 0.05, "Shoulder": 0.003, "Elbow": 0.002, "Wrist": 0.005, "Torso": 0.01,
        }
    )  # fmt: skip
    """Rotation weight of each segment, per squared radian."""
    contact: float = 100.0
    """Contact weight: a standing foot stays in its place."""
    floor: float = 100.0
    """Weight of the depth under the floor."""
    self_collision: float = 20.0
    """Weight of the depth of self-collisions."""
    margin: float = 0.0
    """[m] Distance of body parts from which they collide."""
    smoothness: float = 0.05
    """Weight of the distance to the smoothed joint angles, per squared radian."""
    smooth_frames: float = 2.0
    """Standard deviation [frames] of the smoothing."""
    damping: float = 1e-4
    """Levenberg-Marquardt damping, per squared radian."""
    longest_step: float = 0.6
    """[rad] A step of a hinge beyond this is cut."""
    chunk: int = 2048
    """Frames that are worked on together: bounds the memory."""


@dataclass
class IkTrajectory:
    """Root (3, T) [m] and (3, 3, T), hinges (D, T) [rad] in node order; T frames last."""

    root_pos: Tensor
    root_rot: Tensor
    angles: Tensor

    def part(self, frames: slice) -> IkTrajectory:
        """Return some frames, contiguous."""
        return IkTrajectory(*(x[..., frames].contiguous() for x in vars(self).values()))


@dataclass
class IkTargets:
    """Targets of every frame, T frames last.

    Attributes:
        pos: (K, 3, T) [m] targets of the landmarks, world.
        rot: (M, 3, 3, T) wanted rotations of the turned bodies, world.
        contact: (C, T) 1 where a contact point stands, 0 elsewhere.
    """

    pos: Tensor
    rot: Tensor
    contact: Tensor

    def part(self, frames: slice) -> IkTargets:
        """Return some frames, contiguous."""
        return IkTargets(*(x[..., frames].contiguous() for x in vars(self).values()))


class Ik:
    """Inverse kinematics of one body: its hinges, targets and weights."""

    def __init__(
        self,
        body: Embodiment,
        landmarks: tuple[str, ...],
        carriers: Mapping[str, str],
        contacts: tuple[str, ...],
        cfg: IkCfg,
        device: str | torch.device = "cpu",
    ) -> None:
        """Copy constants to ``device``.

        Args:
            body: the embodiment.
            landmarks: K landmarks that have targets.
            carriers: M segments that have rotations -> the bodies that carry them.
            contacts: C of the landmarks that may stand.
            cfg: weights and steps.
            device: where to compute.
        """
        self.body, self.cfg = body, cfg
        options = {"device": device, "dtype": torch.float32}
        self.tree = HingeTree(body, device, torch.float32)
        tree = self.tree
        limits = torch.tensor(body.joint_range, **options)[tree.joint]
        self._low, self._high = limits[:, :1], limits[:, 1:]

        self._point_node, self._point_at = self._places(
            [body.body_id(body.landmarks[n].body) for n in landmarks],
            np.array([body.landmarks[n].offset for n in landmarks]),
        )
        self._point_weight = torch.tensor([_weight(cfg.position, n) for n in landmarks], **options)
        self._contact_point = torch.tensor([landmarks.index(n) for n in contacts], device=device)

        turned = body.body_ids(list(carriers.values()))
        self._turn_node, self._turn_rot = tree.owner[turned], tree.body_rot[turned][..., None]
        self._turn_weight = torch.tensor([_weight(cfg.rotation, n) for n in carriers], **options)[:, None]

        owner, points, radius = body.surface_points
        self._skin_node, self._skin_at = self._places(owner.tolist(), points)
        self._skin_radius = torch.tensor(radius, **options)[:, None]
        self._margin = Margin(body)
        self._ball_node, self._ball_at = self._places(self._margin.owner.tolist(), self._margin.at.numpy())
        self._patches = [torch.tensor(p, device=device) for p in _patches(body, contacts)]
        pairs = {"Ankle": "Toe", "Toe": "Ankle"}
        others = (f"{n[:2]}{pairs[n[2:]]}" for n in contacts)
        self._others = [contacts.index(o) if o in contacts else c for c, o in enumerate(others)]

    def solve(self, start: IkTrajectory, targets: IkTargets, starts: Tensor) -> IkTrajectory:
        """Return the trajectory after all rounds.

        Args:
            start: where to begin.
            targets: targets of the frames.
            starts: (N,) first frame of each clip; smoothing stops there.
        """
        cfg, frames = self.cfg, start.angles.shape[-1]
        at = IkTrajectory(start.root_pos, start.root_rot, self._inside(start.angles))
        chunks = [slice(first, first + cfg.chunk) for first in range(0, frames, cfg.chunk)]
        for turn, steps in enumerate(cfg.rounds):
            smooth = self._inside(smoothed(at.angles, starts, cfg.smooth_frames))
            parts = [
                self._round(at.part(some), targets.part(some), smooth[:, some], steps, turn > 0)
                for some in chunks
            ]
            columns = zip(*(vars(part).values() for part in parts), strict=True)
            at = IkTrajectory(*(torch.cat(column, -1) for column in columns))
        return at

    def residual(self, trajectory: IkTrajectory, targets: IkTargets) -> Tensor:
        """Return the distance (K, T) [m] of each landmark from its target."""
        poses = self.tree.poses(trajectory.root_rot, trajectory.angles)
        return length(targets.pos - self._at(poses, self._point_node, self._point_at) - trajectory.root_pos)

    def _round(
        self, at: IkTrajectory, targets: IkTargets, smooth: Tensor, steps: int, collide: bool
    ) -> IkTrajectory:
        cfg, tree = self.cfg, self.tree
        blocked, pushed = torch.zeros_like(at.angles, dtype=torch.bool), None
        poses = tree.poses(at.root_rot, at.angles)
        near = self._margin.near(self._at(poses, self._ball_node, self._ball_at))
        for _ in range(steps):
            poses = tree.poses(at.root_rot, at.angles)
            inertia = at.angles.new_zeros(tree.num_nodes, 6, 6, at.angles.shape[-1])
            force = torch.zeros_like(poses.axis)
            self._add_position_targets(poses, at.root_pos, targets, inertia, force)
            self._add_rotation_targets(poses, targets, inertia, force)
            if collide:  # only when the pose is about right: the most expensive term
                self._add_self_collisions(poses, near, inertia, force)
            skin = self._at(poses, self._skin_node, self._skin_at)
            height = skin[:, 2] + at.root_pos[2] - self._skin_radius
            under = height < 0 if pushed is None else pushed
            floor = torch.where(under, cfg.floor, 0.0)
            _add_heights(inertia, force, self._skin_node, skin, -height, floor)
            self._add_contacts(poses, skin, height, targets, inertia, force)
            armature = cfg.damping + cfg.smoothness + torch.where(blocked, BLOCKED, 0.0)
            damping = torch.full_like(force[0], cfg.damping)
            motion, turns = tree.step(
                poses, inertia, force, armature, cfg.smoothness * (smooth - at.angles), damping
            )
            # The heights that the step predicts decide the next contacts: a point that was lifted
            # just over the floor would be let go and fall back by all its way otherwise.
            pushed = height + _rise(motion[self._skin_node], skin) < 0
            wanted = at.angles + turns.clamp(-cfg.longest_step, cfg.longest_step)
            at.angles = self._inside(wanted)
            outwards = torch.where(
                at.angles <= self._low, turns < 0, torch.logical_and(at.angles >= self._high, turns > 0)
            )
            blocked = torch.where(blocked, outwards, wanted != at.angles)
            at.root_pos = at.root_pos + motion[0, 3:]
            at.root_rot = matmul(_exp(motion[0, :3].clamp(-1, 1)), at.root_rot)
        return at

    def _add_position_targets(
        self, poses: Poses, root: Tensor, targets: IkTargets, inertia: Tensor, force: Tensor
    ) -> None:
        """Add position targets; those of standing points weigh more along the floor."""
        x = self._at(poses, self._point_node, self._point_at)
        r = targets.pos - root - x
        weight = self._point_weight[:, None, None].expand_as(r).clone()
        weight[self._contact_point, :2] += self.cfg.contact * targets.contact[:, None]
        _add_points(inertia, force, self._point_node, x, r, weight)

    def _add_rotation_targets(self, poses: Poses, targets: IkTargets, inertia: Tensor, force: Tensor) -> None:
        """Add rotation targets; the residual is a rotation vector."""
        have = matmul(poses.rot[self._turn_node], self._turn_rot)
        left = _log(matmul(targets.rot, have.transpose(1, 2)))
        spread = self._turn_weight.expand(-1, left.shape[-1])
        for axis in range(3):
            inertia[:, axis, axis].index_add_(0, self._turn_node, spread)
        force[:, :3].index_add_(0, self._turn_node, self._turn_weight[:, None] * left)

    def _add_self_collisions(self, poses: Poses, near: Tensor, inertia: Tensor, force: Tensor) -> None:
        """Add self-collisions: the two balls of a pair part, each by half of the depth."""
        center = self._at(poses, self._ball_node, self._ball_at)
        missing, away = self._margin.missing(center, near, self.cfg.margin)
        met = (missing > 0).any(1)
        missing, away, near = missing[met], away[met], near[met]
        weight = torch.where(missing > 0, self.cfg.self_collision, 0.0)
        for side, sign in ((0, 1.0), (1, -1.0)):
            node = self._ball_node[near[:, side]]
            row = torch.cat((torch.linalg.cross(center[near[:, side]], away, dim=1), away), 1)
            inertia.index_add_(0, node, (weight[:, None] * row)[:, :, None] * row[:, None])
            force.index_add_(0, node, (0.5 * sign * weight * missing)[:, None] * row)

    def _add_contacts(
        self, poses: Poses, skin: Tensor, height: Tensor, targets: IkTargets, inertia: Tensor, force: Tensor
    ) -> None:
        """Add contacts: the lowest point of each standing heel and toe moves to the floor.

        Where heel and toe stand both, they are drawn down where they touch, which levels the
        foot; one alone is drawn down as a whole: it must not be turned to get there.
        """
        place = self._at(poses, self._point_node[self._contact_point], self._point_at[self._contact_point])
        for row, (patch, other) in enumerate(zip(self._patches, self._others, strict=True)):
            if not len(patch):
                continue
            lowest = patch[height[patch].argmin(0)]
            gap = height.gather(0, lowest[None])
            touch = skin.gather(0, lowest[None, None].expand(1, 3, -1))
            x = torch.where(targets.contact[other] > 0, touch, place[row][None])
            weight = self.cfg.contact * targets.contact[row][None]
            _add_heights(inertia, force, self._point_node[self._contact_point[row]][None], x, -gap, weight)

    def _places(self, bodies: list[int], offsets: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return node (P,) and place in it (P, 3, 1) of points given in bodies."""
        tree = self.tree
        local = torch.tensor(offsets, device=tree.body_pos.device, dtype=tree.body_pos.dtype)
        at = tree.body_pos[bodies] + (tree.body_rot[bodies] @ local[..., None]).squeeze(-1)
        return tree.owner[bodies], at[..., None]

    def _inside(self, angles: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(angles, self._low), self._high)

    @staticmethod
    def _at(poses: Poses, node: Tensor, at: Tensor) -> Tensor:
        return poses.pos[node] + apply(poses.rot[node], at)


def smoothed(angles: Tensor, starts: Tensor, sigma: float) -> Tensor:
    """Return (D, T) low-passed by a Gaussian of ``sigma`` frames, each clip by itself.

    Clips are continued beyond their ends by point reflection, which keeps ends and slopes.
    """
    if sigma <= 0:
        return angles
    reach = max(1, round(3 * sigma))
    window = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=angles.device) / sigma) ** 2)
    window = (window / window.sum()).to(angles.dtype)[None, None]
    bounds = [*starts.tolist(), angles.shape[-1]]
    parts = []
    for first, stop in pairwise(bounds):
        part = angles[:, first:stop]
        pad = min(reach, part.shape[-1] - 1)
        left = 2 * part[:, :1] - part[:, 1 : pad + 1].flip(-1)
        right = 2 * part[:, -1:] - part[:, -pad - 1 : -1].flip(-1)
        row = torch.cat((left, part, right), -1)[:, None]
        row = functional.pad(row, (reach - pad,) * 2, mode="replicate")
        parts.append(functional.conv1d(row, window)[:, 0])
    return torch.cat(parts, -1)


def _add_points(inertia: Tensor, force: Tensor, node: Tensor, x: Tensor, r: Tensor, w: Tensor) -> None:
    """Add points at ``x (P, 3, T)`` with residuals ``r`` and weights ``w`` an axis to their nodes."""
    (a, b, c), (u, v, q) = x.unbind(1), w.unbind(1)
    rows = torch.empty(len(node), 6, 6, x.shape[-1], device=x.device, dtype=x.dtype)
    rows[:, 0, 0] = v * c * c + q * b * b
    rows[:, 1, 1] = u * c * c + q * a * a
    rows[:, 2, 2] = u * b * b + v * a * a
    rows[:, 0, 1] = rows[:, 1, 0] = -q * a * b
    rows[:, 0, 2] = rows[:, 2, 0] = -v * a * c
    rows[:, 1, 2] = rows[:, 2, 1] = -u * b * c
    rows[:, 3:, 3:] = torch.diag_embed(w.transpose(1, 2)).permute(0, 2, 3, 1)
    zero = torch.zeros_like(a)
    cross = torch.stack((zero, -v * c, q * b, u * c, zero, -q * a, -u * b, v * a, zero), 1)
    cross = cross.unflatten(1, (3, 3))
    rows[:, :3, 3:], rows[:, 3:, :3] = cross, cross.transpose(1, 2)
    inertia.index_add_(0, node, rows)
    pulled = w * r
    force.index_add_(0, node, torch.cat((torch.linalg.cross(x, pulled, dim=1), pulled), 1))


def _add_heights(inertia: Tensor, force: Tensor, node: Tensor, x: Tensor, r: Tensor, w: Tensor) -> None:
    """Add points at ``x (P, 3, T)`` that are to rise by ``r (P, T)`` with weights ``w`` to their nodes."""
    east, north, pushed = x[:, 0], x[:, 1], w * r
    for row, column, value in (
        (0, 0, w * north * north), (0, 1, -w * north * east), (1, 1, w * east * east),
        (0, 5, w * north), (1, 5, -w * east), (5, 5, w),
    ):  # fmt: skip
        inertia[:, row, column].index_add_(0, node, value)
        if row != column:
            inertia[:, column, row].index_add_(0, node, value)
    for row, value in ((0, north * pushed), (1, -east * pushed), (5, pushed)):
        force[:, row].index_add_(0, node, value)


def _rise(twist: Tensor, x: Tensor) -> Tensor:
    """Return by how much points ``x (P, 3, T)`` rise (P, T) [m] under twists (P, 6, T)."""
    return twist[:, 5] + twist[:, 0] * x[:, 1] - twist[:, 1] * x[:, 0]


def _log(m: Tensor) -> Tensor:
    """Return rotation vectors (n, 3, T) [rad] of matrices (n, 3, 3, T), finite also at half a turn."""
    twice = torch.stack((m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]), 1)
    sine = 0.5 * length(twice)[:, None]
    cosine = 0.5 * (m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2] - 1)[:, None]
    angle = torch.atan2(sine, cosine)
    return 0.5 * twice * torch.where(sine > 1e-4, angle / sine.clamp_min(1e-4), 1.0)


def _exp(v: Tensor) -> Tensor:
    """Return rotation matrices (3, 3, T) of rotation vectors (3, T) [rad]."""
    angle = v.norm(dim=0).clamp_min(1e-9)
    x, y, z = v / angle
    s, c = angle.sin(), 1 - angle.cos()
    rows = (
        (1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y),
        (c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x),
        (c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row) for row in rows])


def _weight(table: dict[str, float], landmark: str) -> float:
    return table.get(landmark.rpartition("_")[2], 0.0)


def _patches(body: Embodiment, contacts: tuple[str, ...]) -> list[list[int]]:
    """Return for each contact point the surface points of that foot which are nearest to it in the T-pose."""
    pos, quat = Kinematics(body).at_rest(body.t_pose)
    owner, points, _ = body.surface_points
    place = pos[owner] + rot.rotate(quat[owner], torch.tensor(points, dtype=torch.float32))
    spots = torch.stack([of_body(body).pos[name][0] for name in contacts])
    nearest = torch.cdist(place[:, :2], spots[:, :2]).argmin(-1)
    carriers = body.body_ids([body.landmarks[name].body for name in contacts])
    return [np.flatnonzero((owner == at) & (nearest.numpy() == c)).tolist() for c, at in enumerate(carriers)]
