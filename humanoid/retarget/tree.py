"""An embodiment as a tree of single hinges, and Gauss-Newton steps on it in O(joints).

The Gauss-Newton matrix ``J^T W J`` of landmark targets is the joint-space inertia matrix of a body whose
masses are the weights, and ``J^T W r`` the joint forces of one force, weight times residual, on each
landmark. A step is the forward dynamics of that body, solved from the leaves to the root and back by
Featherstone's articulated-body algorithm ("Rigid Body Dynamics Algorithms", 2008, ch. 7). Damping, limits
and a pull to a posture are the armature of a joint.

Frames are the last axis of every tensor, so that arithmetic runs along contiguous memory; hinges at the
same depth are solved together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.spatial import rotation


@dataclass(frozen=True)
class Poses:
    """Where the nodes are, n nodes and T frames.

    Attributes:
        rot: (n, 3, 3, T) rotation matrices, world.
        pos: (n, 3, T) [m], world axes, relative to the root.
        axis: (n, 6, T) twist of each hinge (angular; linear at the root's origin); the root's row is 0.
    """

    rot: Tensor
    pos: Tensor
    axis: Tensor


@dataclass(frozen=True)
class _Level:
    """Nodes of one depth: a slice of the order, their parents, and their constants."""

    nodes: slice
    parent: Tensor
    pos: Tensor
    """(L, 3, 1) origin in the parent node's frame."""
    turn: tuple[Tensor, Tensor, Tensor]
    """(L, 3, 3, 1) each: rotation in the parent = turn0 + sin turn1 + (1 - cos) turn2."""
    axis: Tensor
    """(L, 3, 1) in the node's own frame."""


class HingeTree:
    """The hinges of an embodiment ordered by depth; node 0 is the root, node i > 0 a hinge.

    Attributes:
        num_nodes: 1 + D.
        joint: (D,) joint of the embodiment that each node after the root is.
        owner: (N,) node that carries each body.
        body_rot: (N, 3, 3) rotation and ``body_pos`` (N, 3) [m] origin of each body in its node.
    """

    def __init__(self, body: Embodiment, device: str | torch.device, dtype: torch.dtype) -> None:
        """Order the hinges of ``body`` and copy their constants to ``device``."""
        parents, depths, places, axes = _hinges(body)
        order = np.argsort(depths, kind="stable")  # node -> hinge in body order
        rank = np.empty(len(order) + 1, dtype=np.int64)
        rank[0], rank[1 + order] = 0, 1 + np.arange(len(order))
        options = {"device": device, "dtype": dtype}
        self.num_nodes = 1 + len(order)
        self.joint = torch.tensor(order, device=device)
        owner, turn, pos = _carriers(body)
        self.owner = torch.tensor(rank[owner], device=device)
        self.body_rot, self.body_pos = torch.tensor(turn, **options), torch.tensor(pos, **options)
        self._levels: list[_Level] = []
        first = 1
        for depth in range(1, int(depths.max(initial=0)) + 1):
            hinges = [int(h) for h in order if depths[h] == depth]
            fixed, cross = (
                np.stack([places[h][0] for h in hinges]),
                np.stack([_cross(axes[h]) for h in hinges]),
            )
            turns = (fixed, fixed @ cross, fixed @ cross @ cross)
            self._levels.append(
                _Level(
                    nodes=slice(first, first + len(hinges)),
                    parent=torch.tensor([rank[parents[h]] for h in hinges], device=device),
                    pos=torch.tensor(np.stack([places[h][1] for h in hinges]), **options)[..., None],
                    turn=tuple(torch.tensor(t, **options)[..., None] for t in turns),  # type: ignore[arg-type]
                    axis=torch.tensor(np.stack([axes[h] for h in hinges]), **options)[..., None],
                )
            )
            first += len(hinges)

    def poses(self, root_rot: Tensor, angles: Tensor) -> Poses:
        """Return the poses of all nodes.

        Args:
            root_rot: (3, 3, T) rotation of the root, world.
            angles: (D, T) [rad] in the order of the nodes.
        """
        frames = angles.shape[-1]
        rot = angles.new_empty(self.num_nodes, 3, 3, frames)
        pos = angles.new_zeros(self.num_nodes, 3, frames)
        axis = angles.new_zeros(self.num_nodes, 6, frames)
        rot[0] = root_rot
        sine, versine = angles.sin(), 1 - angles.cos()
        for level in self._levels:
            here = slice(level.nodes.start - 1, level.nodes.stop - 1)
            a, b, c = level.turn
            local = a + sine[here, None, None] * b + versine[here, None, None] * c
            up = rot[level.parent]
            rot[level.nodes] = matmul(up, local)
            pos[level.nodes] = pos[level.parent] + apply(up, level.pos)
            axis[level.nodes, :3] = apply(rot[level.nodes], level.axis)
        axis[:, 3:] = torch.linalg.cross(pos, axis[:, :3], dim=1)
        return Poses(rot, pos, axis)

    def step(
        self,
        poses: Poses,
        inertia: Tensor,
        force: Tensor,
        armature: Tensor,
        torque: Tensor,
        root_damping: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Solve ``(J^T W J + armature) x = J^T W r + torque`` for every frame.

        Args:
            poses: where the nodes are.
            inertia: (n, 6, 6, T) weights of what each node carries; overwritten.
            force: (n, 6, T) moment about the root's origin and force; overwritten.
            armature: (D, T) added to the diagonal, in the order of the nodes.
            torque: (D, T) added to the right-hand side.
            root_damping: (6, T) added to the diagonal of the root.

        Returns:
            Twists (n, 6, T) of all nodes, the root's first, and steps (D, T) of the hinges.
        """
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for level in reversed(self._levels):
            here = slice(level.nodes.start - 1, level.nodes.stop - 1)
            axis, below = poses.axis[level.nodes], inertia[level.nodes]
            pull = (below * axis[:, None]).sum(2)
            lean = 1 / ((axis * pull).sum(1) + armature[here])
            drive = torque[here] + (axis * force[level.nodes]).sum(1)
            scaled = pull * lean[:, None]
            below = below - pull[:, :, None] * scaled[:, None]
            inertia.index_add_(0, level.parent, below)
            force.index_add_(0, level.parent, force[level.nodes] - scaled * drive[:, None])
            kept.append((scaled, lean, drive))
        matrix = inertia[0].permute(2, 0, 1) + torch.diag_embed(root_damping.T)
        motion = torch.empty_like(poses.axis)
        motion[0] = torch.linalg.solve_ex(matrix, force[0].T.contiguous())[0].T
        steps = torch.empty_like(torque)
        for level, (scaled, lean, drive) in zip(self._levels, reversed(kept), strict=True):
            above = motion[level.parent]
            turn = lean * drive - (scaled * above).sum(1)
            steps[level.nodes.start - 1 : level.nodes.stop - 1] = turn
            motion[level.nodes] = above + poses.axis[level.nodes] * turn[:, None]
        return motion, steps


def subtree(parents: Sequence[int], root: int) -> list[int]:
    """Return a node and all its descendants; parents come before their children."""
    found = {root}
    for node, parent in enumerate(parents):
        if parent in found:
            found.add(node)
    return sorted(found)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices (..., 3, 3, T) frame by frame."""
    first = a[..., :, 0, None, :] * b[..., None, 0, :, :]
    return (
        first + a[..., :, 1, None, :] * b[..., None, 1, :, :] + a[..., :, 2, None, :] * b[..., None, 2, :, :]
    )


def length(v: Tensor) -> Tensor:
    """Return the lengths (..., T) of vectors (..., 3, T); a norm along a middle axis is many times slower."""
    x, y, z = v.unbind(-2)
    return (x * x + y * y + z * z).sqrt()


def apply(a: Tensor, v: Tensor) -> Tensor:
    """Multiply matrices (..., 3, 3, T) with vectors (..., 3, T) frame by frame."""
    return (
        a[..., :, 0, :] * v[..., None, 0, :]
        + a[..., :, 1, :] * v[..., None, 1, :]
        + a[..., :, 2, :] * v[..., None, 2, :]
    )


def _hinges(
    body: Embodiment,
) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Return parent (0 root, else 1 + hinge), depth, place in the parent, and axis of each hinge."""
    owner, turn, pos = _carriers(body, own=False)
    parents, depths = np.zeros(body.num_joints, np.int64), np.zeros(body.num_joints, np.int64)
    places: list[tuple[np.ndarray, np.ndarray]] = []
    last: dict[int, int] = {}
    for joint, at in enumerate(body.joint_body):
        if at in last:  # the second and third hinge of a body turn about the same origin
            parents[joint] = 1 + last[at]
            places.append((np.eye(3), np.zeros(3)))
        else:
            parents[joint] = owner[at]
            places.append((turn[at], pos[at]))
        depths[joint] = 1 + (depths[parents[joint] - 1] if parents[joint] else 0)
        last[at] = joint
    return parents, depths, places, body.joint_axis


def _carriers(body: Embodiment, own: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each body its node (0 root, else 1 + hinge) and its place in that node.

    With ``own`` False the hinges of the body itself are left out: where its first hinge sits.
    """
    last: dict[int, int] = {}
    for joint, at in enumerate(body.joint_body):
        last[int(at)] = joint
    node = np.zeros(body.num_bodies, np.int64)
    turn, pos = np.tile(np.eye(3), (body.num_bodies, 1, 1)), np.zeros((body.num_bodies, 3))
    full_node, full_turn, full_pos = node.copy(), turn.copy(), pos.copy()
    rest = rotation.to_matrix(torch.from_numpy(body.body_quat)).numpy()
    for index, parent in enumerate(body.parents):
        if parent >= 0:
            node[index] = full_node[parent]
            turn[index] = full_turn[parent] @ rest[index]
            pos[index] = full_pos[parent] + full_turn[parent] @ body.body_pos[index]
        if index in last:
            full_node[index] = 1 + last[index]
        else:
            full_node[index], full_turn[index], full_pos[index] = node[index], turn[index], pos[index]
    return (full_node, full_turn, full_pos) if own else (node, turn, pos)


def _cross(v: np.ndarray) -> np.ndarray:
    return np.array(((0.0, -v[2], v[1]), (v[2], 0.0, -v[0]), (-v[1], v[0], 0.0)))
