"""Targets of retargeting: scaled landmarks, segment rotations, planted feet.

The hip centre and the ankles follow their captured paths scaled by the ratio of leg
lengths; every other landmark hangs on these by captured directions and the body's own
lengths, limb by limb. Feet that stand are then moved to where they stand on average, and
the swing between two stands takes the difference up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.mocap.skeleton import Clip, PropTrack
from humanoid.retarget.anatomy import SEGMENTS, Anatomy, BodyAnatomy, of_clip, shortest_turn
from humanoid.retarget.contacts import ContactCfg, eased, floor_slope, resting_height, standing, steadied
from humanoid.retarget.presets import SkeletonMap
from humanoid.spatial import rotation as rot

SIDES = ("L", "R")
SAME_FLOOR = 0.04
"""[m] Ankles that rest at heights this close both stand; farther apart only the lower one does."""
HAND_HEIGHT = 0.12
"""[m] A wrist this low over the floor may support: a hand lies under it, flat or as a fist."""
TIPPED = 0.03
"""[m] A foot whose toe is this far under its resting place stands on the toe and not on the heel."""
VIRTUAL_TOE = (0.18, 0.0, -0.07)
"""Toe joint from the ankle, in leg lengths, for skeletons that end at the ankle."""
_FLAT = torch.tensor((1.0, 1.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets of one clip on one body, T frames.

    Attributes:
        names: K landmarks of the body.
        pos_w: (T, K, 3) [m] scaled positions of the landmarks, world.
        planted_w: (T, K, 3) [m] the same with standing feet made to stand.
        turns: M segments -> (T, 4) wanted rotation of the body that carries it, world.
        carriers: M segments -> that body.
        contact: (T, C) bool, whether each of ``contact_names`` stands, by the source.
        contact_names: C landmarks: ankles (heels) and toes.
        hands: (T, H) bool, whether each of ``hand_names`` supports, by the source.
        hand_names: H landmarks: wrists.
        scale: leg length of the body over that of the source.
        props: what was captured with the person, scaled along.
    """

    names: tuple[str, ...]
    pos_w: Tensor
    planted_w: Tensor
    turns: dict[str, Tensor]
    carriers: dict[str, str]
    contact: Tensor
    contact_names: tuple[str, ...]
    hands: Tensor
    hand_names: tuple[str, ...]
    scale: float
    props: tuple[PropTrack, ...] = ()


def targets(clip: Clip, names: SkeletonMap, body: Embodiment, own: BodyAnatomy, cfg: ContactCfg) -> Targets:
    """Return what a body should do to repeat a captured take.

    Args:
        clip: the take at the rate of the motion.
        names: its joints.
        body: the embodiment.
        own: its anatomy.
        cfg: when a foot stands.

    Raises:
        InputError: a landmark without which nothing can be retargeted has no joint.
    """
    source = _levelled(of_clip(clip, names), clip.fps)
    scale = _leg(own) / max(_leg(source), 1e-3)
    toes = _toes(source)
    ankles = torch.stack([source.pos[f"{side}_Ankle"] for side in SIDES], 1)
    resting = resting_height(ankles, clip.fps)
    ground = resting.min()
    resting = torch.where(resting - ground < SAME_FLOOR / scale, resting, ground)
    heel = standing(ankles, resting, clip.fps, scale, cfg)
    tips = _tips(source, toes, resting, clip.fps)
    toe = standing(toes, tips, clip.fps, scale, cfg)
    tipped = (toes[..., 2] - tips) * scale < -TIPPED
    toe = steadied(torch.logical_or(toe, torch.logical_and(heel, tipped)), clip.fps, cfg)
    heel = steadied(torch.logical_and(heel, ~tipped), clip.fps, cfg)
    labels = {"L_Ankle": heel[:, 0], "L_Toe": toe[:, 0], "R_Ankle": heel[:, 1], "R_Toe": toe[:, 1]}
    hips = _middle(source, "Hip")
    hands = _hands(source, ground - own.sole / scale, clip.fps, scale, cfg)
    hand_names = tuple(name for name in hands if name in body.landmarks)
    origin, lift = hips[0] * _FLAT, torch.tensor((0.0, 0.0, own.sole))
    origin[2] = ground

    def move(pos: Tensor) -> Tensor:
        """Scale about the floor under the first frame; ankles rest at the height of the body's."""
        return scale * (pos - origin) + lift

    source = _level(source, own, labels)
    points = _landmarks(source, own, move)
    planted = _planted(points, labels)
    carriers = _carriers(source, body)
    order = tuple(name for name in points if name in body.landmarks)
    contact_names = tuple(name for name in labels if name in body.landmarks)
    return Targets(
        names=order,
        pos_w=torch.stack([points[name] for name in order], 1),
        planted_w=torch.stack([planted[name] for name in order], 1),
        turns=_turns(source, own, carriers),
        carriers=carriers,
        contact=torch.stack([labels[name] for name in contact_names], 1),
        contact_names=contact_names,
        hands=torch.stack([hands[name] for name in hand_names], 1) if hand_names else heel[:, :0],
        hand_names=hand_names,
        scale=scale,
        props=tuple(
            replace(prop, pos_w=move(prop.pos_w), size=tuple(scale * half for half in prop.size))
            for prop in clip.props
        ),
    )


