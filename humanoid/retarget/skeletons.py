"""Landmarks of any skeleton: a user's file, a preset, or inference by names and by the shape of the tree.

Names win where they are complete. Shape has no left and right, so these are taken from names or, without
them, from the direction of feet and knees. An ambiguous skeleton is an error with the landmarks that were
found.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from humanoid.core.config import load_config
from humanoid.core.errors import InputError, nearest
from humanoid.mocap.skeleton import Clip
from humanoid.mocap.topology import Chain, Limbs, Tree, thigh_and_shin
from humanoid.retarget.presets import LANDMARKS, PRESETS, REQUIRED, SIDED, SkeletonMap, resolve, squeezed

WORDS: dict[str, tuple[str, ...]] = {
    "Pelvis": ("pelvis", "hips", "hip", "root"),
    "Torso": ("spine", "torso", "abdomen", "lowerback", "waist"),
    "Chest": ("upperchest", "spine3", "spine2", "chest", "thorax", "spine1"),
    "Neck": ("neck", "lowerneck", "neck1"),
    "Head": ("head",),
    "Hip": ("upleg", "upperleg", "thigh", "femur", "legupper", "hip"),
    "Knee": ("knee", "lowerleg", "lowleg", "shin", "calf", "tibia", "leglower", "leg"),
    "Ankle": ("ankle", "foot"),
    "Toe": ("toes", "toe", "toebase", "ball", "forefoot"),
    "Thorax": ("collar", "clavicle", "thorax", "shoulder"),
    "Shoulder": ("upperarm", "uparm", "humerus", "shldr", "armupper", "arm", "shoulder"),
    "Elbow": ("elbow", "forearm", "lowerarm", "lowarm", "radius", "armlower"),
    "Wrist": ("wrist", "hand"),
    "Hand": ("handmiddle1", "middle1", "fingers"),
}
"""Landmark without its side -> words for it, the plainest first."""
_CORES = {word for words in WORDS.values() for word in words}
_SIDE = (
    re.compile(r"(?P<side>left|right)[_. -]*(?P<core>.+)", re.IGNORECASE),
    re.compile(r"(?P<core>.+?)[_. -]*(?P<side>left|right)", re.IGNORECASE),
    re.compile(r"(?P<side>[lr])[_. -]+(?P<core>.+)", re.IGNORECASE),
    re.compile(r"(?P<core>.+?)[_. -]+(?P<side>[lr])", re.IGNORECASE),
    re.compile(r"(?P<side>[lrLR])(?P<core>[A-Z].*)"),
    re.compile(r"(?P<core>.*[a-z])(?P<side>[LR])"),
)
_SWAPPED = "left and right by name are right and left by the way the knees and feet point"
_SAMPLES = 64
_SURE = 0.5
"""Cosine between the hips' line and the left side by feet and knees."""
_SAME = 1e-3
"""Distance of joints at one place, part of the longest way between two tips."""
_FINGERS = 0.4
"""Longest hand, part of the arm from shoulder to wrist."""


def skeleton_map(clip: Clip, file: str = "") -> SkeletonMap:
    """Return which joint of a clip is which landmark.

    Args:
        clip: the clip.
        file: YAML file of the user, with ``joints:`` (landmark: joint) and perhaps ``name:``;
            "" to look in the presets and, where none fits, to guess.

    Raises:
        ConfigError: the file is no such YAML.
        InputError: it names a landmark or joint that does not exist; or no preset fits and
            the guess is not clear: the message has what was found, to be completed.
    """
    if file:
        return _checked(load_config(SkeletonMap, file), clip, file)
    found = [each for each in (resolve(table, clip) for table in PRESETS) if each is not None]
    if found:
        return max(found, key=lambda each: len(each.joints))
    return guess(clip)


def guess(clip: Clip) -> SkeletonMap:
    """Return the landmarks of a skeleton that fits no preset.

    Raises:
        InputError: one that is needed was not found, or names and shape contradict each
            other about left and right. The message ends with a YAML file to be completed.
    """
    named = by_names(clip)
    shaped, doubt = by_shape(clip)
    if all(name in named for name in REQUIRED):
        doubt = doubt if doubt == _SWAPPED else ""
        found = {name: named[name] for name in REQUIRED}
        _complete(found, shaped)
    else:
        found = dict(shaped)
    _complete(found, named)
    missing = [name for name in REQUIRED if name not in found]
    if missing and not doubt:
        doubt = f"not found: {', '.join(missing)}"
    if doubt:
        pairs = {name: found.get(name, "?") for name in LANDMARKS if name in found or name in REQUIRED}
        text = ", ".join(f'{name}: "{joint}"' for name, joint in pairs.items())
        raise InputError(
            f"clip '{clip.name}': its skeleton fits no preset, and inference is ambiguous ({doubt}); "
            f"correct this, keep it as a YAML file and name that file: "
            f'{{name: "{clip.name}", joints: {{{text}}}}}; its joints: {", ".join(clip.joint_names)}'
        )
    ordered = {name: found[name] for name in LANDMARKS if name in found}
    return SkeletonMap(name="guess", joints=ordered, guessed=True)


