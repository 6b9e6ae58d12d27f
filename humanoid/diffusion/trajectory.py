"""Trajectories as tokens of states and latents, and back.

A trajectory has state tokens at the frames ``n = -N .. H`` and latent tokens at
``n = -N .. A - 1``, ``dt`` apart; frame 0 is now. The latent of frame n is what the decoder
holds from frame n to n + 1. A state token (BeyondMimic, arXiv 2508.08241 v4) has the root
in the heading frame of *now* and every other tracked body in the heading frame of *its own*
frame, so that a pose looks the same wherever and whichever way it is performed.

Two things differ from the paper's formula. Root velocities are velocities, not differences
to the present one, so no cost has to add that back. Root heights are above the floor, not
differences to the present one: the floor is level and stays where it is.

*World features* are the same numbers with the world as heading frame of now. They are what
is recorded: :meth:`Layout.localized` turns a window of them into tokens for any now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.mirror import reflect_axial, reflect_vector, twin_name
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError, InputError, MismatchError, nearest
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot

ROOT = 15
"""Numbers of the root: position, two columns of its rotation, velocity, angular velocity."""
POS, ROT, VEL, ANG = slice(0, 3), slice(3, 9), slice(9, 12), slice(12, 15)
"""Where they stand."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryCfg:
    """Frames of a trajectory (history and horizon of Diffuse-CLoC, arXiv 2503.11801)."""

    history: int = 4
    """Frames N before now."""
    horizon: int = 32
    """Frames H after now that states are planned for."""
    latent_horizon: int = 16
    """Frames A from now on that latents are planned for."""
    dt: float = 0.04
    """Time between frames [s]."""

    def __post_init__(self) -> None:
        """Refuse frames that no window has, such as latents later than the last state."""
        if self.history < 0 or not 1 <= self.latent_horizon <= self.horizon + 1 or not 0.0 < self.dt < 1.0:
            raise ConfigError(
                f"trajectory: history {self.history}, horizon {self.horizon}, latent_horizon "
                f"{self.latent_horizon}, dt {self.dt:g} s; history >= 0, 1 <= latent_horizon <= horizon + 1 "
                "and 0 < dt < 1 are needed"
            )

    @property
    def num_states(self) -> int:
        """Number T of state tokens."""
        return self.history + 1 + self.horizon

    @property
    def past(self) -> Tensor:
        """(N + 1,) [s] times of the frames up to now, relative to now."""
        return self.dt * torch.arange(-self.history, 1)

    @property
    def num_latents(self) -> int:
        """Number L of latent tokens."""
        return self.history + self.latent_horizon


@dataclass(frozen=True)
class Frame:
    """Heading frames: a place on the floor and a direction.

    Attributes:
        pos_w: (..., 2) [m], world.
        yaw: (...,) [rad].
    """

    pos_w: Tensor
    yaw: Tensor

    @classmethod
    def of(cls, state: BodyState) -> Frame:
        """Return the heading frames of the roots of ``state``, of any leading axes."""
        return cls(state.root_pos_w[..., :2], frames.yaw(state.root_quat_w))

    @classmethod
    def of_features(cls, features: Tensor) -> Frame:
        """Return the heading frames of the roots of world features ``(..., S)``."""
        return cls(features[..., :2], torch.atan2(features[..., 4], features[..., 3]))


DECODED = (
    "root_pos_w", "root_rot_w", "root_lin_vel_w", "root_ang_vel_w", "body_pos_w", "body_lin_vel_w",
)  # fmt: skip
"""Fields of :class:`Trajectory` that depend on the tokens."""


