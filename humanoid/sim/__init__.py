"""Two simulators behind one protocol, and the scenes that they simulate."""

from __future__ import annotations

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import ConfigError, nearest
from humanoid.sim.protocol import PhysicsChange, SimCfg, Simulator, require_device
from humanoid.sim.scene import ObjectCfg, SceneCfg

BACKENDS = ("genesis", "mujoco")

__all__ = [
    "BACKENDS",
    "ObjectCfg",
    "PhysicsChange",
    "SceneCfg",
    "SimCfg",
    "Simulator",
    "make_sim",
    "require_device",
]


def make_sim(
    cfg: SimCfg, body: Embodiment, num_envs: int, seed: int = 0, scene: SceneCfg | None = None
) -> Simulator:
    """Build ``num_envs`` environments of ``body``, and objects, in the backend that ``cfg`` names.

    Raises:
        ConfigError: unknown backend or name, or a backend that cannot run on ``cfg.device``.
        InputError: the MJCF of an object is unreadable or has what the simulators do not share.
    """
    scene = scene or SceneCfg()
    if cfg.backend == "mujoco":
        from humanoid.sim.mujoco_backend import MujocoSimulator

        return MujocoSimulator(cfg, body, num_envs, scene)
    if cfg.backend == "genesis":
        from humanoid.sim.genesis_backend import GenesisSimulator

        return GenesisSimulator(cfg, body, num_envs, seed, scene)
    raise ConfigError(f"unknown simulator '{cfg.backend}'{nearest(cfg.backend, BACKENDS)}")
