"""rsl-rl's PPO with one critic a reward group and no synchronisation with the device in an update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.utils import resolve_class
from tensordict import TensorDict
from torch import Tensor, nn

from humanoid.core.errors import ConfigError
from humanoid.rl.models import HistoryModel

_SAMPLED = ("actor", "critic", "actions", "log_prob", "values", "returns", "advantage")
_STEERED = ("mean", "std")
_SMALL = 1e-8
"""Smallest variance of a group's returns, as a share of the largest group's, that is told apart from none."""
_REFUSED = (
    "rnd_cfg",
    "symmetry_cfg",
    "normalize_advantage_per_mini_batch",
    "use_mixed_precision",
    "optimizer",
)


class Storage:
    """Rollout buffer: named numbers of T steps of B environments, in place of rsl-rl's ``RolloutStorage``.

    Attributes:
        fields: name -> (T, B, width).
        step: the step that :meth:`put` fills.
    """

    def __init__(self, steps: int, num_envs: int, widths: dict[str, int], device: str | torch.device) -> None:
        """Allocate ``steps`` of ``num_envs`` and of each name's width."""
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


class MultiCriticPPO(PPO):
    """rsl-rl's PPO for networks without recurrence, with G critics and one read an update.

    With one reward group an update is rsl-rl's to rounding. What differs:

    * One value, one advantage and one bootstrap at time-outs for each reward group; see
      :func:`combined`. The groups' value losses are weighted by the inverse variance of
      their returns, for they share a network.
    * :meth:`update` reads losses and step size from the device once, at its end: the
      adaptive step size is a tensor there, which fused Adam takes as it is.
    * The batch is normalised and gathered once an update; minibatches are slices of it.

    Of rsl-rl's options, curiosity, symmetry, mixed precision and other optimisers are refused.
    """

    def __init__(
        self,
        actor: HistoryModel,
        critic: HistoryModel,
        storage: Storage,
        *,
        reward_groups: tuple[str, ...] = ("reward",),
        tf32: bool = False,
        **options: Any,  # noqa: ANN401 - those of rsl-rl's PPO
    ) -> None:
        """Join networks, storage and optimiser.

        Args:
            actor: the policy; its distribution has a mean and a standard deviation.
            critic: one output for each reward group.
            storage: with the widths of :meth:`widths`.
            reward_groups: names, for the log.
            tf32: whether a GPU multiplies matrices with 10 bits of mantissa.
            options: the rest of rsl-rl's arguments.

        Raises:
            ConfigError: an option of rsl-rl that is not supported here.
        """
        for name in _REFUSED:
            if options.get(name):
                raise ConfigError(
                    f"ppo option '{name}' is {options[name]!r}; it is not supported, leave it out"
                )
        super().__init__(actor, critic, storage, **options)  # type: ignore[arg-type]
        self._models = {"actor": actor, "critic": critic}
        self.rollout, self.reward_groups, self.tf32 = storage, reward_groups, tf32
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, fused=True)

    @staticmethod
    def widths(actor: HistoryModel, critic: HistoryModel, num_actions: int, groups: int) -> dict[str, int]:
        """Return names and widths of what is stored of a step."""
        return {
            "actor": actor.obs_dim, "critic": critic.obs_dim,
            **dict.fromkeys(("actions", "mean", "std"), num_actions),
            **dict.fromkeys(("log_prob", "dones", "advantage"), 1),
            **dict.fromkeys(("rewards", "values", "returns"), groups),
        }  # fmt: skip

    @staticmethod
    def construct_algorithm(obs: TensorDict, env: Any, cfg: dict, device: str) -> MultiCriticPPO:  # noqa: ANN401
        """Build networks, storage and algorithm from ``PpoCfg.rsl_rl()``, as the runner asks for it.

        Args:
            obs: observations of ``env``.
            env: a ``EnvAdapter``: ``reward_groups`` makes the critics, ``history_shape`` the encoder.
            cfg: the runner's configuration.
            device: of everything.
        """
        _, alg_cfg = resolve_class(cfg["algorithm"])
        actor_class, actor_cfg = resolve_class(cfg["actor"])
        critic_class, critic_cfg = resolve_class(cfg["critic"])
        names = env.reward_groups or ("reward",)
        sets = cfg["obs_groups"]
        actor = actor_class(obs, sets, "actor", env.num_actions, history_shape=env.history_shape, **actor_cfg)
        critic = critic_class(obs, sets, "critic", len(names), **critic_cfg)
        widths = MultiCriticPPO.widths(actor, critic, env.num_actions, len(names))
        storage = Storage(cfg["num_steps_per_env"], env.num_envs, widths, device)
        options = {**alg_cfg, "device": device, "multi_gpu_cfg": cfg["multi_gpu"]}
        return MultiCriticPPO(actor, critic, storage, reward_groups=names, **options)

    def act(self, obs: TensorDict) -> Tensor:
        """Return actions (B, A) drawn for ``obs``; keep them with what the networks said."""
        with self._precision():
            actions = self.actor(obs, stochastic_output=True).detach()
            values = self.critic(obs).detach()
        mean, std = (parameter.detach() for parameter in self.actor.output_distribution_params)
        log_prob = self.actor.get_output_log_prob(actions).detach()
        self.rollout.put(
            **{name: _input(model, obs) for name, model in self._models.items()},
            actions=actions, mean=mean, std=std, log_prob=log_prob, values=values,
        )  # fmt: skip
        return actions

    def process_env_step(
        self, obs: TensorDict, rewards: Tensor, dones: Tensor, extras: dict[str, Any]
    ) -> None:
        """Keep what a step returned, and end it.

        Args:
            obs: observations after the step.
            rewards: (B,), used with one critic.
            dones: (B,).
            extras: ``time_outs`` (B,); with more than one critic ``reward_groups`` (B, G).
        """
        grouped = extras["reward_groups"] if len(self.reward_groups) > 1 else rewards.unsqueeze(-1)
        if "time_outs" in extras:
            values = self.rollout.fields["values"][self.rollout.step]
            grouped = grouped + self.gamma * values * extras["time_outs"].unsqueeze(-1)
        self.rollout.put(rewards=grouped, dones=dones)
        self.rollout.step += 1

    def compute_returns(self, obs: TensorDict) -> None:
        """Compute returns and advantages of the batch; ``obs`` follow its last step."""
        fields = self.rollout.fields
        with self._precision():
            last_values = self.critic(obs).detach()
        values = fields["values"]
        found = advantages(fields["rewards"], values, last_values, fields["dones"], self.gamma, self.lam)
        fields["returns"].copy_(found + values)
        fields["advantage"].copy_(combined(found))

    def update(self) -> dict[str, float]:
        """Optimise the networks on the batch; return mean losses, and each group's value loss."""
        adaptive = self.schedule == "adaptive" and self.desired_kl is not None
        size = self.rollout.steps * self.rollout.num_envs // self.num_mini_batches
        names = _SAMPLED + (_STEERED if adaptive else ())
        batch = self.rollout.shuffled(size * self.num_mini_batches, names)
        for name, model in self._models.items():
            model.obs_normalizer.normalize_(batch[name])
        weights = _value_weights(batch["returns"])
        rate = torch.full((), self.learning_rate, device=self.device) if adaptive else None
        self._set_rate(self.learning_rate if rate is None else rate)
        sums = torch.zeros(2 + len(self.reward_groups), device=self.device)
        with self._precision():
            for _ in range(self.num_learning_epochs):
                for parts in zip(*(part.split(size) for part in batch.values()), strict=True):
                    sums += self._minibatch(dict(zip(batch, parts, strict=True)), weights, rate)
        for name, model in self._models.items():
            model.obs_normalizer.update(self.rollout.fields[name].flatten(0, 1))
        self.rollout.step = 0
        sums /= self.num_learning_epochs * self.num_mini_batches
        surrogate, entropy, *value = (sums if rate is None else torch.cat((sums, rate[None]))).tolist()
        if rate is not None:
            self.learning_rate = value.pop()
            self._set_rate(self.learning_rate)
        losses = {"value": sum(value) / len(value), "surrogate": surrogate, "entropy": entropy}
        if len(value) > 1:
            losses |= {f"value_{name}": loss for name, loss in zip(self.reward_groups, value, strict=True)}
        return losses

    def load(self, loaded_dict: dict, load_cfg: dict | None, strict: bool) -> bool:
        """Load a saved state; the optimiser goes on fused whatever it was."""
        saved = loaded_dict.get("optimizer_state_dict")
        if saved is not None:
            kind = {"fused": True, "foreach": None, "capturable": False}
            fused = {**saved, "param_groups": [{**group, **kind} for group in saved["param_groups"]]}
            loaded_dict = {**loaded_dict, "optimizer_state_dict": fused}
        return super().load(loaded_dict, load_cfg, strict)

    def _minibatch(self, batch: dict[str, Tensor], weights: Tensor, rate: Tensor | None) -> Tensor:
        """Take one step of the optimiser; return surrogate loss, entropy and value losses (2 + G,)."""
        actor = self.actor
        assert actor.distribution is not None
        actor.distribution.update(actor.mlp(batch["actor"]))
        values = self.critic.mlp(batch["critic"])
        if rate is not None:
            self._steer(rate, batch)
        ratio = torch.exp(actor.get_output_log_prob(batch["actions"]) - batch["log_prob"].squeeze(-1))
        advantage = batch["advantage"].squeeze(-1)
        clipped = ratio.clamp(1.0 - self.clip_param, 1.0 + self.clip_param)
        surrogate = -torch.min(advantage * ratio, advantage * clipped).mean()
        errors = (values - batch["returns"]).square()
        if self.use_clipped_value_loss:
            change = (values - batch["values"]).clamp(-self.clip_param, self.clip_param)
            errors = torch.max(errors, (batch["values"] + change - batch["returns"]).square())
        value = errors.mean(0)
        entropy = actor.output_entropy.mean()
        loss = surrogate + self.value_loss_coef * (weights * value).mean() - self.entropy_coef * entropy

        self.optimizer.zero_grad()
        loss.backward()
        if self.is_multi_gpu:
            self.reduce_parameters()
        nn.utils.clip_grad_norm_(self.actor.parameters(), self.max_grad_norm)
        nn.utils.clip_grad_norm_(self.critic.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return torch.cat((surrogate.detach()[None], entropy.detach()[None], value.detach()))

    @torch.no_grad()
    def _steer(self, rate: Tensor, batch: dict[str, Tensor]) -> None:
        """Adapt the step size () in place by rsl-rl's rule, equal on all ranks."""
        old = (batch["mean"], batch["std"])
        divergence = self.actor.get_kl_divergence(old, self.actor.output_distribution_params).mean()
        if self.is_multi_gpu:
            torch.distributed.all_reduce(divergence, op=torch.distributed.ReduceOp.SUM)
            divergence /= self.gpu_world_size
        slower, faster = (rate / 1.5).clamp_min(1e-5), (rate * 1.5).clamp_max(1e-2)
        far = divergence > 2.0 * self.desired_kl
        near = (divergence < 0.5 * self.desired_kl) & (divergence > 0.0)
        rate.copy_(torch.where(far, slower, torch.where(near, faster, rate)))

    def _set_rate(self, rate: float | Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Multiply matrices of the networks, and of nothing else, as fast as ``tf32`` allows."""
        before = torch.get_float32_matmul_precision()
        if self.tf32 and torch.device(self.device).type == "cuda":
            torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def _input(model: HistoryModel, obs: TensorDict) -> Tensor:
    """Return what a network reads of the observations, not normalised. (B, O)."""
    parts = [obs[group] for group in model.obs_groups]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _value_weights(returns: Tensor) -> Tensor:
    """Return the weight (G,) of each group's value loss, 1 for the group of the widest returns.

    A squared error grows with the square of the reward's scale, and the groups share a
    network: without weights it would learn the values of the largest group alone.

    Args:
        returns: (N, G).
    """
    variance = returns.var(0, correction=0) + torch.finfo(returns.dtype).tiny / _SMALL
    largest = variance.max()
    return largest / variance.clamp_min(_SMALL * largest)


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
