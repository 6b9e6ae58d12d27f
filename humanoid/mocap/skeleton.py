"""A captured skeleton in motion, the result of every loader."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.props import PropTrack
from humanoid.core.errors import InputError
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import yaw, yaw_quat

SEAM_FRAMES = 8
"""Frames before the end of a loop over which its mismatch with the start is faded in."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One take of one skeleton, z up, x forward at zero rotation, in metres.

    Attributes:
        name: clip name.
        fps: frames per second.
        joint_names: J names; joint 0 is the root.
        parents: J parent indices, -1 for the root, parents before children.
        offsets: (J, 3) [m] of each joint in its parent's frame, zero pose.
        root_pos_w: (T, 3) [m], world.
        local_quat: (T, J, 4) rotation of each joint in its parent's frame; root in world.
        loop: whether the last frame continues in the first.
        source: where the clip comes from.
        licence: terms of that source.
        props: things that were captured with the person.
    """

    name: str
    fps: float
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Tensor
    root_pos_w: Tensor
    local_quat: Tensor
    loop: bool = False
    source: str = ""
    licence: str = ""
    props: tuple[PropTrack, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number T of frames."""
        return self.root_pos_w.shape[0]

    @property
    def duration(self) -> float:
        """Time [s] from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    def joint_id(self, name: str) -> int:
        """Return the index of a joint by name.

        Raises:
            InputError: the skeleton has no such joint.
        """
        if name not in self.joint_names:
            allowed = ", ".join(self.joint_names)
            raise InputError(f"clip '{self.name}' has no joint '{name}'; it has: {allowed}")
        return self.joint_names.index(name)

    def global_poses(self) -> tuple[Tensor, Tensor]:
        """Return joint positions (T, J, 3) [m] and rotations (T, J, 4), world."""
        pos, quat = [self.root_pos_w], [self.local_quat[:, 0]]
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                continue
            pos.append(pos[parent] + rot.rotate(quat[parent], self.offsets[joint]))
            quat.append(rot.mul(quat[parent], self.local_quat[:, joint]))
        return torch.stack(pos, 1), torch.stack(quat, 1)

    def sample(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Interpolate the take at ``times (S,)`` [s], clamped to its ends.

        Returns:
            Root positions (S, 3) [m] by straight lines and rotations (S, J, 4) by slerp.
        """
        phase = (times * self.fps).clamp(0, self.num_frames - 1)
        low = phase.floor().long().clamp(max=max(self.num_frames - 2, 0))
        high = (low + 1).clamp(max=self.num_frames - 1)
        blend = (phase - low).to(self.root_pos_w.dtype)
        pos = torch.lerp(self.root_pos_w[low], self.root_pos_w[high], blend[:, None])
        joints = self.local_quat.shape[1]
        quat = rot.slerp(self.local_quat[low], self.local_quat[high], blend[:, None].expand(-1, joints))
        return pos, rot.normalize(quat)

    def resampled(self, fps: float) -> Clip:
        """Return the take at another rate, covering the same time."""
        count = int(self.duration * fps + 1e-6) + 1
        times = torch.arange(count, dtype=self.root_pos_w.dtype) / fps
        pos, quat = self.sample(times)
        props = tuple(prop.sample(times * self.fps) for prop in self.props)
        return replace(self, fps=fps, root_pos_w=pos, local_quat=quat, props=props)

    def retimed(self, speed: float) -> Clip:
        """Return the take ``speed`` times as fast: for one whose file gives a wrong rate."""
        if speed == 1.0:
            return self
        return replace(self, fps=self.fps * speed, source=f"{self.source}, {speed:g} times as fast")

    def window(self, start: int, stop: int) -> Clip:
        """Return frames ``start`` to ``stop`` (not included)."""
        frames = slice(start, stop)
        props = tuple(prop[start:stop] for prop in self.props)
        return replace(
            self, root_pos_w=self.root_pos_w[frames], local_quat=self.local_quat[frames], props=props
        )

    def unrolled(self, seconds: float) -> Clip:
        """Repeat a looping take until it lasts ``seconds``, carrying its displacement.

        Each cycle starts where the last ended: planar position and heading accumulate.
        The remaining difference at the seam (pose, height, tilt) is faded in before it.
        A take that does not loop is returned as it is.
        """
        if not self.loop or self.num_frames < 3:
            return self
        seam = self._closed()
        start, end = seam.local_quat[0, 0], seam.local_quat[-1, 0]
        turn = yaw(rot.mul(end, rot.conjugate(start)))
        cycle = seam.num_frames - 1
        cycles = max(1, -int(-seconds * self.fps // cycle))
        pos, quat = [], []
        heading, origin = torch.zeros(()), seam.root_pos_w[0] * torch.tensor((1.0, 1.0, 0.0))
        first = origin.clone()
        for index in range(cycles):
            frames = slice(0, cycle + 1 if index == cycles - 1 else cycle)
            spin = rot.exp(torch.stack((torch.zeros(()), torch.zeros(()), heading)))
            pos.append(origin + rot.rotate(spin, seam.root_pos_w[frames] - first))
            turned = seam.local_quat[frames].clone()
            turned[:, 0] = rot.mul(spin.expand_as(turned[:, 0]), turned[:, 0])
            quat.append(turned)
            step = (seam.root_pos_w[-1] - seam.root_pos_w[0]) * torch.tensor((1.0, 1.0, 0.0))
            origin = origin + rot.rotate(spin, step)
            heading = heading + turn
        return replace(self, root_pos_w=torch.cat(pos), local_quat=torch.cat(quat))

    def _closed(self) -> Clip:
        """Return the take with its last frames bent so that the end meets the start."""
        count = min(SEAM_FRAMES, self.num_frames - 1)
        ramp = torch.linspace(0, 1, count + 1)[1:]
        weight = ramp * ramp * (3 - 2 * ramp)
        goal = self.local_quat[0].clone()
        spin = yaw_quat(rot.mul(self.local_quat[-1, 0], rot.conjugate(goal[0])))
        goal[0] = rot.mul(spin, goal[0])  # heading may change over a cycle, tilt may not
        miss = rot.log(rot.mul(rot.conjugate(self.local_quat[-1]), goal))
        quat = self.local_quat.clone()
        quat[-count:] = rot.mul(quat[-count:], rot.exp(weight[:, None, None] * miss))
        pos = self.root_pos_w.clone()
        pos[-count:, 2] += weight * (pos[0, 2] - pos[-1, 2])
        return replace(self, root_pos_w=pos, local_quat=rot.normalize(quat))
