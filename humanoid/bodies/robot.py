"""A robot as an embodiment: the maker's MJCF and a table of constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from humanoid.bodies.embodiment import Embodiment, Landmark, Motor
from humanoid.bodies.robot_files import RobotFiles, find_mjcf
from humanoid.bodies.robot_mjcf import read_robot


@dataclass(frozen=True, kw_only=True)
class Robot:
    """Constants of a robot that its MJCF lacks.

    Attributes:
        name: short name, e.g. ``g1``.
        root: root body.
        joints: its hinges in the maker's order, that of positional files.
        motors: joints, without side and ``_joint``, -> their motor.
        standing: joint -> angle [rad] of the default pose, zero where absent.
        t_pose: joint -> angle [rad] of the T-pose, zero where absent.
        anchor, tracked, end_effectors, feet, landmarks: as in :class:`Embodiment`.
        files: where its MJCF may lie.
    """

    name: str
    root: str
    joints: tuple[str, ...]
    motors: Mapping[tuple[str, ...], Motor]
    standing: Mapping[str, float]
    t_pose: Mapping[str, float]
    anchor: str
    tracked: tuple[str, ...]
    end_effectors: tuple[str, ...]
    feet: tuple[str, ...]
    landmarks: Mapping[str, Landmark]
    files: RobotFiles


def sides(*names: str) -> tuple[str, ...]:
    """Return names with ``*`` replaced by left and right: all left ones first."""
    return tuple(name.replace("*", side) for side in ("left", "right") for name in names)


def two_sided(points: Mapping[str, Landmark]) -> dict[str, Landmark]:
    """Return landmarks completed by right twins: ``L_`` and ``left_`` turn right, y flips."""
    twins = {
        name.replace("L_", "R_"): Landmark(
            body=point.body.replace("left_", "right_"),
            offset=(point.offset[0], -point.offset[1], point.offset[2]),
        )
        for name, point in points.items()
        if name.startswith("L_")
    }
    return {**points, **twins}


def build_robot(robot: Robot, path: str | Path | None = None) -> Embodiment:
    """Build the embodiment of a robot.

    Joints and bodies are in the order of the MJCF; armature, gains and torque limits are those of
    the table.

    Args:
        robot: the table.
        path: its MJCF or a folder that holds it; looked for if None.

    Raises:
        InputError: no MJCF found, unreadable, or of another robot.
    """
    found = find_mjcf(robot.name, robot.files, path)
    spec = read_robot(found, robot.name, robot.root, robot.joints, robot.feet)
    model = spec.compile()
    motors = {kind: motor for kinds, motor in robot.motors.items() for kind in kinds}
    for index in range(1, model.njnt):  # joint 0 is the root's
        joint = model.joint(index).name
        kind = joint.removeprefix("left_").removeprefix("right_").removesuffix("_joint")
        motors[kind].attach(spec, joint)
    spec.compile()
    return Embodiment.from_mjcf(
        spec.to_xml(),
        name=robot.name,
        anchor=robot.anchor,
        tracked=robot.tracked,
        end_effectors=robot.end_effectors,
        feet=robot.feet,
        default_joint_pos=robot.standing,
        landmarks=robot.landmarks,
        t_pose=robot.t_pose,
    )
