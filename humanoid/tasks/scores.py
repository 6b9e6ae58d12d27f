"""Scores of guided episodes: pure functions of recorded states.

A body has fallen when its head is below 0.2 m (BeyondMimic, arXiv 2508.08241 v3, Table III).
It has *lost its stand*, which is stricter, when its head is below half its standing height
or its torso tilts by more than 60 degrees; a body on its knees has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.posture import FALLEN_M, Posture
from humanoid.bodies.state import BodyState
from humanoid.motion.metrics import body_distance, local_distance
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot

LOW_SHARE = 0.5
"""A head below this share of its standing height has lost its stand."""
TILT_RAD = math.radians(60.0)
"""So has a torso tilted by more than this [rad]."""
SLOWEST_MPS = 0.5
"""Least speed that a velocity's error is divided by [m/s]: a command to stand has none."""


@dataclass(frozen=True)
class EpisodeRecord:
    """Motion of B bodies over T control steps; the first instant is after the first step.

    Attributes:
        root_pos_w: (T, B, 3) [m].
        root_lin_vel_w: (T, B, 3) [m/s].
        yaw: (T, B) [rad] of the root.
        fallen: (T, B) bool, heads on the floor at that instant.
        lost: (T, B) bool, no longer standing at that instant.
        dt: time of a step [s].
    """

    root_pos_w: Tensor
    root_lin_vel_w: Tensor
    yaw: Tensor
    fallen: Tensor
    lost: Tensor
    dt: float

    @classmethod
    def of(cls, states: BodyState, posture: Posture, dt: float) -> EpisodeRecord:
        """Return the record of states, leading axes T and B.

        A state that is not finite has fallen.
        """
        head = posture.head_height(states)
        return cls(
            states.root_pos_w,
            states.root_lin_vel_w,
            frames.yaw(states.root_quat_w),
            ~(head >= FALLEN_M),
            ~((head >= LOW_SHARE * posture.standing) & (posture.tilt(states) <= TILT_RAD)),
            dt,
        )


def first_step(flags: Tensor) -> Tensor:
    """Return the first step (B,) at which flags (T, B) are raised; T where they never are."""
    never = torch.ones_like(flags[:1])
    return torch.cat((flags, never)).int().argmax(0)


def velocity_error(velocity: Tensor, command: Tensor) -> Tensor:
    """Return ``|v - command| / max(|command|, 0.5 m/s)`` (...); 1 where v is not a number.

    Args:
        velocity: (..., 2) [m/s], in the frame of the command.
        command: (..., 2) [m/s].
    """
    error = (velocity - command).norm(dim=-1) / command.norm(dim=-1).clamp_min(SLOWEST_MPS)
    return torch.where(error.isfinite(), error, torch.ones_like(error))


class Silhouette:
    """A body seen from above: its collision shapes as segments with radii.

    Segments join the surface points of equal radius of each body: the axis of a capsule, a
    sphere's centre, every edge and diagonal of a box. Meshes are their vertices.
    """

    _MOST = 8
    """Points of a body that are joined; more are a mesh, whose vertices lie close together."""

    def __init__(self, body: Embodiment, device: str | torch.device = "cpu") -> None:
        """Collect the segments of a body."""
        owner, points, radius = body.surface_points
        pairs: list[tuple[int, int]] = []
        for index in range(body.num_bodies):
            own = [i for i, of in enumerate(owner.tolist()) if of == index]
            joined = [(i, j) for i in own for j in own if i < j and math.isclose(radius[i], radius[j])]
            pairs += joined if len(own) <= self._MOST else []
            lonely = {i for i in own} - {i for pair in pairs for i in pair}
            pairs += [(i, i) for i in sorted(lonely)]
        first, second = (torch.tensor(column) for column in zip(*pairs, strict=True))
        place = torch.tensor(points, dtype=torch.float32)
        self._owner = torch.tensor(owner)[first].to(device)
        self._ends = torch.stack((place[first], place[second])).to(device)
        self._radius = torch.tensor(radius, dtype=torch.float32)[first].to(device)

    def clearance(self, state: BodyState, pillar_w: Tensor, radius: Tensor) -> Tensor:
        """Return the least gap (B,) [m] between bodies and upright pillars higher than they reach.

        Args:
            state: leading axis B.
            pillar_w: (B, M, 2) [m], world.
            radius: (B, M) [m].
        """
        quat, pos = state.body_quat_w[:, self._owner], state.body_pos_w[:, self._owner]
        start, end = ((pos + rot.rotate(quat, ends.expand_as(pos)))[..., :2] for ends in self._ends)
        along = (end - start).unsqueeze(-2)
        toward = pillar_w.unsqueeze(1) - start.unsqueeze(-2)
        length = along.square().sum(-1).clamp_min(1e-12)
        share = ((toward * along).sum(-1) / length).clamp(0.0, 1.0)
        gap = (toward - share.unsqueeze(-1) * along).norm(dim=-1)
        return (gap - self._radius[:, None] - radius.unsqueeze(1)).flatten(1).amin(-1)


def keyframe_errors(pos_w: Tensor, pos_w_ref: Tensor, counted: Tensor) -> dict[str, float | None]:
    """Return mean distances from keyframes [mm]: in the world, and with both roots at the origin.

    Args:
        pos_w: (Q, B, N, 3) [m] of the bodies at each keyframe's time.
        pos_w_ref: (Q, B, N, 3) [m] of the keyframes.
        counted: (Q, B) bool, which to take into account.
    """
    return {
        "mpjpe_g_mm": mean_mm(body_distance(pos_w, pos_w_ref), counted),
        "mpjpe_l_mm": mean_mm(local_distance(pos_w, pos_w_ref), counted),
    }


def mean_mm(distance: Tensor, counted: Tensor) -> float | None:
    """Return the mean of those distances [m] that count, in [mm]; None of none."""
    counted = counted & distance.isfinite()
    total = torch.where(counted, distance, torch.zeros_like(distance)).sum()
    number = int(counted.sum())
    return 1000.0 * float(total) / number if number else None


def share(flags: Tensor) -> float:
    """Return the share of flags that are raised."""
    return round(float(flags.double().mean()), 6)


def rounded_mean(values: Tensor, digits: int = 4) -> float | None:
    """Return the mean of the finite ones of ``values``; None of none."""
    good = values[values.isfinite()]
    return round(float(good.double().mean()), digits) if good.numel() else None
