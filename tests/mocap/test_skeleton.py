"""Clips: kinematics and resampling against scipy, unrolling of loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from humanoid.core import InputError
from humanoid.mocap import Clip
from humanoid.mocap.skeleton import SEAM_FRAMES
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import yaw
from tests import synth


def random_clip(frames: int = 12, fps: float = 30.0) -> Clip:
    """Return a branching skeleton of five joints in wild but steady motion."""
    rng = np.random.default_rng(3)
    base, step = Rotation.random(5, rng=rng), rng.normal(size=(5, 3)) * 0.3
    quat = [(Rotation.from_rotvec(step * t) * base).as_quat(scalar_first=True) for t in range(frames)]
    return Clip(
        name="random",
        fps=fps,
        joint_names=("a", "b", "c", "d", "e"),
        parents=(-1, 0, 1, 0, 3),
        offsets=torch.tensor(rng.normal(size=(5, 3)), dtype=torch.float32),
        root_pos_w=torch.tensor(rng.normal(size=(frames, 3)), dtype=torch.float32),
        local_quat=torch.tensor(np.array(quat), dtype=torch.float32),
    )


def largest_step(clip: Clip, frames: slice) -> tuple[float, float]:
    """Return the largest move [m] of the root and turn [rad] of a joint between neighbours."""
    pos, quat = clip.root_pos_w[frames], clip.local_quat[frames]
    turn = rot.angle_between(quat[1:], quat[:-1])
    return float(pos.diff(dim=0).norm(dim=-1).max()), float(turn.max())


def heading(clip: Clip) -> Tensor:
    """Return the unwrapped heading (T,) [rad]."""
    return torch.from_numpy(np.unwrap(yaw(clip.local_quat[:, 0]).numpy()))


def test_global_poses_against_homogeneous_matrices() -> None:
    clip = random_clip()
    pos, quat = clip.global_poses()
    for frame in range(clip.num_frames):
        world: list[np.ndarray] = []
        for joint, parent in enumerate(clip.parents):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_quat(clip.local_quat[frame, joint], scalar_first=True).as_matrix()
            local[:3, 3] = clip.root_pos_w[frame] if parent < 0 else clip.offsets[joint]
            world.append(local if parent < 0 else world[parent] @ local)
        np.testing.assert_allclose(pos[frame], [m[:3, 3] for m in world], atol=1e-5)
        np.testing.assert_allclose(rot.to_matrix(quat[frame]), [m[:3, :3] for m in world], atol=1e-5)


@pytest.mark.parametrize("fps", [50.0, 30.0, 17.0, 120.0])
def test_resampling_against_scipy(fps: float) -> None:
    clip = random_clip()
    ours = clip.resampled(fps)
    given = np.arange(clip.num_frames) / clip.fps
    times = np.arange(ours.num_frames) / fps
    assert ours.fps == fps
    assert 0 <= clip.duration - ours.duration < 1 / fps + 1e-6
    for joint in range(5):
        theirs = Slerp(given, Rotation.from_quat(clip.local_quat[:, joint], scalar_first=True))(times)
        mine = Rotation.from_quat(ours.local_quat[:, joint], scalar_first=True)
        assert (mine.inv() * theirs).magnitude().max() < 1e-5
    for axis in range(3):
        line = np.interp(times, given, clip.root_pos_w[:, axis])
        np.testing.assert_allclose(ours.root_pos_w[:, axis], line, atol=1e-5)


def test_sampling_clamps_to_the_ends() -> None:
    clip = random_clip()
    pos, _ = clip.sample(torch.tensor((-5.0, 0.0, clip.duration, 99.0)))
    torch.testing.assert_close(pos, clip.root_pos_w[[0, 0, -1, -1]])
    alone = replace(clip, root_pos_w=clip.root_pos_w[:1], local_quat=clip.local_quat[:1])
    torch.testing.assert_close(alone.sample(torch.tensor((0.0, 1.0)))[0], clip.root_pos_w[[0, 0]])


def test_sampling_takes_the_short_way_whatever_the_sign() -> None:
    clip = random_clip()
    flipped = clip.local_quat.clone()
    flipped[1::2] *= -1
    times = torch.linspace(0, clip.duration, 40)
    a, b = clip.sample(times)[1], replace(clip, local_quat=flipped).sample(times)[1]
    assert float(rot.angle_between(a, b).max()) < 1e-5


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.5])
def test_unrolling_accumulates_displacement_and_heading(turn: float) -> None:
    cycle = synth.walk(turn=turn, fps=50.0)
    many = cycle.unrolled(4.5)
    frames = cycle.num_frames - 1
    assert many.duration == pytest.approx(5.0)
    np.testing.assert_allclose(heading(many)[::frames], turn * np.arange(6), atol=1e-5)

    step = (cycle.root_pos_w[-1] - cycle.root_pos_w[0]).numpy()
    where = cycle.root_pos_w[0].numpy()
    for index in range(6):
        np.testing.assert_allclose(many.root_pos_w[index * frames], where, atol=1e-4)
        where = where + Rotation.from_rotvec((0, 0, turn * index)).apply(step)


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_unrolled_seam_is_an_ordinary_step(turn: float) -> None:
    cycle = synth.walk(turn=turn, fps=50.0)
    many, frames = cycle.unrolled(4.0), cycle.num_frames - 1
    usual = largest_step(cycle, slice(None))
    for index in range(1, 4):
        seam = largest_step(many, slice(index * frames - 1, index * frames + 2))
        assert seam[0] < 1.05 * usual[0] and seam[1] < 1.05 * usual[1]


def test_unrolling_bends_an_open_end_shut_and_nothing_else() -> None:
    whole = synth.walk(fps=50.0)
    torn = replace(whole, root_pos_w=whole.root_pos_w[:-3] + 0.0, local_quat=whole.local_quat[:-3])
    many, frames = torn.unrolled(3.0), torn.num_frames - 1
    untouched = slice(0, torn.num_frames - SEAM_FRAMES)
    torch.testing.assert_close(many.local_quat[untouched], torn.local_quat[untouched])
    assert float((torn.root_pos_w[-1, 2] - torn.root_pos_w[0, 2]).abs()) > 5e-3, "it is open"
    for index in (frames, -1):
        assert float(rot.angle_between(many.local_quat[index], torn.local_quat[0]).max()) < 1e-5
        assert float((many.root_pos_w[index, 2] - torn.root_pos_w[0, 2]).abs()) < 1e-5
    gap = largest_step(replace(torn, local_quat=torn.local_quat[[-1, 0]]), slice(None))[1]
    usual, ever = largest_step(torn, slice(None))[1], largest_step(many, slice(None))[1]
    assert ever < usual + 2 * gap / SEAM_FRAMES


def test_what_does_not_loop_is_left_alone() -> None:
    clip = replace(synth.squat(), loop=False)
    assert clip.unrolled(60.0) is clip


def test_a_long_enough_loop_is_not_repeated() -> None:
    clip = synth.squat(seconds=2.0)
    assert clip.unrolled(1.0).num_frames == clip.num_frames


def test_unknown_joint_is_named() -> None:
    with pytest.raises(InputError, match="'tail'"):
        random_clip().joint_id("tail")


def test_generated_walk_is_a_walk() -> None:
    clip = synth.walk(turn=math.pi / 2)
    pos, _ = clip.global_poses()
    ankles = pos[:, [clip.joint_id("left_ankle"), clip.joint_id("right_ankle")]]
    assert float((ankles[..., 2].amin(1) - synth.ANKLE_HEIGHT).abs().max()) < 1e-5
    low = ankles[..., 2].argmin(1)[:-1]
    row = torch.arange(len(low))
    slip = (ankles[row + 1, low] - ankles[row, low])[:, :2].norm(dim=-1)
    assert float(slip.max()) < 1e-5
    straight = synth.walk()
    assert 0.5 < float(straight.root_pos_w[-1, 0]) < 1.2
    assert float(straight.root_pos_w[:, 1].abs().max()) < 1e-5
