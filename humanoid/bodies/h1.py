"""Unitree H1 with 19 joints, with the gains of Isaac Lab's H1 and the torque limits of its MJCF.

Nothing like BeyondMimic's table is published for this robot. Servo gains and the standing
pose are those of Isaac Lab (``isaaclab_assets``), torque limits and armature those of the
MuJoCo Menagerie's model.
"""

from __future__ import annotations

import math
from functools import partial

from humanoid.bodies.embodiment import Landmark, Motor
from humanoid.bodies.robot import Robot, build_robot, sides, two_sided
from humanoid.bodies.robot_files import RobotFiles

ARMATURE = 0.1
"""[kg m^2] of every joint."""

JOINTS = (
    *sides("*_hip_yaw", "*_hip_roll", "*_hip_pitch", "*_knee", "*_ankle"),
    "torso",
    *sides("*_shoulder_pitch", "*_shoulder_roll", "*_shoulder_yaw", "*_elbow"),
)
"""The 19 joints in Unitree's order, that of its MJCF and of files without names."""

_FEET = sides("*_ankle_link")
H1 = Robot(
    name="h1",
    root="pelvis",
    joints=JOINTS,
    motors={
        ("hip_yaw", "hip_roll"): Motor(armature=ARMATURE, effort=200.0, kp=150.0, kd=5.0),
        ("hip_pitch", "torso"): Motor(armature=ARMATURE, effort=200.0, kp=200.0, kd=5.0),
        ("knee",): Motor(armature=ARMATURE, effort=300.0, kp=200.0, kd=5.0),
        ("ankle",): Motor(armature=ARMATURE, effort=40.0, kp=20.0, kd=4.0),
        ("shoulder_pitch", "shoulder_roll"): Motor(armature=ARMATURE, effort=40.0, kp=40.0, kd=10.0),
        ("shoulder_yaw", "elbow"): Motor(armature=ARMATURE, effort=18.0, kp=40.0, kd=10.0),
    },
    # knees bent
    standing={
        **dict.fromkeys(sides("*_hip_pitch"), -0.28),
        **dict.fromkeys(sides("*_knee"), 0.79),
        **dict.fromkeys(sides("*_ankle"), -0.52),
        **dict.fromkeys(sides("*_shoulder_pitch"), 0.28),
        **dict.fromkeys(sides("*_elbow"), 0.52),
    },
    # the forearm, which points forward at zero, lines up with the upper arm
    t_pose={
        "left_shoulder_roll": math.pi / 2,
        "right_shoulder_roll": -math.pi / 2,
        **dict.fromkeys(sides("*_elbow"), math.pi / 2),
    },
    anchor="torso_link",
    tracked=(
        "pelvis",
        *sides("*_hip_roll_link", "*_knee_link", "*_ankle_link"),
        "torso_link",
        *sides("*_shoulder_roll_link", "*_elbow_link"),
    ),
    end_effectors=(*_FEET, *sides("*_elbow_link")),
    feet=_FEET,
    # offsets [m]; this robot has no hands
    landmarks=two_sided(
        {
            "Pelvis": Landmark(body="pelvis", offset=(0.0, 0.0, -0.1742)),
            # on the pitch axis above the yaw axis' foot; carried by the thigh
            "L_Hip": Landmark(body="left_hip_pitch_link"),
            "L_Knee": Landmark(body="left_knee_link"),
            "L_Ankle": Landmark(body="left_ankle_link"),
            "L_Toe": Landmark(body="left_ankle_link", offset=(0.11, 0.0, -0.045)),
            "Torso": Landmark(body="torso_link"),
            "Chest": Landmark(body="torso_link", offset=(0.0, 0.0, 0.22)),
            "Neck": Landmark(body="torso_link", offset=(0.0, 0.0, 0.48)),
            "Head": Landmark(body="torso_link", offset=(0.03, 0.0, 0.6)),
            # the origin of the roll link, on the yaw axis; carried by the upper arm
            "L_Shoulder": Landmark(body="left_shoulder_yaw_link", offset=(0.0, 0.0, 0.1343)),
            "L_Elbow": Landmark(body="left_elbow_link"),
            # the ball at the end of the forearm: this robot has no wrist
            "L_Wrist": Landmark(body="left_elbow_link", offset=(0.28, 0.0, -0.015)),
        }
    ),
    files=RobotFiles(
        places=("unitree_h1/h1.xml", "h1_description/mjcf/h1.xml"),
        packages={},
        remedy="get unitree_h1/h1.xml of the MuJoCo Menagerie",
    ),
)
"""Unitree H1, 19 joints."""

build = partial(build_robot, H1)
"""Builds the H1 from the path of its MJCF or of a folder that holds it; looked for if None."""
