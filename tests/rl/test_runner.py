"""Training: saved means saved, whatever moment it is killed at."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from humanoid.bodies import smpl
from humanoid.core import ConfigError, InputError, MismatchError, load_config, open_run
from humanoid.core.errors import TrainingError
from humanoid.envs import ObservationCfg, RewardTerm, TrackingEnv
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.motion import MotionLibrary
from humanoid.nn import Checkpoint, read_torch
from humanoid.rl import Budget, PpoCfg, Progress, Runner
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.rl.runner import RENEWED_SAMPLES
from humanoid.scripts import train_tracker as train

EnvMaker = Callable[..., TrackingEnv]
RunnerMaker = Callable[..., Runner]
TINY = PpoCfg(actor_hidden=(32, 16), critic_hidden=(32,), num_steps=6, epochs=2, minibatches=2)
BATCH = 4 * 6


@pytest.fixture
def make_runner(make_env: EnvMaker, library: MotionLibrary, playback: Any, tmp_path: Path) -> RunnerMaker:
    """Build runners of 4 environments without physics, all in one folder."""

    def make(ppo: PpoCfg = TINY, seed: int = 1, folder: Path = tmp_path, **parts: Any) -> Runner:
        env = make_env(sim=type(playback)(library, 4), seed=seed, **parts)
        return Runner(env, ppo, folder, {"some": ["config"]}, seed)

    return make


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return every leaf of nested dictionaries and lists under its path."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {prefix: value}
    return {path: leaf for key, item in items for path, leaf in _flat(item, f"{prefix}/{key}").items()}


def _training_state(runner: Runner) -> dict[str, Any]:
    parts = {**runner.alg.save(), "env": runner.task_env.state_dict(), "rng": torch.get_rng_state()}
    parts["progress"] = [runner.samples, runner.current_learning_iteration, runner.alg.learning_rate]
    return {
        path: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for path, leaf in _flat(parts).items()
    }


def _assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        same = torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name]
        assert same, name


def test_resume_restores_everything(make_runner: RunnerMaker) -> None:
    one = make_runner()
    one.train(Budget(samples=3 * BATCH))
    saved = _training_state(one)
    names = " ".join(saved)
    for part in ("obs_normalizer._mean", "obs_normalizer._var", "obs_normalizer._std", "obs_normalizer.count",
                 "optimizer_state_dict/state/0/exp_avg", "failures", "visits", "generator",
                 "log_std"):  # fmt: skip
        assert part in names, part
    two = make_runner(seed=99)
    two.resume()
    _assert_same(saved, _training_state(two))
    two.train(Budget(samples=5 * BATCH))
    assert (two.samples, two.current_learning_iteration) == (5 * BATCH, 5)


def test_starting_from_a_run_keeps_its_networks_and_samples_afresh(
    make_runner: RunnerMaker, tmp_path: Path
) -> None:
    first = make_runner(folder=tmp_path)
    first.train(Budget(samples=BATCH, save_seconds=1e9))
    first.task_env.sampler.failures.fill_(0.7)
    first.alg.actor.obs_normalizer.count.fill_(10 * RENEWED_SAMPLES)
    first.train(Budget(samples=2 * BATCH, save_seconds=1e9))
    second = make_runner(folder=tmp_path / "next")
    fresh = second.task_env.sampler.failures.clone()
    second.start_from(tmp_path)
    _assert_same(_flat(first.alg.save()["critic_state_dict"]), _flat(second.alg.save()["critic_state_dict"]))
    assert second.samples == first.samples
    assert int(second.alg.actor.obs_normalizer.count) == RENEWED_SAMPLES
    assert torch.equal(second.task_env.sampler.failures, fresh)


def test_a_fixed_learning_rate_is_the_configurations(make_runner: RunnerMaker) -> None:
    """A resumed run kept the rate of the run it went on from, whatever the configuration said."""
    fixed = replace(TINY, schedule="fixed", learning_rate=3e-4)
    make_runner(fixed).train(Budget(samples=BATCH))
    resumed = make_runner(replace(fixed, learning_rate=1e-4))
    resumed.resume()
    assert resumed.alg.learning_rate == 1e-4
    assert [group["lr"] for group in resumed.alg.optimizer.param_groups] == [1e-4]


def test_two_resumed_runs_agree(make_runner: RunnerMaker, tmp_path: Path) -> None:
    make_runner().train(Budget(samples=2 * BATCH))
    states = []
    for name in ("a", "b"):
        folder = tmp_path / name
        shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("a", "b", "events*"))
        runner = make_runner(folder=folder)
        runner.resume()
        runner.train(Budget(samples=4 * BATCH))
        states.append(_training_state(runner))
    _assert_same(*states)


def test_seed_decides_everything(make_runner: RunnerMaker, tmp_path: Path) -> None:
    def trained(seed: int) -> dict[str, Any]:
        runner = make_runner(seed=seed, folder=tmp_path)
        runner.train(Budget(samples=2 * BATCH))
        return _training_state(runner)

    one = trained(1)
    _assert_same(one, trained(1))
    assert not torch.equal(
        one["/actor_state_dict/mlp.0.weight"], trained(2)["/actor_state_dict/mlp.0.weight"]
    )


def test_normaliser_counts_every_sample(make_runner: RunnerMaker) -> None:
    runner = make_runner()
    runner.train(Budget(samples=3 * BATCH))
    assert runner.alg.get_policy().obs_normalizer.count == 3 * BATCH


def test_first_actions_are_near_the_reference(make_runner: RunnerMaker) -> None:
    runner = make_runner()
    action = runner.alg.get_policy()(runner.env.get_observations())
    assert action.abs().max() < 0.3


def test_folder_holds_one_checkpoint_and_no_leftovers(make_runner: RunnerMaker, tmp_path: Path) -> None:
    make_runner().train(Budget(samples=4 * BATCH, save_seconds=0.0))
    files = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("events"))
    assert files == [CHECKPOINT, "moments_000004.pt", "training_000004.pt"]
    header = Checkpoint.load(tmp_path / CHECKPOINT, KIND).header
    assert header.details["training"] == "training_000004.pt"
    assert header.samples == 4 * BATCH
    assert header.config == {"some": ["config"]}


def test_kill_between_the_files_keeps_the_older_ones(make_runner: RunnerMaker, tmp_path: Path) -> None:
    one = make_runner()
    one.train(Budget(samples=2 * BATCH))
    names = (CHECKPOINT, "training_000002.pt", "moments_000002.pt")
    older = {name: (tmp_path / name).read_bytes() for name in names}
    saved = _training_state(one)
    one.train(Budget(samples=3 * BATCH))
    for name, content in older.items():
        (tmp_path / name).write_bytes(content)
    assert (tmp_path / "training_000003.pt").exists()
    two = make_runner(seed=5)
    two.resume()
    for name in ("/critic_state_dict/mlp.0.weight", "/actor_state_dict/mlp.0.weight", "/env/source/visits"):
        assert torch.equal(_training_state(two)[name], saved[name])
    assert two.samples == 2 * BATCH
    two.train(Budget(samples=4 * BATCH, save_seconds=0.0))
    assert sorted(path.name for path in tmp_path.glob("*_*.pt")) == [
        "moments_000004.pt",
        "training_000004.pt",
    ]


def test_an_iteration_is_saved_once(make_runner: RunnerMaker, tmp_path: Path) -> None:
    runner = make_runner()
    runner.train(Budget(samples=BATCH))
    before = (tmp_path / "training_000001.pt").stat().st_mtime_ns
    with torch.no_grad():
        runner.alg.critic.mlp[0].weight += 1.0  # as if interrupted in the middle of the next update
    runner.save_run()
    assert (tmp_path / "training_000001.pt").stat().st_mtime_ns == before


def test_other_pairs_are_refused(make_runner: RunnerMaker, tmp_path: Path) -> None:
    make_runner().train(Budget(samples=BATCH))
    training = tmp_path / "training_000001.pt"
    content = read_torch(training)
    torch.save({**content, "iteration": 7}, training)
    with pytest.raises(InputError, match="training_000001.pt"):
        make_runner().resume()
    torch.save(content, training)
    for name in ("moments_000001.pt", "training_000001.pt"):
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match=name):
            make_runner().resume()
    checkpoint = read_torch(tmp_path / CHECKPOINT)
    del checkpoint["header"]["details"]["training"]
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match=CHECKPOINT):
        make_runner().resume()


def test_resuming_something_else_is_refused(make_runner: RunnerMaker, tmp_path: Path) -> None:
    make_runner().train(Budget(samples=BATCH))
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match="networks"):
        make_runner(ppo=replace(TINY, critic_hidden=(16,))).resume()
    with pytest.raises(MismatchError, match="observation term 0"):
        make_runner(observation=ObservationCfg(future_steps=(1, 5))).resume()
    checkpoint = read_torch(tmp_path / CHECKPOINT)
    checkpoint["header"]["body"] = smpl.build(smpl.SmplCfg(height=1.9)).signature()
    torch.save(checkpoint, tmp_path / CHECKPOINT)
    with pytest.raises(MismatchError, match="another body"):
        make_runner().resume()
    (tmp_path / CHECKPOINT).write_bytes(before)
    training = tmp_path / "training_000001.pt"
    content = read_torch(training)
    content["env"]["source"] = {"failures": torch.ones(9), "visits": torch.ones(9)}
    torch.save(content, training)
    with pytest.raises(MismatchError, match=f"{CHECKPOINT}: .*9 bins"):
        make_runner().resume()


def test_budget_of_samples_ends_at_whole_iterations(make_runner: RunnerMaker) -> None:
    seen: list[Progress] = []
    make_runner().train(Budget(samples=2 * BATCH + 1), seen.append)
    assert [progress.samples for progress in seen] == [BATCH, 2 * BATCH, 3 * BATCH]
    assert [progress.iteration for progress in seen] == [1, 2, 3]
    assert seen[-1].eta_s <= 0


def test_budget_of_minutes_stops_and_saves(make_runner: RunnerMaker, tmp_path: Path) -> None:
    runner = make_runner()
    begin = time.monotonic()
    runner.train(Budget(samples=1e12, minutes=0.3 / 60))
    assert time.monotonic() - begin < 10
    assert Checkpoint.load(tmp_path / CHECKPOINT, KIND).header.samples == runner.samples


def test_everything_is_logged(make_runner: RunnerMaker, tmp_path: Path) -> None:
    seen: list[Progress] = []
    make_runner().train(Budget(samples=2 * BATCH), seen.append)
    scalars = seen[-1].scalars
    assert {f"reward/{name}" for name in TRACKING_REWARDS} - {"reward/undesired_contact"} <= set(scalars)
    assert {f"error/{name}" for name, term in TRACKING_REWARDS.items() if "sigma" in term.params} <= set(
        scalars
    )
    for name in ("episode/length", "episode/reward", "episode/failed", "episode/nonfinite", "ppo/value",
                 "ppo/action_std", "sampler/entropy", "sampler/top1_prob", "time/samples_per_s"):  # fmt: skip
        assert name in scalars
    assert scalars["reward/body_pos"] == pytest.approx(1.0, abs=1e-4)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == set(scalars)
    assert [event.step for event in events.Scalars("episode/reward")] == [BATCH, 2 * BATCH]


def test_events_after_the_checkpoint_are_dropped_on_resume(make_runner: RunnerMaker, tmp_path: Path) -> None:
    make_runner().train(Budget(samples=2 * BATCH))
    older = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    again = make_runner()
    again.resume()
    again.train(Budget(samples=4 * BATCH))
    for path in tmp_path.glob("*.pt"):
        path.unlink()
    for path, content in older.items():
        path.write_bytes(content)  # as if killed before the next checkpoint
    time.sleep(1.1)  # the names of event files carry whole seconds
    last = make_runner()
    last.resume()
    last.train(Budget(samples=5 * BATCH))
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("episode/reward")
    assert [event.step for event in events] == [i * BATCH for i in (1, 2, 3, 4, 5)]


def test_environment_with_broken_numbers_does_not_poison_training(make_runner: RunnerMaker) -> None:
    runner = make_runner()
    runner.task_env.sim.broken[2] = True  # type: ignore[attr-defined]
    seen: list[Progress] = []
    runner.train(Budget(samples=2 * BATCH), seen.append)
    assert seen[0].scalars["episode/nonfinite"] == pytest.approx(1 / BATCH)
    assert seen[1].scalars["episode/nonfinite"] == 0.0
    assert all(value == value for progress in seen for value in progress.scalars.values())
    assert all(parameter.isfinite().all() for parameter in runner.alg.get_policy().parameters())


def test_weights_that_are_not_finite_are_never_saved(make_runner: RunnerMaker, tmp_path: Path) -> None:
    runner = make_runner()
    runner.train(Budget(samples=BATCH))
    before = (tmp_path / CHECKPOINT).read_bytes()
    with torch.no_grad():
        runner.alg.critic.mlp[0].weight[0, 0] = torch.inf
    with pytest.raises(TrainingError, match="finite"):
        runner.train(Budget(samples=3 * BATCH, save_seconds=0.0))
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_more_minibatches_than_samples_is_refused(make_runner: RunnerMaker) -> None:
    with pytest.raises(ConfigError, match="minibatches.* 24 "):
        make_runner(ppo=replace(TINY, minibatches=25))


def test_training_learns(make_env: EnvMaker, library: MotionLibrary, playback: Any, tmp_path: Path) -> None:
    """Where any change of action costs and gains nothing, what is learned is to keep still."""
    reward = {"action_rate": RewardTerm(weight=-1.0)}
    env = make_env(sim=type(playback)(library, 32), reward=reward)
    ppo = replace(TINY, num_steps=6, epochs=8, learning_rate=5e-3, schedule="fixed", gamma=0.0, entropy=0.0)
    seen: list[Progress] = []
    Runner(env, ppo, tmp_path, {}, 1).train(Budget(samples=40 * 32 * 6), seen.append)
    cost = [-progress.scalars["episode/reward"] for progress in seen]
    assert sum(cost[-5:]) < 0.7 * sum(cost[:5]), cost
    assert seen[-1].scalars["ppo/action_std"] < seen[0].scalars["ppo/action_std"]


SCRIPT = """
import sys
from humanoid.scripts import train_tracker as train
from humanoid.core.config import load_config

