"""Rollouts: the reference read before a step belongs to the state after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from humanoid.envs import TrackingEnv
from humanoid.eval.rollout import play_clips
from humanoid.eval.tracking import SEEDED_STARTS
from humanoid.motion import MotionLibrary


class Still:
    """A policy that never acts and keeps what it saw."""

    def __init__(self, env: TrackingEnv) -> None:
        """Act in ``env``."""
        self.env, self.seen = env, list[Tensor]()

    def __call__(self, observation: Tensor) -> Tensor:
        """Return zeros."""
        self.seen.append(observation)
        return torch.zeros(self.env.num_envs, self.env.num_actions)


def test_a_simulator_that_plays_the_reference_has_no_error(
    make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any
) -> None:
    env = make_env(sim=playback)
    rows = torch.tensor([0, 40, 101, 130])
    progress: list[tuple[int, int]] = []
    rollout = play_clips(env, Still(env), rows, lambda step, total: progress.append((step, total)))
    assert rollout.steps.tolist() == [100, 60, 40, 11]
    assert rollout.state.body_pos_w.shape[:2] == (100, 4)
    assert progress == [(i + 1, 100) for i in range(100)]
    for env_id, steps in enumerate(rollout.steps.tolist()):
        for state, ref in zip(vars(rollout.state).values(), vars(rollout.ref).values(), strict=True):
            assert torch.equal(state[:steps, env_id], ref[:steps, env_id])
    # the first reference is the frame after the start, the last one the end of the clip
    assert torch.equal(rollout.ref.joint_pos[0], library.rows(rows + 1).joint_pos)
    assert torch.equal(rollout.ref.joint_pos[99, 0], library.rows(torch.tensor(100)).joint_pos)


def test_a_simulator_one_frame_late_is_noticed(
    make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any
) -> None:
    env = make_env(sim=playback)
    env.start(torch.tensor([0, 40, 101, 130]))
    late = torch.tensor([0, 39, 101, 129])
    rollout = play_clips(env, Still(env), torch.tensor([1, 40, 102, 130]))
    assert torch.equal(rollout.state.joint_pos[0], rollout.ref.joint_pos[0])
    assert not torch.equal(library.rows(late + 1).joint_pos, rollout.ref.joint_pos[0])


def test_nothing_is_reset_when_tracking_fails(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(num_envs=2)

    def wild(observation: Tensor) -> Tensor:
        return torch.full((len(observation), env.num_actions), 5.0)

    rollout = play_clips(env, wild, torch.tensor([0, 101]))
    distance = (rollout.state.body_pos_w - rollout.ref.body_pos_w).norm(dim=-1).mean(-1)
    assert distance[-1, 0] > 0.3  # it fell, and nothing picked it up
    assert env.episode_length.tolist() == [100, 100]


def test_rollouts_repeat_with_their_seed(make_env: Callable[..., TrackingEnv]) -> None:
    def final(seed: int) -> Tensor:
        env = make_env(num_envs=2, seed=seed, event=SEEDED_STARTS)
        return play_clips(env, Still(env), torch.tensor([120, 120])).state.joint_pos

    assert torch.equal(final(3), final(3))
    assert not torch.equal(final(3), final(4))
    assert not torch.equal(final(3)[:, 0], final(3)[:, 1])  # two starts of one clip differ
