"""PPO with several critics: rsl-rl's own where there is one, blind to scale where there are more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rsl_rl.algorithms import PPO
from rsl_rl.models import MLPModel
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from humanoid.core import ConfigError, InputError
from humanoid.envs import RewardTerm, TrackingEnv
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.motion import MotionLibrary
from humanoid.rl import Budget, PpoCfg, Progress, Runner
from humanoid.rl.algorithm import MultiCriticPPO, Storage, advantages, combined
from humanoid.rl.models import HistoryModel

ENVS, STEPS, WIDTH, PRIVATE, ACTIONS = 12, 8, 10, 13, 4
SETS = {"actor": ["actor"], "critic": ["critic"]}
GAUSSIAN = {"class_name": "GaussianDistribution", "init_std": 0.3, "std_type": "log"}
DEFAULTS = {"num_learning_epochs": 2, "num_mini_batches": 3, "entropy_coef": 0.01, "learning_rate": 1e-3}


def observe(generator: torch.Generator | None = None) -> TensorDict:
    """Return observations, random or zero."""
    made = {
        name: torch.zeros(ENVS, width) if generator is None else torch.randn(ENVS, width, generator=generator)
        for name, width in (("actor", WIDTH), ("critic", PRIVATE))
    }
    return TensorDict(made, batch_size=[ENVS])  # type: ignore[arg-type]


def ours(groups: int = 1, **options: Any) -> MultiCriticPPO:
    torch.manual_seed(0)
    obs, names = observe(), tuple(f"group{i}" for i in range(groups))
    actor = HistoryModel(obs, SETS, "actor", ACTIONS, hidden_dims=[32, 16], distribution_cfg=GAUSSIAN)
    critic = HistoryModel(obs, SETS, "critic", groups, hidden_dims=[32])
    storage = Storage(STEPS, ENVS, MultiCriticPPO.widths(actor, critic, ACTIONS, groups), "cpu")
    ppo = MultiCriticPPO(actor, critic, storage, reward_groups=names, **{**DEFAULTS, **options})
    ppo.train_mode()
    return ppo


def theirs(**options: Any) -> PPO:
    """Return rsl-rl's PPO with the weights of :func:`ours`."""
    obs, mine = observe(), ours()
    actor = MLPModel(obs, SETS, "actor", ACTIONS, [32, 16], "elu", True, GAUSSIAN)
    critic = MLPModel(obs, SETS, "critic", 1, [32], "elu", True)
    actor.load_state_dict(mine.actor.state_dict())
    critic.load_state_dict(mine.critic.state_dict())
    storage = RolloutStorage("rl", ENVS, STEPS, obs, [ACTIONS])
    ppo = PPO(actor, critic, storage, **{**DEFAULTS, **options})
    ppo.train_mode()
    return ppo


def collect(ppo: PPO, seed: int, scale: tuple[float, ...] = (1.0,)) -> None:
    """Fill the storage with one batch of random steps; group g's rewards are times ``scale[g]``."""
    torch.manual_seed(seed)  # of the actions and of the order of the minibatches
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        observation = observe(generator)
        for _ in range(STEPS):
            ppo.act(observation)
            observation = observe(generator)
            groups = torch.rand(ENVS, len(scale), generator=generator) * torch.tensor(scale)
            done = torch.rand(ENVS, generator=generator) < 0.2
            time_outs = (done & (torch.rand(ENVS, generator=generator) < 0.5)).float()
            extras = {"time_outs": time_outs, "reward_groups": groups}
            ppo.process_env_step(observation, groups.sum(-1), done, extras)
        ppo.compute_returns(observation)


