"""The hinge tree against MuJoCo's kinematics and its O(joints) step against dense algebra."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from humanoid.bodies import Embodiment
from humanoid.retarget.tree import HingeTree, Poses, apply, matmul
from humanoid.spatial import rotation as rot

FRAMES = 5


@pytest.fixture(scope="module")
def tree(body: Embodiment) -> HingeTree:
    return HingeTree(body, "cpu", torch.float64)


def tumbled(tree: HingeTree, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random root rotations (T, 4) and hinge angles (D, T)."""
    quat = rot.normalize(torch.randn(FRAMES, 4, generator=generator, dtype=torch.float64))
    angles = torch.randn(tree.num_nodes - 1, FRAMES, generator=generator, dtype=torch.float64)
    return quat, 0.5 * angles


def posed(tree: HingeTree, quat: Tensor, angles: Tensor) -> Poses:
    return tree.poses(rot.to_matrix(quat).permute(1, 2, 0), angles)


def test_bodies_are_where_mujoco_has_them(
    tree: HingeTree, body: Embodiment, generator: torch.Generator
) -> None:
    quat, angles = tumbled(tree, generator)
    poses = posed(tree, quat, angles)
    pos = poses.pos[tree.owner] + apply(poses.rot[tree.owner], tree.body_pos[..., None])
    turn = matmul(poses.rot[tree.owner], tree.body_rot[..., None])
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    data = mujoco.MjData(model)
    for frame in range(FRAMES):
        data.qpos[:3], data.qpos[3:7] = 0, quat[frame]
        data.qpos[7 + tree.joint.numpy()] = angles[:, frame]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(pos[..., frame], data.xpos[1:], atol=1e-9)
        np.testing.assert_allclose(turn[..., frame], data.xmat[1:].reshape(-1, 3, 3), atol=1e-9)


def test_axes_are_derivatives_of_the_bodies(tree: HingeTree, generator: torch.Generator) -> None:
    """A hinge moves a point of its node as ``v + w x p``, and no node above it."""
    quat, angles = tumbled(tree, generator)
    poses = posed(tree, quat, angles)
    point = torch.tensor((0.1, -0.2, 0.3), dtype=torch.float64)[None, :, None]
    here = poses.pos + apply(poses.rot, point)
    step = 1e-6
    for node in (1, 5, tree.num_nodes - 1):
        moved = angles.clone()
        moved[node - 1] += step
        there = posed(tree, quat, moved)
        rate = (there.pos + apply(there.rot, point) - here) / step
        twist = poses.axis[node]
        want = twist[3:] + torch.linalg.cross(twist[:3], here[node], dim=0)
        torch.testing.assert_close(rate[node], want, atol=1e-5, rtol=0)
        assert float(rate[0].abs().max()) == 0.0


def above(tree: HingeTree, poses: Poses, quat: Tensor, angles: Tensor) -> list[list[int]]:
    """Return for each node the hinges that move it, found by moving them."""
    carried: list[list[int]] = [[] for _ in range(tree.num_nodes)]
    for hinge in range(1, tree.num_nodes):
        moved = angles.clone()
        moved[hinge - 1] += 0.3
        turned = (posed(tree, quat, moved).rot - poses.rot).abs().amax((1, 2, 3))
        for node in (turned > 1e-9).nonzero().flatten().tolist():
            carried[node].append(hinge)
    return carried


def test_a_step_solves_the_normal_equations(tree: HingeTree, generator: torch.Generator) -> None:
    quat, angles = tumbled(tree, generator)
    poses = posed(tree, quat, angles)
    nodes, hinges = tree.num_nodes, tree.num_nodes - 1

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, FRAMES, generator=generator, dtype=torch.float64)

    root = random(nodes, 6, 6)
    inertia = torch.einsum("nijt,nkjt->nikt", root, root)
    force, torque = random(nodes, 6), random(hinges)
    armature, damping = random(hinges).square() + 0.1, random(6).square() + 0.1
    motion, steps = tree.step(poses, inertia.clone(), force.clone(), armature, torque, damping)

    carried = above(tree, poses, quat, angles)
    for frame in range(FRAMES):
        matrix = torch.diag(torch.cat((damping[:, frame], armature[:, frame])))
        right = torch.cat((torch.zeros(6, dtype=torch.float64), torque[:, frame]))
        jacobians = []
        for node in range(nodes):
            jacobian = torch.zeros(6, 6 + hinges, dtype=torch.float64)
            jacobian[:, :6] = torch.eye(6)
            for hinge in carried[node]:
                jacobian[:, 5 + hinge] = poses.axis[hinge, :, frame]
            matrix += jacobian.T @ inertia[node, :, :, frame] @ jacobian
            right += jacobian.T @ force[node, :, frame]
            jacobians.append(jacobian)
        want = torch.linalg.solve(matrix, right)
        torch.testing.assert_close(motion[0, :, frame], want[:6], atol=1e-9, rtol=1e-7)
        torch.testing.assert_close(steps[:, frame], want[6:], atol=1e-9, rtol=1e-7)
        for node in (0, 7, nodes - 1):
            torch.testing.assert_close(motion[node, :, frame], jacobians[node] @ want, atol=1e-9, rtol=1e-7)
