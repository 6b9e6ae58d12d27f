"""State tokens in numpy: into the world, back, and gradients the same way. No torch.

The numbers are those of :mod:`humanoid.diffusion.trajectory`, whose module text says what
they mean: the root in the heading frame of now, the other bodies in the heading frame of
their own frame, heights above the floor. *World features* have the world as frame of now.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

ROOT = 15
"""Numbers of the root: position, two columns of its rotation, velocity, angular velocity."""
POS, ROT, VEL, ANG = slice(0, 3), slice(3, 9), slice(9, 12), slice(12, 15)
"""Where they stand."""
_VECTORS = (POS, slice(3, 6), slice(6, 9), VEL, ANG)
"""What a turn of the frame of now turns."""


@dataclass(frozen=True)
class Frame:
    """Heading frames: a place on the floor and a direction.

    Attributes:
        pos_w: (B, 2) [m], world.
        yaw: (B,) [rad].
    """

    pos_w: np.ndarray
    yaw: np.ndarray

    @classmethod
    def of_features(cls, features: np.ndarray) -> Frame:
        """Return the heading frames of the roots of world features ``(B, S)``."""
        return cls(features[..., :2], np.arctan2(features[..., 4], features[..., 3]))


@dataclass(frozen=True)
class Quantities:
    """What a trajectory is in the world, or a gradient with respect to that.

    Attributes:
        root_pos_w: (B, T, 3) [m].
        root_rot_w: (B, T, 6) two columns of the root's rotation.
        root_lin_vel_w: (B, T, 3) [m/s].
        root_ang_vel_w: (B, T, 3) [rad/s].
        body_pos_w: (B, T, K, 3) [m] of the tracked bodies other than the root.
        body_lin_vel_w: (B, T, K, 3) [m/s].
    """

    root_pos_w: np.ndarray
    root_rot_w: np.ndarray
    root_lin_vel_w: np.ndarray
    root_ang_vel_w: np.ndarray
    body_pos_w: np.ndarray
    body_lin_vel_w: np.ndarray

    def zeros(self) -> Quantities:
        """Return zeros of the same shapes: a gradient to add to."""
        return Quantities(*(np.zeros_like(getattr(self, field.name)) for field in fields(Quantities)))

    def add_yaw(self, gradient: np.ndarray, where: Quantities) -> None:
        """Add a gradient with respect to the root's yaw (B, T), taken at ``where``."""
        cos, sin = where.root_rot_w[..., 0], where.root_rot_w[..., 1]
        square = cos * cos + sin * sin
        self.root_rot_w[..., 0] -= sin / square * gradient
        self.root_rot_w[..., 1] += cos / square * gradient

    def add_points(self, gradient: np.ndarray) -> None:
        """Add a gradient with respect to the points of the root and all bodies, (B, T, 1 + K, 3)."""
        self.root_pos_w[...] += gradient[..., 0, :]
        self.body_pos_w[...] += gradient[..., 1:, :]


