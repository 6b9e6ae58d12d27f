"""Bodies that were thrown with a known gravity, stood on air, or asked for a known torque."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from humanoid.bodies import Embodiment, Kinematics
from humanoid.motion import Motion, retimed
from humanoid.retarget import broken, measure
from humanoid.retarget.feasibility import GRAVITY, Flight, ballistic_speed, flights, mass_centre, servo_load
from humanoid.retarget.trace import trace
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative

FPS = 50.0


def performed(body: Embodiment, pos: Tensor, quat: Tensor, angles: Tensor) -> Motion:
    """Return a motion of given root path and joint angles, no label set."""
    rates = (derivative(pos, FPS), angular_velocity(quat, FPS), derivative(angles, FPS))
    return Motion(
        name="made",
        fps=FPS,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=Kinematics(body).state(pos, quat, angles, *rates),
        contact=torch.zeros(len(pos), len(body.feet), dtype=torch.bool),
        contact_names=body.feet,
    )


def thrown(body: Embodiment, gravity: float = GRAVITY, up: float = 3.0, rest: int = 30) -> Motion:
    """Stand, be thrown up at ``up`` m/s turning and waving in the air, and stand again."""
    count = round(2 * up / gravity * FPS) + 1
    time = torch.arange(count, dtype=torch.float64) / FPS
    swing = (2 * math.pi * time / float(time[-1])).sin()
    angles = torch.zeros(2 * rest + count, body.num_joints, dtype=torch.float64)
    quat = torch.zeros(len(angles), 4, dtype=torch.float64)
    quat[:, 0] = 1.0
    inside = slice(rest, rest + count)
    quat[inside] = rot.exp(swing[:, None] * torch.tensor((0.3, 0.5, 0.2), dtype=torch.float64))
    angles[inside, body.joint_ids(["L_Shoulder_y"])[0]] = 1.2 * swing
    angles[inside, body.joint_ids(["R_Hip_y"])[0]] = -0.8 * swing
    pos = torch.zeros(len(angles), 3, dtype=torch.float64)
    kinematics = Kinematics(body, dtype=torch.float64)
    standing = -kinematics.clearance(*kinematics.poses(pos[:1], quat[:1], angles[:1])).amin()
    limp = performed(body, pos.float(), quat.float(), angles.float())
    centre = mass_centre(limp, body)
    height = torch.full((len(angles),), float(standing + centre[0, 2]), dtype=torch.float64)
    height[inside] += up * time - 0.5 * gravity * time.square()
    pos[:, 2] = height - centre[:, 2]
    return performed(body, pos.float(), quat.float(), angles.float())


def found(motion: Motion, body: Embodiment) -> list[Flight]:
    return flights(motion, body, trace(motion, body).clearance)


def lifted(motion: Motion, frames: slice, metres: float) -> Motion:
    pos = motion.states.body_pos_w.clone()
    pos[frames, :, 2] += metres
    return replace(motion, states=replace(motion.states, body_pos_w=pos))


def test_the_centre_of_mass_is_mujocos(body: Embodiment, squat: Motion) -> None:
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    data = mujoco.MjData(model)
    for frame in (0, 37, 80):
        data.qpos[:] = squat.qpos[frame].numpy()
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        want = data.subtree_com[1]
        np.testing.assert_allclose(mass_centre(squat, body)[frame].numpy(), want, atol=1e-5)


@pytest.mark.parametrize("gravity", [GRAVITY, 5.5, 15.0])
def test_gravity_of_a_thrown_body_is_recovered(body: Embodiment, gravity: float) -> None:
    (flight,) = found(thrown(body, gravity), body)
    assert flight.acceleration == pytest.approx(-gravity, rel=2e-2)
    # the parabola that is left over, seen from the line nearest to it in the greatest error
    time = flight.seconds
    assert flight.miss() == pytest.approx(abs(gravity - GRAVITY) * time**2 / 12, rel=0.1, abs=2e-3)


def test_a_true_flight_breaks_nothing(body: Embodiment) -> None:
    quality = measure(thrown(body), body)
    assert quality.flight_mm < 5 and quality.hover_s == 0.0 and quality.ballistic_speed is None
    assert not [line for line in broken(quality) if line.startswith(("flight", "hover"))]


@pytest.mark.parametrize("slowed", [0.7, 1.4])
def test_the_speed_of_a_jump_of_wrong_rate_is_recovered(body: Embodiment, slowed: float) -> None:
    wrong = retimed(thrown(body, up=4.0), slowed, body)
    quality = measure(wrong, body)
    assert quality.ballistic_speed == pytest.approx(1 / slowed, rel=0.02)
    (line,) = [line for line in broken(quality) if line.startswith("flight_mm")]
    assert f"{quality.ballistic_speed:g} times as fast it would be a fall" in line and "m/s^2" in line
    repaired = measure(retimed(wrong, quality.ballistic_speed or 1.0, body), body)
    assert repaired.flight_mm < 10 and repaired.ballistic_speed is None


def test_a_body_that_stands_on_air_hovers_past_repair(body: Embodiment, squat: Motion) -> None:
    quality = measure(lifted(squat, slice(20, 90), 0.1), body)
    assert quality.ballistic_speed is None
    (line,) = [line for line in broken(quality) if line.startswith("hover_s")]
    longest = found(lifted(squat, slice(20, 90), 0.1), body)[0].longest
    assert quality.hover_s == pytest.approx(69 / FPS - longest, abs=1e-6)
    assert "worst at frame 20 (0.40 s), 1.38 s off the floor; a leap of that height lasts" in line


def test_what_is_near_the_floor_or_up_for_a_moment_is_no_flight(body: Embodiment, squat: Motion) -> None:
    assert found(squat, body) == [] and found(lifted(squat, slice(10, 90), 0.02), body) == []
    assert found(lifted(squat, slice(40, 43), 0.2), body) == []
    assert ballistic_speed([], 0.1) is None


def test_no_speed_puts_two_contradicting_flights_right() -> None:
    time = torch.arange(26, dtype=torch.float64) / FPS

    def arc(gravity: float) -> Tensor:
        return 0.5 * gravity * time * (time[-1] - time)

    flight = partial(Flight, fps=FPS)
    slow, fast = flight(start=0, height=arc(4.0)), flight(start=50, height=arc(16.0))
    assert ballistic_speed([slow], 0.01) == pytest.approx(math.sqrt(GRAVITY / 4.0), abs=0.01)
    assert ballistic_speed([slow, fast], 0.05) is None
    assert ballistic_speed([flight(start=0, height=arc(0.5))], 0.01) is None  # no rate is so wrong
    assert ballistic_speed([flight(start=0, height=-arc(4.0))], 0.01) is None


def test_torques_in_the_air_are_mujocos(body: Embodiment) -> None:
    """Inverse dynamics of MuJoCo, which knows all of the body's forces while nothing touches it."""
    motion = thrown(body, up=4.0)
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    model.dof_damping[:], model.dof_frictionloss[:], model.jnt_stiffness[:] = 0.0, 0.0, 0.0
    model.jnt_limited[:] = 0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_ACTUATION
    data = mujoco.MjData(model)
    s = motion.states
    spin_b = rot.rotate(rot.conjugate(s.root_quat_w), s.root_ang_vel_w)
    rates = torch.cat((s.root_lin_vel_w, spin_b, s.joint_vel), -1).double()
    load = servo_load(motion, body, trace(motion, body).clearance)
    joints = body.joint_ids(["L_Shoulder_y", "R_Hip_y", "Torso_y", "L_Hip_x"])
    for frame in (45, 50, 55):
        data.qpos[:], data.qvel[:] = motion.qpos[frame].numpy(), rates[frame].numpy()
        data.qacc[:] = derivative(rates, FPS)[frame].numpy()
        mujoco.mj_inverse(model, data)
        want = np.abs(data.qfrc_inverse[6:]) / body.effort
        np.testing.assert_allclose(load[frame, joints].numpy(), want[joints], rtol=0.1, atol=0.01)


def test_servos_that_would_have_to_be_stronger_are_named(body: Embodiment) -> None:
    motion = thrown(body, up=4.0)
    calm = measure(motion, body)
    weak = replace(body, effort=body.effort * 0.02)
    quality = measure(motion, weak)
    assert quality.effort == pytest.approx(50 * calm.effort, rel=1e-6) and calm.effort < 2
    assert any(line.startswith("effort") for line in broken(quality))
    assert quality.worst["effort"].what in body.joint_names


def test_legs_that_stand_have_no_known_load(body: Embodiment, squat: Motion) -> None:
    load = servo_load(squat, body, trace(squat, body).clearance)
    assert not load[:, body.joint_ids(["L_Hip_y", "L_Knee_y", "R_Ankle_y"])].any()
    assert load[:, body.joint_ids(["Torso_y"])].any() and not load[:2].any() and not load[-2:].any()
