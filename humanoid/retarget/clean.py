"""Cleaning of captured takes: calibration pose at the start, repeated frames."""

from __future__ import annotations

from dataclasses import replace

import torch

from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

LEAP = 0.05
"""[rad] Least mean rotation of all joints between two frames of a discontinuity."""
OUTLIER = 10.0
"""Least ratio of a discontinuity to the largest of the next steps."""
REGULAR = 0.9
"""Least share of equal distances between new frames, for the others to count as repeated."""
_NEXT = 10
_FEWEST = 12


def without_calibration(clip: Clip) -> tuple[Clip, int]:
    """Return a take without a calibration pose as its first frame, and the number of frames removed.

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
    """Return a take whose frames were written k times at a k-th of its rate, and k.

    Some files raise their rate by repeating frames (AMP's poselib takes hold 30 frames a second as 60).
    Captured noise never repeats a frame exactly; equal neighbours count if their pattern is regular.
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
    root, local, props = clip.root_pos_w[keep], clip.local_quat[keep], tuple(p[keep] for p in clip.props)
    return replace(clip, fps=clip.fps / times, root_pos_w=root, local_quat=local, props=props), times
