"""Obstacles: gradients by finite differences, who pays, who is inside, bad input."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.core import InputError
from humanoid.planning.costs import HeightField, Obstacles
from humanoid.planning.costs.obstacles import BODY_RADIUS, default_radius
from humanoid.spatial import Boxes, Capsules, Spheres
from humanoid.spatial.geometry import near_barrier
from tests.planning.plans import (
    BODIES,
    LAYOUT,
    circling,
    decoded,
    differences,
    gradient,
    random_tokens,
    seen,
)

FUTURE = LAYOUT.cfg.history + 1
NAMES = ("root", *BODIES)


def numbers(*shape: int, seed: int = 1) -> Tensor:
    """Return random float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def turns(count: int) -> Tensor:
    """Return random rotations (count, 4)."""
    return torch.tensor(Rotation.random(count, rng=np.random.default_rng(0)).as_quat(scalar_first=True))


SPHERES = Spheres(centre_w=numbers(2, 3), radius=torch.tensor([0.2, 0.4]))
CAPSULES = Capsules(start_w=numbers(2, 3), end_w=numbers(2, 3, seed=2), radius=torch.tensor([0.1, 0.3]))
BOXES = Boxes(centre_w=numbers(3, 3), half=numbers(3, 3).abs() + 0.1, quat_w=turns(3))
GROUND = HeightField(heights=0.3 * numbers(9, 9), origin_w=torch.tensor([-2.0, -2.0]), spacing=0.5)


@pytest.mark.parametrize(
    "cost",
    [
        Obstacles(spheres=SPHERES, reach=2.0, name="spheres"),
        Obstacles(capsules=CAPSULES, reach=2.0, delta=0.3, name="capsules"),
        Obstacles(boxes=BOXES, reach=2.0, radius={"root": 0.3, "Head": 0.05}, name="boxes"),
        Obstacles(ground=GROUND, ground_radius=0.6, name="ground"),
        Obstacles(spheres=SPHERES, capsules=CAPSULES, boxes=BOXES, ground=GROUND, name="all"),
    ],
    ids=lambda cost: cost.name,
)
def test_gradients_by_finite_differences(cost: Obstacles) -> None:
    tokens = random_tokens()
    found = gradient(cost, tokens)
    torch.testing.assert_close(found, differences(cost, tokens), rtol=1e-5, atol=1e-4)
    assert found[:, FUTURE:].abs().sum() > 1.0
    assert not found[:, :FUTURE].any()


def test_cost_is_the_barrier_of_each_clearance() -> None:
    features = circling((0.0, 0.0), 0.0)
    pillar = Capsules.pillars(torch.tensor([[0.6, 0.0]]), torch.tensor([0.2]))
    cost = Obstacles(capsules=pillar, radius=dict.fromkeys(NAMES, 0.1), reach=0.5)
    # all bodies of this plan are at the root, 0.6 m from the axis of the pillar
    expected = LAYOUT.cfg.horizon * len(NAMES) * near_barrier(torch.tensor(0.3), 0.05, 0.5)
    assert cost(seen(features)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_beyond_the_cut_off_nothing_is_paid_and_nearer_costs_more() -> None:
    plan, values = seen(circling((0.0, 0.0), 0.0)), []
    for distance in (5.0, 0.88, 0.6, 0.4, 0.2, 0.05):
        ball = Spheres(centre_w=torch.tensor([[distance, 0.0, 0.9]]), radius=torch.tensor([0.2]))
        values.append(Obstacles(spheres=ball, radius={"root": 0.17}, reach=0.5)(plan).item())
    assert values[:2] == [0.0, 0.0]
    assert all(near > far for far, near in pairwise(values[1:]))


def test_scenes_of_their_own_cost_what_they_cost_alone() -> None:
    plan = decoded(random_tokens(batch=2))
    centre, radius = numbers(2, 4, 3), numbers(2, 4).abs() + 0.1
    both = Obstacles(spheres=Spheres(centre_w=centre, radius=radius))(plan)
    for row in range(2):
        alone = Obstacles(spheres=Spheres(centre_w=centre[row], radius=radius[row]))(plan)
        torch.testing.assert_close(both[row], alone[row])


def test_feet_on_level_ground_cost_nothing() -> None:
    field = HeightField(heights=torch.zeros(3, 3), origin_w=torch.tensor([-1.0, -1.0]), spacing=1.0)
    features = circling((0.5, 0.0), 0.0)
    features[..., LAYOUT.body_pos.start + 2] = 0.065 - 0.9
    assert Obstacles(ground=field)(seen(features)).item() == 0.0
    features[..., LAYOUT.body_pos.start + 2] = 0.0 - 0.9
    assert Obstacles(ground=field)(seen(features)).item() > 0.0


def test_radii_go_by_the_words_of_names() -> None:
    assert default_radius("left_knee_link") == default_radius("L_Knee") == 0.08
    assert default_radius("gripper") == BODY_RADIUS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Obstacles, "no obstacle given"),
        (lambda: Spheres(centre_w=torch.zeros(0, 3), radius=torch.zeros(0)), "centre_w: shape (0, 3)"),
        (lambda: replace(SPHERES, radius=torch.tensor([0.2, -0.1])), "give numbers greater than 0"),
        (lambda: replace(SPHERES, radius=torch.tensor([0.2])), "given for 1 obstacles, but there are 2"),
        (lambda: replace(CAPSULES, end_w=torch.full((2, 3), math.nan)), "end_w: a number that is NaN"),
        (lambda: replace(BOXES, quat_w=2.0 * BOXES.quat_w), "not of unit length"),
        (lambda: HeightField(heights=torch.zeros(1, 5), origin_w=torch.zeros(2), spacing=0.1), "2 x 2"),
        (lambda: HeightField(heights=torch.zeros(2, 2), origin_w=torch.zeros(2), spacing=0.0), "than 0"),
        (lambda: Obstacles(spheres=SPHERES, delta=0.9), "obstacles.reach: 0.8 given"),
        (lambda: Obstacles(spheres=SPHERES, radius={"Head": -0.1}), "radius of 'Head': -0.1"),
    ],
)  # fmt: skip
def test_bad_obstacles_are_refused_in_one_line(make: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_body_and_a_wrong_number_of_scenes_are_refused() -> None:
    plan = decoded(random_tokens(batch=2))
    with pytest.raises(InputError, match="'Haed'.*'Head'"):
        Obstacles(spheres=SPHERES, radius={"Haed": 0.1})(plan)
    three = Spheres(centre_w=numbers(3, 4, 3), radius=torch.ones(3, 4))
    with pytest.raises(InputError, match="3 plans.* 2"):
        Obstacles(spheres=three)(plan)
