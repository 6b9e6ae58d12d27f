"""Costs in numpy: their gradients are right by finite differences and those of the torch costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, HumanoidError, InputError
from humanoid.diffusion.trajectory import Layout
from humanoid.export.costs import Cost, Heading, Joystick, Keyframe, Waypoint
from humanoid.export.guidance import Guidance
from humanoid.export.obstacles import Capsules, Obstacles
from humanoid.export.steer import Steer
from humanoid.planning.costs import obstacles as costs_scene
from humanoid.planning.costs import pose as costs_pose
from humanoid.planning.costs import steering as torch_costs
from humanoid.planning.guidance import Guidance as TorchGuidance
from tests.export.skill_samples import CFG, features, frames, twin

BATCH = 3
RANDOM = np.random.default_rng(7)
COMMANDS = RANDOM.normal(size=(BATCH, 2))
PLACES, ENDS = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=(BATCH, 4, 3))
THICK = np.array([0.1, 0.2, 0.3, 0.15])
KEYS, MASK = np.array([0.0, 1.0, 2.4, 6.0, 6.5]), RANDOM.uniform(size=(5, 3))
GOALS = RANDOM.normal(size=(BATCH, 5, 3, 3))
NAMED = ("root", "L_Wrist", "Head")


def _radii(layout: Layout) -> np.ndarray:
    return np.array([costs_scene.default_radius(name) for name in ("root", *layout.bodies)])


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _walls(own: bool, layout: Layout) -> Any:
    if own:
        groups = (
            Capsules.pillars(PLACES[:, :2], THICK, 1.2),
            Capsules(start_w=PLACES, end_w=ENDS, radius=THICK),
            Capsules.spheres(ENDS, THICK),
        )
        return [
            Obstacles(groups=groups[:1], body_radius=_radii(layout)),
            Obstacles(groups=groups[1:], body_radius=_radii(layout), delta=0.1, reach=1.5, name="bars"),
        ]
    bars = costs_scene.Capsules(
        start_w=_tensor(np.broadcast_to(PLACES, ENDS.shape)), end_w=_tensor(ENDS), radius=_tensor(THICK)
    )
    pillars = costs_scene.Capsules.pillars(_tensor(PLACES[:, :2]), _tensor(THICK), 1.2)
    spheres = costs_scene.Spheres(centre_w=_tensor(ENDS), radius=_tensor(THICK))
    return [
        costs_scene.Obstacles(capsules=pillars),
        costs_scene.Obstacles(capsules=bars, spheres=spheres, delta=0.1, reach=1.5, name="bars"),
    ]


PAIRS: dict[str, Callable[[Layout], tuple[Any, Any]]] = {
    "joystick": lambda layout: (
        Joystick(velocity=COMMANDS, yaw_rate=0.4, yaw_weight=0.7),
        torch_costs.Joystick(velocity=_tensor(COMMANDS), yaw_rate=0.4, yaw_weight=0.7),
    ),
    "joystick in the world": lambda layout: (
        Joystick(velocity=(1.0, -0.3), frame="world"),
        torch_costs.Joystick(velocity=(1.0, -0.3), frame="world"),
    ),
    "turning alone": lambda layout: (
        Joystick(yaw_rate=0.4, frame="world"),
        torch_costs.Joystick(yaw_rate=0.4, frame="world"),
    ),
    "steer to a direction": lambda layout: (
        Steer(speed=COMMANDS[:, 0], yaw=1.1, yaw_weight=0.7),
        torch_costs.Steer(speed=_tensor(COMMANDS[:, 0]), yaw=1.1, yaw_weight=0.7),
    ),
    "steer to a place": lambda layout: (
        Steer(speed=0.9, pos_w=COMMANDS, turn_rate=2.0, settle=0.8, slowest=0.3),
        torch_costs.Steer(speed=0.9, pos_w=_tensor(COMMANDS), turn_rate=2.0, settle=0.8, slowest=0.3),
    ),
    "waypoint": lambda layout: (
        Waypoint(pos_w=COMMANDS),
        torch_costs.Waypoint(pos_w=_tensor(COMMANDS)),
    ),
    "far waypoint": lambda layout: (
        Waypoint(pos_w=(5.0, 1.0), reach=1.5),
        torch_costs.Waypoint(pos_w=(5.0, 1.0), reach=1.5),
    ),
    "heading": lambda layout: (Heading(yaw=COMMANDS[:, 0]), torch_costs.Heading(yaw=_tensor(COMMANDS[:, 0]))),
    "keyframe": lambda layout: (
        Keyframe(frames=KEYS, positions_w=GOALS, bodies=NAMED, mask=MASK),
        costs_pose.Keyframe(
            frames=_tensor(KEYS), positions_w=_tensor(GOALS), bodies=NAMED, mask=_tensor(MASK)
        ),
    ),
    "keyframe of all bodies": lambda layout: (
        Keyframe(frames=[2.5], positions_w=np.ones((1, 1 + layout.num_bodies, 3))),
        costs_pose.Keyframe(frames=[2.5], positions_w=torch.ones(1, 1 + layout.num_bodies, 3)),
    ),
    "pillars": lambda layout: (_walls(True, layout)[0], _walls(False, layout)[0]),
    "bars and balls": lambda layout: (_walls(True, layout)[1], _walls(False, layout)[1]),
}


@pytest.fixture
def layout(body: Embodiment) -> Layout:
    """Layout of the default body."""
    return Layout.of(body, CFG)


@pytest.fixture
def tokens(layout: Layout) -> np.ndarray:
    """Plans that come near everything."""
    return features(layout, CFG.num_states, batch=BATCH).double().numpy()


@pytest.mark.parametrize("pair", PAIRS)
def test_value_and_gradient_are_those_of_the_torch_cost(
    layout: Layout, tokens: np.ndarray, pair: str
) -> None:
    mine, theirs = PAIRS[pair](layout)
    frame, own_frame = frames(BATCH)
    wanted, wanted_values = TorchGuidance([theirs]).gradient(layout, torch.from_numpy(tokens), frame)
    found, values = Guidance([mine]).gradient(twin(layout), tokens, own_frame)
    np.testing.assert_allclose(values[mine.name], wanted_values[theirs.name].numpy(), rtol=1e-10)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-9 * max(1.0, np.abs(found).max()))
    assert np.abs(found).max() > 1e-3 and not found[:, : CFG.history + 1].any()


def _held(cost: Cost, layout: Layout, tokens: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a cost as a function of tokens, with what its gradient takes as given held."""
    own, (_, frame) = twin(layout), frames(BATCH)
    fixed = own.decode(tokens, frame)
    if isinstance(cost, Joystick) and cost.frame == "heading":
        assert cost.velocity is not None and cost.yaw_rate is not None
        yaw, ahead = fixed.yaw[:, fixed.future], np.asarray(cost.velocity)[:, None]
        x = np.cos(yaw) * ahead[..., 0] - np.sin(yaw) * ahead[..., 1]
        y = np.sin(yaw) * ahead[..., 0] + np.cos(yaw) * ahead[..., 1]

        def steered(moved: np.ndarray) -> np.ndarray:
            plan = own.decode(moved, frame)
            error = plan.world.root_lin_vel_w[:, plan.future, :2] - np.stack((x, y), axis=-1)
            turning = plan.world.root_ang_vel_w[:, plan.future, 2] - np.asarray(cost.yaw_rate)
            return 0.5 * (error**2).sum((1, 2)) + 0.5 * cost.yaw_weight * (turning**2).sum(1)

        return steered
    return lambda moved: cost(own.decode(moved, frame))[0]


