"""Taking out of a take what is no motion: the pose of calibration at its start."""

from __future__ import annotations

from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

LEAP = 0.05
"""[rad] Mean turn of all joints between two frames that may be a leap."""
OUTLIER = 10.0
"""A leap is this many times the largest of the next steps."""
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