def _levelled(source: Anatomy, fps: float) -> Anatomy:
    """Return the take with its floor made level: each frame lowered by the floor's rise under its hips."""
    slope = floor_slope(torch.stack([source.pos[f"{side}_Ankle"] for side in SIDES], 1), fps)
    if not bool(slope.any()):
        return source
    rise = _middle(source, "Hip")[:, :2] @ slope
    drop = torch.nn.functional.pad(rise[:, None], (2, 0))
    return replace(source, pos={name: pos - drop for name, pos in source.pos.items()})


def _level(source: Anatomy, own: BodyAnatomy, labels: dict[str, Tensor]) -> Anatomy:
    """Return the take with every foot that stands on heel and toe turned level, as its sole is."""
    turns = dict(source.turn)
    for side in SIDES:
        ankle, toe = f"{side}_Ankle", f"{side}_Toe"
        if toe not in own.pos:
            continue
        offset = (own.pos[toe] - own.pos[ankle])[0]
        way = rot.rotate(turns[ankle], offset)
        reach = offset[:2].norm() / way[:, :2].norm(dim=-1, keepdim=True).clamp_min(1e-6)
        level = torch.cat((way[:, :2] * reach, offset[2:].expand(len(way), 1)), -1)
        levelled = rot.mul(shortest_turn(way, level), turns[ankle])
        flat = eased((labels[ankle] & labels[toe])[:, None])[:, 0]
        turns[ankle] = rot.slerp(turns[ankle], levelled, flat)
    return replace(source, turn=turns)


def _leg(anatomy: Anatomy) -> float:
    """Return the mean length [m] of thigh and shin together."""
    bones = ((f"{s}_{a}", f"{s}_{b}") for s in SIDES for a, b in (("Hip", "Knee"), ("Knee", "Ankle")))
    return 0.5 * sum(anatomy.length(*bone) for bone in bones)


def _middle(anatomy: Anatomy, part: str) -> Tensor:
    return 0.5 * (anatomy.pos[f"L_{part}"] + anatomy.pos[f"R_{part}"])


def _toes(source: Anatomy) -> Tensor:
    """Return the toe joints (T, 2, 3) [m], made up where the skeleton ends at the ankle."""
    out = []
    for side in SIDES:
        toe = source.pos.get(f"{side}_Toe")
        if toe is None:
            ahead = _leg(source) * torch.tensor(VIRTUAL_TOE)
            turn = source.turn[f"{side}_Ankle"]
            toe = source.pos[f"{side}_Ankle"] + rot.rotate(turn, ahead)
        out.append(toe)
    return torch.stack(out, 1)


def _hands(source: Anatomy, floor: Tensor, fps: float, scale: float, cfg: ContactCfg) -> dict[str, Tensor]:
    """Return whether each wrist (T,) is so low and slow that its hand supports."""
    wrists = [name for name in ("L_Wrist", "R_Wrist") if name in source.pos]
    if not wrists:
        return {}
    low = replace(cfg, enter_height=HAND_HEIGHT, leave_height=HAND_HEIGHT + 0.04)
    pos = torch.stack([source.pos[name] for name in wrists], 1)
    label = standing(pos, floor.expand(len(wrists)), fps, scale, low)
    return {name: label[:, column] for column, name in enumerate(wrists)}


def _tips(source: Anatomy, toes: Tensor, ankles: Tensor, fps: float) -> Tensor:
    """Return the height (2,) [m] at which toes rest; made-up ones rest where a level foot has them."""
    level = ankles + VIRTUAL_TOE[2] * _leg(source)
    real = torch.tensor([f"{side}_Toe" in source.pos for side in SIDES])
    return torch.where(real, resting_height(toes, fps), level)