HELD = ("waypoint", "steer")
"""Costs with more that their gradients take as given: these have tests of their own."""


@pytest.mark.parametrize("pair", [name for name in PAIRS if not any(word in name for word in HELD)])
def test_gradient_by_finite_differences(layout: Layout, tokens: np.ndarray, pair: str) -> None:
    cost = PAIRS[pair](layout)[0]
    value, (_, frame) = _held(cost, layout, tokens), frames(BATCH)
    found, _ = Guidance([cost]).gradient(twin(layout), tokens, frame)
    random = np.random.default_rng(3)
    for _ in range(20):
        way = random.normal(size=tokens.shape)
        way[:, : CFG.history + 1] = 0.0
        wanted = (value(tokens + 1e-6 * way) - value(tokens - 1e-6 * way)) / 2e-6
        np.testing.assert_allclose((found * way).sum((1, 2)), wanted, rtol=1e-5, atol=1e-6)


def test_waypoint_gradient_by_finite_differences_with_the_distance_held(
    layout: Layout, tokens: np.ndarray
) -> None:
    goal, (_, frame), own = np.array([0.4, 0.9]), frames(BATCH), twin(layout)

    def value(moved: np.ndarray) -> np.ndarray:
        plan = own.decode(moved, frame)
        offset = plan.world.root_pos_w[:, plan.future, :2] - goal
        speed = plan.world.root_lin_vel_w[:, plan.future, :2]
        return ((1 - near) * (offset**2).sum(-1) + near * (speed**2).sum(-1)).sum(1)

    fixed = own.decode(tokens, frame)
    near = np.exp(-2 * np.linalg.norm(fixed.world.root_pos_w[:, fixed.future, :2] - goal, axis=-1))
    found, values = Guidance([Waypoint(pos_w=goal)]).gradient(own, tokens, frame)
    np.testing.assert_allclose(values["waypoint"], value(tokens))
    way = np.random.default_rng(3).normal(size=tokens.shape)
    way[:, : CFG.history + 1] = 0.0
    wanted = (value(tokens + 1e-6 * way) - value(tokens - 1e-6 * way)) / 2e-6
    np.testing.assert_allclose((found * way).sum((1, 2)), wanted, rtol=1e-5)


