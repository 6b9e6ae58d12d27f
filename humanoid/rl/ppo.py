"""PPO's numbers, and their translation into rsl-rl's dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from humanoid.core.constraints import Checked, Count, NotEmpty, Positive, Share


@dataclass(frozen=True, kw_only=True)
class PpoCfg(Checked):
    """Proximal policy optimisation (Schulman et al. 2017) as rsl-rl implements it; see ``MultiCriticPPO``."""

    actor_hidden: Annotated[tuple[Count, ...], NotEmpty] = (512, 256, 128)
    """Widths of the actor's hidden layers."""
    critic_hidden: Annotated[tuple[Count, ...], NotEmpty] = (512, 256, 128)
    """Widths of the critic's hidden layers."""
    init_std: Positive = 0.3
    """Standard deviation of the actions at the start."""
    last_layer_gain: float = 0.1
    """Factor on the actor's last layer at the start, so that it starts near the reference."""
    num_steps: Count = 24
    """Control steps an environment between updates."""
    epochs: Count = 5
    """Passes over each batch."""
    minibatches: Count = 4
    """Minibatches a pass."""
    learning_rate: Positive = 1e-3
    """Initial step size of Adam."""
    schedule: Literal["adaptive", "fixed"] = "adaptive"
    """``adaptive`` steers the step size by the KL divergence; ``fixed`` does not."""
    desired_kl: Positive = 0.01
    """KL divergence the adaptive schedule aims at."""
    clip: Positive = 0.2
    """Clipping of the probability ratio and of the value's change."""
    gamma: Share = 0.99
    """Discount of a control step."""
    lam: Share = 0.95
    """Decay of the generalised advantage estimate."""
    entropy: float = 0.001
    """Weight of the entropy bonus."""
    value_weight: float = 1.0
    """Weight of the value loss."""
    value_clip: bool = True
    """Whether the value may change by ``clip`` at most in one update."""
    max_grad_norm: Positive = 1.0
    """Largest norm of a gradient."""
    history_channels: Annotated[tuple[Count, ...], NotEmpty] = (128, 64, 32)
    """Channels of the history encoder's convolutions; used where the environment keeps a history."""
    history_embedding: Count = 3
    """Numbers into which the encoder puts the history."""
    tf32: bool = True
    """Whether a GPU multiplies the networks' matrices with 10 bits of mantissa."""

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
                "class_name": "humanoid.rl.algorithm:MultiCriticPPO",
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