@dataclass(frozen=True)
class Trajectory:
    """State tokens decoded into the world; what costs are functions of.

    Attributes:
        frame: heading frame of now.
        world: where everything is.
        body_names: K names.
        history: N, so that row N of an axis T is now.
        dt: time between frames [s].
    """

    frame: Frame
    world: Quantities
    body_names: tuple[str, ...]
    history: int
    dt: float

    @property
    def yaw(self) -> np.ndarray:
        """(B, T) [rad] heading of the root, world."""
        return np.arctan2(self.world.root_rot_w[..., 1], self.world.root_rot_w[..., 0])

    @property
    def future(self) -> slice:
        """Rows of axis T that can still be changed: those after now."""
        return slice(self.history + 1, None)

    def points_w(self) -> np.ndarray:
        """Return the root and all bodies, (B, T, 1 + K, 3) [m]."""
        return np.concatenate((self.world.root_pos_w[..., None, :], self.world.body_pos_w), axis=-2)


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Where everything stands in a state token, and in a trajectory.

    Attributes:
        root: name of the root body.
        bodies: K names of the other bodies, in the order of their numbers.
        history: frames N before now.
        horizon: frames H after now that states are planned for.
        latent_horizon: frames A from now on that latents are planned for.
        dt: time between frames [s].
    """

    root: str
    bodies: tuple[str, ...]
    history: int
    horizon: int
    latent_horizon: int
    dt: float

    @property
    def width(self) -> int:
        """Numbers S of a state token."""
        return ROOT + 6 * len(self.bodies)

    @property
    def num_states(self) -> int:
        """Number T of state tokens."""
        return self.history + 1 + self.horizon

    @property
    def num_latents(self) -> int:
        """Number L of latent tokens."""
        return self.history + self.latent_horizon

    def localized(self, features: np.ndarray, frame: Frame) -> np.ndarray:
        """Return world features (B, T, S) as seen from ``frame``."""
        moved = features.copy()
        moved[..., :2] -= frame.pos_w[:, None, :]
        return _root_turned(moved, -frame.yaw)

    def globalized(self, tokens: np.ndarray, frame: Frame) -> np.ndarray:
        """Return the world features (B, T, S) of tokens seen from ``frame``."""
        turned = _root_turned(tokens.copy(), frame.yaw)
        turned[..., :2] += frame.pos_w[:, None, :]
        return turned

    def decode(self, tokens: np.ndarray, frame: Frame) -> Trajectory:
        """Return what tokens (B, T, S) seen from ``frame`` mean in the world."""
        features = self.globalized(tokens, frame)
        yaw = np.arctan2(features[..., 4], features[..., 3])[..., None]
        pos, vel = (turned(part, yaw) for part in self._bodies(features))
        world = Quantities(
            features[..., POS],
            features[..., ROT],
            features[..., VEL],
            features[..., ANG],
            pos + features[..., None, POS],
            vel + features[..., None, VEL],
        )
        return Trajectory(frame, world, self.bodies, self.history, self.dt)

    def gradient(self, trajectory: Trajectory, gradient: Quantities) -> np.ndarray:
        """Return the gradient with respect to the tokens, (B, T, S).

        Args:
            trajectory: that :meth:`decode` made of them.
            gradient: with respect to ``trajectory.world``.
        """
        world = trajectory.world
        total = gradient.zeros()
        for field in fields(Quantities):
            getattr(total, field.name)[...] = getattr(gradient, field.name)
        total.root_pos_w[...] += gradient.body_pos_w.sum(axis=-2)
        total.root_lin_vel_w[...] += gradient.body_lin_vel_w.sum(axis=-2)
        # a body's vectors turn with the root's yaw, too: d(Rz v)/dyaw = z x (Rz v)
        turning = _moment(world.body_pos_w - world.root_pos_w[..., None, :], gradient.body_pos_w)
        turning += _moment(world.body_lin_vel_w - world.root_lin_vel_w[..., None, :], gradient.body_lin_vel_w)
        total.add_yaw(turning, world)
        back = -trajectory.yaw[..., None]
        bodies = [turned(part, back) for part in (gradient.body_pos_w, gradient.body_lin_vel_w)]
        root = (total.root_pos_w, total.root_rot_w, total.root_lin_vel_w, total.root_ang_vel_w)
        flat = [part.reshape(*part.shape[:-2], -1) for part in bodies]
        return _root_turned(np.concatenate((*root, *flat), axis=-1), -trajectory.frame.yaw)

    def names(self) -> tuple[str, ...]:
        """Return the name of every number of a state token."""
        root = [f"root_pos_{a}" for a in "xyz"] + [f"root_rot_{c}{a}" for c in "xy" for a in "xyz"]
        root += [f"root_lin_vel_{a}" for a in "xyz"] + [f"root_ang_vel_{a}" for a in "xyz"]
        kinds = ("pos", "lin_vel")
        return (*root, *(f"{name}_{kind}_{a}" for kind in kinds for name in self.bodies for a in "xyz"))

    def _bodies(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities (..., K, 3) of the bodies."""
        count = len(self.bodies)
        parts = features[..., ROOT:].reshape(*features.shape[:-1], 2, count, 3)
        return parts[..., 0, :, :], parts[..., 1, :, :]


def turned(vector: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Rotate vectors (..., 3) about z by ``yaw (...)`` [rad]."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    return np.stack((cos * x - sin * y, sin * x + cos * y, z), axis=-1)


def _root_turned(features: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Turn, in place, the root's vectors of (B, T, S) about z by ``yaw (B,)`` [rad]."""
    for part in _VECTORS:
        features[..., part] = turned(features[..., part], yaw[:, None])
    return features


def _moment(vector: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Return the gradient with respect to a common yaw of vectors (B, T, K, 3), (B, T)."""
    return (vector[..., 0] * gradient[..., 1] - vector[..., 1] * gradient[..., 0]).sum(axis=-1)
