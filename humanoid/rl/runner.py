"""Training: rsl-rl's on-policy runner with our loop, checkpoints and logging.

Three files make a checkpoint: ``checkpoint.pt`` (actor and header, what ships),
``training_N.pt`` (critic, optimiser, sampler, generators) and ``moments_N.pt`` (the
optimiser's second moments, apart to keep files small). The first is written last and
names the iteration N, so a kill at any moment leaves files that belong together.
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
from humanoid.core.runs import atomic_save
from humanoid.envs.tracking import TrackingEnv
from humanoid.nn.policy import Checkpoint, read_torch
from humanoid.rl.ppo import PpoCfg
from humanoid.rl.vec_env import TrackingVecEnv

CHECKPOINT = "checkpoint.pt"
RENEWED_SAMPLES = 1_000_000
"""What the observation statistics of another run count when a run starts from it."""
KIND = "tracker"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When training stops; whichever comes first.

    Attributes:
        samples: control steps of all environments in all, resumed ones included.
        minutes: wall time of this process, 0 for no limit.
        save_seconds: time between checkpoints.
    """

    samples: float
    minutes: float = 0.0
    save_seconds: float = 60.0


@dataclass(frozen=True)
class Progress:
    """What is reported once an iteration.

    Attributes:
        iteration: updates so far.
        samples: control steps so far.
        samples_per_s: of this iteration.
        eta_s: seconds to the end of the budget.
        scalars: everything that TensorBoard gets.
    """

    iteration: int
    samples: int
    samples_per_s: float
    eta_s: float
    scalars: dict[str, float]


