"""Rotation algebra against scipy, in three regimes: anywhere, near identity, near pi."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.spatial import rotation as rot

REGIMES = ("uniform", "tangent", "identity", "half turn")
COUNT = 500


def rotvecs(regime: str, seed: int = 0) -> np.ndarray:
    """Return (COUNT, 3) rotation vectors [rad] of one regime."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(COUNT, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    if regime == "uniform":
        return Rotation.random(COUNT, rng=rng).as_rotvec()
    if regime == "tangent":
        return rng.normal(size=(COUNT, 3)) * 0.5
    if regime == "identity":
        return axis * 1e-7
    return axis * (np.pi - rng.uniform(0, 1e-6, size=(COUNT, 1)))


def quat(rotation: Rotation) -> Tensor:
    """Return scipy's rotation as wxyz, float64."""
    return torch.tensor(rotation.as_quat(scalar_first=True))


def sample(regime: str, seed: int = 0) -> tuple[Rotation, Tensor]:
    """Return rotations of one regime as scipy's and as ours."""
    rotation = Rotation.from_rotvec(rotvecs(regime, seed))
    return rotation, quat(rotation)


def assert_same(ours: Tensor, theirs: Rotation, tolerance: float = 1e-9) -> None:
    """Assert equal rotations up to the sign of the quaternion."""
    sign = (ours * quat(theirs)).sum(-1, keepdim=True).sign()
    torch.testing.assert_close(ours * sign, quat(theirs), rtol=0, atol=tolerance)


regimes = pytest.mark.parametrize("regime", REGIMES)


@regimes
def test_product_and_inverse(regime: str) -> None:
    (a, qa), (b, qb) = sample(regime), sample("uniform", 1)
    assert_same(rot.mul(qa, qb), a * b)
    assert_same(rot.conjugate(qa), a.inv())


@regimes
def test_rotating_vectors(regime: str) -> None:
    rotation, q = sample(regime)
    v = np.random.default_rng(2).normal(size=(COUNT, 3))
    np.testing.assert_allclose(rot.rotate(q, torch.tensor(v)), rotation.apply(v), atol=1e-12)
    np.testing.assert_allclose(
        rot.rotate_inverse(q, torch.tensor(v)), rotation.apply(v, inverse=True), atol=1e-12
    )


def test_rotate_broadcasts() -> None:
    q = sample("uniform")[1][:6].reshape(3, 2, 1, 4)
    v = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert rot.rotate(q, v).shape == rot.rotate_inverse(q, v).shape == (3, 2, 5, 3)
    torch.testing.assert_close(rot.rotate_inverse(q, rot.rotate(q, v)), v.expand(3, 2, 5, 3))


@regimes
def test_matrix_there_and_back(regime: str) -> None:
    rotation, q = sample(regime)
    np.testing.assert_allclose(rot.to_matrix(q), rotation.as_matrix(), atol=1e-12)
    assert_same(rot.from_matrix(torch.tensor(rotation.as_matrix())), rotation)


@regimes
def test_matrix_there_and_back_in_single_precision(regime: str) -> None:
    rotation, q = sample(regime)
    assert_same(rot.from_matrix(rot.to_matrix(q.float())).double(), rotation, tolerance=2e-6)


@regimes
def test_exp_and_log(regime: str) -> None:
    vector = rotvecs(regime)
    assert_same(rot.exp(torch.tensor(vector)), Rotation.from_rotvec(vector))
    ours = rot.log(quat(Rotation.from_rotvec(vector)))
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vector).as_rotvec(), atol=1e-9)
    assert (ours.norm(dim=-1) <= np.pi + 1e-12).all()


@regimes
def test_log_takes_either_sign_and_single_precision(regime: str) -> None:
    q = sample(regime)[1].float()
    assert_same(rot.exp(rot.log(-q)).double(), sample(regime)[0], tolerance=1e-6)


@regimes
def test_angle_between(regime: str) -> None:
    a, qa = sample("uniform", 3)
    turn = Rotation.from_rotvec(rotvecs(regime))
    expected = turn.magnitude()
    np.testing.assert_allclose(rot.angle_between(qa, quat(a * turn)), expected, atol=1e-9, rtol=1e-7)
    assert (rot.angle_between(qa, -qa) == 0).all()


