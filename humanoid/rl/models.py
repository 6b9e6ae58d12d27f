"""The networks that PPO trains, where rsl-rl's own do not suffice."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.models import MLPModel
from rsl_rl.modules import EmpiricalNormalization
from tensordict import TensorDict
from torch import Tensor

from humanoid.core.errors import ConfigError
from humanoid.nn.history import HistoryEncoder, HistoryMlp


class Normalizer(EmpiricalNormalization):
    """rsl-rl's running statistics, whose variance takes two plain passes.

    ``torch.var`` over the rows of a batch goes through one number after the other on a
    CPU, which costs as much as an epoch's losses.
    """

    _mean: Tensor
    _var: Tensor
    _std: Tensor
    count: Tensor

    def update(self, x: Tensor) -> None:
        """Take in samples (N, O) of this process and of all others that train with it."""
        if not self.training:
            return
        count = torch.full((), len(x), dtype=self.count.dtype, device=x.device)
        mean = x.mean(0, keepdim=True)
        shared = torch.distributed.is_initialized()
        if shared:
            mean *= len(x)
            for part in (count, mean):
                torch.distributed.all_reduce(part)
            mean /= count
        var = (x - mean).square_().sum(0, keepdim=True)
        if shared:
            torch.distributed.all_reduce(var)
        var /= count
        self.count += count
        rate = count / self.count
        change = mean - self._mean
        self._mean += rate * change
        self._var += rate * (var - self._var + change * (mean - self._mean))
        self._std = self._var.sqrt()

    def normalize_(self, x: Tensor) -> Tensor:
        """Normalise ``x (N, O)`` in place and return it."""
        return x.sub_(self._mean).div_(self._std + self.eps)


class HistoryModel(MLPModel):
    """rsl-rl's network, which reads a history at the end of its observation through an embedding.

    The whole observation is normalised as in ``MLPModel``; its last H * F numbers, H
    frames of F each, oldest first, then pass SkillMimic-V2's history encoder
    (arXiv 2505.02094): three convolutions over time and a linear layer to 3 numbers,
    which the network sees in their place. There the encoder is trained beforehand to
    predict the next state, with a weight on small embeddings, and then frozen; here it
    is trained with the policy by PPO alone: one stage less, no data set of rollouts, and
    what it keeps of the past is what helps the reward. Without a history (H = 0) this is
    a normalised ``MLPModel``, down to the names of its weights.
    """

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        *,
        history_shape: tuple[int, int] = (0, 0),
        history_channels: tuple[int, ...] | list[int] = (128, 64, 32),
        history_embedding: int = 3,
        **options: Any,  # noqa: ANN401 - those of MLPModel
    ) -> None:
        """Build the network; arguments as of ``MLPModel``.

        Args:
            obs: observations, for their widths.
            obs_groups: observation sets and their groups.
            obs_set: the set this network reads.
            output_dim: width of the output.
            history_shape: frames H and features of a frame F at the end of the observation.
            history_channels: channels of the convolutions.
            history_embedding: width of the embedding.
            options: hidden widths, activation and distribution.

        Raises:
            ConfigError: the observation is narrower than its history.
        """
        self._history, self._embedding = history_shape, history_embedding
        super().__init__(obs, obs_groups, obs_set, output_dim, obs_normalization=True, **options)
        self.obs_normalizer = Normalizer(self.obs_dim)
        if history_shape[0]:
            encoder = HistoryEncoder(history_shape, tuple(history_channels), history_embedding)
            self.mlp = HistoryMlp(encoder, self.mlp)

    def _get_latent_dim(self) -> int:
        frames, features = self._history
        rest = self.obs_dim - frames * features
        if rest < 0:
            raise ConfigError(
                f"history of {frames} frames of {features}: the observation has only {self.obs_dim} numbers; "
                f"it must end with {frames * features} of history"
            )
        return rest + (self._embedding if frames else 0)
