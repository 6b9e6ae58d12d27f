"""Obstacles keep off the body, and say so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from humanoid.core import InputError
from humanoid.teleop import Arena, Obstacle
from humanoid.teleop.obstacles import BOX_HALF, CLEARANCE, KINDS, MOST, PILLAR_RADIUS, SPHERE_RADIUS, Kind

BODY = np.array([(0.0, 0.0, 0.9), (0.0, 0.1, 0.1)])
"""Root and a foot."""


@pytest.mark.parametrize("kind", KINDS)
def test_distance_is_that_of_the_nearest_surface_point(kind: Kind) -> None:
    generator = np.random.default_rng(0)
    points = generator.uniform(-1.5, 1.5, (200, 3))
    found = Obstacle("it", kind, (0.2, -0.1, 0.9)).distance(points)
    at = points - (0.2, -0.1, 0.9)
    if kind == "sphere":
        expected = np.linalg.norm(at, axis=1) - SPHERE_RADIUS
    elif kind == "pillar":
        axis = np.linspace(-0.9, 0.9, 3601)
        gaps = np.linalg.norm(at[:, None] - np.stack((0 * axis, 0 * axis, axis), -1), axis=-1)
        expected = gaps.min(1) - PILLAR_RADIUS
    else:
        nearest = np.clip(at, -np.array(BOX_HALF), BOX_HALF)
        inside = (np.abs(at) < BOX_HALF).all(1)
        expected = np.where(inside, -(BOX_HALF - np.abs(at)).min(1), np.linalg.norm(at - nearest, axis=1))
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_one_on_the_body_is_refused_until_it_is_dragged_away(kind: Kind) -> None:
    arena = Arena()
    obstacle, said = arena.add(kind, (2.0, 0.0), BODY)
    assert obstacle.active and not said
    refused, said = arena.move(obstacle.name, (0.1, 0.0, 0.9), BODY)
    assert not refused.active and obstacle.name in said and "refused" in said
    assert arena.obstacles == (refused,)
    still, said = arena.move(obstacle.name, (1.5, 0.0, 0.9), BODY)
    assert still.active and "counts again" in said


def test_the_limit_is_at_the_clearance() -> None:
    arena = Arena()
    name = arena.add("pillar", (3.0, 0.0), BODY)[0].name
    touching = PILLAR_RADIUS + CLEARANCE
    assert not arena.move(name, (touching - 0.01, 0.0, 0.9), BODY[:1])[0].active
    assert arena.move(name, (touching + 0.01, 0.0, 0.9), BODY[:1])[0].active


def test_a_thick_body_keeps_its_own_radius() -> None:
    arena = Arena((0.3, 0.05))
    name = arena.add("pillar", (3.0, 0.0), BODY[:2])[0].name
    points = np.array(((0.0, 0.0, 0.9), (0.0, 5.0, 0.9)))
    assert not arena.move(name, (PILLAR_RADIUS + 0.29, 0.0, 0.9), points)[0].active
    assert arena.move(name, (PILLAR_RADIUS + 0.31, 0.0, 0.9), points)[0].active
    assert arena.move(name, (0.0, 5.0 - PILLAR_RADIUS - 0.06, 0.9), points)[0].active


def test_what_stands_on_the_floor_stays_there() -> None:
    arena = Arena()
    for kind in KINDS:
        obstacle = arena.add(kind, (3.0, 0.0), BODY)[0]
        lifted = arena.move(obstacle.name, (3.0, 1.0, 1.7), BODY)[0]
        assert lifted.pos_w[:2] == (3.0, 1.0)
        assert lifted.pos_w[2] == (1.7 if kind == "sphere" else obstacle.pos_w[2])


@pytest.mark.parametrize("place", [(math.nan, 0.0, 0.9), (math.inf, 0.0, 0.9), (1e6, 0.0, 0.9)])
def test_no_place_is_refused_and_it_stays(place: tuple[float, float, float]) -> None:
    arena = Arena()
    obstacle = arena.add("pillar", (2.0, 0.0), BODY)[0]
    with pytest.raises(InputError, match="no place"):
        arena.move(obstacle.name, place, BODY)
    assert arena.obstacles == (obstacle,)
    with pytest.raises(InputError, match="no place"):
        arena.add("box", place[:2], BODY)
    assert arena.obstacles == (obstacle,)


def test_refusals() -> None:
    arena = Arena()
    with pytest.raises(InputError, match="obstacle 'cone'"):
        arena.add("cone", (1.0, 0.0), BODY)
    for _ in range(MOST):
        arena.add("pillar", (2.0, 0.0), BODY)
    with pytest.raises(InputError, match="are the most"):
        arena.add("pillar", (2.0, 0.0), BODY)
    with pytest.raises(InputError, match="no obstacle 'pillar 99'"):
        arena.move("pillar 99", (1.0, 0.0, 0.9), BODY)
    arena.clear()
    assert not arena.obstacles
