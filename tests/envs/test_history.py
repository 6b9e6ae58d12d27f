"""The last frames of proprioception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from humanoid.envs.history import History, proprioception
from humanoid.envs.observations import ObservationCfg
from humanoid.envs.terminations import TerminationCfg
from humanoid.envs.tracking import TrackingEnv
from humanoid.eval.tracking import CALM


def test_frames_move_up_and_a_fresh_one_fills_all() -> None:
    history = History(3, 2, 2, torch.device("cpu"))
    everyone, first = torch.tensor([True, True]), torch.tensor([True, False])
    history.push(torch.zeros(2, 2), everyone)
    history.push(torch.ones(2, 2), ~everyone)
    history.push(torch.full((2, 2), 2.0), first)
    assert history.flat().tolist() == [[2.0] * 6, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]]


def test_the_environment_shows_its_own_past(make_env: Callable[..., TrackingEnv]) -> None:
    cfg = ObservationCfg(noise={}, history_steps=4)
    env = make_env(observation=cfg, termination=TerminationCfg(episode_seconds=1000.0))
    env.start(torch.tensor([0, 20, 40, 60]))
    seen = [proprioception(env.state, env.parts.default)]
    for _ in range(4):
        env.step(torch.zeros(4, env.num_actions))
        seen.append(proprioception(env.state, env.parts.default))
    assert env.history_shape == (4, seen[0].shape[-1])
    assert env.observation_layout()[-1] == ("history", 4 * seen[0].shape[-1])
    tail = env.observe()["actor"][:, -4 * seen[0].shape[-1] :]
    torch.testing.assert_close(tail, torch.cat(seen[1:], dim=-1))


def test_the_past_has_the_same_wrong_zeros_as_the_present(make_env: Callable[..., TrackingEnv]) -> None:
    cfg = ObservationCfg(noise={}, history_steps=2)
    env = make_env(observation=cfg, event=replace(CALM, joint_offset=0.05))
    env.start(torch.tensor([0, 20, 40, 60]))
    width, joints = env.history_shape[1], env.num_actions
    actor = env.observe()["actor"]
    history, present = actor[:, -width:], actor[:, : -2 * width]
    # joint angles stand before joint velocities and the last action
    torch.testing.assert_close(history[:, -joints:], present[:, -3 * joints : -2 * joints])
    assert float(env.joint_offset.abs().max()) > 0.03


def test_upright_gravity_points_down(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env()
    env.start(torch.tensor([0, 0, 0, 0]))
    frame = proprioception(env.state, env.parts.default)
    torch.testing.assert_close(frame[:, 1:4], torch.tensor([0.0, 0.0, -1.0]).expand(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(frame[:, 0], env.state.root_pos_w[:, 2])