class Loud(train.Reporter):
    def __call__(self, progress):
        print(progress.samples, flush=True)

train.Reporter = Loud
train.main(load_config(train.TrainCfg, sys.argv[1], sys.argv[3:]), sys.argv[2])
"""


def test_sigkill_loses_at_most_the_steps_since_the_last_checkpoint(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tiny"
    arguments = [sys.executable, "-c", SCRIPT, str(tiny_run / "config.yaml"), str(tmp_path)]
    process = subprocess.Popen(
        [*arguments, "samples=1e9", "save_seconds=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 4 * BATCH:
            break
    process.send_signal(signal.SIGKILL)
    reported = [int(rest) for rest in process.stdout.read().split("\n")[:-1]] or [int(line)]
    process.wait()
    header = Checkpoint.load(folder / CHECKPOINT, KIND).header
    assert header.samples >= reported[-1]  # saved before it was reported
    assert read_torch(folder / header.details["training"])["iteration"] == header.iteration
    (folder / ".checkpoint.123.tmp.pt").write_bytes(b"half")  # what a kill while writing leaves
    open_run(folder)
    assert not list(folder.glob(".*.tmp*"))
    target = header.samples + BATCH
    train.main(load_config(train.TrainCfg, folder / "config.yaml", [f"samples={target}"]), str(tmp_path))
    assert "resumed" in capsys.readouterr().err
    assert Checkpoint.load(folder / CHECKPOINT, KIND).header.samples == target
