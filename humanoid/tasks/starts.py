"""Where guided episodes start: in the middle of a walk of the motions that were learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState, cat
from humanoid.core.errors import InputError
from humanoid.motion.motion import Motion
from humanoid.spatial import frames
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import LOW_SHARE, TILT_RAD

PACE = (0.5, 1.6)
"""Speeds of the root that are a walk [m/s]."""
AHEAD_RAD = math.radians(45.0)
"""A walk goes where the root faces, up to this [rad]."""


@dataclass(frozen=True)
class Starts:
    """Starts of B episodes.

    Attributes:
        history: (B, N + 1) states, the last of which is the start, one frame of a plan apart.
        clip: (B,) index of each one's motion.
        time: (B,) [s] of the start in its motion.
    """

    history: BodyState
    clip: Tensor
    time: Tensor

    @property
    def state(self) -> BodyState:
        """The states (B) at the start."""
        return self.history[:, -1]

    def to(self, device: str | torch.device) -> Starts:
        """Return the starts on another device."""
        return Starts(self.history.to(device), self.clip.to(device), self.time.to(device))


def walking(motion: Motion, posture: Posture) -> Tensor:
    """Return at which frames (T,) a motion walks: upright, at a walk's speed, where the root faces."""
    states = motion.states
    velocity = turned(states.root_lin_vel_w[..., :2], -frames.yaw(states.root_quat_w))
    speed = velocity.norm(dim=-1)
    upright = posture.head_height(states) >= LOW_SHARE * posture.standing
    upright &= posture.tilt(states) <= TILT_RAD
    ahead = velocity[..., 0] >= math.cos(AHEAD_RAD) * speed
    return upright & ahead & (speed >= PACE[0]) & (speed <= PACE[1])


def draw_starts(
    motions: Sequence[Motion],
    body: Embodiment,
    past: Tensor,
    count: int,
    generator: torch.Generator,
    ahead: float = 0.0,
) -> Starts:
    """Draw walking frames evenly from motions of one body, on the CPU.

    Args:
        motions: to draw from.
        body: of all of them.
        past: (N + 1,) [s] times of the history relative to the start, ascending, the last 0.
        count: number B of starts.
        generator: on the CPU.
        ahead: time that a motion must go on after the start [s].

    Raises:
        InputError: no motion has such a frame.
    """
    posture = Posture(body)
    clips, times = [], []
    for index, motion in enumerate(motions):
        time = torch.arange(motion.num_frames) / motion.fps
        fits = (time >= -float(past[0])) & (time + ahead <= motion.duration + 1e-6)
        found = time[fits & walking(motion, posture)]
        times.append(found)
        clips.append(torch.full_like(found, index, dtype=torch.long))
    if not sum(map(len, times)):
        raise InputError(_nothing(motions, past, ahead))
    clip, time = torch.cat(clips), torch.cat(times)
    chosen = torch.randint(len(time), (count,), generator=generator)
    clip, time = clip[chosen], time[chosen]
    return Starts(states_at(motions, clip, time[:, None] + past), clip, time)


def few_starts(
    motions: Sequence[Motion], body: Embodiment, past: Tensor, count: int, seed: int = 0
) -> BodyState | None:
    """Return histories (count, N + 1) of walks, ending at the origin, facing x; None where nothing walks.

    Arguments as :func:`draw_starts`, ``seed`` of the draw.
    """
    try:
        history = draw_starts(motions, body, past, count, torch.Generator().manual_seed(seed), 1.0).history
    except InputError:
        return None
    last = history[:, -1]
    turn = rot.conjugate(frames.yaw_quat(last.root_quat_w))[:, None, None].expand_as(history.body_quat_w)
    place = last.root_pos_w * last.root_pos_w.new_tensor((1.0, 1.0, 0.0))
    return replace(
        history,
        body_pos_w=rot.rotate(turn, history.body_pos_w - place[:, None, None]),
        body_quat_w=rot.mul(turn, history.body_quat_w),
        body_lin_vel_w=rot.rotate(turn, history.body_lin_vel_w),
        body_ang_vel_w=rot.rotate(turn, history.body_ang_vel_w),
    )


def states_at(motions: Sequence[Motion], clip: Tensor, times: Tensor) -> BodyState:
    """Return states of several motions.

    Args:
        motions: C of them.
        clip: (B,) index of each row's motion.
        times: (B, ...) [s].

    Returns:
        States of the leading axes of ``times``.
    """
    order = clip.argsort(stable=True)
    parts = [motion.at(times[clip == index]) for index, motion in enumerate(motions)]
    return cat(parts)[order.argsort()]


def standing(body: Embodiment, frames: int, place: Tensor | None = None, yaw: float = 0.0) -> BodyState:
    """Return the default pose on the floor, at rest, (1, frames).

    Args:
        body: who stands.
        frames: how often.
        place: (2,) [m], world; the origin by default.
        yaw: [rad] of the root.
    """
    state = Kinematics(body).standing(place, yaw)
    return state.map(lambda part: part.expand(1, frames, *part.shape).clone())


def _nothing(motions: Sequence[Motion], past: Tensor, ahead: float) -> str:
    names = ", ".join(motion.name for motion in motions[:8]) or "none"
    more = f" and {len(motions) - 8} more" if len(motions) > 8 else ""
    after = f" and goes on for {ahead:g} s" if ahead else ""
    return (
        f"no motion walks ({PACE[0]:g}-{PACE[1]:g} m/s ahead, upright) after {-float(past[0]):g} s"
        f"{after}; looked at {names}{more}; name walking motions"
    )
