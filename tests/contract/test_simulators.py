"""What every simulator must do, run over both backends on one scene each."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics
from humanoid.core import ConfigError
from humanoid.sim import PhysicsChange, SimCfg, Simulator, make_sim
from humanoid.spatial import rotation as rot

ENVS = 4
GRAVITY = 9.81
EVERYONE = torch.ones(ENVS, dtype=torch.bool)


@pytest.fixture(scope="module", params=["mujoco", pytest.param("genesis", marks=pytest.mark.genesis)])
def sim(request: pytest.FixtureRequest, body: Embodiment) -> Iterator[Simulator]:
    """One simulator a backend, with everything that is optional switched on."""
    cfg = SimCfg(backend=request.param, contacts=True, randomizable=True, threads=1)
    simulator = make_sim(cfg, body, ENVS)
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def kinematics(body: Embodiment) -> Kinematics:
    """The independent oracle of poses and twists."""
    return Kinematics(body)


def rest(kinematics: Kinematics, height: float, joint_pos: dict[str, float] | None = None) -> BodyState:
    """Return the standing pose at rest with the soles ``height`` [m] above the floor."""
    body = kinematics.body
    pose = torch.tensor(body.default_joint_pos, dtype=torch.float32).repeat(ENVS, 1)
    for name, angle in (joint_pos or {}).items():
        pose[:, body.joint_ids([name])] = angle
    upright = torch.tensor([1.0, 0, 0, 0]).repeat(ENVS, 1)
    zero = torch.zeros(ENVS, 3)
    ankle = kinematics.poses(zero, upright, pose)[0][:, body.body_id("L_Ankle"), 2]
    root = torch.stack((zero[:, 0], zero[:, 0], height + 0.039 * 1.70 - ankle), dim=-1)
    return kinematics.state(root, upright, pose, zero, zero, torch.zeros_like(pose))


def flight(kinematics: Kinematics, generator: torch.Generator) -> BodyState:
    """Return random poses and twists high above the floor, limbs apart."""
    still = rest(
        kinematics, 3.0, {"L_Shoulder_x": -0.4, "R_Shoulder_x": 0.4, "L_Hip_x": 0.3, "R_Hip_x": -0.3}
    )

    def random(*shape: int) -> Tensor:
        return torch.randn(ENVS, *shape, generator=generator)

    joints = still.joint_pos.shape[1]
    return kinematics.state(
        still.root_pos_w + 0.1 * random(3),
        rot.normalize(random(4)),
        still.joint_pos + 0.05 * random(joints),
        random(3),
        random(3),
        0.5 * random(joints),
    )


def test_reset_gives_the_poses_and_twists_of_forward_kinematics(
    sim: Simulator, kinematics: Kinematics, generator: torch.Generator
) -> None:
    wanted = flight(kinematics, generator)
    sim.reset(EVERYONE, wanted)
    got = sim.state()
    assert (got.body_pos_w - wanted.body_pos_w).abs().max() < 1e-5
    assert rot.angle_between(got.body_quat_w, wanted.body_quat_w).max() < 1e-4
    assert (got.joint_pos - wanted.joint_pos).abs().max() < 1e-6
    assert (got.joint_vel - wanted.joint_vel).abs().max() < 1e-6
    assert (got.body_lin_vel_w - wanted.body_lin_vel_w).abs().max() < 1e-4
    assert (got.body_ang_vel_w - wanted.body_ang_vel_w).abs().max() < 1e-4


def test_root_turns_about_the_world_axis_it_was_given(sim: Simulator, kinematics: Kinematics) -> None:
    still = rest(kinematics, 3.0)
    quarter = rot.about_axis(torch.tensor([1.0, 0, 0]), torch.full((ENVS,), math.pi / 2))
    spin = torch.tensor([0.0, 0, 1.0]).repeat(ENVS, 1)
    zero = torch.zeros(ENVS, 3)
    start = kinematics.state(still.root_pos_w, quarter, still.joint_pos, zero, spin, still.joint_vel)
    sim.reset(EVERYONE, start)
    assert (sim.state().root_ang_vel_w - spin).abs().max() < 1e-5
    sim.step()
    turned = rot.log(rot.mul(sim.state().root_quat_w, rot.conjugate(quarter)))
    assert (turned / sim.dt - spin).abs().max() < 0.05


def test_velocities_are_of_the_link_origins(
    sim: Simulator, kinematics: Kinematics, generator: torch.Generator
) -> None:
    sim.reset(EVERYONE, flight(kinematics, generator))
    states = []
    for _ in range(3):
        sim.step()
        states.append(sim.state())
    before, now, after = states
    difference = (after.body_pos_w - before.body_pos_w) / (2 * sim.dt)
    # a substep of gravity separates the end of an interval from its mean
    assert (difference - now.body_lin_vel_w).abs().max() < 0.05
    turned = rot.log(rot.mul(after.body_quat_w, rot.conjugate(before.body_quat_w))) / (2 * sim.dt)
    assert (turned - now.body_ang_vel_w).abs().max() < 0.1


def test_masked_reset_leaves_the_others_exactly_alone(
    sim: Simulator, kinematics: Kinematics, generator: torch.Generator
) -> None:
    standing, other = rest(kinematics, 0.0), flight(kinematics, generator)
    mask = torch.tensor([False, True, True, False])

    def run(interrupt: bool) -> BodyState:
        sim.reset(EVERYONE, standing)
        sim.set_targets(standing.joint_pos + 0.1)
        for _ in range(5):
            sim.step()
        if interrupt:
            before = sim.state()
            sim.reset(mask, other)
            after = sim.state()
            assert torch.equal(after[~mask].body_lin_vel_w, before[~mask].body_lin_vel_w)
            assert (after[mask].body_pos_w - other[mask].body_pos_w).abs().max() < 1e-5
        for _ in range(5):
            sim.step()
        return sim.state()[~mask]

    undisturbed, beside_resets = run(False), run(True)
    for field in ("joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w"):
        assert torch.equal(getattr(undisturbed, field), getattr(beside_resets, field)), field


def test_reset_sets_the_targets_to_the_pose(sim: Simulator, kinematics: Kinematics) -> None:
    sim.set_targets(torch.full((ENVS, sim.body.num_joints), 0.5))
    start = rest(kinematics, 3.0, {"L_Knee_y": 0.8})
    sim.reset(EVERYONE, start)
    for _ in range(5):
        sim.step()
    # in free fall at rest nothing moves the joints but a servo with another target
    assert (sim.state().joint_pos - start.joint_pos).abs().max() < 1e-3


def test_push_adds_to_the_twist_in_world_axes(
    sim: Simulator, kinematics: Kinematics, generator: torch.Generator
) -> None:
    sim.reset(EVERYONE, flight(kinematics, generator))
    before = sim.state()
    lin, ang = torch.randn(2, ENVS, 3, generator=generator)
    sim.push(lin, ang)
    after = sim.state()
    assert (after.root_lin_vel_w - before.root_lin_vel_w - lin).abs().max() < 1e-5
    assert (after.root_ang_vel_w - before.root_ang_vel_w - ang).abs().max() < 1e-5
    assert torch.equal(after.joint_vel, before.joint_vel)
    assert torch.equal(after.body_pos_w, before.body_pos_w)


def test_feet_carry_the_weight_of_a_standing_body(sim: Simulator, kinematics: Kinematics) -> None:
    sim.reset(EVERYONE, rest(kinematics, 0.0))
    for _ in range(25):
        sim.step()
    force = sim.contacts().force_w
    weight = GRAVITY * float(sim.body.body_mass.sum())
    assert force.shape == (ENVS, sim.body.num_bodies, 3)
    assert (force.sum(-2)[:, 2] - weight).abs().max() < 0.03 * weight
    assert (force.sum(-2)[:, :2]).abs().max() < 0.03 * weight
    on_feet = force[:, sim.body.body_ids(sim.body.feet), 2]
    assert (on_feet.sum(-1) - force.sum(-2)[:, 2]).abs().max() < 1e-2


def test_bodies_that_meet_push_each_other_apart(sim: Simulator, kinematics: Kinematics) -> None:
    sim.reset(EVERYONE, rest(kinematics, 3.0, {"L_Hip_x": -0.12, "R_Hip_x": 0.12}))
    sim.step()
    force = sim.contacts().force_w
    left, right = (force[:, sim.body.body_ids([f"{side}_{part}" for part in ("Hip", "Knee", "Ankle", "Toe")])]
                   for side in "LR")  # fmt: skip
    assert (left[..., 1].sum(-1) > 1.0).all() and (right[..., 1].sum(-1) < -1.0).all()
    assert (left.sum(-2) + right.sum(-2)).abs().max() < 1e-2 * left.abs().max()


def test_torque_is_clipped_to_the_effort(sim: Simulator, kinematics: Kinematics) -> None:
    start = rest(kinematics, 3.0)
    ends = []
    for far in (20.0, 2000.0):
        sim.reset(EVERYONE, start)
        target = start.joint_pos.clone()
        target[:, sim.body.joint_ids(["L_Knee_y"])] += far
        sim.set_targets(target)
        sim.step()
        ends.append(sim.state().joint_pos)
    assert (ends[0] - start.joint_pos).abs().max() > 0.05
    assert (ends[0] - ends[1]).abs().max() < 1e-5


def test_joint_limits_hold(sim: Simulator, kinematics: Kinematics) -> None:
    start = rest(kinematics, 3.0)
    sim.reset(EVERYONE, start)
    joint = sim.body.joint_ids(["L_Elbow_z"])
    target = start.joint_pos.clone()
    target[:, joint] = math.radians(60)
    sim.set_targets(target)
    for _ in range(25):
        sim.step()
    reached = sim.state().joint_pos[:, joint]
    upper = sim.body.joint_range[joint[0], 1]
    assert (reached > upper - 0.05).all() and (reached < upper + 0.25).all()


def test_friction_is_that_of_body_against_floor(sim: Simulator, kinematics: Kinematics) -> None:
    friction = torch.tensor([0.05, 0.1, 0.2, 0.8])  # the floor itself was built with 1
    sim.randomize(PhysicsChange(friction=friction))
    sim.reset(EVERYONE, rest(kinematics, 0.0))
    for _ in range(10):
        sim.step()
    sim.push(torch.tensor([0.0, 2.0, 0.0]).repeat(ENVS, 1), torch.zeros(ENVS, 3))
    peak = torch.zeros(ENVS)
    for _ in range(8):
        sim.step()
        force = sim.contacts().force_w.sum(-2)
        ratio = force[:, :2].norm(dim=-1) / force[:, 2]
        peak = torch.where(force[:, 2] > 50.0, torch.maximum(peak, ratio), peak)
    slid = sim.state().body_pos_w[:, sim.body.body_id("L_Ankle"), 1]
    sim.randomize(PhysicsChange(friction=torch.ones(ENVS)))
    # a sole that slides feels exactly Coulomb's force, one that holds feels less
    assert (peak[:3] / friction[:3] - 1).abs().max() < 0.02
    assert 0.2 < peak[3] < 0.81
    assert (slid[0] - slid[3]) > 0.02


def test_mass_gains_and_center_of_mass_change_per_environment(sim: Simulator, kinematics: Kinematics) -> None:
    ones = torch.ones(ENVS)
    scale = torch.tensor([1.0, 1.5, 1.0, 1.0])
    offset = torch.zeros(ENVS, 3)
    offset[2, 0] = 0.05
    stiff = torch.tensor([1.0, 1.0, 1.0, 0.5])
    sim.randomize(
        PhysicsChange(mass_scale=scale, com_offset=offset, com_body="Chest", kp_scale=stiff, kd_scale=ones)
    )
    start = rest(kinematics, 0.0)
    sim.reset(EVERYONE, start)
    for _ in range(15):
        sim.step()
    weight = sim.contacts().force_w.sum(-2)[:, 2]
    state = sim.state()
    sim.reset(EVERYONE, rest(kinematics, 3.0))
    target = start.joint_pos.clone()
    target[:, sim.body.joint_ids(["L_Shoulder_z"])] += 0.1
    sim.set_targets(target)
    for _ in range(3):
        sim.step()
    moved = (sim.state().joint_pos - start.joint_pos)[:, sim.body.joint_ids(["L_Shoulder_z"])].squeeze(-1)
    sim.randomize(
        PhysicsChange(mass_scale=ones, com_offset=0 * offset, com_body="Chest", kp_scale=ones, kd_scale=ones)
    )
    assert abs(weight[1] / weight[0] - 1.5) < 0.05
    hip_pitch = sim.body.joint_ids(["Torso_y"])
    assert state.joint_pos[2, hip_pitch] > state.joint_pos[0, hip_pitch] + 1e-3
    assert moved[3] < 0.8 * moved[0]


def test_repeats_exactly(sim: Simulator, kinematics: Kinematics, generator: torch.Generator) -> None:
    start = rest(kinematics, 0.05)
    noise = 0.3 * torch.randn(10, *start.joint_pos.shape, generator=generator)

    def run() -> BodyState:
        sim.reset(EVERYONE, start)
        for step in noise:
            sim.set_targets(start.joint_pos + step)
            sim.step()
        return sim.state()

    one, two = run(), run()
    assert torch.equal(one.body_pos_w, two.body_pos_w) and torch.equal(one.joint_vel, two.joint_vel)


def test_state_is_fresh(sim: Simulator, kinematics: Kinematics) -> None:
    start = rest(kinematics, 0.5)
    sim.reset(EVERYONE, start)
    sim.state().map(lambda tensor: tensor.zero_())
    assert (sim.state().body_pos_w - start.body_pos_w).abs().max() < 1e-5
    target = start.joint_pos.clone()
    sim.set_targets(target)
    kept = sim.state()
    target += 1.0
    sim.step()
    assert (sim.state().joint_pos - kept.joint_pos).abs().max() < 1e-3


def test_environments_with_the_same_start_agree(sim: Simulator, kinematics: Kinematics) -> None:
    sim.reset(EVERYONE, rest(kinematics, 0.1))
    for _ in range(15):
        sim.step()
    pos = sim.state().body_pos_w
    assert torch.equal(pos, pos[:1].expand_as(pos))


def _disturb(sim: Simulator, start: BodyState, cause: str) -> None:
    """Make the second environment diverge in the next step."""
    state = start.map(torch.clone)
    if cause == "speed":
        state.joint_vel[1] = 1e8
    elif cause == "inf":
        state.joint_vel[1, 3] = math.inf
    else:
        state.body_pos_w[1, 0] = math.nan
    sim.reset(torch.tensor([False, True, False, False]), state)


@pytest.mark.parametrize("cause", ["speed", "inf", "pose"])
def test_one_that_diverges_is_alone_with_it(sim: Simulator, kinematics: Kinematics, cause: str) -> None:
    start, others = rest(kinematics, 0.02), torch.tensor([0, 2, 3])

    def run(bad: bool) -> BodyState:
        sim.reset(EVERYONE, start)
        sim.step()
        if bad:
            _disturb(sim, start, cause)
        for _ in range(12):
            sim.step()
        return sim.state()

    alone, beside = run(False), run(True)
    for field, value in vars(alone).items():
        assert torch.equal(value[others], getattr(beside, field)[others]), field
    assert alone.joint_pos.isfinite().all() and alone.body_pos_w.isfinite().all()
    assert beside.joint_pos[1].isnan().all() and beside.body_pos_w[1].isnan().all()

    sim.reset(torch.tensor([False, True, False, False]), start)
    assert (sim.state().body_pos_w[1] - start.body_pos_w[1]).abs().max() < 1e-5
    again = run(False)
    for field, value in vars(alone).items():
        assert torch.equal(value, getattr(again, field)), field


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (SimCfg(backend="bullet"), "unknown simulator 'bullet'"),
        (SimCfg(backend="mujoco", device="cuda"), "runs on device 'cpu'"),
        pytest.param(SimCfg(backend="genesis", device="mps"), "'cpu' or 'cuda'", marks=pytest.mark.genesis),
    ],
)
def test_refuses_what_it_cannot_run(cfg: SimCfg, message: str, body: Embodiment) -> None:
    with pytest.raises(ConfigError, match=message):
        make_sim(cfg, body, ENVS)


def test_what_is_off_is_refused(body: Embodiment) -> None:
    plain = make_sim(SimCfg(threads=1), body, ENVS)
    with pytest.raises(ConfigError, match="randomizable=True"):
        plain.randomize(PhysicsChange(friction=torch.ones(ENVS)))
    with pytest.raises(ConfigError, match="contacts=True"):
        plain.contacts()