@dataclass(frozen=True)
class Trajectory:
    """State tokens decoded into the world; what costs are functions of.

    Attributes:
        frame: heading frame of now, leading axis B.
        root_pos_w: (B, T, 3) [m].
        root_rot_w: (B, T, 6) two columns of the root's rotation; orthonormal only as far as predicted.
        root_lin_vel_w: (B, T, 3) [m/s].
        root_ang_vel_w: (B, T, 3) [rad/s].
        body_pos_w: (B, T, K, 3) [m] of the tracked bodies other than the root.
        body_lin_vel_w: (B, T, K, 3) [m/s].
        body_names: K names.
        history: N, so that row N of an axis T is now.
        dt: time between frames [s].
    """

    frame: Frame
    root_pos_w: Tensor
    root_rot_w: Tensor
    root_lin_vel_w: Tensor
    root_ang_vel_w: Tensor
    body_pos_w: Tensor
    body_lin_vel_w: Tensor
    body_names: tuple[str, ...]
    history: int
    dt: float

    @property
    def yaw(self) -> Tensor:
        """(B, T) [rad] heading of the root, world."""
        return torch.atan2(self.root_rot_w[..., 1], self.root_rot_w[..., 0])

    @property
    def future(self) -> slice:
        """Rows of axis T that can still be changed: those after now."""
        return slice(self.history + 1, None)

    def points_w(self) -> Tensor:
        """Return the root and all bodies, (B, T, 1 + K, 3) [m]."""
        return torch.cat((self.root_pos_w.unsqueeze(-2), self.body_pos_w), dim=-2)