@pytest.mark.parametrize("pair", [name for name in PAIRS if "steer" in name])
def test_steering_gradient_by_finite_differences_of_velocities(
    layout: Layout, tokens: np.ndarray, pair: str
) -> None:
    cost, (_, frame), own = PAIRS[pair](layout)[0], frames(BATCH), twin(layout)
    found, _ = Guidance([cost]).gradient(own, tokens, frame)
    way = np.zeros_like(tokens)
    way[:, CFG.history + 1 :, 9:] = np.random.default_rng(3).normal(size=tokens.shape)[
        :, CFG.history + 1 :, 9:
    ]
    more, less = (cost(own.decode(tokens + step * way, frame))[0] for step in (1e-6, -1e-6))
    np.testing.assert_allclose((found * way).sum((1, 2)), (more - less) / 2e-6, rtol=1e-5, atol=1e-6)
    assert not found[..., :9].any()


def test_defaults_are_those_of_torch() -> None:
    pillar = Capsules.pillars([[1.0, 0.0]], [0.2])
    theirs = costs_scene.Capsules.pillars(torch.ones(1, 2), torch.ones(1))
    for mine, other in (
        (Steer(speed=1.0, yaw=0.0), torch_costs.Steer(speed=1.0, yaw=0.0)),
        (Joystick(velocity=(1.0, 0.0)), torch_costs.Joystick(velocity=(1.0, 0.0))),
        (Waypoint(pos_w=(1.0, 0.0)), torch_costs.Waypoint(pos_w=(1.0, 0.0))),
        (Obstacles(groups=(pillar,), body_radius=[0.1]), costs_scene.Obstacles(capsules=theirs)),
    ):
        shared = [name for name in mine.__dataclass_fields__ if hasattr(other, name)]
        assert len(shared) >= 3
        assert [getattr(mine, name) for name in shared] == [getattr(other, name) for name in shared]


def test_costs_add_with_their_weights(layout: Layout, tokens: np.ndarray) -> None:
    own, (_, frame) = twin(layout), frames(BATCH)
    one, two = Joystick(velocity=(1.0, 0.0)), Heading(yaw=0.3)
    both, values = Guidance([one, two], {"heading": 2.5}).gradient(own, tokens, frame)
    parts = [Guidance([cost]).gradient(own, tokens, frame) for cost in (one, two)]
    np.testing.assert_allclose(both, parts[0][0] + 2.5 * parts[1][0])
    np.testing.assert_array_equal(values["heading"], parts[1][1]["heading"])


