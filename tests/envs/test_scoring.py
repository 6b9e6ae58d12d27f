"""Rewards by group."""

from __future__ import annotations

from collections.abc import Callable

import torch

from humanoid.envs.rewards import RewardCfg
from humanoid.envs.scoring import mask_joined
from humanoid.envs.tracking import TrackingEnv

GROUPS = {
    "pose": ("anchor_pos", "anchor_rot", "body_pos", "body_rot"),
    "speed": ("body_lin_vel", "body_ang_vel"),
    "cost": ("action_rate", "joint_limit", "undesired_contact"),
}


def test_groups_are_parts_of_the_same_reward(make_env: Callable[..., TrackingEnv]) -> None:
    single, several = make_env(), make_env(reward=RewardCfg(groups=GROUPS))
    rows = torch.tensor([0, 30, 60, 110])
    action = 0.5 * torch.randn(4, single.num_actions, generator=torch.Generator().manual_seed(1))
    results = []
    for env in (single, several):
        env.start(rows)
        results.append(env.step(action))
    one, many = results
    assert single.reward_groups == ("all",) and several.reward_groups == tuple(GROUPS)
    torch.testing.assert_close(many.groups.sum(-1), one.reward)
    torch.testing.assert_close(many.reward, one.reward)
    assert (many.groups[:, :2] > 0).all() and (many.groups[:, 2] < 0).all()
    penalty = 0.05 * action.square().sum(-1) * 0.02
    assert (many.groups[:, 2] <= -penalty + 1e-6).all()


def test_masked_environments_earn_what_the_others_earn() -> None:
    groups = torch.tensor([[1.0, 10.0], [3.0, 30.0], [100.0, 100.0]])
    masked = mask_joined(groups, torch.tensor([False, False, True]))
    assert masked.tolist() == [[1.0, 10.0], [3.0, 30.0], [2.0, 20.0]]
    assert mask_joined(groups, torch.ones(3, dtype=torch.bool)).tolist() == [[0.0, 0.0]] * 3