def _checked(skeleton: SkeletonMap, clip: Clip, file: str) -> SkeletonMap:
    for landmark, joint in skeleton.joints.items():
        if landmark not in LANDMARKS:
            raise InputError(f"{file}: no landmark '{landmark}'{nearest(landmark, LANDMARKS)}")
        if joint not in clip.joint_names:
            hint = nearest(joint, clip.joint_names)
            raise InputError(f"{file}: {landmark}: clip '{clip.name}' has no joint '{joint}'{hint}")
    missing = [name for name in REQUIRED if name not in skeleton.joints]
    if missing:
        raise InputError(f"{file}: landmarks are missing: {', '.join(missing)}; name a joint for each")
    return replace(skeleton, required=(), guessed=False)


def _complete(found: dict[str, str], more: dict[str, str]) -> None:
    """Add landmarks that are not yet found, on joints that are not yet taken."""
    for name, joint in more.items():
        if name not in found and joint not in found.values():
            found[name] = joint


def by_names(clip: Clip) -> dict[str, str]:
    """Return the landmarks found by the names of joints, none of them twice."""
    known: dict[tuple[str, str], str] = {}
    for name in reversed(clip.joint_names):
        known[side_of(name)] = name
    found: dict[str, str] = {}
    order = sorted(
        WORDS, key=lambda part: (f"L_{part}" not in REQUIRED and part != "Pelvis", part == "Thorax")
    )
    for part in order:
        for side in ("L", "R") if part in SIDED else ("",):
            landmark = f"{side}_{part}" if side else part
            for word in WORDS[part]:
                joint = known.get((side, word))
                if joint is not None and joint not in found.values():
                    found[landmark] = joint
                    break
    tree = Tree(clip.parents, clip.offsets.norm(dim=-1).tolist())
    index = {name: joint for joint, name in enumerate(clip.joint_names)}
    for side in "LR":
        for limb in (("Hip", "Knee", "Ankle"), ("Shoulder", "Elbow")):
            names = [f"{side}_{part}" for part in limb]
            if not all(name in found for name in names):
                continue
            if not all(tree.way(index[found[a]], index[found[b]]) for a, b in pairwise(names)):
                for name in names:  # words that fit, on joints that are no limb
                    del found[name]
    return found


def side_of(name: str) -> tuple[str, str]:
    """Return L, R or "" and the rest of a joint's name, in lower case without separators."""
    name = re.sub(r"^mixamorig\d*_", "", re.split(r"[:|]", name)[-1])
    for pattern in _SIDE:
        if match := pattern.fullmatch(name):
            return match["side"][0].upper(), squeezed(match["core"])
    plain = squeezed(name)
    if plain[:1] in ("l", "r") and plain[1:] in _CORES:
        return plain[0].upper(), plain[1:]
    return "", plain


def by_shape(clip: Clip) -> tuple[dict[str, str], str]:
    """Return the landmarks found by the tree and the motion, and the ambiguity ("" if none)."""
    tree = Tree(clip.parents, clip.offsets.norm(dim=-1).tolist())
    limbs = tree.limbs()
    if limbs is None:
        return {}, "no two legs and two arms of a person in the tree"
    tips = {
        joint
        for joint, below in enumerate(tree.children)
        if not below and float((clip.local_quat[:, joint, 0].abs() - 1).abs().max()) < 1e-6
    }
    legs = [_leg(tree, leg, tips) for leg in limbs.legs]
    arms = [_arm(tree, arm, tips) for arm in limbs.arms]
    if (
        not all(arms)
        or len({chain.index(arm["Elbow"]) for chain, arm in zip(limbs.arms, arms, strict=True)}) > 1
    ):
        return {}, "no upper arm and forearm in the tree"
    frames = torch.linspace(0, clip.num_frames - 1, min(_SAMPLES, clip.num_frames)).long()
    few = replace(clip, root_pos_w=clip.root_pos_w[frames], local_quat=clip.local_quat[frames], props=())
    pos, _ = few.global_poses()
    doubt = ""
    named, seen = _named_side(clip, limbs.legs), _left(pos, limbs, legs)
    left = named or seen or 1
    if not named and not seen:
        doubt = "left and right follow neither from names nor from feet and knees"
    elif named * seen < 0:
        doubt = _SWAPPED
    hips = pos[:, legs[0]["Hip"]] - pos[:, legs[1]["Hip"]]
    across = ((pos[:, arms[0]["Shoulder"]] - pos[:, arms[1]["Shoulder"]]) * hips).sum(-1).mean()
    arm_left = _named_side(clip, limbs.arms) or (left if across > 0 else -left)
    found = {"Pelvis": limbs.pelvis, "Chest": limbs.chest, **_trunk(tree, limbs, tips)}
    for pair, first in ((legs, left), (arms, arm_left)):
        for side, parts in zip("LR" if first > 0 else "RL", pair, strict=True):
            found |= {f"{side}_{part}": joint for part, joint in parts.items()}
    return {name: clip.joint_names[joint] for name, joint in found.items()}, doubt


