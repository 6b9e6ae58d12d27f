"""Train a tracker for a minute, resume: ``python examples/03_train_for_a_minute.py [CAPTURE] [MINUTES]``."""

import sys

import humanoid as hm

source = {"path": sys.argv[1]} if len(sys.argv) > 1 else {"path": "humanoid3d", "clip": "walk"}
motion = hm.load_motion(**source, body="smpl")
minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
env = hm.make_env("tracking", motions=[motion], num_envs=64)


def report(progress):
    """Print a line every ten iterations."""
    if progress.iteration % 10 == 0:
        reward = progress.scalars["episode/reward"]
        print(f"{progress.samples:8d} samples, {progress.samples_per_s:5.0f}/s, reward {reward:.4f} a step")


# runs/walk gets config.yaml, TensorBoard events, checkpoint.pt and metrics.json.
hm.train(env, run="runs/walk", minutes=minutes / 2, on_progress=report)
# The same line resumes from the last checkpoint.
print("saved", hm.train(env, run="runs/walk", minutes=minutes / 2, on_progress=report))