class TrackingRunner(OnPolicyRunner):
    """Trains a tracker in one process."""

    def __init__(
        self, env: TrackingEnv, ppo: PpoCfg, folder: str | Path, config: dict[str, Any], seed: int
    ) -> None:
        """Build actor, critic and PPO for ``env``.

        Args:
            env: the task.
            ppo: PPO's numbers.
            folder: run folder, exists.
            config: resolved configuration, plain values, kept in the checkpoint.
            seed: of the network's weights and the actions.

        Raises:
            ConfigError: a batch has fewer samples than minibatches.
        """
        if ppo.minibatches > env.num_envs * ppo.num_steps:
            raise ConfigError(
                f"ppo.minibatches is {ppo.minibatches}, but num_envs * ppo.num_steps gives "
                f"{env.num_envs * ppo.num_steps} samples; use fewer"
            )
        torch.manual_seed(seed)
        self.tracking, self.folder, self.config = env, Path(folder), config
        with contextlib.redirect_stdout(io.StringIO()):  # rsl-rl prints its networks
            super().__init__(TrackingVecEnv(env), ppo.rsl_rl(), log_dir=None, device=str(env.device))
        with torch.no_grad():
            last = [m for m in self.alg.get_policy().mlp.modules() if isinstance(m, torch.nn.Linear)][-1]
            last.weight.mul_(ppo.last_layer_gain)
            last.bias.mul_(ppo.last_layer_gain)
        self.samples, self.seconds = 0, 0.0
        self._saved_iteration, self._configured_rate = -1, ppo.learning_rate

    def train(self, budget: Budget, on_progress: Callable[[Progress], None] | None = None) -> None:
        """Collect, update, log and save until the budget is used up.

        Raises:
            TrainingError: the networks' numbers are no longer finite; the last checkpoint stays.
        """
        # what a killed process logged after its last checkpoint is about to happen again
        purge = self.samples + 1 if self.samples else None
        writer = SummaryWriter(str(self.folder), purge_step=purge, flush_secs=20)
        started = saved = time.monotonic()
        batch = self.env.num_envs * self.cfg["num_steps_per_env"]
        observation = self.env.get_observations().to(self.device)
        self.alg.train_mode()
        try:
            while self.samples < budget.samples:
                begin = time.monotonic()
                observation, log = self._collect(observation)
                collected = time.monotonic()
                losses = self._update()
                now = time.monotonic()
                self.current_learning_iteration += 1
                self.samples += batch
                self.seconds += now - begin
                scalars = self._scalars(log, losses, collected - begin, now - collected)
                for name, value in scalars.items():
                    writer.add_scalar(name, value, self.samples)
                timed_out = budget.minutes > 0 and now - started > 60 * budget.minutes
                if now - saved > budget.save_seconds or timed_out or self.samples >= budget.samples:
                    self.save_run()
                    saved = now
                if on_progress is not None:
                    rate = batch / (now - begin)
                    eta = (budget.samples - self.samples) / rate
                    if budget.minutes > 0:
                        eta = min(eta, max(0.0, 60 * budget.minutes - (now - started)))
                    on_progress(Progress(self.current_learning_iteration, self.samples, rate, eta, scalars))
                if timed_out:
                    break
        finally:
            writer.close()

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
        self, log: dict[str, Tensor], losses: dict[str, float], collect_s: float, learn_s: float
    ) -> dict[str, float]:
        """Return this iteration's means; one transfer from the device for all of them."""
        steps = self.cfg["num_steps_per_env"]
        env = self.tracking
        names = list(log)
        extra = torch.stack((env.sampler.entropy(), env.sampler.probabilities().max()))
        action_std = self.alg.get_policy().output_std.mean().detach()
        values = torch.cat((torch.stack(list(log.values())) / steps, extra, action_std[None])).tolist()
        scalars = dict(zip(names, values, strict=False))
        scalars["sampler/entropy"], scalars["sampler/top1_prob"] = values[-3], values[-2]
        scalars["ppo/action_std"] = values[-1]
        scalars["episode/length"] = 1.0 / max(scalars.pop("episode/ended"), 1e-6)
        scalars |= {f"ppo/{name}": float(value) for name, value in losses.items()}
        scalars["ppo/learning_rate"] = self.alg.learning_rate
        batch = self.env.num_envs * steps
        scalars["time/samples_per_s"] = batch / (collect_s + learn_s)
        scalars["time/collect_s"], scalars["time/learn_s"] = collect_s, learn_s
        return scalars

    def save_run(self) -> None:
        """Write the checkpoint of this moment; the old one stays until the new is whole.

        An iteration is saved once: a second ``training_N.pt`` of the same name would
        belong to another moment than the ``checkpoint.pt`` that names the first.
        """
        if self.current_learning_iteration == self._saved_iteration:
            return
        env = self.tracking
        training = f"training_{self.current_learning_iteration:06d}.pt"
        alg = self.alg.save()
        state = {
            "iteration": self.current_learning_iteration,
            "critic": alg["critic_state_dict"],
            "distribution": {
                k: v for k, v in alg["actor_state_dict"].items() if k.startswith("distribution")
            },
            "optimizer": _shallow(alg["optimizer_state_dict"]),
            "learning_rate": self.alg.learning_rate,
            "env": env.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        if self.device.startswith("cuda"):
            state["cuda_rng"] = torch.cuda.get_rng_state()
        moments = {index: entry.pop("exp_avg_sq") for index, entry in state["optimizer"]["state"].items()}
        second = {"iteration": self.current_learning_iteration, "exp_avg_sq": moments}
        atomic_save(second, self.folder / _moments_of(training))
        atomic_save(state, self.folder / training)
        header = {
            "kind": KIND,
            "body": env.body.signature(),
            "observation": [list(term) for term in env.observation_layout()],
            "control_dt": env.sim.dt,
            "config": self.config,
            "iteration": self.current_learning_iteration,
            "samples": self.samples,
            "seconds": self.seconds,
            "training": training,
        }
        weights = {k: v.cpu() for k, v in alg["actor_state_dict"].items() if not k.startswith("distribution")}
        atomic_save({**header, "actor": weights}, self.folder / CHECKPOINT)
        self._saved_iteration = self.current_learning_iteration
        for old in (*self.folder.glob("training_*.pt"), *self.folder.glob("moments_*.pt")):
            if old.name not in (training, _moments_of(training)):
                old.unlink()

    def resume(self) -> None:
        """Go on from the run folder: parameters, optimiser, sampler, generators; environments restart.

        Raises:
            InputError: one of its files is missing or unreadable, or of other networks.
            MismatchError: made for another body, observation, rate or motion set.
        """
        state = self._load_networks(self.folder)
        try:
            self.tracking.load_state_dict(state["env"])
        except MismatchError as error:
            raise MismatchError(f"{self.folder / CHECKPOINT}: {error}") from error
        torch.set_rng_state(state["torch_rng"].cpu())
        if "cuda_rng" in state and self.device.startswith("cuda"):
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())
        self._saved_iteration = self.current_learning_iteration

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
        path, env = folder / CHECKPOINT, self.tracking
        checkpoint = Checkpoint.load(path, KIND, self.device)
        env.body.require_signature(checkpoint.header["body"], str(path))
        checkpoint.require(env.observation_layout(), env.sim.dt)
        training = checkpoint.header.get("training")
        if not training:
            raise InputError(f"{path}: a policy without its training state; choose another run name")
        state = read_torch(folder / training, self.device)
        second = read_torch(folder / _moments_of(training), self.device)
        for part in (state, second):
            if part.get("iteration") != checkpoint.header["iteration"]:
                raise InputError(f"{path}: {training} or its moments belong to another iteration")
        for index, entry in state["optimizer"]["state"].items():
            entry["exp_avg_sq"] = second["exp_avg_sq"][index]
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
        self.current_learning_iteration = int(checkpoint.header["iteration"])
        self.samples = int(checkpoint.header["samples"])
        self.seconds = float(checkpoint.header["seconds"])
        return state


def _moments_of(training: str) -> str:
    """Return the name of the file of second moments that belongs to ``training_N.pt``."""
    return f"moments_{training.removeprefix('training_')}"


def _shallow(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an optimiser's state whose entries can be taken out."""
    return {**optimizer, "state": {index: dict(entry) for index, entry in optimizer["state"].items()}}
