"""Maps of ways: straight in the open, as short as geometry allows round a disc, never through it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from humanoid.core import ConfigError
from humanoid.planning.costs import Obstacles, PathField, PathFieldCfg, Steer
from humanoid.planning.costs.path_field import arrival_time
from humanoid.spatial import Boxes, Capsules, Spheres


def pillars(*places: tuple[float, float, float]) -> Obstacles:
    values = torch.tensor(places)
    return Obstacles(capsules=Capsules.pillars(values[:, :2], values[:, 2]))


def walked(ways: PathField, start: torch.Tensor, seconds: float = 30.0, step: float = 0.03) -> torch.Tensor:
    """Places (T, B, 2) of points that go 1 m/s by the map and face where they go, east at first."""
    pos, path, yaw = start, [start], torch.zeros(len(start))
    for _ in range(round(seconds / step)):
        yaw = ways.direction(pos.unsqueeze(1), yaw.unsqueeze(1)).squeeze(1)
        pos = pos + step * torch.stack((yaw.cos(), yaw.sin()), dim=-1)
        path.append(pos)
    return torch.stack(path)


def test_open_ground_is_crossed_straight() -> None:
    goal, start = torch.tensor([[6.0, 2.0], [-3.0, 4.0]]), torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    ways = PathField(goal_w=goal, start_w=start, obstacles=pillars((50.0, 50.0, 0.2)))
    here = start.unsqueeze(1) + torch.tensor([[0.3, -0.2], [0.9, 0.8]])
    away = goal.unsqueeze(1) - here
    error = ways.direction(here, torch.tensor([[0.0, 0.5], [2.0, 2.5]])) - torch.atan2(
        away[..., 1], away[..., 0]
    )
    assert float(torch.atan2(error.sin(), error.cos()).abs().max()) < math.radians(4.0)


def test_arrival_round_a_disc_is_the_shortest_way_there_is() -> None:
    # two tangents and an arc between them
    radius, reach, spacing = 1.0, 3.0, 0.05
    steps = torch.arange(-4.0, 4.0 + spacing / 2, spacing)
    x, y = torch.meshgrid(steps, steps, indexing="ij")
    slowness = torch.where(x.square() + y.square() < radius**2, 1e3, 1.0)
    time = arrival_time(slowness[None], ((x - reach).square() + y.square()).sqrt()[None], spacing)[0]
    start = int(((steps + reach).abs()).argmin())
    shortest = 2.0 * math.sqrt(reach**2 - radius**2) + radius * (math.pi - 2.0 * math.acos(radius / reach))
    assert float(time[start, len(steps) // 2]) == pytest.approx(shortest, rel=0.03)


def test_arrival_is_not_longer_than_along_the_nodes_and_not_shorter_than_straight() -> None:
    generator = torch.Generator().manual_seed(0)
    slowness = 1.0 + 4.0 * torch.rand(1, 12, 15, generator=generator)
    x, y = torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij")
    distance = ((x - 2).square() + (y - 3).square()).sqrt()
    time = arrival_time(slowness, distance[None], 1.0)[0].numpy()
    index = np.arange(12 * 15).reshape(12, 15)
    pairs = [(index[:-1], index[1:]), (index[1:], index[:-1]), (index[:, :-1], index[:, 1:])]
    pairs.append((index[:, 1:], index[:, :-1]))
    source = np.concatenate([a.ravel() for a, _ in pairs])
    target = np.concatenate([b.ravel() for _, b in pairs])
    weights = slowness[0].numpy().ravel()[target]
    graph = coo_matrix((weights, (source, target)), shape=(180, 180)).tocsr()
    along = dijkstra(graph, indices=int(index[2, 3])).reshape(12, 15)
    # the nodes about the place begin with their straight distances, which nodes cannot beat
    assert (time <= along + 2.0 * float(slowness.max())).all()
    assert (time >= distance.numpy() - 1e-3).all()


def test_ways_keep_their_distance_and_arrive() -> None:
    forest = pillars((2.0, 0.0, 0.3), (4.0, 0.9, 0.2), (4.0, -0.7, 0.25), (6.0, 0.1, 0.2))
    start = torch.tensor([[0.0, 0.0], [0.0, 0.6], [0.0, -0.6]])
    goal = torch.tensor([8.0, 0.0])
    path = walked(PathField(goal_w=goal, start_w=start, obstacles=forest), start)
    clearance = forest.room(path.flatten(0, 1).unsqueeze(0))
    assert float(clearance.min()) > PathFieldCfg().narrow - 0.05
    assert float((path[-1] - goal).norm(dim=-1).max()) < 0.1


def test_one_who_turns_slowly_and_sways_goes_round_a_pillar_near_ahead() -> None:
    # 0.8 m/s and 1 rad/s: a circle of 0.8 m
    pillar, sides = pillars((1.4, 0.0, 0.2)), torch.tensor([-0.1, 0.0, 0.02, 0.1])
    pos, yaw = torch.stack((torch.zeros(4), sides), dim=-1), torch.zeros(4)
    ways = PathField(goal_w=(6.0, 0.0), start_w=pos, obstacles=pillar)
    room, left = [], []
    for step in range(440):
        sway = 0.05 * math.sin(7.0 * 0.02 * step)
        here = pos + sway * torch.stack((-yaw.sin(), yaw.cos()), dim=-1)
        wanted = ways.direction(here.unsqueeze(1), yaw.unsqueeze(1)).squeeze(1)
        away = torch.atan2((wanted - yaw).sin(), (wanted - yaw).cos())
        yaw = yaw + 0.02 * (away / 0.5).clamp(-1.0, 1.0)
        pos = pos + 0.02 * 0.8 * torch.stack((yaw.cos(), yaw.sin()), dim=-1)
        room.append(pillar.room(here.unsqueeze(1)))
        left.append((pos - torch.tensor([6.0, 0.0])).norm(dim=-1))
    assert float(torch.stack(room).min()) > 0.55
    assert float(torch.stack(left).amin(0).max()) < 0.3


def test_steps_stay_within_the_largest_turn_and_lead_back_onto_the_grid() -> None:
    ways = PathField(goal_w=(4.0, 0.0), start_w=(0.0, 0.0), obstacles=pillars((2.0, 0.1, 0.3)))
    here, yaw = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [-30.0, 0.0]]]), torch.tensor([[0.5, math.pi, 0.3]])
    found = ways.direction(here, yaw)[0]
    turn = torch.rad2deg((found - yaw[0]).abs())
    assert float(turn.max()) <= PathFieldCfg().max_turn + 1e-3
    assert float(turn[1]) == pytest.approx(PathFieldCfg().max_turn)
    assert abs(float(found[2])) < math.radians(25.0)


def test_a_wide_gap_is_preferred_to_a_narrow_one_that_is_shorter() -> None:
    # 0.7 m straight ahead, 2 m a little to the left
    wall = pillars(
        (3.0, 0.6, 0.25), (3.0, -0.6, 0.25), (3.0, 3.1, 0.25), (3.0, -1.2, 0.25), (3.0, -1.8, 0.25)
    )
    path = walked(PathField(goal_w=(6.0, 0.0), start_w=torch.zeros(1, 2), obstacles=wall), torch.zeros(1, 2))
    crossed = path[(path[:, 0, 0] - 3.0).abs().argmin(), 0]
    assert 1.2 < float(crossed[1]) < 2.6


def test_one_who_stands_too_near_is_led_away() -> None:
    pillar, start = pillars((0.35, 0.02, 0.2)), torch.zeros(1, 2)
    path = walked(PathField(goal_w=(4.0, 0.0), start_w=start, obstacles=pillar), start, seconds=8.0)
    room = pillar.room(path.transpose(0, 1))[0]
    assert float((path[-1] - torch.tensor([4.0, 0.0])).norm()) < 0.1
    assert (
        float(room.min()) >= float(room[0]) - 0.01 and float(room[34:].min()) > PathFieldCfg().narrow - 0.05
    )


def test_a_far_place_is_gone_to_by_way_of_a_nearer_one() -> None:
    pillar = pillars((2.0, 0.1, 0.3))
    ways = PathField(goal_w=(90.0, 0.0), start_w=(0.0, 0.0), obstacles=pillar, cfg=PathFieldCfg(reach=5.0))
    assert ways.map.goal_w.tolist() == [[5.0, 0.0]] and ways.map.nodes.shape[-1] < 100
    path = walked(ways, torch.zeros(1, 2), seconds=5.0)
    assert float(path[-1, 0, 0]) > 4.0 and float(pillar.room(path.transpose(0, 1)).min()) > 0.25


def test_one_map_serves_many_plans_of_any_precision() -> None:
    pillar, here = pillars((2.0, 0.1, 0.3)), torch.tensor([[[0.5, 0.0]]])
    one = PathField(goal_w=(4.0, 0.0), start_w=(0.0, 0.0), obstacles=pillar)
    many = PathField(goal_w=torch.tensor([[4.0, 0.0]]), start_w=torch.zeros(3, 2), obstacles=pillar)
    wanted = float(one.direction(here, here[..., 0]))
    for ways, like in ((one, here.repeat(3, 2, 1)), (many, here.repeat(3, 1, 1)), (one, here.double())):
        found = ways.direction(like, like[..., 0])
        assert found.dtype == like.dtype and found.shape == like.shape[:2]
        torch.testing.assert_close(found, torch.full_like(found, wanted), atol=1e-5, rtol=0)


def test_what_hangs_low_is_in_the_way_and_what_hangs_high_is_not() -> None:
    here = torch.zeros(1, 1, 2)
    for height, free in ((1.3, False), (3.0, True)):
        ball = Obstacles(
            spheres=Spheres(centre_w=torch.tensor([[0.0, 0.0, height]]), radius=torch.tensor([0.3]))
        )
        assert (float(ball.room(here)) > 0.0) is free
    box = Boxes(
        centre_w=torch.tensor([[1.0, 0.0, 0.2]]),
        half=torch.tensor([[0.5, 0.5, 0.2]]),
        quat_w=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
    )
    assert float(Obstacles(boxes=box).room(here)) == pytest.approx(0.5)


def test_steer_takes_one_aim_and_numbers_that_mean_something() -> None:
    ways = PathField(goal_w=(4.0, 0.0), start_w=torch.zeros(1, 2), obstacles=pillars((2.0, 0.0, 0.2)))
    with pytest.raises(ConfigError, match="yaw, pos_w and path"):
        Steer(speed=0.8, path=ways, yaw=0.0)
    with pytest.raises(ConfigError, match="narrow"):
        PathFieldCfg(narrow=1.0, wide=0.5)
    for name in ("spacing", "margin", "reach", "step", "max_turn"):
        with pytest.raises(ConfigError, match=name):
            PathFieldCfg(**{name: 0.0})
    with pytest.raises(ConfigError, match="blocked"):
        PathFieldCfg(blocked=0.5)
