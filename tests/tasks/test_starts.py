"""Guided episodes start in the middle of a walk, with the frames before it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.bodies import Embodiment, Kinematics, Posture
from humanoid.core import InputError
from humanoid.diffusion import TrajectoryCfg
from humanoid.motion import Motion
from humanoid.tasks.starts import draw_starts, few_starts, standing, states_at, walking
from tests.tasks.guided import gliding

FRAMES = TrajectoryCfg()
PAST = FRAMES.past


def test_a_history_is_the_clips_and_ends_at_the_start(body: Embodiment, generator: torch.Generator) -> None:
    motions = (gliding(body, 3.0), gliding(body, 4.0, speed=1.2))
    starts = draw_starts(motions, body, PAST, 20, generator, ahead=1.0)
    assert starts.history.root_pos_w.shape == (20, FRAMES.history + 1, 3) and set(starts.clip.tolist()) == {
        0,
        1,
    }
    for row in range(20):
        motion, time = motions[int(starts.clip[row])], float(starts.time[row])
        assert FRAMES.history * FRAMES.dt - 1e-6 <= time <= motion.duration - 1.0 + 1e-6
        expected = motion.at(torch.tensor([time - 0.16, time]))
        torch.testing.assert_close(starts.history[row, [0, -1]].body_pos_w, expected.body_pos_w)
    torch.testing.assert_close(starts.state.root_pos_w, starts.history.root_pos_w[:, -1])


def test_states_of_several_motions_come_in_the_order_of_their_rows(body: Embodiment) -> None:
    motions = tuple(gliding(body, 2.0, speed) for speed in (0.6, 0.8, 1.0))
    clip, times = torch.tensor((2, 0, 1, 0)), torch.tensor(((0.1, 1.0), (0.2, 0.3), (0.5, 1.5), (0.0, 2.0)))
    found = states_at(motions, clip, times)
    for row in range(4):
        expected = motions[int(clip[row])].at(times[row])
        torch.testing.assert_close(found[row].body_pos_w, expected.body_pos_w)


def test_only_what_goes_ahead_upright_at_a_walks_speed_is_a_walk(body: Embodiment, squat: Motion) -> None:
    posture = Posture(body)
    assert walking(gliding(body, 1.0), posture).all()
    assert not walking(squat, posture).any()
    assert not walking(gliding(body, 1.0, speed=3.0), posture).any()
    back = gliding(body, 1.0)
    back = replace(back, states=replace(back.states, body_lin_vel_w=-back.states.body_lin_vel_w))
    assert not walking(back, posture).any()


def test_without_a_walk_the_error_names_what_was_looked_at(body: Embodiment, squat: Motion) -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(InputError, match="squat"):
        draw_starts((squat,), body, PAST, 2, generator)
    with pytest.raises(InputError, match="9 s"):
        draw_starts((gliding(body, 5.0),), body, PAST, 2, generator, ahead=9.0)


def test_a_few_starts_end_at_the_origin_facing_x(body: Embodiment, squat: Motion) -> None:
    found = few_starts((squat, gliding(body, 4.0)), body, PAST, 6)
    assert found is not None and found.root_pos_w.shape == (6, FRAMES.history + 1, 3)
    torch.testing.assert_close(found.root_pos_w[:, -1, :2], torch.zeros(6, 2))
    glide = torch.tensor((0.9, 0.0, 0.0))
    torch.testing.assert_close(found.root_lin_vel_w, glide.expand(6, FRAMES.history + 1, 3))
    torch.testing.assert_close(found.root_pos_w[:, 0, 0], torch.full((6,), -0.9 * FRAMES.history * FRAMES.dt))
    assert few_starts((squat,), body, PAST, 6) is None


def test_a_standing_body_stands_where_it_is_put(body: Embodiment) -> None:
    state = standing(body, 5, torch.tensor((1.0, 2.0)), 0.5)
    assert state.root_pos_w.shape == (1, 5, 3) and not state.joint_vel.any()
    torch.testing.assert_close(state.root_pos_w[0, :, :2], torch.tensor((1.0, 2.0)).expand(5, 2))
    lowest = Kinematics(body).clearance(state.body_pos_w, state.body_quat_w).amin(-1)
    torch.testing.assert_close(lowest, torch.zeros(1, 5), atol=1e-6, rtol=0)
