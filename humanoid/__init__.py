"""From motion capture to a simulated humanoid that performs it.

A capture file goes in at the left, a moving humanoid comes out at the right::

    mocap -> retarget -> motion -> envs(sim) -> rl -> latent -> diffusion -> sim

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

__version__ = "0.1.0"
