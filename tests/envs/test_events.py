"""Perturbed starts, pushes, randomised physics."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.envs import EventCfg
from humanoid.envs.events import PushTimer, perturbed_start, random_physics
from humanoid.eval.tracking import CALM, SEEDED_STARTS
from humanoid.motion import MotionLibrary
from humanoid.spatial import rotation as rot

COUNT = 2000


@pytest.fixture
def limits(library: MotionLibrary) -> torch.Tensor:
    return torch.tensor(library.body.joint_range, dtype=torch.float32)


def test_start_stays_in_half_widths_and_fills_them(
    library: MotionLibrary, limits: torch.Tensor, generator: torch.Generator
) -> None:
    ref, cfg = library.rows(torch.full((COUNT,), 40)), EventCfg()
    start = perturbed_start(ref, limits, cfg, generator)
    differences = {
        "pose": (start.root_pos_w - ref.root_pos_w, cfg.start_pose[:3]),
        "turn": (rot.log(rot.mul(start.root_quat_w, rot.conjugate(ref.root_quat_w))), cfg.start_pose[3:]),
        "lin": (start.root_lin_vel_w - ref.root_lin_vel_w, cfg.start_twist[:3]),
        "ang": (start.root_ang_vel_w - ref.root_ang_vel_w, cfg.start_twist[3:]),
    }
    for name, (difference, width) in differences.items():
        largest = difference.abs().amax(0)
        assert (largest <= torch.tensor(width) + 1e-5).all(), name
        assert (largest > 0.98 * torch.tensor(width)).all(), name
        assert (difference.mean(0).abs() < 0.1 * torch.tensor(width)).all(), name
    assert torch.equal(start.joint_vel, ref.joint_vel)


def test_start_joints_stay_in_their_limits(
    library: MotionLibrary, limits: torch.Tensor, generator: torch.Generator
) -> None:
    ref = library.rows(torch.full((COUNT,), 40))
    small = perturbed_start(ref, limits, EventCfg(start_joints=0.1), generator).joint_pos - ref.joint_pos
    assert small.abs().max() <= 0.1 + 1e-6
    assert small.abs().max() > 0.099
    wide = perturbed_start(ref, limits, EventCfg(start_joints=10.0), generator).joint_pos
    assert (wide >= limits[:, 0]).all()
    assert (wide <= limits[:, 1]).all()
    assert torch.equal(wide.amax(0), limits[:, 1])


def test_start_without_noise_is_the_reference(
    library: MotionLibrary, limits: torch.Tensor, generator: torch.Generator
) -> None:
    ref = library.rows(torch.arange(100))
    start = perturbed_start(ref, limits, CALM, generator)
    assert torch.equal(start.joint_pos, ref.joint_pos)
    assert torch.equal(start.root_pos_w, ref.root_pos_w)
    torch.testing.assert_close(start.root_quat_w, ref.root_quat_w)
    assert torch.equal(start.root_lin_vel_w, ref.root_lin_vel_w)


def test_starts_of_the_evaluation(
    library: MotionLibrary, limits: torch.Tensor, generator: torch.Generator
) -> None:
    ref = library.rows(torch.full((COUNT,), 40))
    start = perturbed_start(ref, limits, SEEDED_STARTS, generator)
    assert (start.joint_pos - ref.joint_pos).abs().max() <= 0.05 + 1e-6
    assert (start.root_lin_vel_w - ref.root_lin_vel_w).abs().max() <= 0.2 + 1e-6
    torch.testing.assert_close(start.root_pos_w, ref.root_pos_w)
    assert torch.equal(start.root_ang_vel_w, ref.root_ang_vel_w)
    assert start.joint_pos.std(0).min() > 0.01  # the seeds do differ
    assert not SEEDED_STARTS.varies_physics


def test_pushes_come_in_their_interval_and_of_their_size(generator: torch.Generator) -> None:
    cfg, dt = EventCfg(push_seconds=(0.4, 1.0)), 0.02
    timer = PushTimer(cfg, 64, dt, generator)
    pushes = torch.stack([timer.step() for _ in range(500)])
    width = torch.tensor(cfg.push_twist)
    assert (pushes.abs() <= width).all()
    assert (pushes.abs().amax((0, 1)) > 0.95 * width).all()
    first = []
    for env in range(64):
        times = pushes[:, env].any(-1).nonzero().flatten() * dt
        waits = torch.cat((times[:1] + dt, times.diff()))
        assert (waits >= 0.4 - 1e-4).all()
        assert (waits <= 1.0 + dt + 1e-4).all()
        first.append(waits[:5].mean().item())
    assert sum(first) / 64 == pytest.approx(0.71, abs=0.03)  # the mean of the interval and half a step


def test_zero_interval_switches_pushes_off(generator: torch.Generator) -> None:
    assert not PushTimer(CALM, 2, 0.02, generator).enabled
    assert PushTimer(EventCfg(), 2, 0.02, generator).enabled


def test_random_physics_draws_what_is_on(generator: torch.Generator) -> None:
    cfg = EventCfg(friction=(0.3, 1.2), com_offset=(0.025, 0.05, 0.0), mass=(0.9, 1.1))
    change = random_physics(cfg, COUNT, "Chest", generator)
    assert change.friction is not None
    assert change.mass_scale is not None
    assert change.com_offset is not None
    assert 0.3 <= change.friction.min() < 0.31
    assert 1.19 < change.friction.max() <= 1.2
    assert 0.9 <= change.mass_scale.min() < change.mass_scale.max() <= 1.1
    largest = change.com_offset.abs().amax(0)
    assert (largest <= torch.tensor(cfg.com_offset)).all()
    assert largest[1] > 0.049
    assert change.com_body == "Chest"
    assert change.kp_scale is None
    assert change.kd_scale is None


@pytest.mark.parametrize(
    ("part", "varies"),
    [
        ({}, False),
        ({"friction": (0.3, 1.2)}, True),
        ({"com_offset": (0.0, 0.1, 0.0)}, True),
        ({"mass": (0.9, 1.1)}, True),
        ({"gains": (0.9, 1.1)}, True),
        ({"joint_offset": 0.1}, False),
        ({"push_seconds": (1.0, 2.0)}, False),
    ],
)
def test_what_varies_physics(part: dict[str, tuple[float, ...]], varies: bool) -> None:
    assert replace(CALM, **part).varies_physics is varies  # type: ignore[arg-type]
