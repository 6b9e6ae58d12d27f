"""Skeleton presets: a small table each, landmark -> captured joint.

A landmark has the name of a body of the SMPL embodiment. Its joint has its position and drives
the segment that starts there: ``L_Hip`` is the joint at the hip that turns the thigh. Of
several joints at one place (CMU's ``LowerBack`` at the hips) or in a row of hinges (a robot's
hip) the last is listed, ``Chest`` carries the arms, and absent joints (toes, collars) are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from humanoid.mocap.skeleton import Clip

SIDED = ("Hip", "Knee", "Ankle", "Toe", "Thorax", "Shoulder", "Elbow", "Wrist", "Hand")
CENTRE = ("Pelvis", "Torso", "Spine", "Chest", "Neck", "Head")
LANDMARKS = (*CENTRE, *(f"{side}_{part}" for side in "LR" for part in SIDED))
"""Every landmark."""
REQUIRED = (
    "Pelvis",
    *(f"{side}_{part}" for side in "LR" for part in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow")),
)
"""Landmarks without which nothing can be retargeted."""
_ORDER = (*REQUIRED, "Chest", *(name for name in LANDMARKS if name not in (*REQUIRED, "Chest")))


@dataclass(frozen=True, kw_only=True)
class SkeletonMap:
    """Landmark -> captured joint.

    Attributes:
        name: the preset, for messages.
        joints: landmark -> joint; in a table also ``A|B``, of which the first that a
            skeleton has and that is not yet another landmark is taken.
        required: joints without which a preset does not apply.
        guessed: inferred from shape and names, not from a preset.
    """

    name: str = "custom"
    joints: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    guessed: bool = False


def _preset(name: str, left: str, right: str, required: tuple[str, ...] = (), **joints: str) -> SkeletonMap:
    """Build a table; ``*`` in a sided joint's name stands for ``left`` and ``right``."""
    table = {}
    for key, value in joints.items():
        if key in CENTRE:
            table[key] = value
        else:
            table[f"L_{key}"], table[f"R_{key}"] = value.replace("*", left), value.replace("*", right)
    return SkeletonMap(name=name, joints=table, required=required)


