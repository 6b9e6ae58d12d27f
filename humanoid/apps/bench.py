"""``humanoid bench sim``: throughput in control steps per second.

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
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from humanoid.apps.train import TrainCfg, build_env, load_library, set_threads
from humanoid.bodies import smpl
from humanoid.core.config import load_config, to_dict
from humanoid.core.errors import ConfigError
from humanoid.core.paths import data_file
from humanoid.envs.tracking import TrackingEnv
from humanoid.rl.runner import Budget, Progress, TrackingRunner
from humanoid.sim import require_device

_CPU_ENVS, _GPU_ENVS = (64, 256), (4096, 16384)


@dataclass(frozen=True, kw_only=True)
class BenchCfg:
    """What to measure."""

    backends: tuple[str, ...] = ("mujoco", "genesis")
    """Simulators."""
    num_envs: tuple[int, ...] = ()
    """Numbers of environments; by default a few that suit the device."""
    device: str = ""
    """torch device of genesis, by default cuda where there is one; mujoco runs on cpu."""
    config: str = ""
    """Training configuration; by default track_cpu on a CPU and track on a GPU."""
    seconds: float = 10.0
    """Time of each measurement [s]."""

    def __post_init__(self) -> None:
        """Refuse a time in which nothing can be measured."""
        if not 0.0 < self.seconds < math.inf:
            raise ConfigError(f"seconds is {self.seconds:g}; it must be positive")


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
            rows.append(_row(replace(train, num_envs=count), cfg.seconds))
    return {"rows": rows}


def table(result: dict[str, Any]) -> str:
    """Return the rows as aligned text."""
    head = "sim      device  envs    simulator  environment     training  overhead"
    lines = [
        f"{r['sim']:8s} {r['device']:6s} {r['num_envs']:5d}  {r['sim_steps_per_s']:11,.0f}  "
        f"{r['env_steps_per_s']:11,.0f}  {r['train_steps_per_s']:11,.0f}  {100 * r['overhead']:6.1f} %"
        for r in result["rows"]
    ]
    return "\n".join((head, *lines, "control steps/s of all environments"))


def _row(cfg: TrainCfg, seconds: float) -> dict[str, Any]:
    set_threads(cfg)
    env = build_env(cfg, load_library(cfg, smpl.build(cfg.body)))
    with tempfile.TemporaryDirectory(prefix="humanoid-bench-") as folder:
        sim_rate, env_rate, overhead = _sim_and_env(env, seconds)
        train_rate = _training(env, cfg, Path(folder), seconds)
    env.sim.close()
    return {
        "sim": cfg.sim.backend,
        "device": env.device.type,
        "num_envs": cfg.num_envs,
        "sim_steps_per_s": round(sim_rate, 1),
        "env_steps_per_s": round(env_rate, 1),
        "train_steps_per_s": round(train_rate, 1),
        "overhead": round(overhead, 4),
    }


def _sim_and_env(env: TrackingEnv, seconds: float) -> tuple[float, float, float]:
    """Return steps/s of the simulator and of the environment, and the overhead.

    A simulator timed by itself drifts into other contacts (bodies lie on the floor);
    here every environment step's physics is timed where it happens.
    """
    on_gpu = env.device.type == "cuda"
    sync: Callable[[], None] = torch.cuda.synchronize if on_gpu else _nothing
    action = torch.zeros(env.num_envs, env.num_actions, device=env.device)
    inner, spent = env.sim.step, [0.0]

    def timed_step() -> None:
        sync()
        begin = time.perf_counter()
        inner()
        sync()
        spent[0] += time.perf_counter() - begin

    def run(limit: float) -> tuple[int, float]:
        sync()
        begin, steps = time.perf_counter(), 0
        while time.perf_counter() - begin < limit:
            noise = 0.3 * torch.randn(action.shape, generator=env.generator, device=env.device)
            env.step(noise)
            env.observe()
            steps += 1
        sync()
        return steps, time.perf_counter() - begin

    with torch.inference_mode():
        run(0.2 * seconds)  # warm up
        env.sim.step = timed_step  # type: ignore[method-assign]
        steps, total = run(seconds)
        env.sim.step = inner  # type: ignore[method-assign]
        overhead = total / spent[0] - 1.0
        sim_rate, env_rate = steps * env.num_envs / spent[0], steps * env.num_envs / total
        if on_gpu:
            steps, total = run(seconds)
            env_rate = steps * env.num_envs / total
    return sim_rate, env_rate, overhead


def _training(env: TrackingEnv, cfg: TrainCfg, folder: Path, seconds: float) -> float:
    """Return the median rate of whole iterations; the first one warms up."""
    runner = TrackingRunner(env, cfg.ppo, folder, to_dict(cfg), cfg.seed)
    batch = cfg.num_envs * cfg.ppo.num_steps
    rates: list[float] = []
    started = time.perf_counter()
    while len(rates) < 3 or time.perf_counter() - started < seconds:
        target = runner.samples + batch
        runner.train(Budget(samples=target, save_seconds=math.inf), _keep_rate(rates))
    return statistics.median(rates[1:])


def _keep_rate(rates: list[float]) -> Callable[[Progress], None]:
    return lambda progress: rates.append(progress.samples_per_s)


def _device(cfg: BenchCfg, backend: str) -> str:
    if backend == "mujoco":
        return "cpu"
    return cfg.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _nothing() -> None:
    """On a CPU there is nothing to wait for."""
