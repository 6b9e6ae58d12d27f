"""PPO on any environment, in one process or in several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.rl.ppo import PpoCfg
    from humanoid.rl.runner import Budget, Progress, Runner
    from humanoid.rl.vec_env import EnvAdapter

__all__ = [
    "Budget", "EnvAdapter", "PpoCfg", "Progress", "Runner",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "ppo": ("PpoCfg",),
        "runner": (
            "Budget",
            "Progress",
            "Runner",
        ),
        "vec_env": ("EnvAdapter",),
    },
)
