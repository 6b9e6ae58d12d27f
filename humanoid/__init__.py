"""From motion capture to a simulated humanoid that performs it.

A capture file goes in at the left, a moving humanoid comes out at the right::

    mocap -> retarget -> motion -> datasets -> sim -> envs -> tasks
          -> rl -> skills -> diffusion -> planning -> control -> sim

In Python, with names that are loaded at first use::

    import humanoid as hm
    env = hm.make_env("tracking", motions=[hm.load_motion("walk.bvh")], num_envs=64)
    hm.train(env, run="runs/walk", minutes=20)

Every folder is one stop on that way and imports only what lies below it.

Conventions, said once and used everywhere:

* SI units, radians, seconds; z up, right-handed; quaternions are ``wxyz``.
* A vector's frame is its suffix: ``_w`` world, ``_b`` body, ``_h`` heading (root
  position and yaw only). Reference values end in ``_ref``.
* Velocities are those of a body's origin; angular velocities are in world frame.
* A 6-d rotation is the first two columns of the matrix, column after column.
* Axes: B environments, T frames, N bodies, D joints, A actions.
* Joints and bodies are matched by name, never by position alone.
* ``FooCfg`` stands beside ``Foo``; defaults in code < ``cfg/*.yaml`` < ``key=value``.

Importing this package imports neither torch nor a simulator and has no side effects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid import tasks
    from humanoid.bodies import catalogue as robots
    from humanoid.control import Planner, Skills, Tracker
    from humanoid.datasets.sources import load_motion
    from humanoid.envs import observations, rewards, terminations
    from humanoid.motion.motion import Motion
    from humanoid.planning import costs
    from humanoid.rl.train import train
    from humanoid.tasks import make_env

__version__ = "0.1.0"

__all__ = [
    "Motion", "Planner", "Skills", "Tracker", "costs", "load_motion", "make_env", "observations", "rewards",
    "robots", "tasks", "terminations", "train",
]  # fmt: skip

_MODULES = {
    "costs": "planning.costs",
    "observations": "envs.observations",
    "rewards": "envs.rewards",
    "robots": "bodies.catalogue",
    "tasks": "tasks",
    "terminations": "envs.terminations",
}
"""Public name -> module, itself the public thing."""
_members = lazy(
    __name__,
    {
        "control": ("Planner", "Skills", "Tracker"),
        "datasets.sources": ("load_motion",),
        "motion.motion": ("Motion",),
        "rl.train": ("train",),
        "tasks": ("make_env",),
    },
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Import a public name at its first use (PEP 562)."""
    return import_module(f"humanoid.{_MODULES[name]}") if name in _MODULES else _members(name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted((*__all__, "__version__"))
