"""``humanoid bench sim``: throughput in control steps per second.

Three figures for every backend and number of environments: the simulator alone under
the same servo targets, the tracking environment around it (observations, rewards,
resets, sampling), and training with PPO. ``overhead`` is our own part of an environment
step as a share of the simulator's: ``sim_steps_per_s / env_steps_per_s - 1``.
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

from humanoid.apps.train import TrainCfg, build_env, load_library
from humanoid.bodies import smpl
from humanoid.core.config import load_config, to_dict
from humanoid.core.errors import ConfigError
from humanoid.core.paths import data_file
from humanoid.envs.tracking import TrackingEnv
from humanoid.rl.runner import Budget, Progress, TrackingRunner

_CPU_ENVS, _GPU_ENVS = (64, 256), (4096, 16384)


@dataclass(frozen=True, kw_only=True)
class BenchCfg:
    """What to measure."""

    backends: tuple[str, ...] = ("mujoco", "genesis")
    """Simulators."""
    num_envs: tuple[int, ...] = ()
    """Numbers of environments; by default a few that suit the device."""
    device: str = ""
    """torch device; by default cuda for genesis where there is one."""
    config: str = ""
    """Training configuration; by default track_cpu on a CPU and track on a GPU."""
    seconds: float = 10.0
    """Time of each measurement [s]."""


def main(cfg: BenchCfg) -> dict[str, Any]:
    """Return ``{"rows": [...]}`` with one row for each backend and number of environments.

    Raises:
        ConfigError: a device that is not there.
    """
    rows = []
    for backend in cfg.backends:
        device = _device(cfg, backend)
        on_gpu = device.startswith("cuda")
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
    env = build_env(cfg, load_library(cfg, smpl.build(cfg.body)))
    with tempfile.TemporaryDirectory(prefix="humanoid-bench-") as folder:
        sim_rate, env_rate = _sim_and_env(env, seconds)
        train_rate = _training(env, cfg, Path(folder), seconds)
    env.sim.close()
    return {
        "sim": cfg.sim.backend,
        "device": str(env.device).split(":")[0],
        "num_envs": cfg.num_envs,
        "sim_steps_per_s": round(sim_rate, 1),
        "env_steps_per_s": round(env_rate, 1),
        "train_steps_per_s": round(train_rate, 1),
        "overhead": round(sim_rate / env_rate - 1.0, 4),
    }


def _sim_and_env(env: TrackingEnv, seconds: float) -> tuple[float, float]:
    """Time the simulator inside environment steps, so both see the same states.

    A simulator timed by itself drifts into other contacts (bodies lie on the floor);
    here every environment step's physics is timed where it happens.
    """
    sync: Callable[[], None] = torch.cuda.synchronize if env.device.type == "cuda" else _nothing
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
        steps, total = run(seconds)
        env_rate = steps * env.num_envs / total
        env.sim.step = timed_step  # type: ignore[method-assign]
        steps, _ = run(seconds)
        env.sim.step = inner  # type: ignore[method-assign]
    return steps * env.num_envs / spent[0], env_rate


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
    if cfg.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device '{cfg.device}': torch sees no CUDA device; allowed: cpu")
    return cfg.device or ("cuda" if torch.cuda.is_available() else "cpu")


def _nothing() -> None:
    """On a CPU there is nothing to wait for."""
