"""Hinge angles give back the rotation, stay in range where they can and do not wind up."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.retarget.hinges import RANGE_WEIGHT, cheapest_path
from humanoid.retarget.hinges import hinge_angles as hinge_angles_of_clips
from humanoid.spatial import rotation as rot

EYE = torch.eye(3)
WIDE = torch.tensor(((-math.pi, math.pi),) * 3)
ORDERS = list(itertools.permutations(range(3)))


FIRST = torch.zeros(1, dtype=torch.long)


def hinge_angles(quat: Tensor, axes: Tensor, limits: Tensor) -> Tensor:
    """Return the angles of one clip."""
    found = hinge_angles_of_clips(quat, axes, limits, FIRST)
    assert found is not None
    return found


def composed(angles: Tensor, axes: Tensor) -> Tensor:
    """Return the rotation (T, 4) of hinges in order."""
    quat = torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(len(angles), 4)
    for axis, angle in zip(axes, angles.T, strict=True):
        quat = rot.mul(quat, rot.about_axis(axis, angle))
    return quat


def random_walk(frames: int = 150, step: float = 0.1, seed: int = 0) -> Tensor:
    """Return a smooth tumble through all rotations, (T, 4)."""
    rng = np.random.default_rng(seed)
    spin = np.array((0.05, 0.0, 0.1)) + np.cumsum(rng.normal(size=(frames, 3)) * step * 0.1, axis=0)
    now, path = Rotation.identity(), []
    for change in spin:
        now = Rotation.from_rotvec(change) * now
        path.append(now.as_quat(scalar_first=True))
    return torch.tensor(np.array(path), dtype=torch.float32)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_three_hinges_reach_every_rotation(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    axes = EYE[list(order)] * torch.tensor(signs)[:, None]
    quat = torch.tensor(Rotation.random(60, rng=np.random.default_rng(1)).as_quat(scalar_first=True)).float()
    angles = hinge_angles(quat, axes, WIDE)
    assert float(rot.angle_between(composed(angles, axes), quat).max()) < 1e-3


def test_angles_are_those_of_scipy_up_to_their_branch() -> None:
    quat = random_walk(40)
    angles = hinge_angles(quat, EYE[[1, 0, 2]], WIDE)
    theirs = Rotation.from_quat(quat, scalar_first=True).as_euler("YXZ")
    other = np.stack((theirs[:, 0] + np.pi, np.pi - theirs[:, 1], theirs[:, 2] + np.pi), -1)
    miss = [np.abs(np.exp(1j * angles.numpy()) - np.exp(1j * branch)).max(-1) for branch in (theirs, other)]
    assert np.minimum(*miss).max() < 2e-3


def test_angles_inside_the_range_come_back() -> None:
    rng = np.random.default_rng(2)
    t = np.linspace(0, 6, 100)[:, None]
    want = torch.tensor(np.sin(t * rng.uniform(1, 3, 3) + rng.uniform(0, 6, 3)) * (1.5, 1.2, 2.0)).float()
    limits = torch.tensor(((-1.6, 1.6), (-1.3, 1.3), (-2.1, 2.1)))
    axes = EYE[[0, 1, 2]]
    torch.testing.assert_close(hinge_angles(composed(want, axes), axes, limits), want, atol=1e-3, rtol=0)


def test_a_middle_angle_beyond_a_quarter_turn_comes_back() -> None:
    """A raised arm: the usual branch would flip all three angles by half a turn."""
    middle = torch.linspace(0.5, 2.5, 60)
    want = torch.stack((0.3 * middle.sin() + 0.1, middle, torch.full_like(middle, 0.2)), -1)
    limits = torch.tensor(((-0.6, 0.6), (-2.6, 2.6), (-0.6, 0.6)))
    axes = EYE[[1, 0, 2]]
    torch.testing.assert_close(hinge_angles(composed(want, axes), axes, limits), want, atol=2e-3, rtol=0)


@pytest.mark.parametrize("seed", range(6))
def test_tumbling_does_not_wind_up(seed: int) -> None:
    quat = random_walk(400, seed=seed)
    angles = hinge_angles(quat, EYE[[1, 0, 2]], torch.tensor(((-2.0, 2.0),) * 3))
    assert float(rot.angle_between(composed(angles, EYE[[1, 0, 2]]), quat).max()) < 1e-3
    assert float(angles.abs().max()) < math.pi + 2.0


def test_many_turns_about_one_hinge_do_not_wind_up() -> None:
    turns = torch.linspace(0, 8 * math.pi, 300)
    quat = rot.exp(torch.stack((torch.zeros(300), torch.zeros(300), turns), -1))
    angles = hinge_angles(quat, EYE[[1, 0, 2]], torch.tensor(((-2.0, 2.0),) * 3))
    assert float(angles.abs().max()) < math.pi + 2.0


def test_sign_of_the_quaternion_does_not_matter() -> None:
    quat = random_walk(60)
    flipped = quat.clone()
    flipped[::2] *= -1
    for axes in (EYE[[2, 0, 1]], EYE[:1]):
        limits = WIDE[: len(axes)]
        miss = hinge_angles(flipped, axes, limits) - hinge_angles(quat, axes, limits)
        assert float(miss.abs().max()) < 1e-4


@pytest.mark.parametrize("axis", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.6, 0.0, 0.8)])
def test_one_hinge_comes_as_close_as_it_can(axis: tuple[float, float, float]) -> None:
    quat, along = random_walk(50), torch.tensor((axis,))
    angle = hinge_angles(quat, along, WIDE[:1])
    assert float(angle.abs().max()) <= math.pi + 1e-6
    here = rot.angle_between(composed(angle, along), quat)
    for trial in torch.linspace(-math.pi, math.pi, 73):
        there = rot.angle_between(composed(trial.expand(50, 1), along), quat)
        assert (here <= there + 1e-3).all()
    turned = torch.linspace(-3, 3, 50)[:, None]
    torch.testing.assert_close(hinge_angles(composed(turned, along), along, WIDE[:1]), turned)


def test_one_frame() -> None:
    assert hinge_angles(random_walk(1), EYE, WIDE).shape == (1, 3)


@pytest.mark.parametrize("order", [(1, 0), (0, 2)])
def test_two_hinges_come_back(order: tuple[int, int]) -> None:
    t = torch.linspace(0, 6, 80)
    want, axes = torch.stack((t.sin(), 0.5 * (2 * t).cos()), -1), EYE[list(order)]
    torch.testing.assert_close(hinge_angles(composed(want, axes), axes, WIDE[:2]), want, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_cheapest(seed: int) -> None:
    """Against dynamic programming frame by frame, with a cut between two clips."""
    rng, frames, cut = np.random.default_rng(seed), 70, 31
    options = rng.normal(size=(frames, 2, 3)) * 1.5
    limits = np.array(((-1.0, 1.0), (-2.0, 0.5), (-0.5, 2.0)))
    excess = np.maximum(limits[:, 0] - options, 0) + np.maximum(options - limits[:, 1], 0)
    local = RANGE_WEIGHT * (excess**2).sum(-1)
    cost = local[0]
    for frame in range(1, frames):
        change = ((options[frame, None] - options[frame - 1, :, None]) ** 2).sum(-1)
        cost = (cost[:, None] + change * (frame != cut)).min(0) + local[frame]
    path = cheapest_path(torch.tensor(options), torch.tensor(limits), torch.tensor([0, cut])).numpy()
    step = (np.diff(path, axis=0) ** 2).sum(-1)
    step[cut - 1] = 0
    over = np.maximum(limits[:, 0] - path, 0) + np.maximum(path - limits[:, 1], 0)
    assert step.sum() + RANGE_WEIGHT * (over**2).sum() == pytest.approx(cost.min(), rel=1e-9)


@pytest.mark.parametrize(
    "axes",
    [((1.0, 0, 0), (0, 1.0, 0), (1.0, 0, 0)), ((0.6, 0.6, 0.53), (0, 1.0, 0), (0, 0, 1.0))],
)
def test_other_hinges_are_left_to_the_solver(axes: tuple[tuple[float, ...], ...]) -> None:
    found = hinge_angles_of_clips(random_walk(5), torch.tensor(axes), WIDE[: len(axes)], FIRST)
    assert found is None