class Layout:
    """Where everything stands in a state token, for one body."""

    def __init__(self, cfg: TrajectoryCfg, root: str, bodies: Sequence[str]) -> None:
        """Lay out tokens.

        Args:
            cfg: frames.
            root: name of the root body.
            bodies: K names of the other bodies, in the order of their numbers.
        """
        self.cfg, self.root, self.bodies = cfg, root, tuple(bodies)
        self.num_bodies = len(self.bodies)
        self.width = ROOT + 6 * self.num_bodies
        self.body_pos = slice(ROOT, ROOT + 3 * self.num_bodies)
        self.body_vel = slice(ROOT + 3 * self.num_bodies, self.width)

    @classmethod
    def of(cls, body: Embodiment, cfg: TrajectoryCfg | None = None) -> Layout:
        """Lay out tokens of a body's tracked bodies."""
        others = [name for name in body.tracked if name != body.body_names[0]]
        return cls(cfg or TrajectoryCfg(), body.body_names[0], others)

    def features(self, state: BodyState, body: Embodiment) -> Tensor:
        """Return world features (..., S) of states of any leading axes.

        Raises:
            MismatchError: ``body`` lacks one of the bodies.
        """
        for name in (self.root, *self.bodies):
            if name not in body.body_names:
                raise MismatchError(f"body '{body.name}' has no '{name}', which the trajectories need")
        index = torch.tensor(body.body_ids(self.bodies), device=state.joint_pos.device)
        heading = frames.yaw_quat(state.root_quat_w).unsqueeze(-2)
        pos = state.body_pos_w.index_select(-2, index) - state.root_pos_w.unsqueeze(-2)
        vel = state.body_lin_vel_w.index_select(-2, index) - state.root_lin_vel_w.unsqueeze(-2)
        return torch.cat(
            (
                state.root_pos_w,
                rot.to_6d(state.root_quat_w),
                state.root_lin_vel_w,
                state.root_ang_vel_w,
                rot.rotate_inverse(heading, pos).flatten(-2),
                rot.rotate_inverse(heading, vel).flatten(-2),
            ),
            dim=-1,
        )

    def localized(self, features: Tensor, frame: Frame) -> Tensor:
        """Return world features (B, T, S) as seen from ``frame``, leading axis B."""
        pos = features[..., POS] - self._origin(frame, features)
        turned = [_turn(part, -frame.yaw.unsqueeze(-1)) for part in self._root_vectors(features, pos)]
        return torch.cat((*turned, features[..., ROOT:]), dim=-1)

    def globalized(self, tokens: Tensor, frame: Frame) -> Tensor:
        """Return the world features (B, T, S) of tokens seen from ``frame``, leading axis B."""
        pos, *others = (
            _turn(part, frame.yaw.unsqueeze(-1)) for part in self._root_vectors(tokens, tokens[..., POS])
        )
        return torch.cat((pos + self._origin(frame, tokens), *others, tokens[..., ROOT:]), dim=-1)

    def decode(self, tokens: Tensor, frame: Frame) -> Trajectory:
        """Return what tokens (B, T, S) seen from ``frame`` mean in the world; differentiable."""
        features = self.globalized(tokens, frame)
        yaw = torch.atan2(features[..., 4], features[..., 3]).unsqueeze(-1)
        pos = _turn(features[..., self.body_pos].unflatten(-1, (-1, 3)), yaw)
        vel = _turn(features[..., self.body_vel].unflatten(-1, (-1, 3)), yaw)
        return Trajectory(
            frame,
            features[..., POS],
            features[..., ROT],
            features[..., VEL],
            features[..., ANG],
            pos + features[..., None, POS],
            vel + features[..., None, VEL],
            self.bodies,
            self.cfg.history,
            self.cfg.dt,
        )

    def mirrored(self, features: Tensor) -> Tensor:
        """Return the sagittal mirror image (y -> -y) of tokens or world features (..., S)."""
        twins = [self.bodies.index(twin_name(name, self.bodies)) for name in self.bodies]
        pos = features[..., self.body_pos].unflatten(-1, (-1, 3))[..., twins, :]
        vel = features[..., self.body_vel].unflatten(-1, (-1, 3))[..., twins, :]
        # of a reflected rotation M R M the first column is M (first), the second -M (second)
        columns = features[..., ROT].unflatten(-1, (2, 3))
        columns = reflect_vector(columns) * columns.new_tensor([[1.0], [-1.0]])
        return torch.cat(
            (
                reflect_vector(features[..., POS]),
                columns.flatten(-2),
                reflect_vector(features[..., VEL]),
                reflect_axial(features[..., ANG]),
                reflect_vector(pos).flatten(-2),
                reflect_vector(vel).flatten(-2),
            ),
            dim=-1,
        )

    def mask(self, bodies: Sequence[str]) -> Tensor:
        """Return which numbers (S,) of a state token belong to the root and the named bodies.

        Raises:
            InputError: a body that no token holds.
        """
        mask = torch.zeros(self.width, dtype=torch.bool)
        mask[:ROOT] = True
        for name in bodies:
            if name not in (self.root, *self.bodies):
                raise InputError(f"no such body in the trajectories: '{name}'{nearest(name, self.bodies)}")
            if name != self.root:
                row = self.bodies.index(name)
                for part in (self.body_pos, self.body_vel):
                    mask[part.start + 3 * row : part.start + 3 * row + 3] = True
        return mask

    def names(self) -> list[str]:
        """Return the name of every number of a state token, for files and messages."""
        root = [f"root_pos_{a}" for a in "xyz"] + [f"root_rot_{c}{a}" for c in "xy" for a in "xyz"]
        root += [f"root_lin_vel_{a}" for a in "xyz"] + [f"root_ang_vel_{a}" for a in "xyz"]
        kinds = ("pos", "lin_vel")
        return root + [f"{name}_{kind}_{a}" for kind in kinds for name in self.bodies for a in "xyz"]

    def _root_vectors(self, features: Tensor, pos: Tensor) -> tuple[Tensor, ...]:
        """Return the vectors that a turn of the frame turns."""
        columns = (features[..., 3:6], features[..., 6:9])
        return (pos, *columns, features[..., VEL], features[..., ANG])

    def _origin(self, frame: Frame, like: Tensor) -> Tensor:
        """Return the frame's place as (B, 1, 3) [m], on the floor."""
        return torch.cat((frame.pos_w, torch.zeros_like(frame.pos_w[..., :1])), dim=-1).unsqueeze(-2).to(like)


def _turn(vector: Tensor, yaw: Tensor) -> Tensor:
    """Rotate vectors (..., 3) about z by ``yaw (...,)`` [rad]."""
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = vector.unbind(-1)
    return torch.stack((cos * x - sin * y, sin * x + cos * y, z), dim=-1)
