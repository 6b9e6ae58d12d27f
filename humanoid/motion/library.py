"""All motions packed on one device: O(1) look-up of any (clip, time) for a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError, MismatchError
from humanoid.motion.motion import Motion, interpolate

_FPS_TOLERANCE = 1e-3


class MotionLibrary:
    """Frames of all clips in one table; a row holds everything of one frame.

    Attributes:
        names: C clip names.
        fps: common rate.
        start: (C,) row of each clip's first frame.
        length: (C,) number of frames of each clip.
        clip: (F,) clip of each row.
        weight: (C,) how often a clip is drawn for each of its seconds.
    """

    def __init__(
        self,
        motions: Sequence[Motion],
        body: Embodiment,
        device: str | torch.device = "cpu",
        weights: Sequence[float] | None = None,
    ) -> None:
        """Pack motions in the order of the body's joints and bodies.

        Raises:
            InputError: no motion at all, or weights that do not fit them.
            MismatchError: rates differ, or a motion lacks a joint or body.
        """
        if not motions:
            raise InputError("a motion library needs at least one motion")
        self.body, self.device = body, torch.device(device)
        self.names = tuple(motion.name for motion in motions)
        for name in self.names:
            if self.names.count(name) > 1:
                raise InputError(f"two motions are called '{name}'; each needs a name of its own")
        self.fps = motions[0].fps
        for motion in motions:
            if abs(motion.fps - self.fps) > _FPS_TOLERANCE:
                raise MismatchError(
                    f"motion '{motion.name}' has {motion.fps:g} fps, '{motions[0].name}' has {self.fps:g}"
                )
        weights = [1.0] * len(motions) if weights is None else weights
        if len(weights) != len(motions):
            raise InputError(f"{len(weights)} weights for {len(motions)} motions; one each is needed")
        if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
            raise InputError(f"weights {list(weights)} must be >= 0 and finite, not all zero")
        motions = [motion.for_body(body) for motion in motions]
        lengths = torch.tensor([motion.num_frames for motion in motions])
        self.length = lengths.to(device)
        self.start = (lengths.cumsum(0) - lengths).to(device)
        self.clip = torch.repeat_interleave(torch.arange(len(motions)), lengths).to(device)
        self.weight = torch.tensor(weights, dtype=torch.float32, device=device)
        self._table = torch.cat([_rows(motion.states) for motion in motions]).to(device)

    @property
    def num_clips(self) -> int:
        """Number C of clips."""
        return len(self.names)

    @property
    def num_frames(self) -> int:
        """Number F of frames of all clips."""
        return self._table.shape[0]

    def rows(self, index: Tensor) -> BodyState:
        """Return the states of table rows ``index (...,)``."""
        # index_select copies whole rows: on the CPU several times faster than table[index]
        row = self._table.index_select(0, index.flatten())
        return self._split(row.reshape(*index.shape, -1))

    def at(self, clip: Tensor, time: Tensor) -> BodyState:
        """Return the states of ``clip (...,)`` at ``time (...,)`` [s], clamped to the clip."""
        last = self.length[clip] - 1
        phase = torch.minimum((time * self.fps).clamp_min(0), last.to(time.dtype))
        low = torch.minimum(phase.floor().long(), (last - 1).clamp_min(0))
        high = torch.minimum(low + 1, last)
        first = self.start[clip]
        return interpolate(self.rows(first + low), self.rows(first + high), phase - low)

    def _split(self, row: Tensor) -> BodyState:
        joints, bodies = self.body.num_joints, self.body.num_bodies
        parts = row.split((joints, joints, 3 * bodies, 4 * bodies, 3 * bodies, 3 * bodies), dim=-1)
        shapes = ((bodies, 3), (bodies, 4), (bodies, 3), (bodies, 3))
        shaped = (part.unflatten(-1, shape) for part, shape in zip(parts[2:], shapes, strict=True))
        return BodyState(parts[0], parts[1], *shaped)


def _rows(s: BodyState) -> Tensor:
    parts = (s.body_pos_w, s.body_quat_w, s.body_lin_vel_w, s.body_ang_vel_w)
    return torch.cat((s.joint_pos, s.joint_vel, *(part.flatten(1) for part in parts)), dim=-1)
