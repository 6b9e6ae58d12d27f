"""Receding-horizon planning with a diffusion model under classifier guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.planning.guidance import Guidance, weighted
    from humanoid.planning.keyframes import KeyPoses, key_distances, keys_of_rows, keys_of_states, load_keys
    from humanoid.planning.planner import DiffusionPlanner, Keyframes, Plan, Window
    from humanoid.planning.sampler import SamplerCfg
    from humanoid.planning.worker import PlanWorker, WorkerCfg

__all__ = [
    "DiffusionPlanner", "Guidance", "KeyPoses", "Keyframes", "Plan", "PlanWorker", "SamplerCfg", "Window",
    "WorkerCfg", "key_distances", "keys_of_rows", "keys_of_states", "load_keys", "weighted",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "guidance": ("Guidance", "weighted"),
        "keyframes": ("KeyPoses", "key_distances", "keys_of_rows", "keys_of_states", "load_keys"),
        "planner": ("DiffusionPlanner", "Keyframes", "Plan", "Window"),
        "sampler": ("SamplerCfg",),
        "worker": ("PlanWorker", "WorkerCfg"),
    },
)