def weights(ppo: PPO) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": value.clone()
        for part, model in (("actor", ppo.actor), ("critic", ppo.critic))
        for name, value in model.state_dict().items()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "fixed"},
        {"schedule": "fixed", "use_clipped_value_loss": False, "num_mini_batches": 5},
        {"schedule": "adaptive", "desired_kl": 0.01},
        {"schedule": "adaptive", "desired_kl": 1e-7},
        {"schedule": "adaptive", "desired_kl": 100.0},
    ],
    ids=str,
)
def test_one_critic_is_rsl_rl(options: dict[str, Any]) -> None:
    mine, oracle = ours(**options), theirs(**options)
    start = weights(mine)
    for seed in range(3):
        collect(mine, seed)
        losses = mine.update()
        collect(oracle, seed)
        torch.testing.assert_close(losses, oracle.update(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(weights(mine), weights(oracle), rtol=1e-4, atol=2e-6)
        assert mine.learning_rate == pytest.approx(oracle.learning_rate, rel=1e-6)
        assert mine.optimizer.param_groups[0]["lr"] == mine.learning_rate
    assert not torch.equal(start["actor.mlp.0.weight"], weights(mine)["actor.mlp.0.weight"])


def test_step_size_is_steered() -> None:
    rates = []
    for desired in (1e-7, 100.0):
        ppo = ours(schedule="adaptive", desired_kl=desired)
        collect(ppo, 0)
        ppo.update()
        rates.append(ppo.learning_rate)
    assert rates[0] < DEFAULTS["learning_rate"] < rates[1]


def test_training_goes_on_from_rsl_rls_optimiser() -> None:
    oracle = theirs(schedule="fixed")
    collect(oracle, 0)
    oracle.update()
    mine = ours(schedule="fixed")
    mine.load(copy.deepcopy(oracle.save()), None, strict=True)
    assert mine.optimizer.param_groups[0]["fused"]
    for ppo in (mine, oracle):
        collect(ppo, 1)
        ppo.update()
    torch.testing.assert_close(weights(mine), weights(oracle), rtol=1e-4, atol=2e-6)


def naive(rewards: Any, values: Any, last: Any, dones: Any, gamma: float, lam: float) -> Tensor:
    """Return advantages as the definition says: discounted sums of all later errors."""
    steps, envs, groups = len(rewards), len(rewards[0]), len(rewards[0][0])
    found = torch.zeros(steps, envs, groups, dtype=torch.float64)
    for env in range(envs):
        for group in range(groups):
            for start in range(steps):
                weight = 1.0
                for step in range(start, steps):
                    ended = dones[step][env][0]
                    after = last[env][group] if step == steps - 1 else values[step + 1][env][group]
                    error = rewards[step][env][group] - values[step][env][group]
                    found[start, env, group] += weight * (error + (0.0 if ended else gamma * after))
                    weight *= gamma * lam
                    if ended:
                        break
    return found


def test_advantages_of_every_group_are_the_definitions(generator: torch.Generator) -> None:
    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    rewards, values, last = random(9, 4, 3), random(9, 4, 3), random(4, 3)
    dones = (torch.rand(9, 4, 1, generator=generator) < 0.3).float()
    found = advantages(rewards, values, last, dones, 0.97, 0.9)
    expected = naive(rewards.tolist(), values.tolist(), last.tolist(), dones.tolist(), 0.97, 0.9)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_time_outs_bootstrap_every_group() -> None:
    ppo = ours(groups=2)
    collect(ppo, 0, (1.0, 1.0))
    fields = ppo.rollout.fields
    generator = torch.Generator().manual_seed(0)
    observe(generator)
    for step in range(STEPS):
        observe(generator)
        groups = torch.rand(ENVS, 2, generator=generator)
        done = torch.rand(ENVS, generator=generator) < 0.2
        cut = done & (torch.rand(ENVS, generator=generator) < 0.5)
        expected = groups + torch.where(cut[:, None], ppo.gamma * fields["values"][step], 0.0)
        torch.testing.assert_close(fields["rewards"][step], expected)


def heads(ppo: PPO) -> nn.Linear:
    """Return the critic's last layer, one row a group."""
    last = list(ppo.critic.mlp.children())[-1]
    assert isinstance(last, nn.Linear)
    return last


def gradients(groups: int, scale: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Return the first gradients of policy and critic's shared layer; the values fit the scale."""
    ppo = ours(groups, schedule="fixed", num_learning_epochs=1, num_mini_batches=1, max_grad_norm=1e12)
    with torch.no_grad():
        for group, factor in enumerate(scale[:groups]):
            heads(ppo).weight[group] *= factor
            heads(ppo).bias[group] *= factor
    collect(ppo, 0, scale)
    ppo.update()
    flat = torch.cat([p.grad.flatten() for p in ppo.actor.parameters() if p.grad is not None])
    shared = next(ppo.critic.mlp.parameters()).grad
    assert isinstance(shared, Tensor)
    return flat, shared.flatten()


def test_several_critics_are_blind_to_the_scale_of_a_group() -> None:
    plain, plain_shared = gradients(2, (1.0, 1.0))
    scaled, scaled_shared = gradients(2, (1.0, 1000.0))
    torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))
    direction = torch.nn.functional.cosine_similarity(plain_shared, scaled_shared, dim=0)
    assert direction > 0.9999


def test_one_critic_sees_the_larger_group_alone() -> None:
    plain, _ = gradients(1, (1.0, 1.0))
    scaled, _ = gradients(1, (1.0, 1000.0))
    assert (scaled - plain).norm() > 0.3 * plain.norm()


def test_groups_count_alike_and_their_sum_has_unit_variance(generator: torch.Generator) -> None:
    groups = torch.randn(40, 50, 3, generator=generator) * torch.tensor((0.01, 1.0, 300.0)) + 7.0
    total = combined(groups)
    assert total.shape == (40, 50, 1)
    assert float(total.std()) == pytest.approx(1.0, abs=1e-4)
    parts = torch.cat((total, groups), dim=-1).flatten(0, 1).T
    assert torch.corrcoef(parts)[0, 1:] == pytest.approx([3**-0.5] * 3, abs=0.05)


def test_a_group_without_any_reward_breaks_nothing() -> None:
    ppo = ours(groups=3)
    with torch.no_grad():
        heads(ppo).weight[1], heads(ppo).bias[1] = 0.0, 0.0
    for seed in range(2):
        collect(ppo, seed, (1.0, 0.0, 1.0))
        losses = ppo.update()
        assert set(losses) == {"value", "surrogate", "entropy", *(f"value_group{i}" for i in range(3))}
        assert all(value == value for value in losses.values())
    assert all(value.isfinite().all() for value in weights(ppo).values())


class Reads(TorchDispatchMode):
    """Counts what makes the host wait for a number from the device."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal")

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in self.WAITING
        return func(*args, **(kwargs or {}))


def reads(make: Callable[..., PPO], minibatches: int) -> int:
    ppo = make(schedule="adaptive", num_mini_batches=minibatches)
    collect(ppo, 0)
    with Reads() as counter:
        ppo.update()
    return counter.count


def test_an_update_does_not_wait_for_the_device() -> None:
    assert reads(ours, 2) == reads(ours, 8) <= 1
    assert reads(theirs, 8) > reads(theirs, 2) > 4  # the counter does see what it is to count


def test_a_group_of_one_process_changes_nothing(tmp_path: Path) -> None:
    alone = ours(schedule="adaptive")
    collect(alone, 0)
    alone.update()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'x'}", rank=0, world_size=1)
    try:
        cfg = {"global_rank": 0, "local_rank": 0, "world_size": 1}
        grouped = ours(schedule="adaptive", multi_gpu_cfg=cfg)
        grouped.broadcast_parameters()
        collect(grouped, 0)
        grouped.update()
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(weights(grouped), weights(alone))


def test_options_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match="'symmetry_cfg'"):
        ours(symmetry_cfg={"use_mirror_loss": True})


def test_a_run_with_several_critics_goes_on_after_a_stop(
    make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any, tmp_path: Path
) -> None:
    first = list(TRACKING_REWARDS)[:6]
    split = {
        name: replace(term, group="task" if name in first else "style")
        for name, term in TRACKING_REWARDS.items()
    }
    ppo = PpoCfg(actor_hidden=(32, 16), critic_hidden=(32,), num_steps=6, epochs=2, minibatches=2)

    def runner(reward: dict[str, RewardTerm]) -> Runner:
        env = make_env(sim=type(playback)(library, 4), reward=reward)
        return Runner(env, ppo, tmp_path, {}, 1)

    seen: list[Progress] = []
    runner(split).train(Budget(samples=48), seen.append)
    assert {"ppo/value_task", "ppo/value_style"} <= set(seen[-1].scalars)
    again = runner(split)
    again.resume()
    again.train(Budget(samples=72))
    assert heads(again.alg).out_features == 2
    with pytest.raises(InputError, match="networks"):
        runner(TRACKING_REWARDS).resume()
