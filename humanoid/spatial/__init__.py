"""Rotations, frames, signals over time, signed distances and solids: batched torch, no bodies.

The modules are used by name: ``rotation.mul(a, b)``, ``frames.yaw(q)``, ``geometry.barrier(x, delta)``.
"""

from humanoid.spatial import frames, geometry, parameters, rotation, signals
from humanoid.spatial.selector import BodySelector, stack_components
from humanoid.spatial.solids import Boxes, Capsules, Solids, Spheres

__all__ = [
    "BodySelector", "Boxes", "Capsules", "Solids", "Spheres", "frames", "geometry", "parameters", "rotation",
    "signals", "stack_components",
]  # fmt: skip
