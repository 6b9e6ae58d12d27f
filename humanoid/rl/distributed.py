"""Several processes that learn one policy: which one this is, and what they share.

``torchrun --nproc-per-node N`` starts N processes and tells each its place in the
environment (``RANK``, ``LOCAL_RANK``, ``WORLD_SIZE``, ``MASTER_ADDR``, ``MASTER_PORT``).
Every process simulates environments of its own, with a seed of its own. What they share:

- the initial weights (rank 0's) and, through rsl-rl, the mean of the gradients and of the
  KL divergence: parameters, optimiser and learning rate stay equal on all ranks;
- the observation statistics: rsl-rl merges every batch over all ranks before it counts it;
- the adaptive sampler's averages: their mean, once an iteration, which are the averages
  over all environments at the scale of one process;
- scalars (their mean) and decisions: when to stop.

So the state of rank 0 is the state of the run. It alone writes files (but for dumps of physics
that went wrong on another rank), and a run may go on with another number of processes.
Tensors travel by NCCL between GPUs and by gloo between CPUs; flags and scalars always by
gloo, which notices at once when a process has ended.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

import torch
import torch.distributed as dist
from torch import Tensor

from humanoid.core.errors import ConfigError, TrainingError

PATIENCE_S = 600.0
"""Seconds to wait for a process that is alive: longer than compiling kernels or filming takes."""
_SEED_STRIDE = 1_000_003
"""Distance of the ranks' seeds; a prime far above the seeds that people choose."""
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that learn together; alone by default.

    Attributes:
        rank: number of this process, 0 for the one that writes.
        local_rank: its number on this machine.
        size: number of processes.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Ranks:
        """Read what torchrun says in the environment variables.

        Raises:
            ConfigError: they are incomplete or contradict one another.
        """
        number = environment.get("WORLD_SIZE", "1")
        if number == "1":
            return cls()
        missing = [name for name in _NEEDED if not environment.get(name)]
        if missing:
            raise ConfigError(f"WORLD_SIZE is {number}, but {missing[0]} is not set; start with torchrun")
        values = [number, environment["RANK"], environment["LOCAL_RANK"]]
        if not all(value.isdigit() for value in values) or int(values[1]) >= int(number):
            raise ConfigError(
                f"WORLD_SIZE={number} RANK={values[1]} LOCAL_RANK={values[2]} make no sense; "
                "start with torchrun"
            )
        return cls(rank=int(values[1]), local_rank=int(values[2]), size=int(number))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Return this rank's seed; that of rank 0 is ``seed``."""
        return seed + _SEED_STRIDE * self.rank

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Wait for all ranks and return of each flag whether any of them raised it.

        Raises:
            TrainingError: another process has ended.
        """
        if self.size == 1:
            return flags
        raised = torch.tensor([*flags, False], dtype=torch.int32)
        with self.listening():
            dist.all_reduce(raised, op=dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in raised[:-1])

    def mean(self, values: list[float]) -> list[float]:
        """Return the means over all ranks of as many numbers on each."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64)
        with self.listening():
            dist.all_reduce(total)
        return (total / self.size).tolist()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all ranks into every tensor, on its device."""
        if self.size == 1:
            return
        with self.listening():
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.size

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Tell in one line when an exchange breaks because another process has ended.

        Raises:
            TrainingError: it did, or did not answer in time.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _of_exchange(error):
                raise
            raise TrainingError(
                f"process {self.rank} of {self.size}: another process has ended or does not answer, "
                "its own message says why; the last checkpoint stays"
            ) from error


ALONE = Ranks()


@contextmanager
def join(device: str, patience_s: float = PATIENCE_S) -> Iterator[Ranks]:
    """Meet the other processes, if torchrun started any; leave them at the end.

    With GPUs each process sees only its own from here on: Genesis' compiler always takes
    the first that it sees (Quadrants, cuda_context.cpp), whatever torch's current one is.

    Args:
        device: ``cuda`` or ``cpu``, the same on all.
        patience_s: how long to wait for a process that is alive.

    Raises:
        ConfigError: the environment variables or the device fit no such start.
        TrainingError: the others cannot be reached.
    """
    ranks = Ranks.read(os.environ)
    if ranks.size == 1:
        yield ranks
        return
    cuda = device.startswith("cuda")
    if cuda:
        _take_gpu(ranks, device)
    with ranks.listening():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            timeout=timedelta(seconds=patience_s),
            rank=ranks.rank,
            world_size=ranks.size,
        )
    done = False
    try:
        yield ranks
        done = True
    finally:
        # NCCL would wait for the others here; gloo hangs up, by which they notice
        if done or not cuda:
            dist.destroy_process_group()


def own_gpu(ranks: Ranks, visible: str | None) -> str:
    """Return what ``CUDA_VISIBLE_DEVICES`` must be for a rank; ``visible`` is what it is for all.

    Raises:
        ConfigError: fewer GPUs than processes on this machine.
    """
    if not visible:
        return str(ranks.local_rank)
    names = visible.split(",")
    if ranks.local_rank >= len(names):
        raise ConfigError(
            f"process {ranks.rank}: CUDA_VISIBLE_DEVICES={visible} has no GPU for LOCAL_RANK "
            f"{ranks.local_rank}; start at most {len(names)} processes a machine"
        )
    return names[ranks.local_rank].strip()


def _take_gpu(ranks: Ranks, device: str) -> None:
    """Hide the other GPUs from this process."""
    if device != "cuda":
        raise ConfigError(
            f"sim.device is '{device}' for {ranks.size} processes; use 'cuda', each takes its own"
        )
    if torch.cuda.is_initialized():
        raise ConfigError("CUDA is already in use in this process; start the training in a new one")
    os.environ["CUDA_VISIBLE_DEVICES"] = own_gpu(ranks, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if torch.cuda.device_count() != 1:
        raise ConfigError(
            f"process {ranks.rank}: no GPU for LOCAL_RANK {ranks.local_rank}; "
            "start at most as many processes a machine as it has GPUs"
        )


@contextmanager
def stop_requests(ranks: Ranks) -> Iterator[Callable[[], bool]]:
    """Give a function that says whether this process was asked to stop (SIGINT, SIGTERM).

    Among several processes a request waits for the end of the iteration, where all of them
    learn of it: one that stopped at once would leave the others in the middle of an
    exchange. A second SIGINT stops at once. A process alone keeps its handlers.
    """
    if ranks.size == 1 or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_exchange(error: RuntimeError) -> bool:
    """Whether an error comes from an exchange with other processes."""
    return isinstance(error, dist.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))
