"""Steering costs: gradients by finite differences, motions that cost nothing, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from humanoid.core import ConfigError, InputError
from humanoid.diffusion import Trajectory
from humanoid.diffusion.trajectory import POS, ROT, VEL
from humanoid.planning.costs import Heading, Joystick, Steer, Waypoint
from tests.planning.plans import (
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


@pytest.mark.parametrize(
    "cost",
    [
        Joystick(velocity=(0.5, -0.2), frame="world"),
        Joystick(velocity=(0.5, -0.2), yaw_rate=0.3, frame="world", yaw_weight=0.7),
        Joystick(yaw_rate=0.3, yaw_weight=0.7, name="turning alone"),
        Heading(yaw=0.4),
    ],
    ids=lambda cost: cost.name,
)
def test_gradients_by_finite_differences(cost: Joystick | Heading) -> None:
    tokens = random_tokens()
    found = gradient(cost, tokens)
    torch.testing.assert_close(found, differences(cost, tokens), rtol=1e-6, atol=1e-7)
    assert found[:, FUTURE:].abs().sum() > 0
    assert not found[:, :FUTURE].any()


def test_a_command_in_the_heading_frame_moves_velocities_and_leaves_headings_alone() -> None:
    cost, tokens = Joystick(velocity=(0.5, -0.2), yaw_rate=0.3), random_tokens()
    found, expected = gradient(cost, tokens), differences(cost, tokens)
    assert expected[..., ROT].abs().sum() > 1.0
    expected[..., ROT] = 0.0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "cost", [Steer(speed=0.8, yaw=0.9, yaw_weight=0.7), Steer(speed=0.8, pos_w=(0.4, 1.1), turn_rate=0.6)]
)
def test_steering_moves_velocities_and_leaves_headings_and_places_alone(cost: Steer) -> None:
    tokens = random_tokens()
    found, expected = gradient(cost, tokens), differences(cost, tokens)
    assert expected[..., ROT].abs().sum() > 0.5
    expected[..., ROT] = expected[..., POS] = 0.0
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    assert (found[:, FUTURE:, 14] != 0.0).all() and not found[:, :FUTURE].any()


class Frozen:
    """The waypoint cost written out with weights that do not depend on the plan."""

    name = "frozen"

    def __init__(self, goal: Tensor, plan: Trajectory) -> None:
        """Take the weights of ``plan``."""
        away = plan.root_pos_w[0, FUTURE:, :2] - goal
        self.goal, self.near = goal, torch.exp(-2.0 * away.norm(dim=-1))

    def __call__(self, plan: Trajectory) -> Tensor:
        """Return the cost (B,)."""
        place, speed = plan.root_pos_w[:, FUTURE:, :2], plan.root_lin_vel_w[:, FUTURE:, :2]
        squares = (place - self.goal).square().sum(-1), speed.square().sum(-1)
        return ((1 - self.near) * squares[0] + self.near * squares[1]).sum(-1)


def test_waypoint_gradient_by_finite_differences_with_the_distance_held() -> None:
    goal, tokens = torch.tensor([0.4, -0.1], dtype=torch.float64), random_tokens()
    frozen = Frozen(goal, decoded(tokens))
    cost = Waypoint(pos_w=goal)
    torch.testing.assert_close(cost(decoded(tokens)), frozen(decoded(tokens)))
    torch.testing.assert_close(gradient(cost, tokens), differences(frozen, tokens), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("yaw_rate", [0.0, 0.9, -1.4])
def test_a_body_that_moves_as_told_costs_nothing_also_while_turning(yaw_rate: float) -> None:
    plan = seen(circling((0.8, 0.1), yaw_rate))
    assert Joystick(velocity=(0.8, 0.1), yaw_rate=yaw_rate)(plan).item() < 1e-20
    assert Joystick(velocity=(0.8, 0.1), yaw_rate=yaw_rate + 1.0)(plan).item() == pytest.approx(
        0.5 * LAYOUT.cfg.horizon
    )
    assert Joystick(yaw_rate=yaw_rate - 1.0)(plan).item() == pytest.approx(0.5 * LAYOUT.cfg.horizon)
    assert Joystick(velocity=(0.5, 0.1))(plan).item() == pytest.approx(0.5 * 0.09 * LAYOUT.cfg.horizon)


def test_a_command_in_the_world_is_kept_by_one_who_goes_straight() -> None:
    straight, round_about = seen(circling((1.0, 0.0), 0.0)), seen(circling((1.0, 0.0), 2.0))
    world = Joystick(velocity=(math.cos(0.4), math.sin(0.4)), frame="world")
    assert world(straight).item() < 1e-20
    assert world(round_about).item() > 0.01


def test_steering_costs_nothing_for_one_who_walks_along_its_heading_to_the_goal() -> None:
    walking = seen(circling((0.8, 0.0), 0.0))
    goal = (9.0 * math.cos(0.4), 9.0 * math.sin(0.4))
    for cost in (
        Steer(speed=0.8, pos_w=goal),
        Steer(speed=0.8, yaw=0.4),
        Steer(speed=0.8, yaw=0.4 - math.tau),
    ):
        assert cost(walking).item() < 1e-20
    sideways = seen(circling((0.0, 0.8), 0.0))
    assert Steer(speed=0.8, yaw=0.4)(sideways).item() == pytest.approx(0.64 * LAYOUT.cfg.horizon)


def test_steering_costs_nothing_for_one_who_turns_round_slowly_at_the_asked_rate() -> None:
    for side in (1.0, -1.0):
        turning = seen(circling((0.6 * 0.8, 0.0), 1.5 * side))
        cost = Steer(speed=0.8, yaw=0.4 + 2.8 * side, turn_rate=1.5, slowest=0.6)
        assert cost(turning).item() < 1e-20


@pytest.mark.parametrize(
    ("away", "rate"),
    [(0.3, 0.6), (-0.3, -0.6), (2.0, 1.5), (-2.0, -1.5), (math.tau + 0.3, 0.6), (math.tau - 0.3, -0.6)],
)
def test_the_wanted_yaw_rate_is_signed_and_limited(away: float, rate: float) -> None:
    cost, tokens = Steer(speed=0.8, yaw=0.4 + away, turn_rate=1.5, slowest=0.6), random_tokens()
    tokens[:] = LAYOUT.localized(circling((0.8, 0.0), 0.0), some_frame())
    found = gradient(cost, tokens)[0, FUTURE:]
    torch.testing.assert_close(found[:, 14], torch.full_like(found[:, 14], -rate))
    speed = 0.8 * max(0.5 + 0.5 * math.cos(away), 0.6)
    heading = 0.4 - 0.7  # as seen from the frame of now
    forward = torch.tensor([math.cos(heading), math.sin(heading), 0.0], dtype=torch.float64)
    torch.testing.assert_close(found[:, VEL], ((0.8 - speed) * forward).expand(len(found), -1))


def test_the_place_is_aimed_at_from_every_frame() -> None:
    plan = seen(circling((1.0, 0.0), 0.0))
    place = plan.root_pos_w[0, FUTURE:, :2]
    goal = plan.root_pos_w[0, -1, :2] + torch.tensor([0.5, 0.6], dtype=torch.float64)
    away = torch.atan2(goal[1] - place[:, 1], goal[0] - place[:, 0]) - 0.4
    found = Steer(speed=1.0, pos_w=goal, settle=4.0, slowest=0.01)(plan)
    off = 1.0 - (0.5 + 0.5 * away.cos())
    torch.testing.assert_close(found[0], 0.5 * (off.square() + (away / 4.0).square()).sum())


def test_every_plan_can_have_a_command_of_its_own() -> None:
    plan = decoded(random_tokens(batch=2))
    both = Joystick(velocity=torch.tensor([[0.1, 0.2], [0.3, 0.4]]), yaw_rate=torch.tensor([0.5, -0.5]))(plan)
    first = Joystick(velocity=(0.1, 0.2), yaw_rate=0.5)(plan)[0]
    second = Joystick(velocity=(0.3, 0.4), yaw_rate=-0.5)(plan)[1]
    torch.testing.assert_close(both, torch.stack((first, second)), rtol=1e-6, atol=1e-6)
    both = Steer(speed=torch.tensor([0.5, 1.0]), pos_w=torch.tensor([[1.0, 2.0], [3.0, -4.0]]))(plan)
    alone = Steer(speed=0.5, pos_w=(1.0, 2.0))(plan)[0], Steer(speed=1.0, pos_w=(3.0, -4.0))(plan)[1]
    torch.testing.assert_close(both, torch.stack(alone), rtol=1e-6, atol=1e-6)


def test_waypoint_falls_while_coming_near_and_is_zero_for_one_who_stands_there() -> None:
    standing = seen(circling((0.0, 0.0), 0.0))
    ahead = [(d * math.cos(1.0), d * math.sin(1.0)) for d in (4.0, 2.0, 1.0, 0.5, 0.1, 0.0)]
    values = [Waypoint(pos_w=goal)(standing).item() for goal in ahead]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.0
    passing = circling((0.0, 0.0), 0.0)
    passing[..., 9] = 1.0
    assert Waypoint(pos_w=(0.0, 0.0))(seen(passing)).item() == pytest.approx(LAYOUT.cfg.horizon)


def test_a_far_waypoint_counts_as_one_at_its_reach() -> None:
    plan = seen(circling((0.5, 0.0), 0.0))
    here = plan.root_pos_w[0, LAYOUT.cfg.history, :2]
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    far = Waypoint(pos_w=here + 9.0 * direction, reach=2.0)(plan)
    torch.testing.assert_close(far, Waypoint(pos_w=here + 2.0 * direction)(plan))
    near = Waypoint(pos_w=here + 1.5 * direction, reach=2.0)(plan)
    torch.testing.assert_close(near, Waypoint(pos_w=here + 1.5 * direction)(plan))


def test_heading_is_one_less_the_cosine_of_the_error_of_an_upright_root() -> None:
    plan = seen(circling((0.5, 0.0), 0.0))
    for error in (0.0, 0.3, math.pi):
        expected = LAYOUT.cfg.horizon * (1.0 - math.cos(error))
        assert Heading(yaw=0.4 + error)(plan).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joystick(velocity=(math.nan, 0.0)), "joystick.velocity: a number that is NaN or infinite"),
        (lambda: Joystick(), "give a velocity, a yaw rate or both"),
        (lambda: Joystick(velocity=(1.0, 0.0, 0.0)), "joystick.velocity: shape (3,) given; give shape (2,)"),
        (lambda: Joystick(velocity=("fast", 0.0)), "no array of numbers"),  # type: ignore[arg-type]
        (lambda: Joystick(velocity=(1.0, 0.0), yaw_rate=math.inf), "joystick.yaw_rate"),
        (lambda: Joystick(velocity=(1.0, 0.0), yaw_weight=-1.0), "greater than 0"),
        (lambda: Joystick(velocity=(1.0, 0.0), frame="body"), "give 'heading' or 'world'"),  # type: ignore[arg-type]
        (lambda: Steer(speed=1.0), "yaw, pos_w and path"),
        (lambda: Steer(speed=1.0, yaw=0.0, pos_w=(0.0, 1.0)), "yaw, pos_w and path"),
        (lambda: Steer(speed=math.nan, yaw=0.0), "steer.speed: a number that is NaN"),
        (lambda: Steer(speed=1.0, pos_w=(0.0, 1.0, 2.0)), "steer.pos_w: shape (3,) given"),
        (lambda: Steer(speed=1.0, yaw=0.0, settle=0.0), "steer.settle: 0 given"),
        (lambda: Waypoint(pos_w=(0.0, math.inf)), "waypoint.pos_w"),
        (lambda: Waypoint(pos_w=(0.0, 1.0), reach=0.0), "greater than 0"),
        (lambda: Heading(yaw=math.nan, name="face"), "face.yaw"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(make: object, message: str) -> None:
    with pytest.raises((InputError, ConfigError)) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_parameter_for_another_number_of_plans_is_refused() -> None:
    with pytest.raises(InputError, match="3 plans.* 2"):
        Joystick(velocity=torch.zeros(3, 2))(decoded(random_tokens(batch=2)))