def test_what_is_not_finite_is_dropped_for_its_plan_counted_and_logged(
    layout: Layout, tokens: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    own, (_, frame) = twin(layout), frames(BATCH)
    tokens[1, CFG.history + 2, 9] = 1e200  # its square is infinite
    guidance = Guidance([Joystick(velocity=(1.0, 0.0)), Heading(yaw=0.3)])
    for _ in range(2):
        gradient, values = guidance.gradient(own, tokens, frame)
    guidance.end_plan()
    assert guidance.dropped == {"joystick": 1, "heading": 0}
    assert "cost 'joystick' is not finite and was dropped for 1 of 3 plans" in caplog.text
    assert np.isfinite(gradient).all() and np.isinf(values["joystick"][1])
    alone, _ = Guidance([Heading(yaw=0.3)]).gradient(own, tokens, frame)
    np.testing.assert_array_equal(gradient[1], alone[1])


def test_a_plan_that_was_broken_off_does_not_spoil_one_of_another_size(
    layout: Layout, tokens: np.ndarray
) -> None:
    own, (_, frame) = twin(layout), frames(BATCH)
    tokens[1, CFG.history + 2, 9] = 1e200
    guidance = Guidance([Joystick(velocity=(1.0, 0.0))])
    guidance.gradient(own, tokens, frame)
    first = type(frame)(frame.pos_w[:1], frame.yaw[:1])
    gradient, _ = guidance.gradient(own, tokens[:1], first)
    guidance.end_plan()
    assert np.isfinite(gradient).all() and guidance.dropped == {"joystick": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Joystick(velocity=(1.0, math.nan)), "joystick.velocity: a number that is NaN"),
        (lambda: Joystick(), "joystick: give a velocity, a yaw rate or both"),
        (lambda: Joystick(velocity=1.0), r"joystick.velocity: shape \(\) given"),
        (lambda: Joystick(velocity="fast"), "joystick.velocity: str given"),
        (lambda: Joystick(velocity=(1, 0), frame="body"), "frame: 'body' is unknown"),  # type: ignore[arg-type]
        (lambda: Steer(speed=1.0), "give either yaw or pos_w"),
        (lambda: Steer(speed=math.inf, yaw=0.0), "steer.speed: a number that is NaN"),
        (lambda: Steer(speed=1.0, yaw=0.0, settle=0.0), "steer.settle: 0 given"),
        (lambda: Waypoint(pos_w=(1, 0), reach=0.0), "waypoint.reach: 0 m given"),
        (lambda: Keyframe(frames=[1.0], positions_w=np.zeros((2, 3, 3))), "keyframe.positions_w: shape"),
        (lambda: Capsules.spheres(PLACES, -THICK), "capsules.radius: -0.3 given"),
        (lambda: Obstacles(groups=(), body_radius=[0.1]), "obstacles: no obstacle given"),
        (lambda: Guidance([]), "guidance: costs named"),
        (lambda: Guidance([Heading(yaw=0.0)] * 2), "each with a name of its own"),
        (lambda: Guidance([Heading(yaw=0.0)], {"headng": 1.0}), "did you mean 'heading'"),
        (lambda: Guidance([Heading(yaw=0.0)], {"heading": -1.0}), "weight -1 of 'heading'"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises((InputError, ConfigError), match=message) as error:
        make()
    assert isinstance(error.value, HumanoidError) and "\n" not in str(error.value)


def test_what_does_not_fit_the_plans_is_refused(layout: Layout, tokens: np.ndarray) -> None:
    own, (_, frame) = twin(layout), frames(BATCH)
    for cost, message in (
        (Joystick(velocity=np.ones((2, 2))), "given for 2 plans, but there are 3"),
        (Keyframe(frames=[1.0], positions_w=np.ones((1, 1, 3)), bodies=("tail",)), "no body 'tail'"),
        (Obstacles(groups=(Capsules.spheres(PLACES, THICK),), body_radius=[0.1]), "body_radius: shape"),
    ):
        with pytest.raises(InputError, match=message):
            Guidance([cost]).gradient(own, tokens, frame)
