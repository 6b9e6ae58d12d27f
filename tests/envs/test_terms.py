"""Terms are functions of states: recorded steps scored outside of the environment give its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from humanoid.bodies import BodyState, Embodiment, stack
from humanoid.core import ConfigError
from humanoid.envs import (
    Avoid,
    BodyTensors,
    ObservationCfg,
    ObservationTerm,
    Place,
    Pose,
    Reference,
    RewardTerm,
    StepState,
    TrackingEnv,
    Velocity,
)
from humanoid.envs.observations import OBSERVATIONS, TRACKING_OBSERVATIONS
from humanoid.envs.rewards import REWARDS, TRACKING_REWARDS
from humanoid.envs.terminations import TERMINATIONS, TRACKING_TERMINATIONS
from humanoid.envs.terms import command_errors
from humanoid.eval.tracking import CALM
from humanoid.motion import MotionLibrary
from humanoid.sim import ObjectCfg, SceneCfg, SimCfg
from humanoid.spatial import rotation as rot
from humanoid.tasks import make_env
from humanoid.tasks.waypoint import WaypointCfg


def test_recorded_steps_score_as_in_the_environment(make_env: Callable[..., TrackingEnv]) -> None:
    thresholds = {**TRACKING_TERMINATIONS, "body_distance": 0.04}
    env = make_env(episode_seconds=1000.0, termination=thresholds)
    env.start(torch.tensor([0, 20, 40, 110]))
    draw = torch.Generator().manual_seed(0)
    last = torch.zeros(4, env.num_actions)
    failures = 0
    for _ in range(12):
        terms = env.terms()
        before = StepState(env.state, Reference(ahead=env.cursor.ahead()), last, last, env.parts)
        for name, value in terms.items():
            assert torch.equal(OBSERVATIONS[name](before), value), name
        row, seen = env.cursor.row, []
        action = torch.randn(4, env.num_actions, generator=draw)
        step_sim = env.sim.step

        def record(step_sim: Callable[[], None] = step_sim, seen: list = seen) -> None:
            step_sim()
            seen.append(env.sim.state())

        env.sim.step = record  # type: ignore[method-assign]
        result = env.step(action)
        env.sim.step = step_sim  # type: ignore[method-assign]
        step = StepState(seen[0], Reference(now=env.library.rows(row + 1)), action, last, env.parts)
        step = step.with_errors()
        reward = torch.zeros(4)
        for name, term in TRACKING_REWARDS.items():
            if term.weight:
                value = REWARDS[name](step, **term.params)
                reward += 0.02 * term.weight * value
                torch.testing.assert_close(result.log[f"reward/{name}"], value.mean())
        torch.testing.assert_close(result.reward, reward)
        failed = torch.stack([TERMINATIONS[name](step, limit) for name, limit in thresholds.items()]).any(0)
        assert torch.equal(failed, result.done & ~result.time_out)
        failures += int(failed.sum())
        last = torch.where(result.done[:, None], 0.0, action)
    assert 0 < failures < 48
    assert set(TRACKING_OBSERVATIONS) >= set(terms)


def _stand(library: MotionLibrary, yaw: float = 0.0) -> BodyState:
    """Return one standing state that faces ``yaw`` and moves at 1 m/s along the world's x axis."""
    state = library.rows(torch.tensor([0]))
    turn = rot.exp(torch.tensor((0.0, 0.0, yaw)))
    return replace(
        state,
        body_pos_w=rot.rotate(turn, state.body_pos_w),
        body_quat_w=rot.mul(turn.expand_as(state.body_quat_w), state.body_quat_w),
        body_lin_vel_w=torch.tensor((1.0, 0.0, 0.0)).expand_as(state.body_lin_vel_w),
        body_ang_vel_w=torch.tensor((0.0, 0.0, 0.3)).expand_as(state.body_ang_vel_w),
    )


def test_errors_of_a_velocity_command_by_hand(library: MotionLibrary) -> None:
    parts, state = BodyTensors(library.body, torch.device("cpu")), _stand(library, torch.pi / 2)
    # facing y and moving along x is moving to the right: (0, -1) in the heading frame
    command = Velocity(velocity=torch.tensor([[0.0, -1.0]]), yaw_rate=torch.tensor([0.5]))
    squared = command_errors(state, command, parts).squared
    assert squared["velocity"].item() == pytest.approx(0.0, abs=1e-5)
    assert squared["yaw_rate"].item() == pytest.approx(0.04, abs=1e-5)
    ahead = Velocity(velocity=torch.tensor([[1.0, 0.0]]))
    assert command_errors(state, ahead, parts).squared["velocity"].item() == pytest.approx(2.0, abs=1e-5)
    world = replace(ahead, frame="world", yaw=torch.tensor([torch.pi]))
    assert command_errors(state, world, parts).squared["velocity"].item() == pytest.approx(4.0, abs=1e-5)
    step = StepState(state, command, torch.zeros(1, 1), torch.zeros(1, 1), parts)
    shown = OBSERVATIONS["velocity_command_h"](step)
    torch.testing.assert_close(shown, torch.tensor([[0.0, -1.0, 0.5]]))
    turned = OBSERVATIONS["velocity_command_h"](replace(step, command=world))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 0.0]]), atol=1e-5, rtol=0)


