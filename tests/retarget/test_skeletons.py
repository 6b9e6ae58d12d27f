"""Which joint is which landmark: presets, guesses, and the user's own file."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid import mocap
from humanoid.bodies import smpl
from humanoid.core import ConfigError, HumanoidError, InputError, to_yaml
from humanoid.mocap import Clip
from humanoid.retarget import LANDMARKS, PRESETS, REQUIRED, SkeletonMap, skeleton_map
from humanoid.retarget.skeletons import by_names, guess, side_of
from tests import synth

CAPTURED = {
    "bvh/*.bvh": {"CMU BVH", "Mixamo"},
    "cmu/02_01.amc": {"Acclaim CMU"},
    "humanoid3d/*jog.txt": {"humanoid3d"},
    "poselib/*walk.npy": {"AMP humanoid"},
    "ballplay/*run_4.pt": {"SMPL bodies"},
}
ODD = ("no", 'a"b\\', "mixamorig:Hips", "L: x", "1", "a b")
SMPL_NAMES = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot "
    "right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hand right_hand"
)
G1_NAMES = (
    "world pelvis left_hip_pitch_link left_hip_roll_link left_hip_yaw_link left_knee_link "
    "left_ankle_pitch_link left_ankle_roll_link waist_yaw_link torso_link left_shoulder_pitch_link "
    "left_shoulder_roll_link left_shoulder_yaw_link left_elbow_link left_wrist_roll_link left_wrist_yaw_link"
)
MIXAMO_NAMES = (
    "Hips Spine Spine1 Spine2 Neck Head LeftShoulder LeftArm LeftForeArm LeftHand LeftHandMiddle1 "
    "LeftUpLeg LeftLeg LeftFoot LeftToeBase"
)
XSENS_NAMES = (
    "Hips Chest Chest2 Chest3 Chest4 Neck Head LeftCollar LeftShoulder LeftElbow LeftWrist LeftHip "
    "LeftKnee LeftAnkle LeftToe"
)


def both_sides(words: str) -> list[str]:
    """Return names and the right-hand twins of the left ones."""
    names = words.split()
    twins = [n.replace("left", "right").replace("Left", "Right") for n in names]
    return list(dict.fromkeys([*names, *twins]))


def named(names: list[str]) -> Clip:
    """Return a clip of which only the names matter."""
    count = len(names)
    unit = torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(2, count, 4)
    return Clip(
        name="take",
        fps=30.0,
        joint_names=tuple(names),
        parents=(-1, *range(count - 1)),
        offsets=torch.zeros(count, 3),
        root_pos_w=torch.zeros(2, 3),
        local_quat=unit,
    )


def person(pose: float = 0.3, toes: bool = True, fingers: bool = True) -> Clip:
    """Return the default body's skeleton with its knees bent, under its own names."""
    body = smpl.build()
    names = [n for n in body.body_names if toes or n[-3:] != "Toe"]
    names = [n for n in names if fingers or n[-4:] != "Hand"]
    indices = body.body_ids(names)
    above = [body.body_names[body.parents[i]] for i in indices[1:]]
    quat = torch.zeros(9, len(names), 4)
    quat[..., 0] = 1.0
    half = 0.5 * pose * torch.linspace(0.5, 1.0, 9)
    for side in "LR":
        for part, sign in (("Hip", -1), ("Knee", 2)):
            quat[:, names.index(f"{side}_{part}"), 0] = (sign * half).cos()
            quat[:, names.index(f"{side}_{part}"), 2] = (sign * half).sin()
    return Clip(
        name="person",
        fps=30.0,
        joint_names=tuple(names),
        parents=(-1, *(names.index(name) for name in above)),
        offsets=torch.as_tensor(body.body_pos[indices], dtype=torch.float32),
        root_pos_w=torch.tensor((0.0, 0.0, 0.95)).repeat(9, 1),
        local_quat=quat,
    )


