"""Rest poses that are no pose: skeletons whose bones at rest lie in one line.

Some files, LAFAN1's among them, keep all bones along one axis at zero rotation. Nothing can
be learnt there about where bones point; the frame of the take that stands most upright
serves instead. Joint frames are chosen anew so that it is the rest pose, with pelvis and chest
turned square and each foot as it is where it is lowest; no joint moves.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from humanoid.core.errors import InputError
from humanoid.mocap.skeleton import Clip
from humanoid.spatial import rotation as rot

OPPOSITE = -0.5
"""Largest cosine between the trunk and the thighs of a skeleton that stands at rest."""
APART = 0.02
"""Least distance of the hips across the trunk, in lengths of the thigh."""
UPRIGHT = 0.5
"""Least cosine to the vertical of trunk and thighs in a frame that may serve as rest pose."""
NEARLY = 0.9
"""Frames this nearly as upright as the best tell how the feet stand."""
_LIMBS = (("Hip", "Knee"), ("Knee", "Ankle"))


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
            f"clip '{clip.name}': its rest pose is no pose (all bones in one line?) and it never stands "
            "upright, so where its bones point is unknown; take a longer part of the take"
        )
    headings = _headings(pos, joints, "Hip")
    hips, shoulders = headings[frame], _headings(pos, joints, "Shoulder")[frame]
    facing = torch.atan2(hips.sin() + shoulders.sin(), hips.cos() + shoulders.cos())
    still = quat[frame].clone()  # the rotation of each joint that shall be none but a heading
    heading = facing.repeat(len(still))
    heading[_below(clip, chest)] = shoulders
    for side in "LR":
        heading[_below(clip, joints[f"{side}_Hip"]) + _below(clip, joints[f"{side}_Shoulder"])] = facing
        foot = _below(clip, joints[f"{side}_Ankle"])
        flat = _flat(pos, joints, side, standing > NEARLY * standing[frame])
        still[foot], heading[foot] = quat[flat, foot], headings[flat]
    heading[joints["Pelvis"]] = hips
    up = torch.tensor((0.0, 0.0, 1.0)).expand(len(still), 3)
    zero = rot.mul(rot.conjugate(still), rot.about_axis(up, heading))
    turned = rot.mul(quat, zero.expand_as(quat))
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


def _below(clip: Clip, carrier: int) -> list[int]:
    """Return a joint and all that hang on it."""
    found = {carrier}
    for joint, parent in enumerate(clip.parents):
        if parent in found:
            found.add(joint)
    return sorted(found)
