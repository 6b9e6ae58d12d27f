"""Motions that were made for a robot: one entry point for CSV, npz and pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.core.io import LoadCfg, npz_names
from humanoid.motion import robot_csv, robot_npz, robot_pickle
from humanoid.motion.motion import Motion
from humanoid.motion.robot_take import RATE, RobotTake, checked, to_motion

FORMATS: dict[str, Callable[[Path, Embodiment, LoadCfg], RobotTake]] = {
    ".csv": robot_csv.read,
    ".npz": robot_npz.read,
    ".pkl": robot_pickle.read,
    ".pickle": robot_pickle.read,
    ".joblib": robot_pickle.read,
}
"""File ending, lower case with the dot -> reader; npz is also an ending of captures."""


def is_robot_file(path: str | Path) -> bool:
    """Return whether a file is a robot's motion by its ending and, for npz, its arrays."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending != ".npz":
        return ending in FORMATS
    try:
        return robot_npz.REQUIRED.issubset(npz_names(path))
    except InputError:
        return False


def load_robot(
    path: str | Path, body: Embodiment, cfg: LoadCfg | None = None, rate: float | None = None
) -> Motion:
    """Read a motion that was made for a body.

    Columns are matched by name; body poses and velocities are computed by the body's
    kinematics. A motion that this package saved for the same body comes back as it was, contact
    labels included.

    Args:
        path: CSV, npz with BeyondMimic's keys, or pickle.
        body: the body it was made for.
        cfg: properties that the file does not state.
        rate: [1/s] of the motion; None keeps that of a saved one and is the control rate for others.

    Raises:
        InputError: unknown ending, damaged, of another robot, or something has to be declared.
        MismatchError: a saved motion was made for another body.
    """
    path, cfg = Path(path), cfg or LoadCfg()
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown robot format '{path.suffix}'; allowed: {', '.join(FORMATS)}")
    if path.suffix.lower() == ".npz" and "contact_names" in npz_names(path):
        motion = Motion.load(path)
        joints, bodies = set(motion.joint_names), set(motion.body_names)
        whole = joints.issuperset(body.joint_names) and bodies.issuperset(body.body_names)
        if rate is None or (whole and motion.fps == rate):
            return motion.for_body(body)
    return to_motion(path, checked(path, reader(path, body, cfg), body), body, rate or RATE)
