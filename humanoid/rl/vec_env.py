"""Adapter from :class:`Env` to rsl-rl's ``VecEnv``."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from torch import Tensor

from humanoid.envs.env import Env


class EnvAdapter(VecEnv):
    """An environment for rsl-rl; ``extras["log"]`` holds () tensors that stay on the device."""

    def __init__(self, env: Env) -> None:
        """Wrap ``env``."""
        self.env = env
        self.num_envs, self.num_actions = env.num_envs, env.num_actions
        self.max_episode_length = env.max_episode_length
        self.reward_groups, self.history_shape = env.reward_groups, env.history_shape
        self.device = env.device
        self.cfg = {}

    @property
    def episode_length_buf(self) -> Tensor:  # type: ignore[override]
        """(B,) control steps since the start of each episode."""
        return self.env.episode_length

    @episode_length_buf.setter
    def episode_length_buf(self, value: Tensor) -> None:
        self.env.episode_length = value

    def get_observations(self) -> TensorDict:
        """Return the groups ``actor`` and ``critic``."""
        return self._grouped(self.env.observe())

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Any]]:
        """Advance all environments; see rsl-rl's ``VecEnv.step``."""
        result = self.env.step(actions)
        extras = {
            "time_outs": result.time_out.to(torch.float32),
            "reward_groups": result.groups,
            "log": result.log,
        }
        return self._grouped(result.obs), result.reward, result.done, extras

    def _grouped(self, obs: dict[str, Tensor]) -> TensorDict:
        return TensorDict(obs, batch_size=[self.num_envs])  # type: ignore[arg-type]
