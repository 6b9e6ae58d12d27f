"""Commands as costs: the way to a place, round obstacles, in the world's frame or the body's own."""

from __future__ import annotations

import math

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.control import CommandCfg, CommandCosts
from humanoid.core import InputError
from humanoid.diffusion import Layout
from humanoid.envs import Avoid, Imitate, Place, Pose, Reference, Velocity
from humanoid.motion import Motion
from humanoid.planning import weighted
from humanoid.planning.costs import Heading, Joystick, Steer, Waypoint
from humanoid.planning.guidance import DETOUR_OBSTACLE_WEIGHT
from humanoid.spatial import Capsules
from humanoid.tasks import ForestTask
from tests.tasks.guided import context

HERE = torch.zeros(1, 2)
PILLAR = Avoid(capsules=Capsules.pillars(torch.tensor([[2.0, 0.0]]), torch.tensor([0.2])))


@pytest.fixture
def costs(body: Embodiment) -> CommandCosts:
    return CommandCosts(Layout.of(body), body, CommandCfg(yaw_weight=0.5))


def test_a_velocity_of_the_body_is_a_joystick(costs: CommandCosts) -> None:
    velocity, rate = torch.tensor([[0.8, -0.2]]), torch.tensor([0.3])
    (stick,), keyframes = costs([Velocity(velocity=velocity, yaw_rate=rate)], HERE)
    assert isinstance(stick, Joystick) and stick.velocity is velocity and stick.yaw_rate is rate
    assert stick.yaw_weight == 0.5 and stick.frame == "heading" and keyframes is None
    found, _ = costs([Velocity(velocity=velocity), PILLAR], HERE)
    assert [cost.name for cost in found] == ["joystick", "obstacles"]


def test_a_velocity_of_the_world_is_walked_towards_or_kept_facing_anywhere(costs: CommandCosts) -> None:
    velocity, yaw = torch.tensor([[0.0, 0.6]]), torch.tensor([0.5])
    (steer,), _ = costs([Velocity(velocity=velocity, frame="world", yaw=yaw)], HERE)
    assert isinstance(steer, Steer) and steer.yaw_weight == 0.5
    torch.testing.assert_close(steer.yaw, yaw + 0.5 * math.pi)
    torch.testing.assert_close(steer.speed, torch.tensor([0.6]))
    (stick,), _ = costs([Velocity(velocity=velocity, frame="world", yaw=yaw, face=False)], HERE)
    assert isinstance(stick, Joystick) and stick.frame == "world"
    expected = 0.6 * torch.tensor([[-math.sin(0.5), math.cos(0.5)]])
    torch.testing.assert_close(stick.velocity, expected)


@pytest.mark.parametrize("detour", [True, False])
def test_a_velocity_of_the_world_leads_round_obstacles(costs: CommandCosts, detour: bool) -> None:
    goal = Velocity(velocity=torch.tensor([[0.6, 0.6]]), frame="world", detour=detour)
    (steer, obstacles), _ = costs([goal, PILLAR], HERE)
    assert isinstance(steer, Steer) and (steer.path is not None) == detour
    assert weighted([steer, obstacles], {}).weights["obstacles"] == (
        DETOUR_OBSTACLE_WEIGHT if detour else 3.0
    )
    if steer.path is not None:
        torch.testing.assert_close(torch.as_tensor(steer.path.goal_w), torch.full((1, 2), math.sqrt(8.0)))


def test_a_place_is_gone_to_round_obstacles_until_it_is_near(costs: CommandCosts) -> None:
    goal = Place(pos_w=torch.tensor([[6.0, 0.0]]), speed=0.8)
    (steer, obstacles), _ = costs([goal, PILLAR], HERE)
    assert isinstance(steer, Steer) and steer.path is not None and obstacles.name == "obstacles"
    assert "map" not in vars(steer.path), "made by the planner, not in the control loop"
    (again, _), _ = costs([goal, PILLAR], HERE + 1.0)
    assert isinstance(again, Steer) and again.path is steer.path, "one path field for one command"
    near, _ = costs([goal, PILLAR], torch.tensor([[5.5, 0.2]]))
    assert [cost.name for cost in near] == ["steer", "waypoint", "obstacles"]
    straight, waypoint = costs([goal], HERE)[0]
    assert isinstance(straight, Steer) and straight.path is None
    assert isinstance(waypoint, Waypoint) and waypoint.reach == 1.0


def test_the_path_field_of_a_forest_leads_through_it(costs: CommandCosts, body: Embodiment) -> None:
    place = context(body, 2)
    task, pos, yaw, gaps = ForestTask(place), place.pos_w, place.yaw, []
    for _ in range(450):
        steer, obstacles = costs(task.command(0.0), place.pos_w)[0]
        assert isinstance(steer, Steer) and steer.path is not None
        yaw = steer.path.direction(pos.unsqueeze(1), yaw.unsqueeze(1)).squeeze(1)
        pos = pos + 0.04 * torch.stack((yaw.cos(), yaw.sin()), dim=-1)
        gaps.append(obstacles.room(pos.unsqueeze(1)))  # type: ignore[attr-defined]
    assert float(torch.stack(gaps).min()) > 0.25 and bool(task.arrived(pos).all())


def test_poses_condition_a_plan_and_styles_are_prepared_once(
    costs: CommandCosts, body: Embodiment, squat: Motion
) -> None:
    states = squat.at(torch.tensor([0.2, 0.4]))
    pose = Pose(time=torch.tensor([[0.4, 1.0]]), state=states[None])
    style = Imitate(states=states)
    (found,), keyframes = costs([pose, style], HERE)
    assert keyframes is not None and keyframes.mask.all()
    torch.testing.assert_close(keyframes.frame, torch.tensor([[10.0, 25.0]]))
    torch.testing.assert_close(keyframes.features[0], costs.layout.features(states, body))
    assert costs([style], HERE)[0][0] is found
    hands = Pose(time=pose.time, state=pose.state, bodies=("L_Wrist",))
    mask = costs([hands], HERE)[1]
    assert mask is not None and int(mask.mask[0, 0].sum()) == 15 + 6


def test_costs_pass_and_what_no_plan_follows_is_an_error(costs: CommandCosts, squat: Motion) -> None:
    heading = Heading(yaw=0.3)
    assert costs([heading], HERE) == ([heading], None)
    state = squat.at(torch.tensor([0.2]))
    with pytest.raises(InputError, match="Reference"):
        costs([Reference(now=state, ahead=state[None])], HERE)
    pose = Pose(time=torch.zeros(1, 1), state=state[None])
    with pytest.raises(InputError, match="keyframes"):
        costs([pose, pose], HERE)
