"""What is taken out of a take before it is retargeted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.mocap import Clip
from humanoid.retarget.clean import without_calibration, without_echoes
from tests import synth


@pytest.fixture(scope="module")
def walk() -> Clip:
    return synth.walk(cycle=2.0, fps=30.0)


def echoed(clip: Clip, times: int, skip: int = 0) -> Clip:
    """Write every frame ``times`` times, as a file does whose rate was raised without interpolating."""
    root = clip.root_pos_w.repeat_interleave(times, 0)[skip:]
    quat = clip.local_quat.repeat_interleave(times, 0)[skip:]
    return replace(clip, fps=clip.fps * times, root_pos_w=root, local_quat=quat)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_frames_written_several_times_are_read_once(walk: Clip, times: int) -> None:
    found, count = without_echoes(echoed(walk, times))
    assert count == times and found.fps == pytest.approx(walk.fps)
    torch.testing.assert_close(found.root_pos_w, walk.root_pos_w)
    torch.testing.assert_close(found.local_quat, walk.local_quat)


def test_a_first_block_that_was_cut_does_not_shift_the_others(walk: Clip) -> None:
    found, count = without_echoes(echoed(walk, 3, skip=1))
    assert count == 3
    torch.testing.assert_close(found.root_pos_w, walk.root_pos_w[1:])


def test_a_take_without_echoes_is_left_alone(walk: Clip) -> None:
    assert without_echoes(walk) == (walk, 1)


def test_somebody_who_stands_still_now_and_then_is_left_alone(walk: Clip) -> None:
    held = torch.tensor([0, 1, 2, 2, 2, 2, 3, 4, 5, 5, 5, 6, *range(7, 60)])
    still = replace(walk, root_pos_w=walk.root_pos_w[held], local_quat=walk.local_quat[held])
    assert without_echoes(still)[1] == 1
    frozen = replace(
        walk, root_pos_w=walk.root_pos_w[:1].expand(40, -1), local_quat=walk.local_quat[:1].expand(40, -1, -1)
    )
    assert without_echoes(frozen)[1] == 1


def test_a_first_frame_that_the_second_does_not_continue_goes(walk: Clip) -> None:
    pose = torch.zeros_like(walk.local_quat[:1])
    pose[..., 0], pose[..., 1] = 0.8, 0.6
    begun = replace(
        walk,
        root_pos_w=torch.cat((walk.root_pos_w[:1], walk.root_pos_w)),
        local_quat=torch.cat((pose, walk.local_quat)),
    )
    found, gone = without_calibration(begun)
    assert gone == 1
    torch.testing.assert_close(found.local_quat, walk.local_quat)
    assert without_calibration(walk)[1] == 0
