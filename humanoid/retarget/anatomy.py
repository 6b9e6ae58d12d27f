"""Segments of a captured skeleton and of a body, comparable by their rotation since the T-pose.

Skeletons differ in rest pose, bone lengths and the axes of their joints. Geometry removes these
differences: the rest pose defines the facing of the skeleton and the direction of each bone; the
smallest rotation from the bone's direction in the T-pose to that is the bone's alignment.

Some files, LAFAN1's among them, have all bones in one line at zero rotation. The most upright
frame of the take is their rest pose instead: joint frames change, joint positions do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.core.errors import InputError
from humanoid.mocap.skeleton import Clip
from humanoid.retarget.presets import REQUIRED, SkeletonMap
from humanoid.retarget.tree import subtree
from humanoid.spatial import rotation as rot

DOWN, LEFT, RIGHT, UP = (0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)
TOE_AHEAD = 0.1
"""Least distance of a toe joint ahead of the ankle, in lengths of the shin."""
OPPOSITE = -0.5
"""Largest cosine between the trunk and the thighs of a skeleton that stands at rest."""
APART = 0.02
"""Least distance of the hips across the trunk, in lengths of the thigh."""
UPRIGHT = 0.5
"""Least cosine to the vertical of trunk and thighs in a frame that may serve as rest pose."""
NEARLY = 0.9
"""Share of the best uprightness in frames from which the feet's rest pose is taken."""
_LIMBS = (("Hip", "Knee"), ("Knee", "Ankle"))
BONES: dict[str, tuple[str, tuple[float, float, float]]] = {
    "L_Hip": ("L_Knee", DOWN), "L_Knee": ("L_Ankle", DOWN),
    "R_Hip": ("R_Knee", DOWN), "R_Knee": ("R_Ankle", DOWN),
    "L_Shoulder": ("L_Elbow", LEFT), "L_Elbow": ("L_Wrist", LEFT), "L_Wrist": ("L_Hand", LEFT),
    "R_Shoulder": ("R_Elbow", RIGHT), "R_Elbow": ("R_Wrist", RIGHT), "R_Wrist": ("R_Hand", RIGHT),
}  # fmt: skip
"""Landmark -> the next one along the bone, and where that bone points in the T-pose."""
SEGMENTS = ("Pelvis", "Chest", "Neck", "L_Ankle", "R_Ankle", *BONES)
"""Landmarks whose rotations are compared; those without a bone turn with their rest pose."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Segments of one skeleton or body.

    Attributes:
        pos: landmark -> (T, 3) [m], world.
        turn: segment -> (T, 4), its rotation since the T-pose that faces x, world.
    """

    pos: dict[str, Tensor]
    turn: dict[str, Tensor]

    def length(self, start: str, end: str) -> float:
        """Return the distance [m] of two landmarks, the median over time."""
        return float((self.pos[start] - self.pos[end]).norm(dim=-1).median())


@dataclass(frozen=True, kw_only=True)
class BodyAnatomy(Anatomy):
    """Segments of a body in its T-pose; ``turn`` holds how its bones differ from the T-pose's.

    Attributes:
        rest: body name -> (4,) rotation in that pose.
        sole: height [m] of the ankles over the soles.
    """

    rest: dict[str, Tensor]
    sole: float


def of_clip(clip: Clip, names: SkeletonMap) -> Anatomy:
    """Return landmarks and segments of a captured take.

    Raises:
        InputError: a landmark without which nothing can be retargeted has no joint.
    """
    joints = {landmark: clip.joint_id(joint) for landmark, joint in names.joints.items()}
    missing = [landmark for landmark in REQUIRED if landmark not in joints]
    if missing:
        raise InputError(f"clip '{clip.name}': skeleton map '{names.name}' names no joint for '{missing[0]}'")
    rest = rest_positions(clip)
    if not is_pose(rest, joints):
        clip = posed(clip, joints, joints.get("Chest", _trunk(clip, joints)))
        rest = rest_positions(clip)
    pos, quat = clip.global_poses()
    at = {landmark: rest[joint] for landmark, joint in joints.items()}
    facing = _facing(at)
    for toe in ("L_Toe", "R_Toe"):
        ankle = toe.replace("Toe", "Ankle")
        if toe in at:
            ahead = rot.rotate_inverse(facing, at[toe] - at[ankle])[:2].norm()
            if ahead < TOE_AHEAD * (at[ankle] - at[ankle.replace("Ankle", "Knee")]).norm():
                del at[toe], joints[toe]  # a joint under the ankle is no toe
    joints.setdefault("Chest", _trunk(clip, joints))
    points = {landmark: pos[:, joint] for landmark, joint in joints.items()}
    turn = {}
    for segment in SEGMENTS:
        if segment not in joints:
            continue
        align = rot.mul(_alignment(segment, at, facing), facing)
        turn[segment] = rot.mul(quat[:, joints[segment]], align)
    return Anatomy(pos=points, turn=turn)


