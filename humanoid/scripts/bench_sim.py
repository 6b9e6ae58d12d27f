"""``humanoid bench sim``: throughput in control steps per second, and where the time goes.

Three figures for every backend and number of environments: the simulator alone, the
tracking environment around it, and training with PPO.

``sim_steps_per_s`` counts only the time inside ``Simulator.step``, of steps that the
environment takes under random actions. ``overhead`` is the rest of those same steps as a
share of it: targets, reading the state, references, rewards, failure tests, sampling,
resets, pushes, observations, and drawing the actions. On a GPU the two parts are timed
with the device idle at every boundary, which denies our part any overlap with the
simulator's; ``env_steps_per_s`` is then measured without those waits. On a CPU
``overhead`` is exactly ``sim_steps_per_s / env_steps_per_s - 1``. Noise, pushes and
randomisation are those of the configuration.

``share_simulator``, ``share_environment`` and ``share_ppo`` split the time of a training step:
``Simulator.step``, the rest of the environment's step and observation, and what is left, which is the
policy, its update and the run's book-keeping. They are timed in iterations of their own, on a GPU with
the waits told above.

``start_s`` is the time from nothing to the first finished step. Two caches shorten it from the second
run on: Genesis' kernels in ``~/.cache/quadrants`` (or ``$QD_OFFLINE_CACHE_FILE_PATH``), the
environment's in torch's own (:mod:`humanoid.envs.compiling`). ``torch_gib`` is the most that torch held
on a GPU, ``device_gib`` what all processes hold there, Genesis' share included; 0 on a CPU.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from humanoid.bodies.catalogue import configured
from humanoid.core.config import load_config, to_dict
from humanoid.core.paths import data_file
from humanoid.envs.tracking import TrackingEnv
from humanoid.rl.runner import Budget, Runner
from humanoid.scripts.train_tracker import TrainCfg, build_env, load_library, set_threads
from humanoid.scripts.verbs import BenchCfg
from humanoid.sim import require_device

_CPU_ENVS, _GPU_ENVS = (64, 256), (4096, 16384)


def main(cfg: BenchCfg) -> dict[str, Any]:
    """Return ``{"rows": [...]}`` with one row for each backend and number of environments.

    Raises:
        ConfigError: a device that is not there, or fewer than one environment.
    """
    rows = []
    for backend in cfg.backends:
        device = _device(cfg, backend)
        on_gpu = require_device(device).type == "cuda"
        path = data_file("cfg", cfg.config or ("track" if on_gpu else "track_cpu"))
        train = load_config(TrainCfg, path)
        train = replace(train, sim=replace(train.sim, backend=backend, device=device))
        for count in cfg.num_envs or (_GPU_ENVS if on_gpu else _CPU_ENVS):
            print(f"measuring {backend} on {device}, {count} environments", file=sys.stderr)
            rows.append(measure(replace(train, num_envs=count), cfg.seconds))
    return {"rows": rows}


def table(result: dict[str, Any]) -> str:
    """Return the rows as aligned text."""
    head = (
        "sim      device  envs    simulator  environment     training  overhead   sim  ours   PPO"
        "  start s  torch GiB  device GiB"
    )
    lines = [
        f"{r['sim']:8s} {r['device']:6s} {r['num_envs']:5d}  {r['sim_steps_per_s']:11,.0f}  "
        f"{r['env_steps_per_s']:11,.0f}  {r['train_steps_per_s']:11,.0f}  {100 * r['overhead']:6.1f} %  "
        f"{r['share_simulator']:4.0%}  {r['share_environment']:4.0%}  {r['share_ppo']:4.0%}"
        f"  {r['start_s']:7.1f}  {r['torch_gib']:9.2f}  {r['device_gib']:10.2f}"
        for r in result["rows"]
    ]
    return "\n".join(
        (head, *lines, "control steps/s of all environments; sim, ours, PPO: shares of training")
    )


def measure(cfg: TrainCfg, seconds: float) -> dict[str, Any]:
    """Return the row of one configuration: its own environments, measured for ``seconds`` each."""
    set_threads(cfg)
    library = load_library(cfg, configured(cfg.embodiment, cfg.body))
    if library.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(library.device)
    begin = time.perf_counter()
    env = build_env(cfg, library)
    watch = Stopwatch(env.device)
    with torch.inference_mode():
        env.step(torch.zeros(env.num_envs, env.num_actions, device=env.device))
    watch.wait()
    start = time.perf_counter() - begin
    with tempfile.TemporaryDirectory(prefix="humanoid-bench-") as folder:
        sim_rate, env_rate, overhead = _sim_and_env(env, seconds, watch)
        train_rate, shares = _training(env, cfg, Path(folder), seconds, watch)
    memory = _memory(env.device)
    env.sim.close()
    return {
        "sim": cfg.sim.backend,
        "device": env.device.type,
        "num_envs": cfg.num_envs,
        "sim_steps_per_s": round(sim_rate, 1),
        "env_steps_per_s": round(env_rate, 1),
        "train_steps_per_s": round(train_rate, 1),
        "overhead": round(overhead, 4),
        **{f"share_{part}": round(share, 4) for part, share in shares.items()},
        "start_s": round(start, 2),
        **memory,
    }


class Stopwatch:
    """Sums up the time that methods take, the device idle before and after each.

    Attributes:
        spent: part -> seconds.
    """

    def __init__(self, device: torch.device) -> None:
        """Watch what runs on ``device``."""
        self.wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else _nothing
        self.spent: dict[str, float] = {}

    @contextmanager
    def on(self, owner: object, method: str, part: str) -> Iterator[None]:
        """Count calls of ``owner.method`` as ``part``."""
        inner = getattr(owner, method)
        self.spent[part] = 0.0

        def timed(*args: Any) -> Any:  # noqa: ANN401 - whatever the method takes
            self.wait()
            begin = time.perf_counter()
            result = inner(*args)
            self.wait()
            self.spent[part] += time.perf_counter() - begin
            return result

        setattr(owner, method, timed)
        try:
            yield
        finally:
            delattr(owner, method)


def _sim_and_env(env: TrackingEnv, seconds: float, watch: Stopwatch) -> tuple[float, float, float]:
    """Return steps/s of the simulator and of the environment, and the overhead.

    A simulator timed by itself drifts into other contacts (bodies lie on the floor);
    here every environment step's physics is timed where it happens.
    """
    shape = (env.num_envs, env.num_actions)

    def run(limit: float) -> tuple[int, float]:
        watch.wait()
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < limit:
            env.step(0.3 * torch.randn(shape, generator=env.generator, device=env.device))
            steps += 1
        watch.wait()
        return steps, time.perf_counter() - begin

    with torch.inference_mode():
        run(0.2 * seconds)  # warm up
        with watch.on(env.sim, "step", "simulator"):
            steps, total = run(seconds)
        spent = watch.spent["simulator"]
        overhead = total / spent - 1.0
        sim_rate, env_rate = steps * env.num_envs / spent, steps * env.num_envs / total
        if env.device.type == "cuda":
            steps, total = run(seconds)
            env_rate = steps * env.num_envs / total
    return sim_rate, env_rate, overhead


def _training(
    env: TrackingEnv, cfg: TrainCfg, folder: Path, seconds: float, watch: Stopwatch
) -> tuple[float, dict[str, float]]:
    """Return the median rate of whole iterations, the first one left out, and shares of the time."""
    runner = Runner(env, cfg.ppo, folder, to_dict(cfg), cfg.seed)
    batch = cfg.num_envs * cfg.ppo.num_steps

    def run(least: int, limit: float) -> list[float]:
        rates: list[float] = []
        started = time.perf_counter()
        while len(rates) < least or time.perf_counter() - started < limit:
            budget = Budget(samples=runner.samples + batch, save_seconds=math.inf)
            runner.train(budget, lambda progress: rates.append(progress.samples_per_s))
        return rates

    rates = run(3, seconds)
    with (
        watch.on(env.sim, "step", "simulator"),
        watch.on(env, "step", "step"),
        watch.on(env, "observe", "observe"),
    ):
        total = sum(batch / rate for rate in run(2, 0.3 * seconds))
    simulator = watch.spent["simulator"] / total
    environment = (watch.spent["step"] + watch.spent["observe"]) / total - simulator
    shares = {"simulator": simulator, "environment": environment, "ppo": 1.0 - simulator - environment}
    return statistics.median(rates[1:]), shares


def _memory(device: torch.device) -> dict[str, float]:
    """Return the most that torch held and what all processes hold now [GiB]."""
    if device.type != "cuda":
        return {"torch_gib": 0.0, "device_gib": 0.0}
    free, total = torch.cuda.mem_get_info(device)
    most = torch.cuda.max_memory_allocated(device)
    return {"torch_gib": round(most / 2**30, 2), "device_gib": round((total - free) / 2**30, 2)}


def _device(cfg: BenchCfg, backend: str) -> str:
    if backend == "mujoco":
        return "cpu"
    return cfg.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _nothing() -> None:
    """On a CPU there is nothing to wait for."""
