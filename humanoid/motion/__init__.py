"""Trajectories of one embodiment: files, editing, a library on one device, sampling, segmentation."""

from humanoid.motion.edit import align, concatenate, cut, heading, mirror, moved, played, retimed, split
from humanoid.motion.library import MotionLibrary
from humanoid.motion.metrics import body_distance, local_distance, run_metrics
from humanoid.motion.motion import Motion
from humanoid.motion.robot import FORMATS, is_robot_file, load_robot
from humanoid.motion.sampler import AdaptiveSampler, SamplerCfg
from humanoid.motion.segment import Segmentation, SegmentCfg, speed_boundaries

__all__ = [
    "FORMATS", "AdaptiveSampler", "Motion", "MotionLibrary", "SamplerCfg", "SegmentCfg", "Segmentation",
    "align", "body_distance", "concatenate", "cut", "heading", "is_robot_file", "load_robot",
    "local_distance", "mirror", "moved", "played", "retimed", "run_metrics", "speed_boundaries", "split",
]  # fmt: skip