def renamed(clip: Clip, seed: int = 0) -> tuple[Clip, dict[str, str]]:
    """Return the clip with joints j0..jN in another order, and old name -> new name."""
    rng = random.Random(seed)
    order = [0]
    while len(order) < len(clip.joint_names):  # any order with parents before children
        ready = [j for j, p in enumerate(clip.parents) if p in order and j not in order]
        order.append(rng.choice(ready))
    new = {clip.joint_names[old]: f"j{i}" for i, old in enumerate(order)}
    parents = tuple(order.index(clip.parents[old]) if clip.parents[old] >= 0 else -1 for old in order)
    shuffled = replace(
        clip,
        joint_names=tuple(new[clip.joint_names[old]] for old in order),
        parents=parents,
        offsets=clip.offsets[order],
        local_quat=clip.local_quat[:, order],
        props=(),
    )
    return shuffled, new


def same_places(clip: Clip, one: dict[str, str], other: dict[str, str], names: tuple[str, ...]) -> None:
    """Assert that two maps put landmarks on joints at one place."""
    pos, _ = clip.global_poses()
    for name in names:
        a, b = clip.joint_id(one[name]), clip.joint_id(other[name])
        assert float((pos[:, a] - pos[:, b]).norm(dim=-1).max()) < 1e-4, (name, one[name], other[name])


