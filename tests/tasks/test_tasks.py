"""Tasks on hand-made courses: who does as told scores 0, who stands scores 1, who touches fails."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from humanoid.bodies import Embodiment, Posture
from humanoid.control import metrics
from humanoid.core import ConfigError, InputError
from humanoid.envs import Avoid, Imitate, Place, Pose, Velocity
from humanoid.spatial.frames import turned
from humanoid.tasks import (
    ForestTask,
    ForestWalk,
    InbetweenTask,
    Joystick,
    Perturb,
    Switch,
    TaskCfg,
    TaskContext,
    WaypointTask,
)
from humanoid.tasks.forest import AHEAD, ARRIVED, COUNT, DEEP, RADIUS, WIDE, draw_pillars
from humanoid.tasks.scores import EpisodeRecord
from humanoid.tasks.velocity import (
    SETTLE,
    Segment,
    captured_error,
    velocity_errors,
)
from tests.tasks.guided import FPS, context, gliding


def course(place: TaskContext, velocity_h: Tensor, yaw_rate: Tensor | None = None) -> EpisodeRecord:
    """Return what bodies do that keep velocities (T, B, 2), relative to their heading, from the start."""
    rate = torch.zeros(velocity_h.shape[:2]) if yaw_rate is None else yaw_rate
    dt, start = place.dt, place.starts.state
    yaw = place.yaw + dt * rate.cumsum(0)
    velocity = torch.cat((turned(velocity_h, yaw), torch.zeros_like(yaw).unsqueeze(-1)), dim=-1)
    pos = start.root_pos_w + dt * velocity.cumsum(0)
    never = torch.zeros_like(yaw, dtype=torch.bool)
    return EpisodeRecord(pos, velocity, yaw, never, never, dt)


def test_the_stick_points_where_the_body_faced_at_the_start_or_faces_now(body: Embodiment) -> None:
    place = context(body, 2)
    seconds, turn = 3.0, torch.full((150, 2), 0.5)
    forward = torch.tensor((0.8, 0.0)).expand(2, 2)
    moving = course(place, forward.expand(150, 2, 2), turn)
    for frame in ("heading", "world"):
        command = Segment("forward", forward, None, frame, seconds)
        error = velocity_errors(moving, [command], place.yaw).error
        # in the world the body drifts from the stick by its turn: chords of a circle
        angles = 0.5 * place.dt * torch.arange(round(SETTLE * FPS) + 1, 151)
        expected = 0.0 if frame == "heading" else float((2 * (angles / 2).sin()).mean())
        torch.testing.assert_close(error, torch.full((2,), expected), atol=1e-4, rtol=1e-4)


def test_joystick_asks_for_four_directions_and_random_commands_in_the_range(body: Embodiment) -> None:
    task = Joystick(context(body, 50))
    assert task.seconds == 24.0
    assert [c.name for c in task.segments] == ["forward", "back", "left", "right", *["random"] * 4]
    directions = torch.stack([c.velocity[0] for c in task.segments[:4]])
    expected = torch.tensor(((0.8, 0.0), (-0.8, 0.0), (0.0, 0.8), (0.0, -0.8)))
    torch.testing.assert_close(directions, expected)
    drawn = torch.stack([c.velocity for c in task.segments[4:]])
    rates = torch.stack([c.yaw_rate for c in task.segments[4:] if c.yaw_rate is not None])
    assert not drawn[..., 1].any() and 0.6 <= drawn[..., 0].min() < 0.65 < 0.95 < drawn[..., 0].max() <= 1.0
    assert -0.8 <= rates.min() < -0.7 and 0.7 < rates.max() <= 0.8
    assert len(torch.cat((drawn[..., 0], rates)).unique()) == 400


@pytest.mark.parametrize("frame", ["world", "heading"])
def test_who_follows_every_command_scores_0_and_who_stands_1(frame: str, body: Embodiment) -> None:
    place = context(body, 3, cfg=TaskCfg(frame=frame))  # type: ignore[arg-type]
    task = Joystick(place)
    spans = [round(c.seconds * FPS) for c in task.segments]
    velocity = torch.cat([c.velocity.expand(n, 3, 2) for c, n in zip(task.segments, spans, strict=True)])
    none = torch.zeros(3)
    rates = [none if c.yaw_rate is None else c.yaw_rate for c in task.segments]
    turning = torch.cat([r.expand(n, 3) for r, n in zip(rates, spans, strict=True)])
    found = metrics(task, course(place, velocity, turning))
    assert found["success"] == 1.0 and found["falls"] == 0.0
    assert found["error"] == pytest.approx(0.0, abs=1e-4)
    assert found["error_of_mean"] == pytest.approx(0.0, abs=1e-4)
    assert found["yaw_error_rad_s"] == pytest.approx(0.0, abs=1e-3)
    assert set(found["errors"]) == {"forward", "back", "left", "right", "random"}
    still = metrics(task, course(place, torch.zeros_like(velocity)))
    assert still["error"] == pytest.approx(1.0) and set(still["errors"].values()) == {1.0}


def test_a_walk_that_swings_scores_its_swing_against_its_own_mean(body: Embodiment) -> None:
    posture, steady = Posture(body), gliding(body, 4.0, speed=0.9)
    assert captured_error([steady], posture) == pytest.approx(0.0, abs=1e-4)
    swing = 0.3 * (2.0 * math.pi * torch.arange(steady.num_frames) / FPS).sin()
    ahead = steady.states.body_lin_vel_w[0, 0] / 0.9
    moved = steady.states.body_lin_vel_w + swing[:, None, None] * ahead
    swinging = replace(steady, states=replace(steady.states, body_lin_vel_w=moved))
    # the mean of |sin| is 2 / pi
    assert captured_error([swinging], posture) == pytest.approx(0.3 * 2.0 / math.pi / 0.9, abs=1e-3)
    assert captured_error([gliding(body, 1.5)], posture) is None, "nothing walks for 2 s"


def test_what_is_missing_of_a_course_scores_1_and_a_fall_is_no_success(body: Embodiment) -> None:
    place = context(body, 2)
    task = Perturb(place)
    half = course(place, torch.tensor((0.9, 0.0)).expand(375, 2, 2))
    half.fallen[300:, 0] = half.lost[300:, 0] = True
    found = metrics(task, half)
    # of the 700 steps from 1 s on 325 are there
    assert found["error"] == pytest.approx(375 / 700, abs=1e-3)
    assert found["falls"] == found["stand_lost"] == found["success"] == 0.5
    assert found["error_upright"] == pytest.approx(375 / 700, abs=1e-3)


def test_pushes_come_every_second_for_15_s_horizontal_and_of_half_a_metre_a_second(body: Embodiment) -> None:
    task = Perturb(context(body, 40))
    pushes = [task.push(step) for step in range(750)]
    assert [step for step, push in enumerate(pushes) if push is not None] == list(range(0, 750, 50))
    found = torch.stack([push for push in pushes if push is not None])
    torch.testing.assert_close(found.norm(dim=-1), torch.full((15, 40), 0.5))
    assert not found[..., 2].any()
    angle = torch.atan2(found[..., 1], found[..., 0])
    assert len(angle.unique()) > 590 and torch.histc(angle, 4, -math.pi, math.pi).min() > 100


def test_a_switch_changes_command_and_style_in_the_middle(body: Embodiment) -> None:
    task = Switch(context(body, 2, cfg=TaskCfg(styles=("walk",))))
    kinds = [[type(command) for command in task.command(time)] for time in (0.0, 3.2, 8.9)]
    assert kinds == [[Velocity, Imitate]] * 3
    given = [task.command(time)[0].velocity[0].tolist() for time in (2.9, 3.0, 6.0)]  # type: ignore[union-attr]
    assert [round(v[0], 3) for v in given] == [0.9, 0.7, 0.0]
    with pytest.raises(ConfigError, match="run"):
        Switch(context(body, 2, cfg=TaskCfg(styles=("run",))))


def test_who_walks_to_the_waypoint_arrives_and_who_stands_or_falls_does_not(body: Embodiment) -> None:
    place = context(body, 3)
    task = WaypointTask(place)
    gap = task.goal_w - place.pos_w
    assert (gap.norm(dim=-1) >= 2.0).all() and (gap.norm(dim=-1) <= 5.0).all()
    way = turned(gap / gap.norm(dim=-1, keepdim=True), -place.yaw)
    speeds = torch.tensor((1.0, 0.0, 1.0)).unsqueeze(-1)
    moving = course(place, (speeds * way).expand(600, 3, 2))
    moving.fallen[10:, 2] = moving.lost[10:, 2] = True
    found = metrics(task, moving)
    assert found["success"] == pytest.approx(1 / 3, abs=1e-5) and found["falls"] == pytest.approx(
        1 / 3, abs=1e-5
    )
    outcome = task.evaluate(moving)
    expected = (gap.norm(dim=-1)[0] - WaypointTask.ARRIVED) * FPS
    assert abs(float(outcome.end[0] - expected)) <= 2 and int(outcome.end[1]) == 600
    assert float(outcome.error[1]) == pytest.approx(float(gap[1].norm()), rel=1e-5)
    assert task.watch(place.starts.state, 0).tolist() == [False] * 3


def test_pillars_stand_in_the_field_and_leave_ways_between_them(generator: torch.Generator) -> None:
    pos, radius = draw_pillars(20, 0.8, generator)
    assert pos.shape == (20, COUNT, 2) and RADIUS[0] <= radius.min() and radius.max() <= RADIUS[1]
    assert (pos[..., 0] >= AHEAD).all() and (pos[..., 0] <= AHEAD + DEEP).all()
    assert (pos[..., 1].abs() <= WIDE / 2).all() and pos[..., 1].abs().max() > 3.5
    gaps = torch.cdist(pos, pos) - radius.unsqueeze(1) - radius.unsqueeze(2)
    gaps = gaps + 1e3 * torch.eye(COUNT)
    assert gaps.min() >= 0.8 - 1e-5
    with pytest.raises(InputError, match="15 pillars"):
        draw_pillars(20, 4.0, generator)


def test_a_forest_commands_a_place_or_a_velocity_and_pillars_to_avoid(body: Embodiment) -> None:
    place = context(body, 2)
    straight = replace(place, cfg=TaskCfg(ways=False))
    for where, detour in ((place, True), (straight, False)):
        goal, avoid = ForestTask(where).command(0.0)
        assert isinstance(goal, Place) and isinstance(avoid, Avoid) and goal.detour == detour
        assert goal.reach == (0.0 if detour else TaskCfg().reach)
        assert avoid.capsules is not None and avoid.capsules.radius.shape == (2, COUNT)
        stick, avoid = ForestWalk(where).command(0.0)
        assert isinstance(stick, Velocity) and isinstance(avoid, Avoid)
        assert stick.frame == "world" and stick.detour == detour and stick.velocity is not None
        torch.testing.assert_close(stick.velocity, torch.tensor(((0.8, 0.0),)).expand(2, 2))
    task = ForestTask(place)
    assert task.command(0.0)[0] is task.command(9.0)[0], "one path field serves an episode"


@pytest.mark.parametrize("kind", [ForestTask, ForestWalk])
def test_who_walks_through_a_pillar_fails_and_who_has_none_in_the_way_gets_through(
    kind: type[ForestTask], body: Embodiment
) -> None:
    place = replace(context(body, 2), dt=0.08)
    task = kind(place)
    ahead = torch.tensor(((4.0, 0.0),)).expand(2, 2)
    aside = torch.tensor((0.0, 3.5)) * torch.tensor(((0.0,), (1.0,)))
    task.pos_w, task.radius = place.place_w(ahead + aside).unsqueeze(1), torch.full((2, 1), 0.2)
    moving = course(place, torch.tensor((0.8, 0.0)).expand(250, 2, 2))
    start, done = place.starts.state, torch.zeros(2, dtype=torch.bool)
    for step in range(250):
        shift = (moving.root_pos_w[step] - start.root_pos_w).unsqueeze(1)
        state = replace(start, body_pos_w=start.body_pos_w + shift)
        done |= task.watch(state, step)
    assert done.all()
    found = metrics(task, moving)
    assert found["success"] == 0.5 and found["touched"] == 0.5 and found["falls"] == 0.0
    outcome = task.evaluate(moving)
    assert outcome.reached.tolist() == [False, True]
    assert 3.2 < float(outcome.end[0]) * place.dt * 0.8 < 4.0
    if kind is ForestWalk:
        torch.testing.assert_close(outcome.error, torch.zeros(2), atol=1e-4, rtol=0)
        assert float(outcome.end[1]) * place.dt * 0.8 == pytest.approx(AHEAD + DEEP, abs=0.1)
    else:
        assert float(outcome.error[1]) <= ARRIVED
        assert float(outcome.error[0]) == pytest.approx(11.0 - 3.6, abs=0.3)


def test_who_touches_a_pillar_before_its_velocity_counts_follows_no_command(body: Embodiment) -> None:
    place = context(body, 2)
    task = ForestWalk(place)
    here = place.place_w(torch.zeros(2, 2)) + torch.tensor(((0.0, 0.0), (50.0, 0.0)))
    task.pos_w, task.radius = here.unsqueeze(1), torch.full((2, 1), 0.2)
    moving = course(place, torch.tensor((0.8, 0.0)).expand(100, 2, 2))
    for step in range(100):
        task.watch(place.starts.state, step)
    outcome = task.evaluate(moving)
    assert outcome.end.tolist() == [1, 100]
    torch.testing.assert_close(outcome.error, torch.tensor((1.0, 0.0)), atol=1e-4, rtol=0)


def test_a_body_on_the_clip_meets_all_keyframes_and_one_that_stands_drifts_away(body: Embodiment) -> None:
    place = context(body, 2, ahead=9.0)
    task = InbetweenTask(place)
    clip, times = place.motions[0], place.starts.time
    never = torch.zeros(450, 2, dtype=torch.bool)
    (keys,) = task.command(0.5)
    assert isinstance(keys, Pose) and not keys.bodies
    torch.testing.assert_close(keys.time, torch.arange(0.5, 9.0).expand(2, 9))
    on_it = clip.at(times[:, None] + torch.arange(1.0, 10.0))
    torch.testing.assert_close(keys.state.body_pos_w, on_it.body_pos_w)
    start = place.starts.state
    for step in range(49, 450, 50):
        now = clip.at(times + (step + 1) * place.dt)
        pos = torch.stack((now.body_pos_w[0], start.body_pos_w[1]))
        task.watch(replace(now, body_pos_w=pos), step)
    moving = course(place, torch.zeros(450, 2, 2))
    found = metrics(task, replace(moving, fallen=never))
    assert found["success"] == 0.5
    # standing misses by 0.9, 1.8, .. 8.1 m, on average over both by half of that
    assert found["mpjpe_g_mm"] == pytest.approx(2250.0, rel=1e-3)
    assert found["mpjpe_l_mm"] == pytest.approx(0.0, abs=0.1)
    fallen = never.clone()
    fallen[120:, 1] = True
    found = metrics(task, replace(moving, fallen=fallen))
    assert found["falls"] == 0.5 and found["mpjpe_g_mm"] == pytest.approx(1000 * 2.7 / 11, rel=1e-3)


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in (
        {"frame": "side"},
        {"forward": (1.0, 0.5)},
        {"yaw_rate": -1.0},
        {"reach": 0.0},
        {"gap": 3.0},
    ):
        with pytest.raises(ConfigError):
            TaskCfg(**wrong)  # type: ignore[arg-type]
