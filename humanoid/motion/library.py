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
_WIDTHS = [3, 4, 3, 3]
"""Numbers of a body's position, rotation, velocity and angular velocity."""
_BODY = sum(_WIDTHS)


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
        self._anchor = body.body_id(body.anchor)
        self._table = torch.cat([self._packed(motion.states) for motion in motions]).to(device)

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
        joints, bodies = self.body.num_joints, self.body.num_bodies
        row = self._gather(index, self._table.shape[1])
        pos_vel = row[..., : 2 * joints].split(joints, dim=-1)
        parts = row[..., 2 * joints + 2 * _BODY :].split([width * bodies for width in _WIDTHS], dim=-1)
        shaped = (part.unflatten(-1, (bodies, width)) for part, width in zip(parts, _WIDTHS, strict=True))
        return BodyState(*pos_vel, *shaped)

    def anchors(self, index: Tensor) -> BodyState:
        """Return joints and, as its only body, the anchor of table rows ``index (...,)``.

        A fraction of a row is read and written: many frames ahead cost little.
        """
        joints = self.body.num_joints
        return self._one_body(self._gather(index, 2 * joints + _BODY), 2 * joints)

    def roots(self, index: Tensor) -> BodyState:
        """Return joints and, as its only body, the root of table rows ``index (...,)``."""
        joints = self.body.num_joints
        return self._one_body(self._gather(index, 2 * joints + 2 * _BODY), 2 * joints + _BODY)

    def at(self, clip: Tensor, time: Tensor) -> BodyState:
        """Return the states of ``clip (...,)`` at ``time (...,)`` [s], clamped to the clip."""
        last = self.length[clip] - 1
        phase = torch.minimum((time * self.fps).clamp_min(0), last.to(time.dtype))
        low = torch.minimum(phase.floor().long(), (last - 1).clamp_min(0))
        high = torch.minimum(low + 1, last)
        first = self.start[clip]
        return interpolate(self.rows(first + low), self.rows(first + high), phase - low)

    def _gather(self, index: Tensor, columns: int) -> Tensor:
        # index_select copies whole rows: on the CPU several times faster than table[index]
        rows = self._table[:, :columns].index_select(0, index.flatten())
        return rows.reshape(*index.shape, columns)

    def _one_body(self, row: Tensor, at: int) -> BodyState:
        joints = self.body.num_joints
        parts = row[..., at : at + _BODY].unsqueeze(-2).split(_WIDTHS, dim=-1)
        return BodyState(row[..., :joints], row[..., joints : 2 * joints], *parts)

    def _packed(self, s: BodyState) -> Tensor:
        """Return (T, W): joints, anchor, root, all bodies; what is read most often comes first."""
        tensors = (s.body_pos_w, s.body_quat_w, s.body_lin_vel_w, s.body_ang_vel_w)
        one = (tensor[:, body] for body in (self._anchor, 0) for tensor in tensors)
        return torch.cat((s.joint_pos, s.joint_vel, *one, *(tensor.flatten(1) for tensor in tensors)), dim=-1)