def of_body(body: Embodiment) -> BodyAnatomy:
    """Return the landmarks (1, 3) and segments (1, 4) of a body in its T-pose, root at the origin."""
    kinematics = Kinematics(body)
    pos, quat = kinematics.at_rest(body.t_pose)
    at = {}
    for name, landmark in body.landmarks.items():
        index = body.body_id(landmark.body)
        at[name] = pos[index] + rot.rotate(quat[index], torch.tensor(landmark.offset))
    feet = kinematics.clearance(pos, quat)[body.body_ids(body.feet)]
    ankles, unit = 0.5 * (at["L_Ankle"] + at["R_Ankle"]), torch.tensor((1.0, 0.0, 0.0, 0.0))
    return BodyAnatomy(
        pos={name: point[None] for name, point in at.items()},
        turn={segment: _alignment(segment, at, unit)[None] for segment in SEGMENTS if segment in at},
        rest=dict(zip(body.body_names, quat, strict=True)),
        sole=float(ankles[2] - feet.min()),
    )


def shortest_turn(start: Tensor, end: Tensor) -> Tensor:
    """Return the smallest rotation (..., 4) that takes direction ``start (..., 3)`` to ``end (..., 3)``."""
    start = start / start.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    end = end / end.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    half = torch.cat(((1 + (start * end).sum(-1, keepdim=True)), torch.linalg.cross(start, end)), dim=-1)
    return rot.normalize(half)


def _facing(at: dict[str, Tensor]) -> Tensor:
    """Return the rotation (4,) from the T-pose that faces x and stands on z to a rest pose.

    Up is the coordinate axis along the trunk: rest trunks lean a little, and in some files the
    rest pose lies on its back.
    """
    hips, shoulders = at["L_Hip"] + at["R_Hip"], at["L_Shoulder"] + at["R_Shoulder"]
    trunk = shoulders - hips
    axis = int(trunk.abs().argmax())
    up = torch.zeros(3)
    up[axis] = trunk[axis].sign()
    left = at["L_Hip"] - at["R_Hip"] + at["L_Shoulder"] - at["R_Shoulder"]
    left = left - up * (left @ up)
    left = left / left.norm().clamp_min(1e-9)
    return rot.from_matrix(torch.stack((torch.linalg.cross(left, up), left, up), -1))


def _alignment(segment: str, at: dict[str, Tensor], facing: Tensor) -> Tensor:
    """Return the turn (4,) from where a bone points in the T-pose to where it points at rest."""
    unit = torch.tensor((1.0, 0.0, 0.0, 0.0))
    if segment.endswith("Ankle"):  # the sole is level at rest, whatever the height of the toe joint
        toe = at.get(segment.replace("Ankle", "Toe"))
        if toe is None:
            return unit
        up, way = rot.rotate(facing, torch.tensor(UP)), toe - at[segment]
        return shortest_turn(rot.rotate(facing, torch.tensor((1.0, 0.0, 0.0))), way - up * (way @ up))
    if segment not in BONES:
        return unit
    end, direction = BONES[segment]
    if end not in at:  # a hand without fingers goes on where the forearm points
        return _alignment(segment.replace("Wrist", "Elbow"), at, facing) if "Wrist" in segment else unit
    return shortest_turn(rot.rotate(facing, torch.tensor(direction)), at[end] - at[segment])


def _trunk(clip: Clip, joints: dict[str, int]) -> int:
    """Return the joint that carries both arms."""
    arms = {joints["L_Shoulder"], joints["R_Shoulder"]}
    return max(j for j in range(len(clip.parents)) if arms <= set(subtree(clip.parents, j)[1:]))


def rest_positions(clip: Clip) -> Tensor:
    """Return joint positions (J, 3) [m] at zero rotation, root at the origin."""
    rest = [torch.zeros(3)]
    for joint, parent in enumerate(clip.parents[1:], start=1):
        rest.append(rest[parent] + clip.offsets[joint])
    return torch.stack(rest)


