"""Pose costs: gradients by finite differences, poses that cost nothing, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from humanoid.core import InputError, MismatchError
from humanoid.diffusion import Frame, Layout, TrajectoryCfg
from humanoid.planning.costs import Effort, Keyframe, Style, Symmetry
from humanoid.planning.costs.pose import GRAVITY
from tests.planning.plans import (
    BODIES,
    LAYOUT,
    circling,
    decoded,
    differences,
    gradient,
    random_tokens,
    seen,
    some_frame,
)

FUTURE = LAYOUT.cfg.history + 1
MASK = torch.tensor([[1, 0, 0, 0.5, 0, 1]])
GAIT = Layout(TrajectoryCfg(history=4, horizon=32), "Pelvis", BODIES)


def random_features(count: int) -> Tensor:
    """Return world features (count, S) of no particular poses."""
    return 0.5 * torch.randn(
        count, LAYOUT.width, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )


def positions(keys: int, bodies: int) -> Tensor:
    """Return places (keys, bodies, 3) [m]."""
    return torch.randn(keys, bodies, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


@pytest.mark.parametrize(
    "cost",
    [
        Keyframe(frames=(1.0, 2.4, 6.0), positions_w=positions(3, 6), name="all_bodies"),
        Keyframe(frames=(3.7,), positions_w=positions(1, 2), bodies=("Head", "root"), name="some_bodies"),
        Keyframe(frames=(2.0,), positions_w=positions(1, 6), mask=MASK, name="masked"),
        Style.of(LAYOUT, random_features(4), temperature=1.0),
        Symmetry(temperature=1.0),
        Effort(),
    ],
    ids=lambda cost: cost.name,
)  # fmt: skip
def test_gradients_by_finite_differences(cost: Keyframe | Style | Symmetry | Effort) -> None:
    tokens = random_tokens()
    found = gradient(cost, tokens)
    torch.testing.assert_close(found, differences(cost, tokens), rtol=1e-5, atol=1e-6)
    assert found[:, FUTURE:].abs().sum() > 0
    assert not found[:, :FUTURE].any()


def test_a_plan_that_keeps_its_keys_costs_nothing() -> None:
    plan = decoded(random_tokens())
    points = plan.points_w()[0]
    now = LAYOUT.cfg.history
    between = 0.25 * points[now + 3] + 0.75 * points[now + 4]
    kept = torch.stack((points[now + 1], between, points[now + 6]))
    cost = Keyframe(frames=(1.0, 3.75, 6.0), positions_w=kept)
    assert cost(plan).item() < 1e-20
    off = Keyframe(frames=(1.0, 3.75, 6.0), positions_w=kept + torch.tensor([0.0, 0.0, 0.2]))
    assert off(plan).item() == pytest.approx(0.5 * 3 * 6 * 0.04)


def test_keys_outside_the_horizon_and_masked_bodies_cost_nothing() -> None:
    plan, far = decoded(random_tokens()), positions(1, 6) + 100.0
    for frame in (-3.0, 0.0, 6.01, 40.0):
        assert Keyframe(frames=(frame,), positions_w=far)(plan).item() == 0.0
    assert Keyframe(frames=(2.0,), positions_w=far, mask=torch.zeros(1, 6))(plan).item() == 0.0
    assert Keyframe(frames=(2.0,), positions_w=far)(plan).item() > 0.0


def test_every_plan_can_have_keys_of_its_own() -> None:
    plan = decoded(random_tokens(batch=2))
    frames, places = torch.tensor([[1.0, 2.0], [3.5, 9.0]]), torch.stack((positions(2, 6), -positions(2, 6)))
    both = Keyframe(frames=frames, positions_w=places)(plan)
    for row in range(2):
        torch.testing.assert_close(
            both[row], Keyframe(frames=frames[row], positions_w=places[row])(plan)[row]
        )


def test_style_of_the_plan_itself_is_zero_wherever_and_whichever_way_it_is_performed() -> None:
    tokens = random_tokens()
    features = LAYOUT.globalized(tokens, some_frame())[0, FUTURE:]
    style = Style.of(LAYOUT, features, temperature=1e-3)
    assert abs(style(decoded(tokens)).item()) < 1e-9
    moved = LAYOUT.decode(tokens, Frame(torch.ones(1, 2).double(), torch.tensor([2.0]).double()))
    assert abs(style(moved).item()) < 1e-9
    lifted = features.clone()
    lifted[:, 2] += 0.1
    expected = LAYOUT.cfg.horizon * 0.5 * 0.01
    assert Style.of(LAYOUT, lifted, temperature=1e-3)(decoded(tokens)).item() == pytest.approx(expected)


def test_style_is_between_the_nearest_pose_and_that_less_tau_ln_r() -> None:
    tokens, reference = random_tokens(), random_features(7)
    poses = torch.cat(
        (reference[:, 2:3], reference[:, LAYOUT.body_pos], 0.1 * reference[:, LAYOUT.body_vel]), -1
    )
    own = LAYOUT.globalized(tokens, some_frame())[0, FUTURE:]
    mine = torch.cat((own[:, 2:3], own[:, LAYOUT.body_pos], 0.1 * own[:, LAYOUT.body_vel]), -1)
    hard = 0.5 * torch.cdist(mine, poses).square().amin(1).sum().item()
    for tau in (1e-4, 0.1, 2.0):
        value = Style.of(LAYOUT, reference, temperature=tau)(decoded(tokens)).item()
        assert hard - LAYOUT.cfg.horizon * tau * math.log(7) - 1e-9 <= value <= hard + 1e-9


def walking(left: float, right: float) -> Tensor:
    """Return world features (1, T, S) of wrists that swing by turns, 24 frames a cycle."""
    features = circling((1.0, 0.0), 0.3, GAIT)
    phase = 2.0 * math.pi / 24 * torch.arange(GAIT.cfg.num_states, dtype=torch.float64)
    places = features[0, :, GAIT.body_pos].unflatten(-1, (-1, 3))
    speeds = features[0, :, GAIT.body_vel].unflatten(-1, (-1, 3))
    for name, side, amount, angle in (
        ("L_Wrist", 0.25, left, phase),
        ("R_Wrist", -0.25, right, phase + math.pi),
    ):
        body = BODIES.index(name)
        places[:, body] = torch.stack((amount * angle.sin(), torch.full_like(phase, side), 0 * phase), -1)
        speeds[:, body, 0] = amount * angle.cos() * 2.0 * math.pi / (24 * GAIT.cfg.dt)
    return features


def test_an_even_gait_is_its_own_mirror_and_a_limp_is_not() -> None:
    cost = Symmetry(temperature=1e-3)
    even, limping = cost(seen(walking(0.4, 0.4), GAIT)).item(), cost(seen(walking(0.4, 0.1), GAIT)).item()
    assert abs(even) < 32 * 1e-3 * math.log(32)
    assert limping > 0.2
    mirrored = GAIT.mirrored(walking(0.4, 0.1))
    assert cost(seen(mirrored, GAIT)).item() == pytest.approx(limping, rel=1e-9)


def test_mirror_is_the_style_of_the_mirrored_plan() -> None:
    features = walking(0.4, 0.1)
    style = Style.of(GAIT, GAIT.mirrored(features)[0, GAIT.cfg.history + 1 :], temperature=0.02)
    plan = seen(features, GAIT)
    torch.testing.assert_close(Symmetry(temperature=0.02)(plan), style(plan))


def test_effort_is_half_the_square_of_the_acceleration() -> None:
    features = circling((0.0, 0.0), 0.0)
    time = LAYOUT.cfg.dt * torch.arange(LAYOUT.cfg.num_states, dtype=torch.float64)
    assert Effort()(seen(circling((1.0, 0.0), 0.0))).item() == pytest.approx(0.0, abs=1e-20)
    features[0, :, 9] = 0.5 * GRAVITY * time
    assert Effort()(seen(features)).item() == pytest.approx(0.5 * 0.25 * (LAYOUT.cfg.horizon - 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Keyframe(frames=(math.nan,), positions_w=positions(1, 6)), "keyframe.frames: a number"),
        (lambda: Keyframe(frames=(), positions_w=positions(1, 6)), "keyframe.frames: shape (0,)"),
        (lambda: Keyframe(frames=(1.0,), positions_w=positions(2, 6)), "give shape (1, any, 3)"),
        (lambda: Keyframe(frames=(1.0,), positions_w=positions(1, 6), bodies=("Head",)), "(1, 1, 3)"),
        (lambda: Keyframe(frames=(1.0,), positions_w=positions(1, 6) / 0.0), "keyframe.positions_w"),
        (lambda: Keyframe(frames=(1.0,), positions_w=positions(1, 6), mask=MASK[:, :1]), ".mask: shape"),
        (lambda: Style.of(LAYOUT, torch.zeros(5, 3)), "style.features: shape (5, 3)"),
        (lambda: Style.of(LAYOUT, random_features(2), temperature=0.0), "style.temperature: 0"),
        (lambda: Symmetry(temperature=math.nan), "mirror.temperature: nan"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_in_one_line(make: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_does_not_fit_the_plans_is_refused() -> None:
    plan = decoded(random_tokens(batch=2))
    with pytest.raises(InputError, match="'Hed'.*'Head'"):
        Keyframe(frames=(1.0,), positions_w=positions(1, 1), bodies=("Hed",))(plan)
    with pytest.raises(InputError, match="4 bodies.* 6"):
        Keyframe(frames=(1.0,), positions_w=positions(1, 4))(plan)
    with pytest.raises(InputError, match="3 plans.* 2"):
        Keyframe(frames=torch.ones(3, 1), positions_w=positions(1, 6))(plan)
    other = Layout(LAYOUT.cfg, "Pelvis", BODIES[::-1])
    with pytest.raises(MismatchError, match="layout"):
        Style.of(other, random_features(2))(plan)
