"""A reward of one's own: train to track with quiet feet: ``python examples/07_own_reward.py [CAPTURE]``."""

import sys

from torch import Tensor

import humanoid as hm
from humanoid.envs import RewardTerm, StepState, TrackingCfg


def foot_speed(step: StepState, limit: float = 1.0) -> Tensor:
    """Return the excess of both feet's speeds over ``limit`` [m/s], summed. (B,)."""
    feet = step.state.body_lin_vel_w[:, step.body.feet]
    return (feet.norm(dim=-1) - limit).clamp_min(0.0).sum(-1)


# A reward is a pure function of states and command. Its weight [1/s] and parameters are configuration,
# here or in a YAML file: ``task: {reward: {foot_speed: {weight: -0.5, params: {limit: 2.0}}}}``.
hm.rewards.register("foot_speed", foot_speed)
default = TrackingCfg()
cfg = TrackingCfg(reward=default.reward | {"foot_speed": RewardTerm(weight=-0.5, params={"limit": 2.0})})

source = {"path": sys.argv[1]} if len(sys.argv) > 1 else {"path": "humanoid3d", "clip": "walk"}
motion = hm.load_motion(**source, body="smpl")
env = hm.make_env("tracking", motions=[motion], num_envs=16, cfg=cfg)
print("saved", hm.train(env, run="runs/quiet_feet", samples=2 * 16 * 24))
step = env.step(0.0 * env.last_action)
print({name: round(float(value), 4) for name, value in step.log.items() if name.startswith("reward/")})
