"""What the processes of test_distributed.py do; importable, so that a fork server can start them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from humanoid.bodies import smpl
from humanoid.core import HumanoidError, load_config
from humanoid.core.errors import TrainingError
from humanoid.envs import TrackingCfg, TrackingEnv
from humanoid.eval.tracking import CALM
from humanoid.motion import MotionLibrary
from humanoid.rl import Budget, PpoCfg, Runner
from humanoid.rl.distributed import ALONE, Ranks, join
from humanoid.scripts import train_tracker as train
from tests.conftest import Playback, bend

ENVS = 4
PPO = PpoCfg(actor_hidden=(32, 16), critic_hidden=(32,), num_steps=6, epochs=2, minibatches=2)
PLAIN = replace(PPO, epochs=1, minibatches=1)
"""With one minibatch no shuffling decides the result."""
BATCH = ENVS * 6


class Breaking(Playback):
    """Breaks in the third batch, in a way that depends on the case."""

    def __init__(self, library: MotionLibrary, how: str) -> None:
        """Remember how."""
        super().__init__(library, ENVS)
        self.left, self.how = 2 * PPO.num_steps + 3, how

    def step(self) -> None:
        """Go on, or break."""
        self.left -= 1
        if self.left == 0 and self.how == "error":
            raise TrainingError("this simulator is broken")
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super().step()


@cache
def library() -> MotionLibrary:
    """Return two bends of the knees."""
    body = smpl.build()
    bends = [bend(body, "squat", frames=101, depth=0.6), bend(body, "dip", frames=41, depth=0.2, place=1.0)]
    return MotionLibrary(bends, body)


def make_runner(folder: Path, ranks: Ranks = ALONE, ppo: PpoCfg = PPO, sim: Any = None, seed: int = 1) -> Any:
    """Return a runner of 4 environments without physics."""
    sim = sim or Playback(library(), ENVS)
    env = TrackingEnv(TrackingCfg(event=CALM), sim, library(), ranks.seed(1))
    return Runner(env, ppo, folder, {}, seed, ranks)


def state_of(runner: Runner) -> dict[str, Any]:
    """Return what must or must not be equal on all ranks."""
    saved = runner.alg.save()
    moments = [entry["exp_avg"] for entry in saved["optimizer_state_dict"]["state"].values()]
    parameters = {
        **saved["actor_state_dict"],
        **{f"critic.{k}": v for k, v in saved["critic_state_dict"].items()},
    }
    return {
        "parameters": {name: value.clone() for name, value in parameters.items()},
        "moments": [moment.clone() for moment in moments],
        "sampler": runner.task_env.sampler.state_dict(),
        "learning_rate": runner.alg.learning_rate,
        "samples": runner.samples,
        "iteration": runner.current_learning_iteration,
        "noise": [torch.get_rng_state(), runner.task_env.generator.get_state()],
        "state": runner.task_env.state.joint_pos.clone(),
    }


def learn(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Train, go on from the checkpoint in a new runner, and stop by rank 0's clock."""
    runner = make_runner(folder, ranks, seed=1 + ranks.rank)  # weights that differ but for the broadcast
    found = {"start": state_of(runner)}
    seen: list[Any] = []
    runner.train(Budget(samples=4 * BATCH), seen.append)
    found["first"] = state_of(runner)
    again = make_runner(folder, ranks, seed=7)
    again.resume()
    found["resumed"] = state_of(again)
    again.train(Budget(samples=6 * BATCH), seen.append)
    found["second"] = state_of(again)
    minutes = 0.3 / 60 if ranks.leads else 1e6
    again.train(Budget(samples=1e12, minutes=minutes), seen.append)
    found["timed out"] = state_of(again)
    return {**found, "reports": [(progress.samples, progress.scalars) for progress in seen]}


def twins(folder: Path, ranks: Ranks) -> dict[str, Any]:
    """Train on the same numbers in both processes."""
    runner = make_runner(folder, Ranks(rank=0, size=1), PLAIN)
    runner.ranks, runner.batch = ranks, 2 * BATCH
    runner.alg.is_multi_gpu, runner.alg.gpu_world_size, runner.alg.gpu_global_rank = True, 2, ranks.rank
    runner.train(Budget(samples=6 * BATCH))
    return state_of(runner)


def breaks(folder: Path, ranks: Ranks, how: str) -> None:
    """Train until rank 1 breaks."""
    sim = Breaking(library(), how) if ranks.rank == 1 else None
    make_runner(folder, ranks, sim=sim).train(Budget(samples=1e12, save_seconds=0.0))


def breaks_with_an_error(folder: Path, ranks: Ranks) -> None:
    """Train until rank 1 raises."""
    breaks(folder, ranks, "error")


def breaks_by_a_kill(folder: Path, ranks: Ranks) -> None:
    """Train until rank 1 is killed."""
    breaks(folder, ranks, "kill")


def hangs(folder: Path, ranks: Ranks) -> None:
    """Train while rank 1 does nothing."""
    if ranks.rank == 1:
        signal.sigwait({signal.SIGTERM})
        return
    make_runner(folder, ranks).train(Budget(samples=1e12))


class Loud(train.Reporter):
    """Shows the test that training runs."""

    def __call__(self, progress: Any) -> None:
        """Say which iteration it is."""
        train.say(f"iteration {progress.iteration}")


def command(folder: Path, overrides: list[str]) -> None:
    """Train as the command line does, from ``folder/config.yaml``."""
    train.Reporter = Loud
    train.main(load_config(train.TrainCfg, folder / "config.yaml", overrides), str(folder / "runs"))


def run(job: Callable[..., Any], folder: Path, rank: int, port: int, patience_s: float, extra: Any) -> None:
    """Do a job as rank ``rank`` of 2; leave its result, or its one line and exit code 2, as the CLI does."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with (folder / f"stderr{rank}").open("w", buffering=1) as stderr, contextlib.redirect_stderr(stderr):
        try:
            if job is command:
                return command(folder, extra)
            with join("cpu", patience_s) as ranks:
                assert dist.get_world_size() == 2
                result = job(folder, ranks)
            torch.save(result, folder / f"result{rank}")
        except HumanoidError as error:
            print(f"error: {error}", file=stderr)
            sys.exit(2)