def _landmarks(source: Anatomy, own: BodyAnatomy, move: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return where each landmark of the body should be (T, 3) [m], feet not yet planted."""
    hips, own_hips = move(_middle(source, "Hip")), _middle(own, "Hip")

    def carried(segment: str, start: Tensor, offset: Tensor) -> Tensor:
        turn = source.turn[segment]
        return start + rot.rotate(turn, offset)

    points = {"Pelvis": carried("Pelvis", hips, own.pos["Pelvis"] - own_hips)}
    chest, own_chest = _trunk(source, own, hips)
    for side in SIDES:
        hip, knee, ankle, toe = (f"{side}_{part}" for part in ("Hip", "Knee", "Ankle", "Toe"))
        points[hip] = carried("Pelvis", hips, own.pos[hip] - own_hips)
        points[knee] = points[hip] + _bone(source, own, hip, knee)
        points[ankle] = move(source.pos[ankle])
        points[toe] = carried(ankle, points[ankle], own.pos.get(toe, own.pos[ankle]) - own.pos[ankle])
        shoulder = f"{side}_Shoulder"
        points[shoulder] = carried("Chest", chest, own.pos[shoulder] - own_chest)
        for start, end in ((shoulder, f"{side}_Elbow"), (f"{side}_Elbow", f"{side}_Wrist")):
            if end in source.pos and end in own.pos:
                points[end] = points[start] + _bone(source, own, start, end)
    if "Head" in own.pos:
        carrier = "Neck" if "Neck" in source.turn and "Neck" in own.pos else "Chest"
        points["Head"] = carried(carrier, chest, own.pos["Head"] - own_chest)
    return points


def _trunk(source: Anatomy, own: BodyAnatomy, hips: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the top of the trunk should be (T, 3) [m], and where it is in the T-pose."""
    if "Neck" in source.pos and "Neck" in own.pos:
        top, own_top = source.pos["Neck"], own.pos["Neck"]
    else:
        top, own_top = _middle(source, "Shoulder"), _middle(own, "Shoulder")
    reach = top - _middle(source, "Hip")
    length = (own_top - _middle(own, "Hip")).norm()
    return hips + reach * (length / reach.norm(dim=-1).median().clamp_min(1e-3)), own_top


def _bone(source: Anatomy, own: BodyAnatomy, start: str, end: str) -> Tensor:
    """Return the vector (T, 3) [m] along a captured bone, of the body's own length."""
    way = source.pos[end] - source.pos[start]
    return way * (own.length(start, end) / way.norm(dim=-1, keepdim=True).clamp_min(1e-6))


def _turns(source: Anatomy, own: BodyAnatomy, carriers: dict[str, str]) -> dict[str, Tensor]:
    """Return the wanted world rotation (T, 4) of the body that carries each segment."""
    turns = dict(source.turn)
    turns["Torso"] = rot.slerp(turns["Pelvis"], turns["Chest"], torch.full((len(turns["Chest"]),), 0.5))
    unit, wanted = torch.tensor((1.0, 0.0, 0.0, 0.0)), {}
    for segment, carrier in carriers.items():
        bone = own.turn[segment][0] if segment in own.turn else unit
        fixed = rot.mul(rot.conjugate(bone), own.rest[carrier])
        wanted[segment] = rot.mul(turns[segment], fixed)
    return wanted


def _carriers(source: Anatomy, body: Embodiment) -> dict[str, str]:
    """Return the bodies that carry the segments which the source turns, one segment a body."""
    carriers: dict[str, str] = {}
    for segment in ("Pelvis", "Chest", "Torso", *SEGMENTS):
        if segment in body.landmarks and (segment in source.turn or segment == "Torso"):
            carrier = _carrier(body, segment)
            if carrier not in carriers.values():  # a head without a neck joint belongs to the trunk
                carriers[segment] = carrier
    return carriers


def _carrier(body: Embodiment, segment: str) -> str:
    """Return the body that turns with a segment: the last of several links at a hip or shoulder."""
    following = {"Hip": "Knee", "Shoulder": "Elbow"}
    side, _, part = segment.rpartition("_")
    if part in following:
        end = body.body_id(body.landmarks[f"{side}_{following[part]}"].body)
        return body.body_names[int(body.parents[end])]
    return body.landmarks[segment].body


def _planted(points: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the landmarks with standing toes, then standing heels, kept where they stand."""
    planted = dict(points)
    for side in SIDES:
        heel, toe = f"{side}_Ankle", f"{side}_Toe"
        shift = _to_stand(points[toe], labels[toe], labels[toe])
        planted[toe], ankle = points[toe] + shift, points[heel] + shift
        planted[heel] = ankle + _to_stand(ankle, labels[heel], labels[toe])
    return planted


def _to_stand(pos: Tensor, label: Tensor, better: Tensor) -> Tensor:
    """Return the planar shift (T, 3) [m] that holds a point still while it stands.

    It stands at its mean over the stand, over the frames of ``better (T,)`` if there are
    any; between stands the shift goes over linearly from the one to the next.
    """
    if not bool(label.any()):
        return torch.zeros_like(pos)
    stand = torch.logical_and(label, ~torch.cat((label[:1] & False, label[:-1]))).cumsum(0) - 1
    count = int(stand.max()) + 1
    weight = label.float() * (better.float() + 1e-4)
    index = stand.clamp_min(0)
    total = torch.zeros(count).index_add_(0, index, weight)
    mean = torch.zeros(count, 3).index_add_(0, index, weight[:, None] * pos) / total[:, None]
    shift = (mean[index] - pos) * _FLAT
    frames = torch.arange(len(pos))
    last = torch.where(label, frames, -1).cummax(0).values
    following = torch.where(label, frames, len(pos)).flip(0).cummin(0).values.flip(0)
    last = torch.where(last < 0, following, last)
    following = torch.where(following >= len(pos), last, following)
    share = (frames - last) / (following - last).clamp_min(1)
    return torch.lerp(shift[last], shift[following], share[:, None].to(shift.dtype))
