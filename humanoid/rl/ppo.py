"""PPO's numbers, and their translation into rsl-rl's dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from humanoid.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PpoCfg:
    """Proximal policy optimisation (Schulman et al. 2017) as rsl-rl implements it; see ``TrackingPPO``."""

    actor_hidden: tuple[int, ...] = (512, 256, 128)
    """Widths of the actor's hidden layers."""
    critic_hidden: tuple[int, ...] = (512, 256, 128)
    """Widths of the critic's hidden layers."""
    init_std: float = 0.3
    """Standard deviation of the actions at the start."""
    last_layer_gain: float = 0.1
    """Factor on the actor's last layer at the start, so that it starts near the reference."""
    num_steps: int = 24
    """Control steps an environment between updates."""
    epochs: int = 5
    """Passes over each batch."""
    minibatches: int = 4
    """Minibatches a pass."""
    learning_rate: float = 1e-3
    """Initial step size of Adam."""
    schedule: Literal["adaptive", "fixed"] = "adaptive"
    """``adaptive`` steers the step size by the KL divergence; ``fixed`` does not."""
    desired_kl: float = 0.01
    """KL divergence the adaptive schedule aims at."""
    clip: float = 0.2
    """Clipping of the probability ratio and of the value's change."""
    gamma: float = 0.99
    """Discount of a control step."""
    lam: float = 0.95
    """Decay of the generalised advantage estimate."""
    entropy: float = 0.001
    """Weight of the entropy bonus."""
    value_weight: float = 1.0
    """Weight of the value loss."""
    value_clip: bool = True
    """Whether the value may change by ``clip`` at most in one update."""
    max_grad_norm: float = 1.0
    """Largest norm of a gradient."""
    history_channels: tuple[int, ...] = (128, 64, 32)
    """Channels of the history encoder's convolutions; used where the environment keeps a history."""
    history_embedding: int = 3
    """Numbers into which the encoder puts the history."""
    tf32: bool = True
    """Whether a GPU multiplies the networks' matrices with 10 bits of mantissa."""

    def __post_init__(self) -> None:
        """Refuse numbers that rsl-rl would crash or silently do nothing with."""
        widths = {"actor_hidden": min(self.actor_hidden, default=0)}
        widths["critic_hidden"] = min(self.critic_hidden, default=0)
        widths["history_channels"] = min(self.history_channels, default=0)
        names = ("num_steps", "epochs", "minibatches", "history_embedding")
        counts = {name: getattr(self, name) for name in names}
        for name, value in {**widths, **counts}.items():
            if value < 1:
                raise ConfigError(f"ppo.{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("init_std", "learning_rate", "desired_kl", "clip", "max_grad_norm"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"ppo.{name} is {getattr(self, name):g}; it must be positive")
        for name in ("gamma", "lam"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"ppo.{name} is {getattr(self, name):g}; it must be in 0-1")

    def rsl_rl(self) -> dict[str, Any]:
        """Return the configuration of rsl-rl's ``OnPolicyRunner``."""
        return {
            "num_steps_per_env": self.num_steps,
            "save_interval": 10**9,
            "logger": "tensorboard",
            "obs_groups": {"actor": ["actor"], "critic": ["critic"]},
            "actor": {
                "class_name": "humanoid.rl.models:HistoryModel",
                "hidden_dims": list(self.actor_hidden),
                "activation": "elu",
                "distribution_cfg": {
                    "class_name": "GaussianDistribution",
                    "init_std": self.init_std,
                    "std_type": "log",
                },
                "history_channels": list(self.history_channels),
                "history_embedding": self.history_embedding,
            },
            "critic": {
                "class_name": "humanoid.rl.models:HistoryModel",
                "hidden_dims": list(self.critic_hidden),
                "activation": "elu",
            },
            "algorithm": {
                "class_name": "humanoid.rl.algorithm:TrackingPPO",
                "num_learning_epochs": self.epochs,
                "num_mini_batches": self.minibatches,
                "learning_rate": self.learning_rate,
                "schedule": self.schedule,
                "desired_kl": self.desired_kl,
                "clip_param": self.clip,
                "gamma": self.gamma,
                "lam": self.lam,
                "entropy_coef": self.entropy,
                "value_loss_coef": self.value_weight,
                "use_clipped_value_loss": self.value_clip,
                "max_grad_norm": self.max_grad_norm,
                "tf32": self.tf32,
            },
        }
