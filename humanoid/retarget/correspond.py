"""Which body follows which captured joint, and how their rest poses differ.

A rule says: the body's world rotation is the joint's world rotation times a fixed
alignment that turns the body's rest pose into the joint's. SMPL-topology bodies rest
in a T-pose, humanoid3d characters with hanging arms: hence the quarter turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from humanoid.core.errors import InputError
from humanoid.mocap.skeleton import Clip


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How one body follows a captured joint.

    Attributes:
        joint: captured joint whose world rotation the body takes.
        align: rotation vector [rad] from the body's rest pose to the joint's.
        share: part of the joint's rotation relative to ``since`` that is taken; a trunk
            of several segments shares one captured joint among them.
        since: captured joint that ``share`` counts from.
    """

    joint: str
    align: tuple[float, float, float] = (0.0, 0.0, 0.0)
    share: float = 1.0
    since: str = ""


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """The rules from one family of skeletons to SMPL-topology bodies.

    Attributes:
        rules: body name -> rule; bodies without one keep their rest pose.
        hips: two captured joints whose middle is the hip centre.
        leg: captured hip, knee and ankle, whose distances are the leg length.
    """

    rules: dict[str, Rule]
    hips: tuple[str, str]
    leg: tuple[str, str, str]


_LEFT_ARM, _RIGHT_ARM = (-math.pi / 2, 0.0, 0.0), (math.pi / 2, 0.0, 0.0)

HUMANOID3D = Correspondence(
    rules={
        "Pelvis": Rule(joint="root"),
        "Torso": Rule(joint="chest", share=0.5, since="root"),
        "Chest": Rule(joint="chest"),
        "Neck": Rule(joint="neck"),
        "L_Hip": Rule(joint="left_hip"),
        "L_Knee": Rule(joint="left_knee"),
        "L_Ankle": Rule(joint="left_ankle"),
        "R_Hip": Rule(joint="right_hip"),
        "R_Knee": Rule(joint="right_knee"),
        "R_Ankle": Rule(joint="right_ankle"),
        "L_Shoulder": Rule(joint="left_shoulder", align=_LEFT_ARM),
        "L_Elbow": Rule(joint="left_elbow", align=_LEFT_ARM),
        "R_Shoulder": Rule(joint="right_shoulder", align=_RIGHT_ARM),
        "R_Elbow": Rule(joint="right_elbow", align=_RIGHT_ARM),
    },
    hips=("left_hip", "right_hip"),
    leg=("left_hip", "left_knee", "left_ankle"),
)

FAMILIES = {"humanoid3d": HUMANOID3D}
"""Skeleton family -> rules."""


def correspondence(clip: Clip) -> Correspondence:
    """Return the rules of the first family whose joints the clip has.

    Raises:
        InputError: the skeleton belongs to no known family.
    """
    for table in FAMILIES.values():
        if {rule.joint for rule in table.rules.values()} <= set(clip.joint_names):
            return table
    known = ", ".join(FAMILIES)
    raise InputError(f"clip '{clip.name}': skeleton matches no known family; known: {known}")
