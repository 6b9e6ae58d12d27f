"""Genesis against MuJoCo: the same body from the same state under the same targets."""

from __future__ import annotations

import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics
from humanoid.core import ConfigError
from humanoid.sim import PhysicsChange, SimCfg, Simulator, make_sim
from humanoid.sim.mujoco_backend import MujocoSimulator

pytestmark = pytest.mark.genesis

ENVS = 4
EVERYONE = torch.ones(ENVS, dtype=torch.bool)


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What building and stepping Genesis wrote to standard output."""
    return []


@pytest.fixture(scope="module")
def genesis(body: Embodiment, printed: list[str]) -> Iterator[Any]:
    """A scene of the contract suite's kernels; what it prints to the file descriptor is kept."""
    sys.stdout.flush()
    keep = os.dup(1)
    with tempfile.TemporaryFile("w+") as sink:
        os.dup2(sink.fileno(), 1)
        try:
            cfg = SimCfg(backend="genesis", contacts=True, randomizable=True)
            simulator = make_sim(cfg, body, ENVS)
            simulator.step()
            sys.stdout.flush()
        finally:
            os.dup2(keep, 1)
            os.close(keep)
        sink.seek(0)
        printed.append(sink.read())
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def mujoco(body: Embodiment) -> MujocoSimulator:
    """Its counterpart."""
    return MujocoSimulator(SimCfg(threads=1), body, ENVS)


@pytest.fixture(scope="module")
def kinematics(body: Embodiment) -> Kinematics:
    """Completes root and joints to a state."""
    return Kinematics(body)


def start(kinematics: Kinematics, clearance: float, seed: int) -> BodyState:
    """Return random moving poses, limbs apart, the lowest origin ``clearance`` above a sole's height."""
    generator = torch.Generator().manual_seed(seed)
    body = kinematics.body

    def random(*shape: int) -> Tensor:
        return torch.randn(ENVS, *shape, generator=generator)

    pose = torch.tensor(body.default_joint_pos, dtype=torch.float32) + 0.1 * random(body.num_joints)
    for name, angle in {"L_Shoulder_x": -0.4, "R_Shoulder_x": 0.4, "L_Hip_x": 0.3, "R_Hip_x": -0.3}.items():
        pose[:, body.joint_ids([name])] = angle
    limits = torch.tensor(body.joint_range, dtype=torch.float32)
    pose = pose.clamp(limits[:, 0] + 0.05, limits[:, 1] - 0.05)
    quat = torch.tensor([1.0, 0, 0, 0]).repeat(ENVS, 1)
    origin = torch.zeros(ENVS, 3)
    lowest = kinematics.poses(origin, quat, pose)[0][..., 2].amin(-1)
    root = torch.stack((origin[:, 0], origin[:, 0], clearance + 0.07 - lowest), dim=-1)
    return kinematics.state(root, quat, pose, 0.3 * random(3), 0.3 * random(3), 0.5 * random(body.num_joints))


def drive(sims: tuple[Simulator, Simulator], state: BodyState, amplitude: float) -> tuple[float, float]:
    """Swing all joints for 0.5 s in both; return joint RMS [rad] and root distance [m], the worst."""
    body = sims[0].body
    phase = torch.linspace(0, 2 * math.pi, body.num_joints)
    rate = 2 * math.pi * torch.linspace(1.0, 3.0, body.num_joints)
    for sim in sims:
        sim.reset(EVERYONE, state)
    for step in range(1, 26):
        swing = torch.sin(phase + rate * step * 0.02) - torch.sin(phase)
        for sim in sims:
            sim.set_targets(state.joint_pos + amplitude * swing)
            sim.step()
    one, two = (sim.state() for sim in sims)
    rms = (one.joint_pos - two.joint_pos).square().mean(-1).sqrt()
    return float(rms.max()), float((one.root_pos_w - two.root_pos_w).norm(dim=-1).max())


def test_swings_alike_in_the_air(genesis: Any, mujoco: MujocoSimulator, kinematics: Kinematics) -> None:
    rms, root = drive((genesis, mujoco), start(kinematics, 3.0, seed=0), amplitude=0.3)
    assert rms < 1e-3 and root < 1e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_drops_swings_and_lands_alike(
    genesis: Any, mujoco: MujocoSimulator, kinematics: Kinematics, seed: int
) -> None:
    rms, root = drive((genesis, mujoco), start(kinematics, 0.10, seed), amplitude=0.2)
    assert rms <= 0.02 and root <= 0.02


def test_same_pairs_of_bodies_may_touch(genesis: Any, mujoco: MujocoSimulator) -> None:
    pairs = genesis.self_collision_pairs()
    assert pairs == mujoco.self_collision_pairs()
    assert frozenset(("L_Knee", "R_Knee")) in pairs and frozenset(("L_Hip", "L_Knee")) not in pairs


def test_the_body_survives_loading(genesis: Any, body: Embodiment) -> None:
    entity = genesis.entity
    assert sorted(link.name for link in entity.links) == sorted(body.body_names)
    everything = list(range(entity.n_links))
    mass = {link.name: float(entity.get_links_mass(everything)[0, link.idx_local]) for link in entity.links}
    assert [mass[name] for name in body.body_names] == pytest.approx(list(body.body_mass), rel=1e-5)
    lower, upper = entity.get_dofs_limit()
    weakest, strongest = entity.get_dofs_force_range()
    armature = entity.get_dofs_armature()
    for index, name in enumerate(body.joint_names):
        (dof,) = entity.get_joint(name).dofs_idx_local
        assert float(armature[0, dof]) == pytest.approx(body.joint_armature[index], rel=1e-5)
        limits = [float(lower[0, dof]), float(upper[0, dof])]
        assert limits == pytest.approx(list(body.joint_range[index]), abs=1e-5)
        effort = body.effort[index]
        assert [float(weakest[0, dof]), float(strongest[0, dof])] == pytest.approx([-effort, effort])
    for passive in (entity.get_dofs_damping(), entity.get_dofs_frictionloss(), entity.get_dofs_stiffness()):
        assert passive.abs().max() == 0.0


def test_writes_nothing_to_standard_output(genesis: Any, printed: list[str]) -> None:
    assert printed == [""]
    for handler in logging.getLogger("genesis").handlers:
        assert getattr(handler, "stream", None) is not sys.__stdout__


@pytest.mark.slow
def test_the_scene_of_training_agrees_too(
    mujoco: MujocoSimulator, kinematics: Kinematics, body: Embodiment
) -> None:
    """Without per-environment physics Genesis compiles other kernels, for two minutes."""
    plain = make_sim(SimCfg(backend="genesis"), body, ENVS)
    rms, root = drive((plain, mujoco), start(kinematics, 0.10, seed=0), amplitude=0.2)
    assert rms <= 0.02 and root <= 0.02
    with pytest.raises(ConfigError, match="randomizable=True"):
        plain.randomize(PhysicsChange(friction=torch.ones(ENVS)))
    with pytest.raises(ConfigError, match="contacts=True"):
        plain.contacts()
    plain.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_absent_device_is_an_error(body: Embodiment) -> None:
    with pytest.raises(ConfigError, match="CUDA"):
        make_sim(SimCfg(backend="genesis", device="cuda"), body, ENVS)