PRESETS: tuple[SkeletonMap, ...] = (
    _preset(
        "humanoid3d", "left", "right", Pelvis="root", Chest="chest", Neck="neck", Hip="*_hip",
        Knee="*_knee", Ankle="*_ankle", Shoulder="*_shoulder", Elbow="*_elbow", Wrist="*_wrist",
    ),
    # conversions of CMU's files: Neck and LeftShoulder lie on Spine1, whose length is lost
    _preset(
        "CMU BVH", "Left", "Right", ("LHipJoint", "LowerBack"), Pelvis="Hips", Torso="Spine",
        Chest="Spine1", Neck="Neck1|Neck", Head="Head", Hip="*UpLeg", Knee="*Leg", Ankle="*Foot",
        Toe="*ToeBase", Thorax="*Shoulder", Shoulder="*Arm", Elbow="*ForeArm", Wrist="*FingerBase|*Hand",
        Hand="*HandIndex1|LFingers|RFingers",
    ),
    _preset(
        "LAFAN1", "Left", "Right", ("LeftToe", "Spine2"), Pelvis="Hips", Torso="Spine", Spine="Spine1",
        Chest="Spine2", Neck="Neck", Head="Head", Hip="*UpLeg", Knee="*Leg", Ankle="*Foot", Toe="*Toe",
        Thorax="*Shoulder", Shoulder="*Arm", Elbow="*ForeArm", Wrist="*Hand",
    ),
    # MotionBuilder's names: also Perception Neuron, ACCAD, Rokoko and most exporters
    _preset(
        "Mixamo", "Left", "Right", Pelvis="Hips", Torso="Spine", Spine="Spine1",
        Chest="Spine3|Spine2|Spine1|Spine", Neck="Neck", Head="Head", Hip="*UpLeg", Knee="*Leg",
        Ankle="*Foot", Toe="*ToeBase|*ForeFoot|*Toe", Thorax="*Shoulder", Shoulder="*Arm", Elbow="*ForeArm",
        Wrist="*Hand", Hand="*HandMiddle1|*InHandMiddle|*HandIndex1",
    ),
    # Xsens' BVH, 100STYLE, and the BVH files of the first optical systems
    _preset(
        "Xsens BVH", "Left", "Right", Pelvis="Hips|Hip", Torso="Chest", Spine="Chest2",
        Chest="Chest4|Chest3|Chest2|Chest", Neck="Neck", Head="Head", Hip="*Hip", Knee="*Knee",
        Ankle="*Ankle", Toe="*Toe|*ToeBase", Thorax="*Collar", Shoulder="*Shoulder", Elbow="*Elbow",
        Wrist="*Wrist",
    ),
    _preset(
        "Xsens MVN", "Left", "Right", Pelvis="Pelvis", Torso="L5", Spine="L3", Chest="T8", Neck="Neck",
        Head="Head", Hip="*UpperLeg", Knee="*LowerLeg", Ankle="*Foot", Toe="*Toe", Thorax="*Shoulder",
        Shoulder="*UpperArm", Elbow="*ForeArm", Wrist="*Hand",
    ),
    _preset(
        "Acclaim CMU", "l", "r", Pelvis="root", Torso="upperback", Chest="thorax", Neck="lowerneck",
        Head="head", Hip="*femur", Knee="*tibia", Ankle="*foot", Toe="*toes", Thorax="*clavicle",
        Shoulder="*humerus", Elbow="*radius", Wrist="*wrist", Hand="*hand",
    ),
    _preset(
        "SMPL", "left", "right", Pelvis="pelvis", Torso="spine1", Spine="spine2", Chest="spine3",
        Neck="neck", Head="head", Hip="*_hip", Knee="*_knee", Ankle="*_ankle", Toe="*_foot",
        Thorax="*_collar", Shoulder="*_shoulder", Elbow="*_elbow", Wrist="*_wrist", Hand="*_hand|*_middle1",
    ),
    # this project's SMPL body, PHC, and the 52 joints of SkillMimic and SMPL-X with these names
    _preset(
        "SMPL bodies", "L", "R", (), **dict(zip(CENTRE, CENTRE, strict=True)),
        **{part: f"*_{part}" for part in SIDED if part != "Hand"}, Hand="*_Hand|*_Middle1",
    ),
    _preset(
        "AMP humanoid", "left", "right", Pelvis="pelvis", Chest="torso", Neck="head", Hip="*_thigh",
        Knee="*_shin", Ankle="*_foot", Shoulder="*_upper_arm", Elbow="*_lower_arm", Wrist="*_hand",
    ),
    _preset(
        "Unitree G1", "left", "right", ("left_ankle_roll_link",), Pelvis="pelvis", Chest="torso_link",
        Head="head_link", Hip="*_hip_yaw_link", Knee="*_knee_link", Ankle="*_ankle_roll_link",
        Shoulder="*_shoulder_roll_link", Elbow="*_elbow_link|*_elbow_pitch_link",
        Wrist="*_wrist_yaw_link|*_wrist_roll_link|*_wrist_roll_rubber_hand",
        Hand="*_rubber_hand|*_rubber_hand_link",
    ),
    _preset(
        "Unitree H1", "left", "right", ("left_ankle_link",), Pelvis="pelvis", Chest="torso_link",
        Hip="*_hip_pitch_link", Knee="*_knee_link", Ankle="*_ankle_link", Shoulder="*_shoulder_roll_link",
        Elbow="*_elbow_link", Hand="*_hand_link",
    ),
    _preset(
        "3ds Max Biped", "L", "R", Pelvis="Pelvis", Torso="Spine", Spine="Spine1",
        Chest="Spine3|Spine2|Spine1", Neck="Neck", Head="Head", Hip="* Thigh", Knee="* Calf",
        Ankle="* Foot", Toe="* Toe0", Thorax="* Clavicle", Shoulder="* UpperArm", Elbow="* Forearm",
        Wrist="* Hand",
    ),
    _preset(
        "Unreal", "l", "r", Pelvis="pelvis", Torso="spine_01", Spine="spine_02",
        Chest="spine_05|spine_04|spine_03", Neck="neck_01", Head="head", Hip="thigh_*", Knee="calf_*",
        Ankle="foot_*", Toe="ball_*", Thorax="clavicle_*", Shoulder="upperarm_*", Elbow="lowerarm_*",
        Wrist="hand_*", Hand="middle_01_*",
    ),
    _preset(
        "Bandai Namco", "L", "R", Pelvis="Hips", Torso="Spine", Chest="Chest", Neck="Neck", Head="Head",
        Hip="UpperLeg_*", Knee="LowerLeg_*", Ankle="Foot_*", Toe="Toes_*", Thorax="Shoulder_*",
        Shoulder="UpperArm_*", Elbow="LowerArm_*", Wrist="Hand_*",
    ),
    _preset(
        "Poser", "l", "r", Pelvis="hip|pelvis", Torso="abdomen", Chest="chest", Neck="neck", Head="head",
        Hip="*Thigh", Knee="*Shin", Ankle="*Foot", Toe="*Toe", Thorax="*Collar", Shoulder="*Shldr",
        Elbow="*ForeArm", Wrist="*Hand",
    ),
)  # fmt: skip
"""Presets; of two that find as many joints the first is taken."""


def resolve(table: SkeletonMap, clip: Clip) -> SkeletonMap | None:
    """Return a preset with the joint names of a clip; None where it does not fit.

    Names are compared without case, separators, namespaces and prefixes common to all.
    """
    names = plain_names(clip.joint_names)
    known = {plain: own for own, plain in reversed(list(zip(clip.joint_names, names, strict=True)))}
    if any(squeezed(joint) not in known for joint in table.required):
        return None
    joints: dict[str, str] = {}
    for landmark in _ORDER:
        for name in table.joints.get(landmark, "").split("|"):
            own = known.get(squeezed(name))
            if own is not None and own not in joints.values():
                joints[landmark] = own
                break
        if landmark in REQUIRED and landmark not in joints:
            return None
    return replace(table, joints={name: joints[name] for name in LANDMARKS if name in joints})


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names without namespaces, common prefixes, case and separators."""
    short = [re.sub(r"^mixamorig\d*[_:]", "", re.split(r"[:|]", name)[-1]) for name in names]
    heads = Counter(match.group() for name in short if (match := re.match(r"[^_. -]+[_. -]+(?=\w)", name)))
    head, count = heads.most_common(1)[0] if heads else ("", 0)
    if count >= 0.7 * len(short):
        short = [name.removeprefix(head) for name in short]
    return [squeezed(name) for name in short]


def squeezed(name: str) -> str:
    """Return a name in lower case without separators."""
    return re.sub(r"[_. \-]", "", name).lower()