def is_pose(at: Tensor, joints: dict[str, int]) -> bool:
    """Whether thighs and trunk point opposite ways and the hips are apart.

    Args:
        at: (J, 3) [m] joint positions at rest.
        joints: landmark -> joint.
    """
    trunk, thighs, _ = _ways(at[None], joints)
    across = at[joints["L_Hip"]] - at[joints["R_Hip"]]
    across = across - trunk[0] * (across @ trunk[0])
    thigh = (at[joints["L_Knee"]] - at[joints["L_Hip"]]).norm()
    opposite = bool(((trunk[:, None] * thighs).sum(-1) <= OPPOSITE).all())
    return opposite and bool(across.norm() > APART * thigh)


def posed(clip: Clip, joints: dict[str, int], chest: int) -> Clip:
    """Return the same take with joint frames whose rest pose is its most upright frame, facing x.

    Args:
        clip: the take.
        joints: landmark -> joint.
        chest: the joint that carries the arms.

    Raises:
        InputError: no frame stands.
    """
    pos, quat = clip.global_poses()
    trunk, thighs, shins = _ways(pos, joints)
    standing = torch.minimum(trunk[:, 2], -thighs[..., 2].amax(-1))
    frame = int((2 * trunk[:, 2] - thighs[..., 2].sum(-1) - shins[..., 2].sum(-1)).argmax())
    if not float(standing[frame]) > UPRIGHT:
        raise InputError(
            f"clip '{clip.name}': its bones at rest are in one line and it never stands upright, so their "
            "directions are unknown; take a longer part of the take"
        )
    headings = _headings(pos, joints, "Hip")
    hips, shoulders = headings[frame], _headings(pos, joints, "Shoulder")[frame]
    facing = torch.atan2(hips.sin() + shoulders.sin(), hips.cos() + shoulders.cos())
    still = quat[frame].clone()  # rotation of each joint that becomes a heading
    heading = facing.repeat(len(still))
    heading[subtree(clip.parents, chest)] = shoulders
    for side in "LR":
        heading[
            subtree(clip.parents, joints[f"{side}_Hip"]) + subtree(clip.parents, joints[f"{side}_Shoulder"])
        ] = facing
        foot = subtree(clip.parents, joints[f"{side}_Ankle"])
        flat = _flat(pos, joints, side, standing > NEARLY * standing[frame])
        still[foot], heading[foot] = quat[flat, foot], headings[flat]
    heading[joints["Pelvis"]] = hips
    up = torch.tensor((0.0, 0.0, 1.0))
    zero = rot.mul(rot.conjugate(still), rot.about_axis(up, heading))
    turned = rot.mul(quat, zero)
    parents = torch.tensor([max(parent, 0) for parent in clip.parents])
    local = rot.mul(rot.conjugate(turned[:, parents]), turned)
    local[:, 0] = turned[:, 0]
    return replace(clip, offsets=rot.rotate_inverse(zero[parents], clip.offsets), local_quat=local)


def _ways(pos: Tensor, joints: dict[str, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit vectors along the trunk (T, 3), the thighs (T, 2, 3) and the shins (T, 2, 3)."""
    middle = {part: pos[:, [joints[f"{s}_{part}"] for s in "LR"]].mean(1) for part in ("Hip", "Shoulder")}
    trunk = middle["Shoulder"] - middle["Hip"]
    thighs, shins = (
        torch.stack([pos[:, joints[f"{s}_{end}"]] - pos[:, joints[f"{s}_{start}"]] for s in "LR"], 1)
        for start, end in _LIMBS
    )
    normal = torch.nn.functional.normalize
    return normal(trunk, dim=-1), normal(thighs, dim=-1), normal(shins, dim=-1)


def _headings(pos: Tensor, joints: dict[str, int], part: str) -> Tensor:
    """Return the angles (T,) [rad] from x to where hips or shoulders face, about z."""
    left = pos[:, joints[f"L_{part}"]] - pos[:, joints[f"R_{part}"]]
    return torch.atan2(-left[:, 0], left[:, 1])


def _flat(pos: Tensor, joints: dict[str, int], side: str, upright: Tensor) -> int:
    """Return the frame of those ``upright (T,)`` in which a foot is lowest: its sole is level there."""
    foot = [joints[name] for name in (f"{side}_Ankle", f"{side}_Toe") if name in joints]
    return int(torch.where(upright, pos[:, foot, 2].sum(1), torch.inf).argmin())
