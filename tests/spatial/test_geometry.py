"""Signed distances against brute force over surfaces, and the barrier against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.spatial import geometry

RNG = np.random.default_rng(0)


def tensor(values: object) -> Tensor:
    """Return float64 numbers."""
    return torch.tensor(np.asarray(values), dtype=torch.float64)


def nearest(points: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Return the distances from points to a dense sample of a surface."""
    return cKDTree(surface).query(points)[0]


def lattice(low: float, high: float, count: int) -> np.ndarray:
    """Return a square lattice, (count^2, 2)."""
    axis = np.linspace(low, high, count)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def box_surface(half: np.ndarray, count: int = 150) -> np.ndarray:
    """Return points all over an upright box about the origin."""
    square = lattice(-1.0, 1.0, count)
    faces = [np.insert(square, axis, sign, axis=1) for axis in range(3) for sign in (-1.0, 1.0)]
    return np.concatenate(faces) * half


def capsule_surface(start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Return points all over a capsule: spheres along its axis, less what lies inside."""
    ball = RNG.normal(size=(3000, 3))
    ball *= radius / np.linalg.norm(ball, axis=1, keepdims=True)
    cloud = np.concatenate([start + t * (end - start) + ball for t in np.linspace(0, 1, 100)])
    axis = end - start
    along = np.clip((cloud - start) @ axis / (axis @ axis), 0, 1)
    return cloud[np.linalg.norm(cloud - start - along[:, None] * axis, axis=1) > radius * 0.99]


def test_sphere_is_the_distance_to_the_centre_less_the_radius() -> None:
    points, centre = RNG.normal(size=(50, 3)), RNG.normal(size=3)
    found = geometry.sphere_distance(tensor(points), tensor(centre), tensor(0.7))
    np.testing.assert_allclose(found, np.linalg.norm(points - centre, axis=1) - 0.7)


def test_capsule_against_its_surface() -> None:
    points = RNG.normal(size=(300, 3))
    start, end, radius = np.array([-0.3, 0.1, 0.0]), np.array([0.4, 0.5, 0.6]), 0.4
    found = geometry.capsule_distance(tensor(points), tensor(start), tensor(end), tensor(radius)).numpy()
    np.testing.assert_allclose(np.abs(found), nearest(points, capsule_surface(start, end, radius)), atol=0.02)
    assert (found < 0).any() and (found > 0).any()


def test_a_capsule_without_length_is_a_sphere() -> None:
    points, centre = tensor(RNG.normal(size=(20, 3))), tensor([0.1, 0.2, 0.3])
    capsule = geometry.capsule_distance(points, centre, centre, tensor(0.2))
    torch.testing.assert_close(capsule, geometry.sphere_distance(points, centre, tensor(0.2)))


def test_turned_box_against_its_surface() -> None:
    points, half, centre = RNG.normal(size=(300, 3)), np.array([0.3, 0.5, 0.9]), np.array([0.1, -0.2, 0.3])
    turn = Rotation.random(rng=RNG)
    own = turn.inv().apply(points - centre)
    quat = turn.as_quat(scalar_first=True)
    found = geometry.box_distance(tensor(points), tensor(centre), tensor(quat), tensor(half)).numpy()
    np.testing.assert_allclose(np.abs(found), nearest(own, box_surface(half)), atol=0.01)
    np.testing.assert_array_equal(found < 0, (np.abs(own) < half).all(axis=1))
    assert (found < 0).sum() > 10


@pytest.mark.parametrize("shape", ["sphere", "capsule", "box"])
def test_gradients_are_unit_vectors_and_broadcasting_equals_loops(shape: str) -> None:
    points = tensor(RNG.normal(size=(2, 5, 1, 3))).requires_grad_()
    a, b, size = tensor(RNG.normal(size=(3, 3))), tensor(RNG.normal(size=(3, 3))), tensor([0.2, 0.3, 0.4])
    quat = tensor(Rotation.random(3, rng=RNG).as_quat(scalar_first=True))
    arguments = {
        "sphere": (geometry.sphere_distance, (a, size)),
        "capsule": (geometry.capsule_distance, (a, b, size)),
        "box": (geometry.box_distance, (a, quat, b.abs())),
    }
    function, parameters = arguments[shape]
    found = function(points, *parameters)
    assert found.shape == (2, 5, 3)
    alone = function(points[1, 4, 0], *(parameter[2] for parameter in parameters))
    torch.testing.assert_close(found[1, 4, 2], alone)
    (slope,) = torch.autograd.grad(found[..., 0].sum(), points)
    torch.testing.assert_close(slope.norm(dim=-1), torch.ones_like(slope[..., 0]))


def test_at_a_centre_gradients_are_finite() -> None:
    point = torch.zeros(1, 3, requires_grad=True)
    zero, one = torch.zeros(3), torch.ones(3)
    total = geometry.sphere_distance(point, zero, one[0]) + geometry.capsule_distance(
        point, -one, one, one[0]
    )
    total = total + geometry.box_distance(point, zero, torch.tensor([1.0, 0, 0, 0]), one)
    (slope,) = torch.autograd.grad(total.sum(), point)
    assert slope.isfinite().all()


def height(points: Tensor, heights: Tensor, spacing: float, origin: tuple[float, float]) -> Tensor:
    """Return the distances of points (P, 3) to one height field."""
    stretch = geometry.height_stretch(heights, spacing)
    place = tensor([origin])
    return geometry.height_distance(points[None], heights[None], stretch[None], place, spacing)[0]


def test_distance_to_a_slope_is_that_to_the_plane() -> None:
    nodes = lattice(0.0, 1.0, 11).reshape(11, 11, 2)
    heights = tensor(0.5 * (nodes[..., 0] - 1.0) - 0.25 * (nodes[..., 1] + 2.0) + 0.3)
    places = lattice(0.05, 0.95, 9) + np.array([-1.0, 2.0])
    points = tensor(np.concatenate((places, RNG.normal(size=(81, 1))), axis=1))
    # at x = -1 + u, y = 2 + v the plane is 0.5 (u - 1) - 0.25 (v + 2) + 0.3
    normal = np.array([-0.5, 0.25, 1.0]) / math.sqrt(1.0 + 0.25 + 0.0625)
    on_plane = np.array([-1.0, 2.0, -0.5 - 0.5 + 0.3])
    expected = (points.numpy() - on_plane) @ normal
    np.testing.assert_allclose(height(points, heights, 0.1, (-1.0, 2.0)), expected, atol=1e-12)


def test_distance_to_hills_is_near_the_true_one_close_by() -> None:
    grid = lattice(-2.0, 2.0, 81)
    hills = 0.2 * np.sin(1.5 * grid[:, 0]) * np.cos(1.2 * grid[:, 1])
    fine = lattice(-2.0, 2.0, 500)
    fine_hills = 0.2 * np.sin(1.5 * fine[:, 0]) * np.cos(1.2 * fine[:, 1])
    points = np.concatenate((RNG.uniform(-1.5, 1.5, (200, 2)), RNG.uniform(-0.3, 0.5, (200, 1))), axis=1)
    true = nearest(points, np.column_stack((fine, fine_hills)))
    found = height(tensor(points), tensor(hills.reshape(81, 81)), 0.05, (-2.0, -2.0)).numpy()
    above = points[:, 2] > 0.2 * np.sin(1.5 * points[:, 0]) * np.cos(1.2 * points[:, 1])
    clear = true > 0.01
    np.testing.assert_array_equal(found[clear] > 0, above[clear])
    close = true < 0.2
    np.testing.assert_allclose(np.abs(found[close]), true[close], atol=0.015)


def test_beyond_its_edge_a_height_field_goes_on_level() -> None:
    points = tensor([[9.0, 9.0, 1.0], [-9.0, 0.5, 1.0]])
    found = height(points, tensor([[0.0, 0.0], [0.0, 0.0]]) + 0.25, 1.0, (0.0, 0.0))
    np.testing.assert_allclose(found, [0.75, 0.75])


def test_every_plan_can_have_a_height_field_of_its_own() -> None:
    heights = tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]])
    points = tensor([[[0.5, 0.5, 1.0]], [[0.5, 0.5, 1.0]]])
    stretch = geometry.height_stretch(heights, 1.0)
    found = geometry.height_distance(points, heights, stretch, tensor([[0.0, 0.0]]), 1.0)
    np.testing.assert_allclose(found, [[1.0], [0.5]])


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.4])
def test_barrier_has_one_value_and_slope_on_both_sides_of_delta(delta: float) -> None:
    step = 1e-7 * delta
    x = tensor([delta - step, delta + step]).requires_grad_()
    below, above = geometry.barrier(x, delta)
    slopes = torch.autograd.grad(below + above, x)[0].tolist()
    assert abs((below - above).item()) < 1e-6
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-5)
    assert slopes[0] == pytest.approx(-1.0 / delta, rel=1e-5)


def test_barrier_is_the_paper_s_formula() -> None:
    x, delta = np.array([-0.3, 0.0, 0.04, 0.1, 0.7, 3.0]), 0.1
    parabola = -math.log(delta) + 0.5 * (((x - 2 * delta) / delta) ** 2 - 1)
    expected = np.where(x >= delta, -np.log(np.maximum(x, 1e-9)), parabola)
    np.testing.assert_allclose(geometry.barrier(tensor(x), delta), expected)


def test_near_barrier_ends_smoothly_and_pushes_like_the_barrier_near_by() -> None:
    x = tensor([-0.2, 0.02, 0.05, 0.3, 0.5 - 1e-6, 0.5, 0.6, 50.0]).requires_grad_()
    value = geometry.near_barrier(x, 0.05, 0.5)
    (slope,) = torch.autograd.grad(value.sum(), x)
    (plain,) = torch.autograd.grad(geometry.barrier(x, 0.05).sum(), x)
    np.testing.assert_allclose(slope[:5], plain[:5] + 2.0, atol=1e-9)
    assert value[4].item() == pytest.approx(0.0, abs=1e-10)
    assert value[5:].abs().max() < 1e-12 and slope[5:].abs().max() < 1e-12
    assert (value[:4] > 0).all()
