"""Skeletons whose rest pose is no pose: all bones along one axis, as LAFAN1 has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from humanoid import mocap
from humanoid.bodies import Embodiment
from humanoid.core import InputError
from humanoid.mocap import Clip
from humanoid.retarget import retarget, skeleton_map
from humanoid.retarget.anatomy import is_pose, posed, rest_positions
from humanoid.spatial import rotation as rot
from tests import synth

REAL = (
    "bvh/cmu_12_01_walk.bvh", "bvh/xia_neutral_01_000.bvh", "humanoid3d/humanoid3d_long_walk1.txt",
    "humanoid3d/humanoid3d_jog.txt", "humanoid3d/humanoid3d_zombie_walk.txt",
)  # fmt: skip


def in_a_line(clip: Clip) -> Clip:
    """Return the same take with joint frames in which every bone that is alone lies along x."""
    zero = torch.zeros(len(clip.parents), 4)
    for joint in range(len(zero)):
        below = [i for i, parent in enumerate(clip.parents) if parent == joint]
        bone = clip.offsets[below[0]] if len(below) == 1 else torch.tensor((0.0, 0.0, 1.0))
        zero[joint] = from_x(bone)
    parents = torch.tensor([max(parent, 0) for parent in clip.parents])
    local = rot.mul(clip.local_quat, zero.expand_as(clip.local_quat))
    local[:, 1:] = rot.mul(rot.conjugate(zero[parents[1:]]).expand_as(local[:, 1:]), local[:, 1:])
    return replace(clip, offsets=rot.rotate_inverse(zero[parents], clip.offsets), local_quat=local)


def from_x(bone: Tensor) -> Tensor:
    """Return some rotation (4,) that takes x to a bone (3,)."""
    x = bone / bone.norm().clamp_min(1e-9) if float(bone.norm()) > 1e-6 else torch.tensor((1.0, 0.0, 0.0))
    y = torch.linalg.cross(torch.eye(3)[int(x.abs().argmin())], x)
    y = y / y.norm()
    return rot.from_matrix(torch.stack((x, y, torch.linalg.cross(x, y)), -1))


def joints_of(clip: Clip) -> dict[str, int]:
    return {landmark: clip.joint_id(name) for landmark, name in skeleton_map(clip).joints.items()}


def compared(clip: Clip, body: Embodiment) -> Tensor:
    """Return how far (m) each key body is from where it is with the true rest pose, mean over time."""
    line = in_a_line(clip)
    assert is_pose(rest_positions(clip), joints_of(clip))
    assert not is_pose(rest_positions(line), joints_of(line))
    torch.testing.assert_close(line.global_poses()[0], clip.global_poses()[0], atol=1e-3, rtol=0)
    key = body.body_ids(body.tracked)
    true, ours = (retarget(each, body).states.body_pos_w[:, key] for each in (clip, line))
    return (true - ours).norm(dim=-1).mean(0)


@pytest.mark.parametrize("clip", [synth.walk(), synth.walk(turn=0.8), synth.squat()])
def test_a_rest_pose_in_one_line_changes_little(body: Embodiment, clip: Clip) -> None:
    assert float(compared(clip, body).mean()) < 0.01


@pytest.mark.parametrize("file", REAL)
def test_real_takes_in_one_line(mocap_data: Path, body: Embodiment, file: str) -> None:
    clip = mocap.load(mocap_data / file)
    clip = clip.window(0, min(clip.num_frames, int(4 * clip.fps)))
    assert float(compared(clip, body).mean()) < 0.03


def test_no_joint_moves_and_the_new_rest_stands(body: Embodiment) -> None:
    line = in_a_line(synth.walk(turn=0.8))
    joints = joints_of(line)
    again = posed(line, joints, line.joint_id("chest"))
    torch.testing.assert_close(again.global_poses()[0], line.global_poses()[0], atol=1e-4, rtol=0)
    at = rest_positions(again)
    assert is_pose(at, joints)
    left = at[joints["L_Hip"]] - at[joints["R_Hip"]]
    assert float(left[1] / left.norm()) > 0.99, "it faces x"


def test_a_take_that_never_stands_is_refused(body: Embodiment) -> None:
    clip = in_a_line(synth.walk())
    turned = clip.local_quat.clone()
    quarter = torch.tensor((0.5**0.5, 0.0, 0.5**0.5, 0.0)).expand_as(turned[:, 0])
    turned[:, 0] = rot.mul(quarter, turned[:, 0])
    with pytest.raises(InputError, match="'walk'"):
        retarget(replace(clip, local_quat=turned), body)
