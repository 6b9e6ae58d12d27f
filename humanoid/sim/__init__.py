"""Two simulators behind one protocol."""

from __future__ import annotations

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, nearest
from humanoid.sim.protocol import PhysicsChange, SimCfg, Simulator, require_device

BACKENDS = ("genesis", "mujoco")

__all__ = ["BACKENDS", "PhysicsChange", "SimCfg", "Simulator", "make_sim", "require_device"]


def make_sim(cfg: SimCfg, body: Embodiment, num_envs: int, seed: int = 0) -> Simulator:
    """Build ``num_envs`` environments of ``body`` in the backend that ``cfg`` names.

    Raises:
        ConfigError: unknown backend, or one that cannot run on ``cfg.device``.
    """
    if cfg.backend == "mujoco":
        from humanoid.sim.mujoco_backend import MujocoSimulator

        return MujocoSimulator(cfg, body, num_envs)
    if cfg.backend == "genesis":
        from humanoid.sim.genesis_backend import GenesisSimulator

        return GenesisSimulator(cfg, body, num_envs, seed)
    raise ConfigError(f"unknown simulator '{cfg.backend}'{nearest(cfg.backend, BACKENDS)}")
