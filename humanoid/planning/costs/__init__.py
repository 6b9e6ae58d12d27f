"""Costs of guided plans: differentiable functions of a trajectory, an open registry by name.

A cost of one's own is a dataclass with a ``name`` and ``__call__(trajectory) -> (B,)``::

    costs.register("altitude", Altitude, weight=0.5)
    agent.command([costs.Altitude(height=0.8)])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from humanoid.core.registry import Registry
from humanoid.planning.costs.obstacles import HeightField, Obstacles
from humanoid.planning.costs.path_field import PathField, PathFieldCfg
from humanoid.planning.costs.pose import Effort, Keyframe, Style, Symmetry
from humanoid.planning.costs.steering import Cost, Heading, Joystick, Steer, Waypoint
from humanoid.spatial.solids import Boxes, Capsules, Spheres

__all__ = [
    "COSTS", "WEIGHTS", "Boxes", "Capsules", "Cost", "Effort", "Heading", "HeightField", "Joystick",
    "Keyframe", "Obstacles", "PathField", "PathFieldCfg", "Spheres", "Steer", "Style", "Symmetry", "Waypoint",
    "register",
]  # fmt: skip

COSTS: Registry[Callable[..., Cost]] = Registry("cost")
"""Name -> class of the cost."""
WEIGHTS: dict[str, float] = {}
"""Name -> default weight. Those here go well together, found on walks; a waypoint's at 1 topples a body."""


def register(name: str, cost: Callable[..., Cost], weight: float = 1.0) -> None:
    """Add a cost: ``costs.CLASS`` and weights by ``name``.

    Raises:
        ConfigError: the name belongs to another cost.
    """
    COSTS.register(name, cost)
    WEIGHTS[name] = weight


for _name, _cost, _weight in (
    ("joystick", Joystick, 1.0),
    ("steer", Steer, 1.0),
    ("waypoint", Waypoint, 0.1),
    ("heading", Heading, 1.0),
    ("obstacles", Obstacles, 3.0),
    ("keyframe", Keyframe, 1.0),
    ("style", Style, 1.0),
    ("mirror", Symmetry, 1.0),
    ("effort", Effort, 1.0),
):
    register(_name, _cost, _weight)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of cost
    """Return a registered class by its own name."""
    found = next((cost for cost in COSTS.values() if getattr(cost, "__name__", "") == name), None)
    if found is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return found
