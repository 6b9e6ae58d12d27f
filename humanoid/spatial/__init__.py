"""Rotations, frames, signals over time and signed distances: batched torch, no bodies.

The modules are used by name: ``rotation.mul(a, b)``, ``frames.yaw(q)``, ``geometry.barrier(x, delta)``.
"""

from humanoid.spatial import frames, geometry, rotation, signals
from humanoid.spatial.selector import BodySelector, stack_components

__all__ = ["BodySelector", "frames", "geometry", "rotation", "signals", "stack_components"]
