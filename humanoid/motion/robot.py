"""Motions that somebody made for a robot: one entry point for CSV, npz and pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import InputError
from humanoid.core.io import npz_names
from humanoid.motion import robot_csv, robot_npz, robot_pickle
from humanoid.motion.motion import Motion
from humanoid.motion.robot_take import RobotCfg, Take, checked, to_motion

__all__ = ["ENDINGS", "RobotCfg", "is_robot_file", "load_motion", "load_robot"]

_READERS: dict[str, Callable[[Path, Embodiment, RobotCfg], Take]] = {
    ".csv": robot_csv.read,
    ".npz": robot_npz.read,
    ".pkl": robot_pickle.read,
    ".pickle": robot_pickle.read,
    ".joblib": robot_pickle.read,
}
ENDINGS = tuple(_READERS)
"""File endings, lower case with the dot; npz is also an ending of captures."""


def is_robot_file(path: str | Path) -> bool:
    """Return whether a file is a robot's motion by its ending and, for npz, its arrays."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending != ".npz":
        return ending in ENDINGS
    try:
        return robot_npz.MARKS.issubset(npz_names(path))
    except InputError:
        return False


def load_motion(path: str | Path, body: Embodiment, cfg: RobotCfg | None = None) -> Motion:
    """Read a motion of a body: as it is if its columns have names, else as :func:`load_robot` does.

    Raises:
        InputError: damaged, of another robot, or something has to be declared.
        MismatchError: the motion was made for another body.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz" and {"joint_names", "body_names"}.issubset(npz_names(path)):
        return Motion.load(path).for_body(body)
    return load_robot(path, body, cfg)


def load_robot(path: str | Path, body: Embodiment, cfg: RobotCfg | None = None) -> Motion:
    """Read a motion that was made for a robot.

    Columns are matched by name, body poses and velocities computed by the robot's own
    kinematics. A motion that this package saved for the same body at the wanted rate comes
    back as it was, contact labels included.

    Args:
        path: CSV, npz with BeyondMimic's keys, or pickle.
        body: the robot it was made for.
        cfg: rate, and what the file does not say about itself.

    Raises:
        InputError: unknown ending, damaged, of another robot, or something has to be declared.
    """
    path, cfg = Path(path), cfg or RobotCfg()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown robot format '{path.suffix}'; allowed: {', '.join(ENDINGS)}")
    ours = _saved(path, body, cfg)
    if ours is not None:
        return ours
    return to_motion(path, checked(path, reader(path, body, cfg), body), body, cfg)


def _saved(path: Path, body: Embodiment, cfg: RobotCfg) -> Motion | None:
    """Return a motion of this package if the file is one and needs no conversion."""
    if path.suffix.lower() != ".npz" or "contact_names" not in npz_names(path):
        return None
    motion = Motion.load(path)
    whole = set(body.joint_names) <= set(motion.joint_names) and set(body.body_names) <= set(
        motion.body_names
    )
    return motion.for_body(body) if whole and motion.fps == cfg.fps else None
