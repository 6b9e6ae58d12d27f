"""Unitree G1 with 29 joints, with BeyondMimic's actuation (arXiv 2508.08241, section S1).

The MJCF is the user's (``humanoid motions fetch g1`` gets one); armature, gains, torque
limits, default pose and the compared bodies are the published ones.
"""

from __future__ import annotations

import math
from functools import partial

from humanoid.bodies.embodiment import Landmark, Motor
from humanoid.bodies.robot import Robot, build_robot, sides, two_sided
from humanoid.bodies.robot_files import RobotFiles


def _armature(rotor: tuple[float, float, float], gears: tuple[float, float]) -> float:
    """Return the inertia [kg m^2] of a two-stage planetary gear as its output feels it (Table S3)."""
    first, second = gears
    return rotor[0] * (first * second) ** 2 + rotor[1] * second**2 + rotor[2]


_5020 = _armature((0.139e-4, 0.017e-4, 0.169e-4), (1 + 46 / 18, 1 + 56 / 16))
_7520_14 = _armature((0.489e-4, 0.098e-4, 0.533e-4), (4.5, 1 + 48 / 22))
_7520_22 = _armature((0.489e-4, 0.109e-4, 0.738e-4), (4.5, 5.0))
_4010 = _armature((0.068e-4, 0.0, 0.0), (5.0, 5.0))

_LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
_WAIST = ("waist_yaw_joint", "waist_roll_joint", "waist_pitch_joint")
_ARM = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw")


def _pair(parts: tuple[str, ...]) -> tuple[str, ...]:
    return sides(*(f"*_{part}_joint" for part in parts))


JOINTS = (*_pair(_LEG), *_WAIST, *_pair(_ARM))
"""The 29 joints in Unitree's order, that of its MJCF and of files without names."""
JOINTS_23 = (*_pair(_LEG), _WAIST[0], *_pair(_ARM[:5]))
"""Joints of Unitree's 23-joint G1: a waist that only yaws, wrists that only roll."""
JOINTS_23_WAIST = (*_pair(_LEG), *_WAIST, *_pair(_ARM[:4]))
"""Joints of ASAP's 23-joint G1, the 29-joint one with its wrists locked (arXiv 2502.01143)."""

_FEET, _HANDS = sides("*_ankle_roll_link"), sides("*_wrist_yaw_link")
G1 = Robot(
    name="g1",
    root="pelvis",
    joints=JOINTS,
    motors={
        ("hip_pitch", "hip_yaw", "waist_yaw"): Motor.tuned(_7520_14, 88.0),
        ("hip_roll", "knee"): Motor.tuned(_7520_22, 139.0),
        # two motors act through linkages
        ("ankle_pitch", "ankle_roll", "waist_roll", "waist_pitch"): Motor.tuned(2 * _5020, 2 * 25.0),
        ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll"): Motor.tuned(_5020, 25.0),
        ("wrist_pitch", "wrist_yaw"): Motor.tuned(_4010, 5.0),
    },
    # BeyondMimic's default pose, knees bent
    standing={
        **dict.fromkeys(sides("*_hip_pitch_joint"), -0.312),
        **dict.fromkeys(sides("*_knee_joint"), 0.669),
        **dict.fromkeys(sides("*_ankle_pitch_joint"), -0.363),
        **dict.fromkeys(sides("*_elbow_joint"), 0.6),
        **dict.fromkeys(sides("*_shoulder_pitch_joint"), 0.2),
        "left_shoulder_roll_joint": 0.2,
        "right_shoulder_roll_joint": -0.2,
    },
    # the forearm, which points forward at zero, lines up with the upper arm
    t_pose={
        "left_shoulder_roll_joint": math.pi / 2,
        "right_shoulder_roll_joint": -math.pi / 2,
        **dict.fromkeys(sides("*_elbow_joint"), math.pi / 2),
    },
    anchor="torso_link",
    # BeyondMimic's 14 bodies
    tracked=(
        "pelvis",
        *sides("*_hip_roll_link", "*_knee_link", "*_ankle_roll_link"),
        "torso_link",
        *sides("*_shoulder_roll_link", "*_elbow_link", "*_wrist_yaw_link"),
    ),
    end_effectors=(*_FEET, *_HANDS),
    feet=_FEET,
    # offsets [m] for revision 1.0 of the MJCF
    landmarks=two_sided(
        {
            # the middle of the hips, as on people: the pelvis link's origin is at the waist
            "Pelvis": Landmark(body="pelvis", offset=(0.0, 0.0, -0.1027)),
            # where the axes of roll and yaw meet, 4 cm from that of pitch; carried by the thigh
            "L_Hip": Landmark(body="left_hip_yaw_link", offset=(0.0, 0.0, 0.1241)),
            "L_Knee": Landmark(body="left_knee_link"),
            "L_Ankle": Landmark(body="left_ankle_roll_link"),
            # the ball of the foot, 1.5 cm over the sole
            "L_Toe": Landmark(body="left_ankle_roll_link", offset=(0.09, 0.0, -0.02)),
            "Torso": Landmark(body="torso_link"),
            "Chest": Landmark(body="torso_link", offset=(0.0, 0.0, 0.12)),
            "Neck": Landmark(body="torso_link", offset=(0.0, 0.0, 0.26)),
            "Head": Landmark(body="torso_link", offset=(0.0, 0.0, 0.38)),
            # on the yaw axis, 6 mm from that of roll; carried by the upper arm
            "L_Shoulder": Landmark(body="left_shoulder_yaw_link", offset=(0.0, 0.0, 0.1032)),
            "L_Elbow": Landmark(body="left_elbow_link"),
            "L_Wrist": Landmark(body="left_wrist_yaw_link"),
            "L_Hand": Landmark(body="left_wrist_yaw_link", offset=(0.08, 0.0, 0.0)),
        }
    ),
    files=RobotFiles(
        places=("unitree_g1/xmls/g1.xml", "unitree_g1/g1.xml", "g1_29dof_rev_1_0.xml", "g1_29dof.xml"),
        packages={"mjlab": "asset_zoo/robots"},
        remedy="run 'humanoid motions fetch g1'",
    ),
)
"""Unitree G1, 29 joints."""

build = partial(build_robot, G1)
"""Builds the G1 from the path of its MJCF or of a folder that holds it; looked for if None."""
