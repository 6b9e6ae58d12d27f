"""PPO training on any environment: rsl-rl's on-policy runner, in one process or in several.

See :mod:`humanoid.rl.checkpoints` for what is saved and :mod:`humanoid.rl.distributed`
for what several processes share.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rsl_rl.runners import OnPolicyRunner
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from humanoid.core.errors import ConfigError, InputError, MismatchError, TrainingError, one_line
from humanoid.envs.env import Env
from humanoid.nn.checkpoint import Header
from humanoid.rl import checkpoints
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.rl.distributed import ALONE, Ranks, stop_requests
from humanoid.rl.ppo import PpoCfg
from humanoid.rl.vec_env import EnvAdapter

RENEWED_SAMPLES = 1_000_000
"""Count of another run's observation statistics when a run starts from it."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When training stops; whichever comes first.

    Attributes:
        samples: control steps of all environments of all processes, resumed ones included.
        minutes: wall time since this start, by the clock of rank 0; 0 for no limit.
        save_seconds: time between checkpoints.
    """

    samples: float
    minutes: float = 0.0
    save_seconds: float = 60.0


@dataclass(frozen=True)
class Progress:
    """Progress after an iteration.

    Attributes:
        iteration: updates so far.
        samples: control steps so far, of all processes.
        samples_per_s: of this iteration.
        eta_s: seconds to the end of the budget.
        scalars: everything that TensorBoard gets.
    """

    iteration: int
    samples: int
    samples_per_s: float
    eta_s: float
    scalars: dict[str, float]


class Runner(OnPolicyRunner):
    """Trains a policy on any :class:`Env`; one runner in every process.

    Attributes:
        task_env: the environment.
    """

    def __init__(
        self,
        env: Env,
        ppo: PpoCfg,
        folder: str | Path,
        config: dict[str, Any],
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """Build actor, critic and PPO for ``env``.

        Args:
            env: the environment; among several processes each has a seed of its own.
            ppo: PPO's numbers.
            folder: run folder, exists where rank 0 is.
            config: resolved configuration, plain values, kept in the checkpoint.
            seed: of the network's weights and, with the rank, of the actions; the same on all.
            ranks: the processes that learn together.

        Raises:
            ConfigError: a batch has fewer samples than minibatches.
        """
        if ppo.minibatches > env.num_envs * ppo.num_steps:
            raise ConfigError(
                f"ppo.minibatches is {ppo.minibatches}, but num_envs * ppo.num_steps gives "
                f"{env.num_envs * ppo.num_steps} samples; use fewer"
            )
        torch.manual_seed(seed)
        self.task_env, self.folder, self.config = env, Path(folder), config
        self.ranks, self.seed = ranks, seed
        with contextlib.redirect_stdout(io.StringIO()):  # rsl-rl prints its networks
            super().__init__(EnvAdapter(env), ppo.rsl_rl(), log_dir=None, device=str(env.device))
        with torch.no_grad():
            last = [m for m in self.alg.get_policy().mlp.modules() if isinstance(m, torch.nn.Linear)][-1]
            last.weight.mul_(ppo.last_layer_gain)
            last.bias.mul_(ppo.last_layer_gain)
        self.samples, self.seconds = 0, 0.0
        self.batch = env.num_envs * ppo.num_steps * ranks.size
        self._saved_iteration, self._configured_rate = -1, ppo.learning_rate
        if ranks.size > 1:
            with ranks.listening():
                self.alg.broadcast_parameters()
        self._part_generators()

    def train(self, budget: Budget, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Collect, update, log and save until the budget is used up.

        All processes stop after the same iteration. Rank 0 alone logs, saves and calls
        ``on_progress``.

        Raises:
            TrainingError: the networks' numbers are no longer finite, the disk is full or
                another process has ended; the last checkpoint stays.
            KeyboardInterrupt: one of several processes was asked to stop; not saved yet.
        """
        log = EventLog(self.folder, self.samples) if self.ranks.leads else None
        started = saved = time.monotonic()
        observation = self.env.get_observations().to(self.device)
        self.alg.train_mode()
        try:
            with self.ranks.listening(), stop_requests(self.ranks) as asked:
                while self.samples < budget.samples:
                    begin = time.monotonic()
                    observation, sums = self._collect(observation)
                    counts = self.task_env.guard.flush(self.folder, self.config)
                    self._share_statistics()
                    collected = time.monotonic()
                    losses = self._update()
                    now = time.monotonic()
                    self.current_learning_iteration += 1
                    self.samples += self.batch
                    self.seconds += now - begin
                    facts = {f"ppo/{name}": float(value) for name, value in losses.items()} | counts
                    scalars = self._scalars(sums, facts, collected - begin, now - collected)
                    late = budget.minutes > 0 and now - started > 60 * budget.minutes
                    timed_out, stop = self.ranks.agree(late and self.ranks.leads, asked())
                    if log is not None:
                        log.write(scalars, self.samples)
                    if now - saved > budget.save_seconds or timed_out or self.samples >= budget.samples:
                        self.save_run()
                        saved = now
                    if on_progress is not None and self.ranks.leads:
                        on_progress(self._progress(scalars, budget, now - begin, now - started))
                    if stop:
                        raise KeyboardInterrupt
                    if timed_out:
                        break
        finally:
            if log is not None:
                log.close()

    def _configure_multi_gpu(self) -> None:
        """Tell rsl-rl the ranks; its own set-up knows nothing but CUDA and NCCL."""
        ranks = self.ranks
        self.gpu_world_size, self.is_distributed = ranks.size, ranks.size > 1
        self.gpu_global_rank, self.gpu_local_rank = ranks.rank, ranks.local_rank
        place = {"global_rank": ranks.rank, "local_rank": ranks.local_rank, "world_size": ranks.size}
        self.cfg["multi_gpu"] = place if self.is_distributed else None

    def _part_generators(self) -> None:
        """Give the ranks other than 0 numbers of their own, from here and from this iteration on."""
        if not self.ranks.leads:
            seed = self.ranks.seed(self.seed) + self.current_learning_iteration
            torch.manual_seed(seed)
            self.task_env.generator.manual_seed(seed)

    def _share_statistics(self) -> None:
        """Wait for all ranks, so that the end of one is noticed here, and merge what they know."""
        if self.ranks.size > 1:
            self.ranks.agree()
            self.ranks.average(self.task_env.source.statistics())

    def _progress(self, scalars: dict[str, float], budget: Budget, spent: float, since: float) -> Progress:
        """Return the report of an iteration of ``spent`` seconds, ``since`` the start of training."""
        rate = self.batch / spent
        eta = (budget.samples - self.samples) / rate
        if budget.minutes > 0:
            eta = min(eta, max(0.0, 60 * budget.minutes - since))
        return Progress(self.current_learning_iteration, self.samples, rate, eta, scalars)

    def _update(self) -> dict[str, float]:
        """Update the networks; refuse to go on, and to save, with what they never recover from."""
        try:
            losses = self.alg.update()
        except RuntimeError:  # torch draws no actions from weights that are NaN
            if self._weights_are_finite():
                raise
            losses = {"any": math.nan}
        if not all(math.isfinite(value) for value in losses.values()) or not self._weights_are_finite():
            raise TrainingError(
                f"{self.folder}: losses or weights are not finite after {self.samples} samples; "
                "resume from the last checkpoint with a smaller ppo.learning_rate"
            )
        return losses

    def _weights_are_finite(self) -> bool:
        parameters = (*self.alg.actor.parameters(), *self.alg.critic.parameters())
        return bool(torch.stack([parameter.detach().norm() for parameter in parameters]).isfinite().all())

    def _collect(self, observation: Any) -> tuple[Any, dict[str, Tensor]]:  # noqa: ANN401
        """Fill the storage with one batch; return the last observation and summed logs."""
        total: dict[str, Tensor] = {}
        with torch.inference_mode():
            for _ in range(self.cfg["num_steps_per_env"]):
                action = self.alg.act(observation)
                observation, reward, done, extras = self.env.step(action)
                self.alg.process_env_step(observation, reward, done, extras)
                extras["log"]["episode/reward"] = reward.mean()
                extras["log"]["episode/ended"] = done.float().mean()
                for name, value in extras["log"].items():
                    total[name] = total[name] + value if name in total else value
            self.alg.compute_returns(observation)
        return observation, total

    def _scalars(
        self, log: dict[str, Tensor], facts: dict[str, float], collect_s: float, learn_s: float
    ) -> dict[str, float]:
        """Return this iteration's means over all ranks; one transfer from the device for all of them."""
        steps = self.cfg["num_steps_per_env"]
        means = {name: value / steps for name, value in log.items()} | self.task_env.source.metrics()
        means["ppo/action_std"] = self.alg.get_policy().output_std.mean().detach()
        scalars = dict(zip(means, torch.stack(list(means.values())).tolist(), strict=True))
        scalars |= facts
        scalars["ppo/learning_rate"] = self.alg.learning_rate
        scalars["time/collect_s"], scalars["time/learn_s"] = collect_s, learn_s
        scalars = dict(zip(scalars, self.ranks.mean(list(scalars.values())), strict=True))
        scalars["episode/length"] = 1.0 / max(scalars.pop("episode/ended"), 1e-6)
        scalars["time/samples_per_s"] = self.batch / (scalars["time/collect_s"] + scalars["time/learn_s"])
        return scalars

    def save_run(self) -> None:
        """Write the checkpoint of this moment; the old one stays until the new is whole.

        Rank 0 alone does, and needs no other rank for it. An iteration is saved once: a
        second ``training_N.pt`` of the same name would belong to another moment than the
        ``checkpoint.pt`` that names the first.

        Raises:
            TrainingError: it cannot be written; the one before it stays.
        """
        if not self.ranks.leads or self.current_learning_iteration == self._saved_iteration:
            return
        env, alg = self.task_env, self.alg.save()
        actor = alg["actor_state_dict"]
        header = Header(
            kind=env.kind,
            body=env.body.signature(),
            observation=tuple(env.observation_layout()),
            control_dt=env.sim.dt,
            config=self.config,
            iteration=self.current_learning_iteration,
            samples=self.samples,
            seconds=self.seconds,
        )
        state = {
            "critic": alg["critic_state_dict"],
            "distribution": {k: v for k, v in actor.items() if k.startswith("distribution")},
            "optimizer": alg["optimizer_state_dict"],
            "learning_rate": self.alg.learning_rate,
            "env": env.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        if self.device.startswith("cuda"):
            state["cuda_rng"] = torch.cuda.get_rng_state()
        weights = {k: v.cpu() for k, v in actor.items() if not k.startswith("distribution")}
        checkpoints.write(self.folder, header, weights, state)
        self._saved_iteration = self.current_learning_iteration

    def resume(self) -> None:
        """Go on from the run folder: parameters, optimiser, sampler, generators; environments restart.

        Raises:
            InputError: one of its files is missing or unreadable, or of other networks.
            MismatchError: made for another body, observation, rate or motion set.
        """
        state = self._load_networks(self.folder)
        try:
            self.task_env.load_state_dict(state["env"])
        except MismatchError as error:
            raise MismatchError(f"{self.folder / CHECKPOINT}: {error}") from error
        torch.set_rng_state(state["torch_rng"].cpu())
        if "cuda_rng" in state and self.device.startswith("cuda"):
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())
        self._saved_iteration = self.current_learning_iteration
        self._part_generators()

    def start_from(self, folder: str | Path) -> None:
        """Take over networks, optimiser and counters of another run, to learn other motions.

        The sampler starts afresh. The observation statistics stay, but count as few
        samples, so that they move to what the new motions show.

        Raises:
            InputError: one of its files is missing or unreadable, or of other networks.
            MismatchError: made for another body, observation or rate.
        """
        self._load_networks(Path(folder))
        for model in (self.alg.actor, self.alg.critic):
            model.obs_normalizer.count.clamp_(max=RENEWED_SAMPLES)  # type: ignore[union-attr]

    def _load_networks(self, folder: Path) -> dict[str, Any]:
        """Load networks, optimiser and counters; return the rest of the training state."""
        path, env = folder / CHECKPOINT, self.task_env
        checkpoint, state = checkpoints.read(folder, self.device, env.kind)
        env.body.require_signature(checkpoint.header.body, str(path))
        checkpoint.require(env.observation_layout(), env.sim.dt)
        loaded = {
            "actor_state_dict": {**checkpoint.weights, **state["distribution"]},
            "critic_state_dict": state["critic"],
            "optimizer_state_dict": state["optimizer"],
        }
        try:
            self.alg.load(loaded, None, strict=True)
        except (RuntimeError, ValueError) as error:
            reason = one_line(error)[:200]
            raise InputError(f"{path}: does not fit the configured networks: {reason}") from error
        # a fixed rate is the configuration's, a steered one is where it was steered to
        fixed = self.alg.schedule == "fixed"
        self.alg.learning_rate = self._configured_rate if fixed else state["learning_rate"]
        for group in self.alg.optimizer.param_groups:
            group["lr"] = self.alg.learning_rate
        self.current_learning_iteration = checkpoint.header.iteration
        self.samples = int(checkpoint.header.samples)
        self.seconds = checkpoint.header.seconds
        return state


class EventLog:
    """TensorBoard events: scalars over samples, written by one process."""

    def __init__(self, folder: Path, samples: int) -> None:
        """Open a file of events in ``folder`` for a run that is at ``samples`` control steps."""
        # what a killed process logged after its last checkpoint is about to happen again
        purge = samples + 1 if samples else None
        self._folder = folder
        self._writer = SummaryWriter(str(folder), purge_step=purge, flush_secs=20)

    def write(self, scalars: dict[str, float], samples: int) -> None:
        """Log named numbers at ``samples`` control steps.

        Raises:
            TrainingError: the file cannot be written.
        """
        try:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, samples)
        except OSError as error:
            raise TrainingError(
                f"{self._folder}: cannot write events: {error.strerror or error}; the last checkpoint "
                "stays: free space, run the same command again"
            ) from error

    def close(self) -> None:
        """Flush; events that cannot be written are lost, the checkpoint is not."""
        with contextlib.suppress(OSError):
            self._writer.close()
