"""Two processes that learn one policy: in step, one writer, nobody left waiting."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.core import ConfigError, load_config
from humanoid.core.runs import write_config
from humanoid.nn import Checkpoint, read_torch
from humanoid.rl import Budget
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.rl.distributed import Ranks, own_gpu
from tests.rl import distributed_jobs as jobs
from tests.rl.distributed_jobs import BATCH

Start = Callable[..., list[Any]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start two processes on a job; they are ended with the module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.rl.distributed_jobs"])
    started: list[Any] = []

    def start(job: Any, folder: Path, patience_s: float = 60.0, extra: Any = None) -> list[Any]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pair = [
            context.Process(target=jobs.run, args=(job, folder, rank, port, patience_s, extra))
            for rank in (0, 1)
        ]
        for process in pair:
            process.start()
        started.extend(pair)
        return pair

    yield start
    for process in started:
        process.kill()
        process.join()


def _ended(pair: list[Any], within_s: float) -> list[int | None]:
    """Return the exit codes, None for who still runs at the end of the time."""
    deadline = time.monotonic() + within_s
    for process in pair:
        process.join(max(0.0, deadline - time.monotonic()))
    return [process.exitcode for process in pair]


def _results(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"result{rank}", weights_only=True) for rank in (0, 1)]


def _wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"no '{text}' in {path}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def learned(start: Start, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Run folder and results of both ranks: two iterations, a resumed one, some by the clock."""
    folder = tmp_path_factory.mktemp("pair")
    assert _ended(start(jobs.learn, folder), 60) == [0, 0]
    return folder, _results(folder)


Learned = tuple[Path, list[dict[str, Any]]]
STAGES = ("start", "first", "resumed", "second", "timed out")


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_is_learned_stays_in_step(learned: Learned, stage: str) -> None:
    one, two = (result[stage] for result in learned[1])
    for name in ("parameters", "sampler"):
        for key, value in one[name].items():
            assert torch.equal(value, two[name][key]), key
    assert all(map(torch.equal, one["moments"], two["moments"]))
    assert one["learning_rate"] == two["learning_rate"]
    assert (one["samples"], one["iteration"]) == (two["samples"], two["iteration"])


@pytest.mark.parametrize("stage", STAGES)
def test_ranks_see_different_things(learned: Learned, stage: str) -> None:
    one, two = (result[stage] for result in learned[1])
    assert not torch.equal(one["state"], two["state"])
    for mine, theirs in zip(one["noise"], two["noise"], strict=True):
        assert not torch.equal(mine, theirs)


def test_two_learn_something_else_than_one(learned: Learned, tmp_path: Path) -> None:
    alone = jobs.make_runner(tmp_path)
    pair = learned[1][0]
    for key, value in jobs.state_of(alone)["parameters"].items():
        assert torch.equal(value, pair["start"]["parameters"][key]), key
    alone.train(Budget(samples=2 * BATCH))
    name = "mlp.0.weight"
    assert not torch.allclose(
        jobs.state_of(alone)["parameters"][name], pair["first"]["parameters"][name], atol=1e-5
    )


def test_gradients_are_averaged(start: Start, tmp_path: Path) -> None:
    """Two that see the same learn what one learns: the mean of two equal gradients is the gradient."""
    folder = tmp_path / "pair"
    folder.mkdir()
    assert _ended(start(jobs.twins, folder), 60) == [0, 0]
    alone = jobs.make_runner(tmp_path / "alone", ppo=jobs.PLAIN)
    alone.folder.mkdir()
    alone.train(Budget(samples=3 * BATCH))
    expected, pair = jobs.state_of(alone), _results(folder)[0]
    assert (
        pair["parameters"].pop("obs_normalizer.count") == 2 * expected["parameters"]["obs_normalizer.count"]
    )
    for key, value in pair["parameters"].items():
        if not key.endswith(".count"):
            torch.testing.assert_close(value, expected["parameters"][key], rtol=1e-4, atol=1e-6)
    for key, value in pair["sampler"].items():
        torch.testing.assert_close(value, expected["sampler"][key])


def test_samples_and_observations_of_all_are_counted(learned: Learned) -> None:
    for result in learned[1]:
        for stage, samples in (("first", 4 * BATCH), ("second", 6 * BATCH)):
            assert result[stage]["samples"] == samples
            assert result[stage]["parameters"]["obs_normalizer.count"] == samples
            assert result[stage]["iteration"] == samples // (2 * BATCH)


def test_one_process_writes(learned: Learned) -> None:
    folder, (one, two) = learned
    assert len(one["reports"]) > 2 and two["reports"] == []
    last = one["timed out"]
    names = sorted(path.name for path in folder.iterdir() if "result" not in path.name)
    number = f"{last['iteration']:06d}.pt"
    files = [name for name in names if not name.startswith(("events", "stderr"))]
    assert files == [CHECKPOINT, f"moments_{number}", f"training_{number}"]
    assert sum(name.startswith("events") for name in names) == 3  # one for each call of train()
    assert Checkpoint.load(folder / CHECKPOINT, KIND).header.samples == last["samples"]
    assert one["reports"][0][1]["time/samples_per_s"] > 0.0


