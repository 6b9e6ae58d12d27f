"""Throughput compared with mjlab (MuJoCo-Warp): same robot, motion, number of environments and PPO.

    python tools/bench_peers.py --python PEER/bin/python [--num-envs 4096 16384] [--device cuda] [--json]

``--python`` is the interpreter of an environment with mjlab (``python -m venv PEER`` and ``PEER/bin/pip
install mjlab``): it pins an older mujoco and rsl-rl. This package trains ``cfg/track_g1.yaml``
(BeyondMimic's recipe, as mjlab's task ``Mjlab-Tracking-Flat-Unitree-G1``) on the G1 of that mjlab,
with one clip, which mjlab gets as an npz with BeyondMimic's keys. Both step with random actions,
``0.3 * N(0, 1)``, for the environment's throughput, then run full PPO iterations of 24 steps, 5 epochs
and 4 minibatches with networks of 512, 256 and 128 units. Runs are sequential.

Differences: each steps physics as configured for training (both at 200 Hz, different solvers),
mjlab counts self-collisions, this package contacts of all bodies but feet and hands, and the
observation normalisation differs. A ratio over 1 means that this package is faster.

So far run with two environments on a CPU against mjlab 1.6.0 only: a functional check, not a
measurement of a GPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from humanoid.bodies.catalogue import configured
from humanoid.core.config import load_config
from humanoid.core.errors import ConfigError, HumanoidError, InputError
from humanoid.core.paths import data_file
from humanoid.motion.library import MotionLibrary
from humanoid.scripts import bench_sim as bench
from humanoid.scripts.train_tracker import TrainCfg, load_library
from humanoid.sim import require_device

DRIVER = Path(__file__).parent / "peers" / "mjlab_driver.py"
ROBOT = Path("asset_zoo") / "robots" / "unitree_g1" / "xmls" / "g1.xml"


@dataclass(frozen=True, kw_only=True)
class PeersCfg:
    """Configuration of the benchmark."""

    python: str
    """Interpreter of an environment that has mjlab."""
    num_envs: tuple[int, ...] = (4096, 16384)
    """Numbers of environments."""
    device: str = "cuda"
    """torch device of both."""
    backend: str = "genesis"
    """Our simulator."""
    config: str = "track_g1"
    """Our training configuration."""
    motions: str = ""
    """Motion set or file that has the clip; that of the configuration by default."""
    clip: str = ""
    """Name of the one clip; by default the first that the configuration has."""
    seconds: float = 10.0
    """Time of each measurement of the environment [s]."""
    iterations: int = 5
    """PPO iterations that are timed on mjlab's side; ours take ``seconds``."""
    json: bool = False
    """Print one JSON object instead of a table."""


def main(cfg: PeersCfg) -> dict[str, Any]:
    """Return ``{"rows": [...]}``, one for each number of environments.

    Raises:
        ConfigError: no such device or clip, or numbers that measure nothing.
        InputError: the other interpreter has no mjlab, or mjlab failed.
    """
    require_device(cfg.device)
    if cfg.seconds <= 0.0 or cfg.iterations < 1 or not cfg.num_envs or min(cfg.num_envs) < 1:
        raise ConfigError("seconds, iterations and num_envs must be positive")
    robot = Path(_ask(cfg.python, "--where").strip().splitlines()[-1]) / ROBOT
    if not robot.exists():
        raise InputError(f"{robot} is missing; this tool knows the layout of mjlab 1.6")
    train = load_config(TrainCfg, data_file("cfg", cfg.config))
    train = replace(
        train,
        embodiment=f"g1:{robot}",
        motions=cfg.motions or train.motions,
        clips=(f"clip:{cfg.clip}",) if cfg.clip else train.clips,
        sim=replace(train.sim, backend=cfg.backend, device=cfg.device),
    )
    rows = []
    with tempfile.TemporaryDirectory(prefix="humanoid-peers-") as name:
        library = load_library(train, configured(train.embodiment, train.body))
        motion = export(library, Path(name) / "motion.npz")
        for count in cfg.num_envs:
            print(f"measuring mjlab, {count} environments on {cfg.device}", file=sys.stderr)
            theirs = _mjlab(cfg, motion, count, Path(name) / "result.json")
            print(f"measuring ours, {count} environments on {cfg.device}", file=sys.stderr)
            ours = bench.measure(replace(train, num_envs=count), cfg.seconds)
            rows.append({"num_envs": count, "clip": library.names[0], "ours": ours, "mjlab": theirs})
    return {"rows": rows}


def table(result: dict[str, Any]) -> str:
    """Return the rows as aligned text."""
    lines = ["  envs                   ours        mjlab  ratio"]
    for row in result["rows"]:
        for label, key in (("environment", "env_steps_per_s"), ("training", "train_steps_per_s")):
            ours, theirs = row["ours"][key], row["mjlab"][key]
            lines.append(
                f"{row['num_envs']:6d}  {label:11s}  {ours:10,.0f}  {theirs:11,.0f}  {ours / theirs:5.2f}"
            )
    mjlab = result["rows"][0]["mjlab"]
    return "\n".join((*lines, f"control steps/s; mjlab {mjlab['version']}, clip {result['rows'][0]['clip']}"))


def export(library: MotionLibrary, path: Path) -> Path:
    """Write the first clip of a library with BeyondMimic's keys, and names beside them."""
    rows = torch.arange(int(library.length[0])) + int(library.start[0])
    state = library.rows(rows.to(library.device)).to("cpu")
    arrays = {name: value.numpy() for name, value in vars(state).items()}
    names = {"joint_names": library.body.joint_names, "body_names": library.body.body_names}
    np.savez(path, fps=np.array([round(library.fps)]), **arrays, **names)  # pyright: ignore[reportArgumentType]
    return path


def _mjlab(cfg: PeersCfg, motion: Path, count: int, out: Path) -> dict[str, Any]:
    device = "cuda:0" if cfg.device == "cuda" else cfg.device
    words = ["--motion", motion, "--out", out, "--num-envs", count, "--seconds", cfg.seconds]
    _ask(cfg.python, *words, "--iterations", cfg.iterations, "--device", device)
    return json.loads(out.read_text())


def _ask(python: str, *words: object) -> str:
    """Run the driver in the other interpreter and return what it printed."""
    command = [python, str(DRIVER), *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise InputError(
            f"--python {python}: {error.strerror}; give an interpreter that has mjlab"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if "No module named 'mjlab'" in last:
            raise InputError(f"--python {python}: it has no mjlab; run '{python} -m pip install mjlab'")
        raise InputError(f"mjlab, run by {python}, failed: {last}")
    return done.stdout


if __name__ == "__main__":
    config = tyro.cli(PeersCfg, description=__doc__)
    try:
        found = main(config)
    except HumanoidError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(found) if config.json else table(found))
