"""Guidance: the sum's gradient, what is dropped, and that it gets to where costs are low."""

from __future__ import annotations

import logging
import math
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from humanoid.core import ConfigError
from humanoid.diffusion import Frame, Trajectory
from humanoid.planning import Guidance, weighted
from humanoid.planning.costs import (
    Effort,
    Heading,
    HeightField,
    Joystick,
    Keyframe,
    Obstacles,
    PathField,
    Steer,
    Style,
    Symmetry,
    Waypoint,
)
from humanoid.planning.guidance import DETOUR_OBSTACLE_WEIGHT, WEIGHTS
from humanoid.spatial import Boxes, Capsules, Spheres
from tests.planning.plans import LAYOUT, circling, decoded, differences, random_tokens, some_frame


@dataclass(frozen=True)
class Total:
    """A weighted sum of costs as one cost."""

    weights: tuple[float, ...]
    costs: tuple[Joystick | Heading, ...]
    name: str = "total"

    def __call__(self, trajectory: Trajectory) -> Tensor:
        """Return the sum (B,)."""
        parts = [w * cost(trajectory) for w, cost in zip(self.weights, self.costs, strict=True)]
        return torch.stack(parts).sum(0)


JOYSTICK, HEADING = Joystick(velocity=(0.4, 0.0), frame="world", yaw_rate=0.2), Heading(yaw=1.0)


def test_gradient_is_that_of_the_weighted_sum() -> None:
    tokens = random_tokens()
    expected = differences(Total((0.5, 3.0), (JOYSTICK, HEADING)), tokens)
    for weights in ((0.5, 3.0), {"joystick": 0.5, "heading": 3.0}):
        guidance = Guidance([JOYSTICK, HEADING], weights)
        found, values = guidance.gradient(LAYOUT, tokens, some_frame())
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(values["heading"], HEADING(decoded(tokens)))
    assert not found.requires_grad and not values["joystick"].requires_grad


def test_plans_of_a_batch_do_not_touch_each_other() -> None:
    tokens = random_tokens(batch=3)
    guidance = Guidance([JOYSTICK, Waypoint(pos_w=(1.0, 1.0)), Symmetry(), Effort()])
    together, _ = guidance.gradient(LAYOUT, tokens, some_frame(3))
    alone, _ = guidance.gradient(LAYOUT, tokens[1:2], some_frame())
    torch.testing.assert_close(together[1:2], alone)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_had_where_none_are_recorded(mode: type[torch.no_grad]) -> None:
    expected, _ = Guidance([JOYSTICK]).gradient(LAYOUT, random_tokens(), some_frame())
    with mode():
        made_here = Joystick(velocity=torch.tensor([[0.4, 0.0]]), frame="world", yaw_rate=0.2)
        found, _ = Guidance([made_here]).gradient(LAYOUT, random_tokens(), some_frame())
    torch.testing.assert_close(found, expected)


def test_a_cost_that_is_not_finite_is_dropped_for_its_plan_only(caplog: pytest.LogCaptureFixture) -> None:
    tokens = random_tokens(batch=3).float()
    frame = Frame(torch.zeros(3, 2), torch.zeros(3))
    places = torch.zeros(3, 1, 1, 3)
    places[1] = 1e30  # its square overflows single precision
    broken = Keyframe(frames=(2.0,), positions_w=places, bodies=("Head",))
    guidance = Guidance([JOYSTICK, broken])
    with caplog.at_level(logging.WARNING, logger="humanoid"):
        for _ in range(4):
            found, values = guidance.gradient(LAYOUT, tokens, frame)
        assert not caplog.records
        guidance.end_plan()
    clean, _ = Guidance([JOYSTICK]).gradient(LAYOUT, tokens, frame)
    assert found.isfinite().all() and not values["keyframe"].isfinite()[1]
    torch.testing.assert_close(found[1], clean[1])
    assert (found[0] - clean[0]).abs().max() > 0
    assert guidance.dropped == {"joystick": 0, "keyframe": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "guidance: cost 'keyframe' is not finite and was dropped for 1 of 3 plans"
    ]


def test_tokens_that_are_not_finite_give_no_gradient() -> None:
    tokens = random_tokens(batch=2)
    tokens[0, -1, 9] = math.nan
    guidance = Guidance([JOYSTICK])
    found, _ = guidance.gradient(LAYOUT, tokens, some_frame(2))
    assert not found[0].any() and found[1].any()
    assert guidance.dropped == {"joystick": 1}