def _named_side(clip: Clip, pair: tuple[Chain, Chain]) -> int:
    """Return 1 or -1 where the first or second limb is the left one by name, else 0."""
    votes = [sum({"L": 1, "R": -1, "": 0}[side_of(clip.joint_names[j])[0]] for j in limb) for limb in pair]
    return (votes[0] > 0 > votes[1]) - (votes[1] > 0 > votes[0])


def _left(pos: Tensor, limbs: Limbs, legs: list[dict[str, int]]) -> int:
    """Return 1 or -1 where the first or second leg is the left one by feet and knees, 0 if unclear."""
    up = torch.nn.functional.normalize(pos[:, limbs.chest] - pos[:, limbs.pelvis], dim=-1)
    forward = torch.zeros_like(up)
    for leg, chain in zip(legs, limbs.legs, strict=True):
        hip, knee, ankle = (pos[:, leg[part]] for part in ("Hip", "Knee", "Ankle"))
        forward += (pos[:, chain[-1]] - ankle) + 2 * (knee - 0.5 * (hip + ankle))
    left = torch.linalg.cross(up, forward)
    hips = pos[:, legs[0]["Hip"]] - pos[:, legs[1]["Hip"]]
    cosine = torch.nn.functional.cosine_similarity(left, hips, dim=-1).mean().item()
    return (cosine > _SURE) - (cosine < -_SURE)


def _leg(tree: Tree, chain: Chain, tips: set[int]) -> dict[str, int]:
    knee, ankle = thigh_and_shin(tree, chain)
    foot = _last(tree, chain, ankle)
    leg = {"Hip": tree.parents[knee], "Knee": tree.parents[ankle], "Ankle": foot}
    return leg | _next("Toe", tree, chain, foot, tips)


def _arm(tree: Tree, chain: Chain, tips: set[int]) -> dict[str, int]:
    """Return the joints of an arm: the longest two bones in a row with no more than a hand after them."""
    bones = [joint for joint in chain if not tree.tiny(joint)]
    best: dict[str, int] = {}
    longest = 0.0
    for elbow, wrist in pairwise(bones):
        upper, lower = tree.lengths[elbow], tree.lengths[wrist]
        hand = sum(tree.lengths[joint] for joint in chain[chain.index(wrist) + 1 :])
        if elbow == chain[0] or hand > _FINGERS * (upper + lower) or not 0.5 < upper / lower < 2.0:
            continue
        if upper + lower > longest:
            longest, end = upper + lower, _last(tree, chain, wrist)
            best = {"Shoulder": tree.parents[elbow], "Elbow": tree.parents[wrist], "Wrist": end}
            best |= _next("Hand", tree, chain, end, tips)
            if chain[0] != best["Shoulder"]:
                best["Thorax"] = chain[0]
    return best


def _trunk(tree: Tree, limbs: Limbs, tips: set[int]) -> dict[str, int]:
    """Return the joints of spine and head that stand apart from each other."""
    places = [joint for joint in limbs.spine if not tree.tiny(joint)]
    places = [_last(tree, limbs.spine, joint) for joint in places]
    found = {}
    if len(places) > 1:
        found["Torso"] = places[0]
    if len(places) > 2:
        found["Spine"] = places[(len(places) - 1) // 2]
    turning = [joint for joint in limbs.head if joint not in tips] or list(limbs.head[:1])
    neck = [joint for joint in turning if not tree.tiny(joint)] or turning[-1:]
    if neck:
        found["Neck"] = neck[0]
    if len(neck) > 1:
        found["Head"] = neck[-1]
    return found


def _last(tree: Tree, chain: Chain, joint: int) -> int:
    """Return the last of the joints of a chain that are where ``joint`` is."""
    for below in chain[chain.index(joint) + 1 :]:
        if tree.lengths[below] > _SAME * tree.span or not tree.children[below]:
            break
        joint = below
    return joint


def _next(name: str, tree: Tree, chain: Chain, joint: int, tips: set[int]) -> dict[str, int]:
    """Return the next joint of a chain that is elsewhere and turns something, by ``name``."""
    below = [j for j in chain[chain.index(joint) + 1 :] if not tree.tiny(j) and j not in tips]
    return {name: below[0]} if below else {}
