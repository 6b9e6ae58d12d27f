"""Differences over time against closed forms and scipy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative, smooth_step, smooth_step_area

FPS = 50.0


def test_derivative_of_a_line_is_its_slope_everywhere() -> None:
    slope = torch.tensor(((1.0, -2.0), (0.5, 0.0)), dtype=torch.float64)
    x = torch.arange(9, dtype=torch.float64)[:, None, None] / FPS * slope
    torch.testing.assert_close(derivative(x, FPS), slope.expand(9, 2, 2))


def test_derivative_of_a_parabola_is_exact_inside() -> None:
    t = torch.arange(20, dtype=torch.float64) / FPS
    torch.testing.assert_close(derivative(t * t, FPS)[1:-1], 2 * t[1:-1])


def test_derivative_agrees_with_numpy() -> None:
    x = torch.randn(30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(derivative(x, FPS), np.gradient(x.numpy(), 1 / FPS, axis=0), atol=1e-9)


def test_angular_velocity_of_steady_turning_is_constant_in_world() -> None:
    rng = np.random.default_rng(0)
    spin, start = rng.normal(size=(5, 3)) * 4, Rotation.random(5, rng=rng)
    frames = [(Rotation.from_rotvec(spin * t / FPS) * start).as_quat(scalar_first=True) for t in range(12)]
    found = angular_velocity(torch.tensor(np.array(frames)), FPS)
    np.testing.assert_allclose(found, np.broadcast_to(spin, (12, 5, 3)), atol=1e-9)


def test_angular_velocity_ignores_the_sign_of_quaternions() -> None:
    q = rot.normalize(torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    turn = rot.exp(torch.tensor((0.0, 0.02, 0.05), dtype=torch.float64))
    path = [q[0]]
    for _ in range(10):
        path.append(rot.mul(turn, path[-1]))
    steady = torch.stack(path)
    flipped = steady.clone()
    flipped[::3] *= -1
    torch.testing.assert_close(angular_velocity(flipped, FPS), angular_velocity(steady, FPS))


def test_angular_velocity_integrates_back() -> None:
    t = torch.arange(200, dtype=torch.float64) / 200.0
    q = rot.exp(torch.stack((t.sin(), 0.5 * (2 * t).cos(), 0.3 * t), -1))
    omega, now = angular_velocity(q, 200.0), q[0]
    for before, after in pairwise(omega):
        now = rot.mul(rot.exp(0.5 * (before + after) / 200.0), now)
    assert float(rot.angle_between(now, q[-1])) < 1e-3


@pytest.mark.parametrize("frames", [0, 1])
def test_nothing_moves_in_less_than_two_frames(frames: int) -> None:
    q = torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(frames, 3, 4)
    assert torch.equal(angular_velocity(q, FPS), torch.zeros(frames, 3, 3))
    assert torch.equal(derivative(q, FPS), torch.zeros(frames, 3, 4))


def test_two_frames() -> None:
    q = rot.exp(torch.tensor(((0.0, 0.0, 0.0), (0.0, 0.0, 0.1))))
    torch.testing.assert_close(angular_velocity(q, 10.0), torch.tensor(((0.0, 0.0, 1.0),) * 2))
    torch.testing.assert_close(derivative(torch.tensor((1.0, 3.0)), 10.0), torch.tensor((20.0, 20.0)))


def test_a_smooth_step_is_at_rest_at_both_ends_and_its_area_is_the_integral() -> None:
    u = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)
    step, area = smooth_step(u), smooth_step_area(u)
    np.testing.assert_allclose(step[[0, 1000, -1]], (0.0, 0.5, 1.0), atol=1e-12)
    assert bool((step.diff() >= 0).all())
    for _ in range(2):  # speed, then acceleration
        step = derivative(step, 2000.0)
        np.testing.assert_allclose(step[[0, -1]], 0.0, atol=0.02)
    np.testing.assert_allclose(derivative(area, 2000.0)[1:-1], smooth_step(u)[1:-1], atol=1e-6)
