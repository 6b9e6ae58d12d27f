"""What one batch of control steps leaves behind, and what it was worth."""

from __future__ import annotations

import torch
from torch import Tensor


class Storage:
    """Named numbers of T steps of B environments: what PPO needs of rsl-rl's ``RolloutStorage``.

    Attributes:
        fields: name -> (T, B, width).
        step: the step that :meth:`put` fills.
    """

    def __init__(self, steps: int, num_envs: int, widths: dict[str, int], device: str | torch.device) -> None:
        """Make room for ``steps`` of ``num_envs`` and of each name's width."""
        self.fields = {
            name: torch.zeros(steps, num_envs, width, device=device) for name, width in widths.items()
        }
        self.steps, self.num_envs, self.step = steps, num_envs, 0

    def put(self, **values: Tensor) -> None:
        """Write values (B, width) or (B,) of the present step; ``step`` is the caller's to advance."""
        for name, value in values.items():
            target = self.fields[name][self.step]
            target.copy_(value.reshape(target.shape))

    def shuffled(self, samples: int, names: tuple[str, ...]) -> dict[str, Tensor]:
        """Return ``samples`` of the first T * B rows in random order, each (samples, width).

        One order serves all passes over the batch, as in rsl-rl, so that its minibatches
        are slices of what is gathered once.
        """
        order = torch.randperm(samples, device=self.fields[names[0]].device)
        return {name: self.fields[name].flatten(0, 1).index_select(0, order) for name in names}


def advantages(
    rewards: Tensor, values: Tensor, last_values: Tensor, dones: Tensor, gamma: float, lam: float
) -> Tensor:
    """Return generalised advantage estimates (T, B, G), one for each reward group.

    Schulman et al. 2015 (arXiv 1506.02438), equation 16, cut where an episode ends.

    Args:
        rewards: (T, B, G).
        values: (T, B, G) of the states before the steps.
        last_values: (B, G) of the state after the last step.
        dones: (T, B, 1), 1 where the step ended its episode.
        gamma: discount of a step.
        lam: decay of the estimate.
    """
    alive = 1.0 - dones
    following = torch.cat((values[1:], last_values[None]))
    delta = rewards + gamma * alive * following - values
    decay = gamma * lam * alive
    found = torch.empty_like(delta)
    running = torch.zeros_like(last_values)
    for step in range(len(delta) - 1, -1, -1):
        running = delta[step] + decay[step] * running
        found[step] = running
    return found


def combined(group_advantages: Tensor) -> Tensor:
    """Return the advantage (T, B, 1) of all reward groups (T, B, G) together.

    Each group is normalised on its own, so that none drowns another by its scale, and
    all count alike (SLIM, arXiv 2402.00823); so does the noise of a group that is hardly
    ever rewarded. The sum is brought back to unit variance: the entropy bonus and the
    limit on the gradient then mean with G critics what they mean with one.
    """
    total = _normalised(group_advantages).sum(-1, keepdim=True)
    return _normalised(total) if group_advantages.shape[-1] > 1 else total


def _normalised(values: Tensor) -> Tensor:
    """Return values (T, B, G) with mean 0 and standard deviation 1 over T and B."""
    return (values - values.mean((0, 1))) / (values.std((0, 1)) + 1e-8)
