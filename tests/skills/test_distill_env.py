"""Student and teacher mean the same servo targets and see the same body."""

from __future__ import annotations

import pytest
import torch

from humanoid.core import MismatchError
from humanoid.skills.distill_env import Columns, DaggerEnv
from humanoid.skills.model import proprioception


def test_an_action_of_either_kind_is_one_servo_target(room: DaggerEnv, generator: torch.Generator) -> None:
    sight, env = room.look(), room.env
    action = torch.randn(4, env.num_actions, generator=generator)
    there = room.columns.to_teacher(action, sight.observation)
    torch.testing.assert_close(room.columns.to_skill(there, sight.observation), action, atol=1e-5, rtol=1e-5)
    step = room.columns.to_teacher(action, sight.observation)
    room.play(sight, action)
    torch.testing.assert_close(env.last_action, step)
    torch.testing.assert_close(env.sent, env.parts.default + env.parts.scale * action, atol=1e-5, rtol=1e-5)


def test_what_is_cut_from_the_observation_is_what_the_state_says(room: DaggerEnv) -> None:
    sight = room.look()
    direct = proprioception(room.env.state, room.last_action, room.env.parts.default)
    torch.testing.assert_close(sight.proprioception, direct)


def test_an_episode_begins_with_the_action_that_holds_its_pose(room: DaggerEnv) -> None:
    room.start(torch.tensor([0, 10, 50, 110]))
    env = room.env
    targets = env.parts.default + env.parts.scale * room.last_action
    torch.testing.assert_close(targets, env.state.joint_pos, atol=1e-5, rtol=1e-5)


def test_a_tracker_that_lacks_a_term_is_refused(room: DaggerEnv) -> None:
    layout = [pair for pair in room.env.observation_layout() if pair[0] != "gravity_b"]
    with pytest.raises(MismatchError, match="gravity_b"):
        Columns(layout, room.env)
