"""Step 16 environments without a policy: ``python examples/02_step_an_environment.py [CAPTURE]``."""

import sys

import torch

import humanoid as hm

source = {"path": sys.argv[1]} if len(sys.argv) > 1 else {"path": "humanoid3d", "clip": "walk"}
motion = hm.load_motion(**source, body="smpl")
env = hm.make_env("tracking", motions=[motion], num_envs=16)
obs = env.reset()
print("observations:", {name: tuple(value.shape) for name, value in obs.items()})

# Servo targets are the reference pose plus the action: with zeros the servos alone follow it.
action = torch.zeros(env.num_envs, env.num_actions)
ended, reward = 0, 0.0
for _ in range(200):
    step = env.step(action)  # step.obs, step.reward, step.done, step.time_out, step.log
    ended += int(step.done.sum())
    reward += float(step.reward.mean()) / 200
print(f"200 control steps of {env.sim.dt:g} s: {ended} episodes ended, mean reward {reward:.4f} a step")
print({name: round(float(value), 3) for name, value in step.log.items() if name.startswith("error/")})
