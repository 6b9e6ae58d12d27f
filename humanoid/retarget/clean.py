"""Taking out of a take what is no motion: the pose of calibration at its start, frames written twice."""

from __future__ import annotations

from dataclasses import replace

import torch

from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

LEAP = 0.05
"""[rad] Mean turn of all joints between two frames that may be a leap."""
OUTLIER = 10.0
"""A leap is this many times the largest of the next steps."""
REGULAR = 0.9
"""Share of the steps between new frames that must be equally long, for the others to be echoes."""
_NEXT = 10
_FEWEST = 12


def without_calibration(clip: Clip) -> tuple[Clip, int]:
    """Return a take without a first frame that the second does not continue, and how many frames went.

    Many conversions of the CMU database begin with one frame in the T-pose.
    """
    if clip.num_frames < _FEWEST:
        return clip, 0
    quat = clip.local_quat[: _NEXT + 2]
    steps = rot.angle_between(quat[1:], quat[:-1]).mean(-1)
    if float(steps[0]) > max(LEAP, OUTLIER * float(steps[1:].max())):
        return clip.window(1, clip.num_frames), 1
    return clip, 0


def without_echoes(clip: Clip) -> tuple[Clip, int]:
    """Return a take in which no frame is written k times, at a k-th of its rate, and k.

    Files whose rate was raised by repeating frames (AMP's poselib takes hold 30 frames a second as
    60) move like a staircase: still, then twice as fast. Captured noise never repeats a
    frame exactly, so equal neighbours in a regular pattern are echoes. An irregular one is left.
    """
    if clip.num_frames < _FEWEST:
        return clip, 1
    same = (clip.root_pos_w[1:] == clip.root_pos_w[:-1]).all(-1)
    same &= (clip.local_quat[1:] == clip.local_quat[:-1]).all(-1).all(-1)
    new = torch.cat((torch.tensor([0]), 1 + (~same).nonzero()[:, 0]))
    gaps = new.diff()
    if not len(gaps):
        return clip, 1
    times = int(gaps.mode().values)
    if times < 2 or float((gaps == times).float().mean()) < REGULAR:
        return clip, 1
    # whole blocks: the first one may be shorter than the others
    first = int(new[:-1][gaps == times][0]) % times
    keep = slice(first, clip.num_frames, times)
    props = tuple(
        replace(prop, pos_w=prop.pos_w[keep], quat_w=prop.quat_w[keep], touched=prop.touched[keep])
        for prop in clip.props
    )
    kept = replace(
        clip,
        fps=clip.fps / times,
        root_pos_w=clip.root_pos_w[keep],
        local_quat=clip.local_quat[keep],
        props=props,
    )
    return kept, times
