"""Motions with the takes they come from, for the pages and plots that show both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from humanoid import mocap
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import MismatchError
from humanoid.datasets.gather import Job
from humanoid.mocap import Clip
from humanoid.motion.motion import Motion
from humanoid.motion.robot import is_robot_file, load_motion
from humanoid.retarget.pipeline import RetargetCfg, retarget

Performed = tuple[Motion, Clip | None]
"""A motion, and its take at the motion's rate and length where that is at hand."""


def perform(job: Job, body: Embodiment, cfg: RetargetCfg | None = None) -> Performed:
    """Return the motion of one file: as it is, or of a capture what the body makes of it.

    Args:
        job: the file, and what its motion is called.
        body: the embodiment that performs.
        cfg: how clips become motions.

    Raises:
        InputError: the file is missing or malformed.
        MismatchError: a motion file was made for another body.
    """
    if is_robot_file(job.file):
        return replace(_motion(job.file, body), name=job.name), None
    clip = mocap.load(job.file)
    loop = clip.loop if job.loop is None else job.loop
    clip = replace(clip, name=job.name, loop=loop).retimed(job.speed)
    motion = retarget(clip, body, cfg)
    take = clip.resampled(motion.fps).unrolled(motion.duration)
    # frame by frame beside the motion, whatever the retargeter cut off or held
    rows = torch.arange(motion.num_frames).clamp(max=take.num_frames - 1)
    props = tuple(
        replace(p, **{key: getattr(p, key)[rows.clamp(max=len(p.pos_w) - 1)]
                      for key in ("pos_w", "quat_w", "touched")})
        for p in take.props
    )  # fmt: skip
    return motion, replace(
        take, root_pos_w=take.root_pos_w[rows], local_quat=take.local_quat[rows], props=props
    )


def _motion(path: Path, body: Embodiment) -> Motion:
    """Return the motion of a file, as it is if its columns have names."""
    try:
        return load_motion(path, body)
    except MismatchError as error:
        raise MismatchError(f"{path}: not a motion of '{body.name}': {error}; give --embodiment") from error