def test_errors_of_a_place_and_a_keyframe(library: MotionLibrary) -> None:
    parts, state = BodyTensors(library.body, torch.device("cpu")), _stand(library)
    there = state.root_pos_w[:, :2] + torch.tensor([[3.0, 4.0]])
    place = Place(pos_w=there, speed=1.0, reach=1.0)
    assert command_errors(state, place, parts).squared["place"].item() == pytest.approx(25.0, rel=1e-5)
    step = StepState(state, place, torch.zeros(1, 1), torch.zeros(1, 1), parts)
    torch.testing.assert_close(OBSERVATIONS["place_h"](step), torch.tensor([[0.6, 0.8]]), atol=1e-4, rtol=0)
    moved = replace(state, body_pos_w=state.body_pos_w + torch.tensor((0.0, 0.0, 0.5)))
    keys = stack([moved, state]).map(lambda tensor: tensor.transpose(0, 1))
    pose = Pose(time=torch.tensor([[-0.1, 0.4]]), state=keys)
    assert command_errors(state, pose, parts).squared["pose"].item() == 0.0  # the first has passed
    early = replace(pose, time=torch.tensor([[0.1, 0.4]]))
    assert command_errors(state, early, parts).squared["pose"].item() == pytest.approx(0.25, rel=1e-5)
    assert OBSERVATIONS["keyframe_b"](replace(step, command=early))[0, 0].item() == pytest.approx(0.1)


def test_a_command_without_an_error_is_named(library: MotionLibrary) -> None:
    parts = BodyTensors(library.body, torch.device("cpu"))
    with pytest.raises(ConfigError, match="Avoid"):
        command_errors(_stand(library), Avoid(), parts)


def ball_distance(step: StepState) -> torch.Tensor:
    """Distance of the root from the ball. (B, 1) [m]."""
    assert step.scene is not None
    away = step.scene.objects["ball"].pos_w - step.state.root_pos_w
    return away.norm(dim=-1, keepdim=True)


def ball_force(step: StepState) -> torch.Tensor:
    """Contact force of the ball on the floor. (B,) [N]."""
    assert step.scene is not None
    return step.scene.contacts["ball", "floor"].norm(dim=-1)


def test_terms_read_objects_and_pair_contacts(body: Embodiment) -> None:
    OBSERVATIONS.register("test_ball_distance", ball_distance)
    REWARDS.register("test_ball_force", ball_force)
    ball = ObjectCfg(shape="ball", size=(0.1,), mass=2.0, pos=(1.0, 0.0, 0.1))
    cfg = WaypointCfg(
        scene=SceneCfg(objects={"ball": ball}, contact_pairs=(("ball", "floor"),)),
        observation=ObservationCfg(terms={"test_ball_distance": ObservationTerm()}),
        reward={"test_ball_force": RewardTerm(weight=1.0)},
        event=CALM,
    )
    env = make_env("waypoint", num_envs=2, body=body, cfg=cfg, sim=SimCfg(threads=1))
    for _ in range(10):
        result = env.step(torch.zeros(2, env.num_actions))
    # a ball at rest weighs on the floor with m g
    assert result.log["reward/test_ball_force"].item() == pytest.approx(2.0 * 9.81, rel=0.05)
    away = torch.tensor((1.0, 0.0, 0.1)) - env.state.root_pos_w
    torch.testing.assert_close(result.obs["actor"][:, 0], away.norm(dim=-1), atol=2e-2, rtol=0)
    env.sim.push(torch.full((2, 3), 1.0), torch.zeros(2, 3), "ball")
    env.step(torch.zeros(2, env.num_actions))
    assert env.scene is not None
    assert (env.scene.objects["ball"].pos_w - torch.tensor(ball.pos)).norm(dim=-1).min() > 0.01
    env.reset()
    assert env.scene is not None
    torch.testing.assert_close(env.scene.objects["ball"].pos_w, torch.tensor([ball.pos, ball.pos]))
    env.sim.close()