@pytest.mark.parametrize("pattern", CAPTURED)
def test_captured_files_belong_to_a_family(mocap_data: Path, pattern: str) -> None:
    files = sorted(mocap_data.glob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {mocap_data}")
    for file in files:
        clip = mocap.load(file)
        found = skeleton_map(clip)
        assert found.name in CAPTURED[pattern] and not found.guessed
        assert set(REQUIRED) <= set(found.joints) <= set(LANDMARKS)
        assert len(set(found.joints.values())) == len(found.joints)
        pos, _ = clip.global_poses()
        at = {name: pos[:, clip.joint_id(joint)] for name, joint in found.joints.items()}
        thigh = (at["L_Hip"] - at["L_Knee"]).norm(dim=-1).median()
        assert 0.3 < float(thigh) < 0.55
        up = torch.nn.functional.normalize(at["Chest"] - at["Pelvis"], dim=-1)
        for side in "LR":
            bend = at[f"{side}_Knee"] - 0.5 * (at[f"{side}_Hip"] + at[f"{side}_Ankle"])
            left = torch.linalg.cross(up, bend)
            assert float((left * (at["L_Hip"] - at["R_Hip"])).sum(-1).mean()) > 0, "left is left"


@pytest.mark.parametrize("pattern", CAPTURED)
def test_captured_skeletons_are_guessed_without_names(mocap_data: Path, pattern: str) -> None:
    files = sorted(mocap_data.glob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {mocap_data}")
    for seed, file in enumerate(files):
        clip = mocap.load(file)
        want = skeleton_map(clip)
        shuffled, new = renamed(clip, seed)
        found = skeleton_map(shuffled)
        assert found.guessed and found.name == "guess"
        wanted = {name: new[joint] for name, joint in want.joints.items()}
        apart = ("Hand",) if "BVH" not in want.name else ("Hand", "Wrist")  # one finger or the other
        names = tuple(n for n in wanted if n in found.joints and not n.endswith(apart))
        assert set(REQUIRED) <= set(names) and len(names) >= len(wanted) - 4
        same_places(shuffled, found.joints, wanted, names)


@pytest.mark.parametrize(
    ("names", "family", "some"),
    [
        (SMPL_NAMES, "SMPL", {"Chest": "spine3", "L_Toe": "left_foot", "R_Thorax": "right_collar"}),
        (" ".join(smpl.build().body_names), "SMPL bodies", {name: name for name in LANDMARKS}),
        (G1_NAMES, "Unitree G1", {"L_Hip": "left_hip_yaw_link", "R_Ankle": "right_ankle_roll_link"}),
        (MIXAMO_NAMES, "Mixamo", {"Chest": "Spine2", "R_Hand": "RightHandMiddle1"}),
        (MIXAMO_NAMES.replace("ToeBase", "Toe").replace("LeftHandMiddle1", ""), "LAFAN1",
         {"Torso": "Spine", "Spine": "Spine1", "Chest": "Spine2", "R_Toe": "RightToe"}),
        (XSENS_NAMES, "Xsens BVH", {"Torso": "Chest", "Chest": "Chest4", "L_Shoulder": "LeftShoulder"}),
        (XSENS_NAMES.replace("Chest2 Chest3 Chest4", ""), "Xsens BVH", {"Chest": "Chest"}),
        (" ".join(synth.walk().joint_names), "humanoid3d", {"Pelvis": "root", "Chest": "chest"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "prefix", ["", "mixamorig:", "mixamorig4:", "Character1_", "Skeleton|Armature:", "Bip01 "]
)
def test_presets_by_name(names: str, family: str, some: dict[str, str], prefix: str) -> None:
    clip = named([prefix + name for name in both_sides(names)])
    found = skeleton_map(clip)
    assert found.name == family
    assert {key: found.joints[key] for key in some} == {key: prefix + joint for key, joint in some.items()}
    assert all(joint in clip.joint_names for joint in found.joints.values())
    loud = named([name.upper() for name in clip.joint_names])
    assert skeleton_map(loud).joints == {key: joint.upper() for key, joint in found.joints.items()}


def test_tables_are_whole() -> None:
    assert len({table.name for table in PRESETS}) == len(PRESETS)
    for table in PRESETS:
        assert set(REQUIRED) <= set(table.joints) <= set(LANDMARKS), table.name
        for name, joint in table.joints.items():
            if name[:2] == "L_":
                assert joint != table.joints["R_" + name[2:]], table.name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("toes", [True, False])
def test_shape_alone_tells_a_generated_skeleton(seed: int, toes: bool) -> None:
    clip = person(toes=toes, fingers=toes)
    shuffled, new = renamed(clip, seed)
    found = skeleton_map(shuffled).joints
    for name, joint in found.items():
        if name != "Spine":
            assert joint == new[name]
    assert set(REQUIRED) <= set(found)


def test_left_is_left_whatever_way_the_person_lies() -> None:
    clip = person()
    turn = torch.tensor((0.3, -0.5, 0.7, 0.4))
    quat = clip.local_quat.clone()
    quat[:, 0] = turn / turn.norm()
    shuffled, new = renamed(replace(clip, local_quat=quat), 3)
    assert skeleton_map(shuffled).joints["L_Knee"] == new["L_Knee"]


def test_straight_legs_without_feet_are_not_clear() -> None:
    clip = person(pose=0.0, toes=False, fingers=False)
    shuffled, _ = renamed(clip)
    with pytest.raises(InputError, match="left and right") as caught:
        skeleton_map(shuffled)
    assert "\n" not in str(caught.value)


def test_names_against_knees_are_refused() -> None:
    clip = person()
    swapped = tuple(
        {"L": "thigh.R", "R": "thigh.L"}[n[0]] if n[1:] == "_Hip" else
        {"L": "calf.R", "R": "calf.L"}[n[0]] if n[1:] == "_Knee" else
        {"L": "foot.R", "R": "foot.L"}[n[0]] if n[1:] == "_Ankle" else n
        for n in clip.joint_names
    )  # fmt: skip
    with pytest.raises(InputError, match="left and right"):
        skeleton_map(replace(clip, joint_names=swapped))


def test_names_without_a_shape() -> None:
    words = ["hips", "spine", "chest", "neck", "head"]
    for side in ("l", "r"):
        words += [
            f"{part}.{side.upper()}"
            for part in ("thigh", "shin", "foot", "toe", "upper_arm", "forearm", "hand")
        ]
    clip = named(words)
    parents = {"shin": "thigh", "foot": "shin", "toe": "foot", "forearm": "upper_arm", "hand": "forearm"}
    tree = []
    for index, name in enumerate(words):
        part, _, side = name.partition(".")
        above = f"{parents[part]}.{side}" if part in parents else words[0]
        tree.append(words.index(above) if index else -1)
    found = skeleton_map(replace(clip, parents=tuple(tree)))
    assert found.guessed
    assert found.joints["L_Knee"] == "shin.L" and found.joints["R_Shoulder"] == "upper_arm.R"
    assert by_names(clip)["R_Wrist"] == "hand.R"


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("LeftUpLeg", ("L", "upleg")), ("mixamorig:RightHand", ("R", "hand")), ("lfemur", ("L", "femur")),
        ("thigh.R", ("R", "thigh")), ("upperarm_l", ("L", "upperarm")), ("RThigh", ("R", "thigh")),
        ("left_hip", ("L", "hip")), ("Hips", ("", "hips")), ("lowerback", ("", "lowerback")),
        ("root", ("", "root")), ("Reference", ("", "reference")), ("rradius", ("R", "radius")),
        ("HandLeft", ("L", "hand")), ("L Thigh", ("L", "thigh")), ("Spine1", ("", "spine1")),
    ],
)  # fmt: skip
def test_sides_of_names(name: str, side: tuple[str, str]) -> None:
    assert side_of(name) == side


def test_yaml_round_trip(tmp_path: Path) -> None:
    clip = synth.walk()
    found = skeleton_map(clip)
    file = tmp_path / "skeleton.yaml"
    file.write_text(to_yaml(found))
    assert skeleton_map(clip, str(file)) == found
    odd = SkeletonMap(name="no", joints=dict(zip(LANDMARKS, ODD, strict=False)))
    file.write_text(to_yaml(odd))
    names = list(dict.fromkeys([*odd.joints.values(), *(f"j{i}" for i in range(20))]))
    whole = replace(odd, joints={**{n: f"j{i}" for i, n in enumerate(REQUIRED)}, **odd.joints})
    file.write_text(to_yaml(whole))
    assert skeleton_map(named(names), str(file)) == whole


def test_refusal_is_a_file_to_be_completed(tmp_path: Path) -> None:
    clip = person()
    arms = tuple(f"x{i}" if n[2:] in ("Elbow", "Wrist") else n for i, n in enumerate(clip.joint_names))
    cut = named([n for n in arms if n[2:] != "Shoulder"])
    with pytest.raises(InputError, match="L_Shoulder") as caught:
        skeleton_map(cut)
    message = str(caught.value)
    assert "\n" not in message and "?" in message
    file = tmp_path / "skeleton.yaml"
    file.write_text(message[message.index("{name:") : message.index("; its joints:")])
    with pytest.raises(InputError, match=r"'\?'"):
        skeleton_map(cut, str(file))
    file.write_text(file.read_text().replace('"?"', '"x20"'))
    with pytest.raises(InputError, match="skeleton.yaml"):
        skeleton_map(cut, str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joints: {Pelvis: root}", "L_Hip"),
        ("joints: {Pelvi: root}", "'Pelvi'"),
        ("joints: {Pelvis: Root_}", "'Root_'"),
        ("joint: {}", "'joint'"),
        ("joints: [a]", "'joints'"),
        ("{", "not valid YAML"),
    ],
)
def test_bad_files_of_the_user(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "skeleton.yaml"
    file.write_text(text)
    with pytest.raises((InputError, ConfigError), match=message) as caught:
        skeleton_map(synth.walk(), str(file))
    assert isinstance(caught.value, HumanoidError) and "skeleton.yaml" in str(caught.value)


def test_no_person_is_refused() -> None:
    with pytest.raises(InputError, match="'take'"):
        guess(named(["a", "b", "c"]))
