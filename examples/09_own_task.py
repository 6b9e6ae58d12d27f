"""A task of one's own: walk in a crouch: ``python examples/09_own_task.py``."""

from dataclasses import dataclass, field

from torch import Tensor

import humanoid as hm
from humanoid.envs import RewardTerm, StepState
from humanoid.tasks.velocity import Joystick, VelocityCfg


def root_height(step: StepState, target: float, width: float = 0.1) -> Tensor:
    """Reward a root height near ``target`` [m]. (B,)."""
    return (-((step.state.root_pos_w[:, 2] - target) / width).square()).exp()


hm.rewards.register("root_height", root_height)


@dataclass(frozen=True, kw_only=True)
class CrouchCfg(VelocityCfg):
    """The velocity task with one more reward."""

    reward: dict[str, RewardTerm] = field(
        default_factory=lambda: (
            VelocityCfg().reward | {"root_height": RewardTerm(weight=2.0, params={"target": 0.7})}
        )
    )


class Crouch(Joystick):
    """Evaluated as the joystick; see docs/own-task.md for a success and commands of its own."""

    cfg = CrouchCfg


hm.tasks.register("crouch", Crouch)
env = hm.make_env("crouch", num_envs=32)
print("saved", hm.train(env, run="runs/crouch", samples=2 * 32 * 24))