def test_a_checkpoint_of_two_goes_on_alone(learned: Learned, tmp_path: Path) -> None:
    folder, (one, _) = learned
    alone = jobs.make_runner(folder, seed=5)
    alone.resume()
    mine = jobs.state_of(alone)
    for name in ("parameters", "sampler"):
        for key, value in one["timed out"][name].items():
            assert torch.equal(value, mine[name][key]), key
    alone.folder = tmp_path
    alone.train(Budget(samples=alone.samples + 1))
    assert alone.samples == mine["samples"] + BATCH


@pytest.mark.parametrize(
    ("job", "codes"), [(jobs.breaks_with_an_error, [2, 2]), (jobs.breaks_by_a_kill, [2, -signal.SIGKILL])]
)
def test_the_end_of_one_ends_all(start: Start, tmp_path: Path, job: Any, codes: list[int]) -> None:
    assert _ended(start(job, tmp_path), 30) == codes
    (line,) = (tmp_path / "stderr0").read_text().splitlines()
    assert line.startswith("error: process 0 of 2: another process has ended or does not answer")
    assert "broken" in (tmp_path / "stderr1").read_text() or job is jobs.breaks_by_a_kill
    header = Checkpoint.load(tmp_path / CHECKPOINT, KIND).header
    assert header.iteration == 2  # what was learned together is there
    assert read_torch(tmp_path / header.details["training"])["iteration"] == 2


def test_one_that_hangs_is_not_waited_for_for_ever(start: Start, tmp_path: Path) -> None:
    one, two = start(jobs.hangs, tmp_path, patience_s=2.0)
    assert _ended([one], 30) == [2]
    assert "does not answer" in (tmp_path / "stderr0").read_text()
    two.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_saves_once_and_ends_all(
    start: Start, tiny_cfg: Any, tmp_path: Path, number: int
) -> None:
    write_config(tmp_path, tiny_cfg, 1)
    pair = start(jobs.command, tmp_path, extra=["samples=1e9", "save_seconds=1e9"])
    _wait_for(tmp_path / "stderr0", "iteration 3")
    asked = pair if number == signal.SIGINT else pair[1:]  # whoever is asked, all stop
    for process in asked:
        os.kill(process.pid, number)
    assert _ended(pair, 30) == [0, 0]
    lines = (tmp_path / "stderr0").read_text().splitlines()
    assert lines[-2] == "interrupted; run the same command again to go on"
    assert "interrupted" not in (tmp_path / "stderr1").read_text()
    folder = tmp_path / "runs" / "tiny"
    reported = int([line for line in lines if line.startswith("iteration")][-1].split()[1])
    header = Checkpoint.load(folder / CHECKPOINT, KIND).header
    assert (header.iteration, header.samples) == (reported, reported * 2 * 24)
    assert len(list(folder.glob("training_*.pt"))) == 1
    assert not list(folder.glob(".*"))


def test_a_start_that_fails_ends_all(start: Start, tiny_cfg: Any, tmp_path: Path) -> None:
    write_config(tmp_path, tiny_cfg, 1)
    (tmp_path / "runs").write_text("a file")
    assert _ended(start(jobs.command, tmp_path, extra=[]), 30) == [2, 2]
    assert "runs" in (tmp_path / "stderr0").read_text()
    (line,) = (tmp_path / "stderr1").read_text().splitlines()
    assert "another process has ended" in line


@pytest.mark.slow
def test_torchrun(tiny_cfg: Any, tmp_path: Path) -> None:
    config = write_config(tmp_path, tiny_cfg, 1)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [*launch, "-m", "humanoid", "train", "track", str(config), "--runs", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("2 clips") == 1
    assert Checkpoint.load(tmp_path / "tiny" / CHECKPOINT, KIND).header.samples == tiny_cfg.samples
    assert load_config(type(tiny_cfg), tmp_path / "tiny" / "config.yaml") == tiny_cfg


@pytest.mark.parametrize(
    ("environment", "ranks"),
    [
        ({}, Ranks()),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, Ranks()),
        ({"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1"}, Ranks(rank=5, local_rank=1, size=8)),
    ],
)
def test_the_environment_says_who_this_is(environment: dict[str, str], ranks: Ranks) -> None:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    assert Ranks.read({**environment, **place}) == ranks


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": ""}, "WORLD_SIZE.* RANK is not set"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
        ({"RANK": "2"}, "RANK=2"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two"),
    ],
)
def test_half_a_start_is_refused(environment: dict[str, str], message: str) -> None:
    whole = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "1"}
    with pytest.raises(ConfigError, match=message):
        Ranks.read({**whole, **environment})


def test_every_process_takes_a_gpu_of_its_own() -> None:
    second = Ranks(rank=5, local_rank=1, size=8)
    assert own_gpu(second, None) == "1"
    assert own_gpu(second, "4,6") == "6"
    assert own_gpu(second, "GPU-aa, GPU-bb") == "GPU-bb"
    with pytest.raises(ConfigError, match="1 process"):
        own_gpu(second, "0")


def test_seeds_of_ranks_differ_and_rank_0_keeps_its_own() -> None:
    seeds = {Ranks(rank=rank, size=8).seed(seed) for rank in range(8) for seed in range(100)}
    assert len(seeds) == 800 and max(seeds) < 2**32
    assert Ranks(rank=0, size=8).seed(3) == 3