def test_drops_are_counted_once_a_plan() -> None:
    tokens = torch.full_like(random_tokens(), math.nan)
    guidance = Guidance([JOYSTICK])
    for batch in (1, 1, 2):
        for _ in range(3):
            guidance.gradient(LAYOUT, tokens.expand(batch, -1, -1), some_frame(batch))
        guidance.end_plan()
    assert guidance.dropped == {"joystick": 4}


def test_going_down_the_gradient_keeps_clear_of_a_pillar_and_to_the_command() -> None:
    features = circling((1.0, 0.0), 0.0)
    now = features[0, LAYOUT.cfg.history, :2]
    pillar = Capsules.pillars(now[None] + torch.tensor([[0.4, 0.1]]), torch.tensor([0.15]))
    guidance = Guidance([Joystick(velocity=(0.5, 0.0)), Obstacles(capsules=pillar)], {"obstacles": 0.02})
    frame = Frame(now[None], torch.full((1,), 0.4, dtype=torch.float64))
    tokens = LAYOUT.localized(features, frame)
    _, before = guidance.gradient(LAYOUT, tokens, frame)
    for _ in range(50):
        slope, after = guidance.gradient(LAYOUT, tokens, frame)
        tokens = tokens - 0.1 * slope
    assert after["joystick"] < 0.01 * before["joystick"]
    assert after["obstacles"] < 0.5 * before["obstacles"]


def test_everything_can_be_sent_to_another_process() -> None:
    unit = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    obstacles = Obstacles(
        spheres=Spheres(centre_w=torch.ones(1, 3), radius=torch.ones(1)),
        capsules=Capsules.pillars(torch.ones(1, 2), torch.ones(1)),
        boxes=Boxes(centre_w=torch.ones(1, 3), half=torch.ones(1, 3), quat_w=unit),
        ground=HeightField(heights=torch.rand(3, 3), origin_w=torch.zeros(2), spacing=1.0),
    )
    key = Keyframe(frames=(2.0,), positions_w=torch.zeros(1, 6, 3))
    style = Style.of(LAYOUT, random_tokens()[0])
    places = [Waypoint(pos_w=(1.0, 0.0)), Steer(speed=1.0, pos_w=(1.0, 0.0))]
    costs = [JOYSTICK, HEADING, *places, obstacles, key, style, Symmetry(), Effort()]
    guidance = Guidance(costs)
    found, _ = pickle.loads(pickle.dumps(guidance)).gradient(LAYOUT, random_tokens(), some_frame())
    expected, _ = guidance.gradient(LAYOUT, random_tokens(), some_frame())
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("costs", "weights", "message"),
    [
        ([], None, "no cost given"),
        ([HEADING, Heading(yaw=0.0)], None, "two costs are named 'heading'"),
        ([HEADING], [1.0, 2.0], "2 weights for 1 costs"),
        ([HEADING], {"haeding": 1.0}, "did you mean 'heading'"),
        ([HEADING], [math.nan], "weight nan of 'heading'"),
        ([HEADING], [-1.0], "weight -1 of 'heading'"),
    ],
)
def test_bad_sums_are_refused_in_one_line(costs: list, weights: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Guidance(costs, weights)  # type: ignore[arg-type]
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_usual_weights_give_way_to_chosen_ones_and_obstacles_to_a_map_round_them() -> None:
    obstacles = Obstacles(capsules=Capsules.pillars(torch.tensor([[2.0, 0.0]]), torch.tensor([0.2])))
    ways = PathField(goal_w=(4.0, 0.0), start_w=torch.zeros(1, 2), obstacles=obstacles)
    straight, led = Steer(speed=0.8, pos_w=(4.0, 0.0)), Steer(speed=0.8, path=ways)
    assert weighted([straight, obstacles], {}).weights == {"steer": 1.0, "obstacles": WEIGHTS["obstacles"]}
    assert weighted([led, obstacles], {}).weights == {"steer": 1.0, "obstacles": DETOUR_OBSTACLE_WEIGHT}
    assert weighted([led, obstacles], {"obstacles": 2.0, "style": 5.0}).weights["obstacles"] == 2.0
    assert weighted([Heading(yaw=0.0)], {}).weights == {"heading": 1.0}
