"""Measure mjlab's G1 tracking task; run by mjlab's own interpreter, which has nothing of ours.

    python mjlab_driver.py --motion M.npz --out R.json --num-envs N --seconds S --iterations I --device cuda:0

``--where`` prints the folder of the installed mjlab instead.
Written for mjlab 1.6 (task ``Mjlab-Tracking-Flat-Unitree-G1``).
"""

from __future__ import annotations

# pyright: reportMissingImports=false
import argparse
import json
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

TASK = "Mjlab-Tracking-Flat-Unitree-G1"
STATE = ("body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w")


def main() -> None:
    """Measure and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where", action="store_true")
    parser.add_argument("--motion", default="")
    parser.add_argument("--out", default="result.json")
    parser.add_argument("--num-envs", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--device", default="cuda:0")
    args = parser.parse_args()
    if args.where:
        import mjlab

        print(Path(str(mjlab.__file__)).parent)
        return
    Path(args.out).write_text(json.dumps(measure(args)))


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return versions and rates [control steps/s of all environments]."""
    import mjlab.tasks.tracking.config.g1  # noqa: F401 - registers the task
    import torch
    from mjlab.envs import ManagerBasedRlEnv
    from mjlab.rl import RslRlVecEnvWrapper
    from mjlab.tasks.registry import load_env_cfg, load_rl_cfg, load_runner_cls
    from mjlab.utils.torch import configure_torch_backends

    configure_torch_backends()
    env_cfg, rl_cfg = load_env_cfg(TASK), load_rl_cfg(TASK)
    env_cfg.scene.num_envs, env_cfg.seed = args.num_envs, 1
    sync = torch.cuda.synchronize if args.device.startswith("cuda") else (lambda: None)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        env_cfg.commands["motion"].motion_file = str(_in_their_order(args.motion, Path(folder), env_cfg))
        env = RslRlVecEnvWrapper(
            ManagerBasedRlEnv(cfg=env_cfg, device=args.device), clip_actions=rl_cfg.clip_actions
        )
    shape = (env.num_envs, env.num_actions)

    def run(limit: float) -> float:
        sync()
        begin, steps = time.perf_counter(), 0
        with torch.inference_mode():
            while time.perf_counter() - begin < limit:
                env.step(0.3 * torch.randn(shape, device=args.device))
                steps += 1
        sync()
        return steps * env.num_envs / (time.perf_counter() - begin)

    run(0.0)
    sync()
    start = time.perf_counter() - begin
    with torch.inference_mode():
        env.step(torch.zeros(shape, device=args.device))
    run(0.2 * args.seconds)
    result = {
        "version": version("mjlab"),
        "mujoco_warp": version("mujoco-warp"),
        "torch": torch.__version__,
        "env_steps_per_s": run(args.seconds),
        "start_s": start,
        "physics_dt": env_cfg.sim.mujoco.timestep,
        "decimation": env_cfg.decimation,
    }
    if args.iterations:
        runner = load_runner_cls(TASK)(env, asdict(rl_cfg), None, args.device)
        runner.learn(2)
        sync()
        begin = time.perf_counter()
        runner.learn(args.iterations)
        sync()
        samples = args.iterations * rl_cfg.num_steps_per_env * env.num_envs
        result["train_steps_per_s"] = samples / (time.perf_counter() - begin)
    env.close()
    return result


def _in_their_order(motion: str, folder: Path, env_cfg: Any) -> Path:  # noqa: ANN401 - mjlab's
    """Write the motion with joints and bodies in the order of mjlab's robot, which its loader assumes."""
    import numpy as np
    from mjlab.entity import Entity

    robot = Entity(env_cfg.scene.entities["robot"])
    with np.load(motion, allow_pickle=False) as data:
        found = {name: data[name] for name in data.files}
    joints, bodies = list(found.pop("joint_names")), list(found.pop("body_names"))
    columns = [joints.index(name) for name in robot.joint_names]
    for name in ("joint_pos", "joint_vel"):
        found[name] = found[name][:, columns]
    # bodies that are welded on and that we do not know are none of the fourteen it compares
    rows = [bodies.index(name) if name in bodies else 0 for name in robot.body_names]
    for name in STATE:
        found[name] = found[name][:, rows]
    path = folder / "motion.npz"
    np.savez(path, **found)
    return path


if __name__ == "__main__":
    main()