def test_slerp_moves_at_constant_speed_along_the_shorter_arc() -> None:
    (_, a), (_, b) = sample("uniform", 4), sample("uniform", 5)
    t = torch.rand(COUNT, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole, part = rot.angle_between(a, b), rot.angle_between(a, rot.slerp(a, -b, t))
    torch.testing.assert_close(part, t * whole, rtol=1e-6, atol=1e-8)
    for end, target in ((0.0, a), (1.0, b)):
        reached = rot.slerp(a, b, torch.full((COUNT,), end, dtype=torch.float64))
        assert rot.angle_between(reached, target).max() < 1e-7


def test_about_axis() -> None:
    angle = torch.tensor([0.3, -2.0], dtype=torch.float64)
    ours = rot.about_axis(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), angle)
    assert_same(ours, Rotation.from_euler("y", angle[:, None].numpy()))


@regimes
def test_six_numbers_are_the_first_two_columns_one_after_the_other(regime: str) -> None:
    rotation, q = sample(regime)
    matrix = rotation.as_matrix()
    np.testing.assert_allclose(
        rot.to_6d(q), np.concatenate((matrix[:, :, 0], matrix[:, :, 1]), axis=1), atol=1e-12
    )
    assert_same(rot.from_6d(rot.to_6d(q)), rotation)


def test_six_numbers_of_a_quarter_turn_about_z() -> None:
    q = rot.about_axis(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(torch.pi / 2))
    torch.testing.assert_close(rot.to_6d(q), torch.tensor([0.0, 1.0, 0.0, -1.0, 0.0, 0.0]), atol=1e-6, rtol=0)


def test_six_numbers_need_not_be_orthonormal() -> None:
    d = torch.tensor([[2.0, 0.0, 0.0, 5.0, 0.1, 0.0]])
    torch.testing.assert_close(rot.from_6d(d), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("dim", [0, 1])
def test_unwrap_sign_keeps_rotations_and_makes_neighbours_close(dim: int) -> None:
    steps = torch.tensor(rotvecs("tangent")).reshape(50, 10, 3).cumsum(0) * 0.1
    smooth = rot.exp(steps)
    flips = torch.randn(50, 10, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).sign()
    ours = rot.unwrap_sign((smooth * flips).movedim(0, dim), dim).movedim(dim, 0)
    assert ((ours[1:] * ours[:-1]).sum(-1) >= 0).all()
    assert rot.angle_between(ours, smooth).max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_the_identity_and_at_half_a_turn(dtype: torch.dtype) -> None:
    for start in ((1.0, 0, 0, 0), (0.0, 1, 0, 0), (-1.0, 0, 0, 0)):
        q = torch.tensor(start, dtype=dtype, requires_grad=True)
        other = torch.tensor((1.0, 0, 0, 0), dtype=dtype)
        half = torch.tensor(0.5, dtype=dtype)
        outputs = (
            rot.log(q), rot.angle_between(q, other), rot.from_matrix(rot.to_matrix(q)),
            rot.from_6d(rot.to_6d(q)), rot.slerp(other, q, half), rot.normalize(q),
        )  # fmt: skip
        for value in outputs:
            (gradient,) = torch.autograd.grad(value.sum(), q, retain_graph=True)
            assert gradient.isfinite().all(), (start, value)
    vector = torch.zeros(3, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(rot.exp(vector)[1], vector)
    torch.testing.assert_close(gradient, torch.tensor([0.5, 0.0, 0.0], dtype=dtype))


@regimes
def test_derivatives_agree_with_differences(regime: str) -> None:
    if regime == "half turn":
        pytest.skip("log jumps there")
    vector = torch.tensor(rotvecs(regime)[:20], requires_grad=True)
    assert torch.autograd.gradcheck(rot.exp, vector)
    q = sample(regime)[1][:20].clone().requires_grad_()
    v = torch.tensor(rotvecs("tangent", 6)[:20], requires_grad=True)
    assert torch.autograd.gradcheck(rot.rotate, (q, v))
    assert torch.autograd.gradcheck(lambda value: rot.log(rot.normalize(value)), q)
