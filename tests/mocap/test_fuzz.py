"""Damaged text captures: every loader gives a valid clip or one line, soon and in little memory.

A format takes part by a function that writes a small valid sample into a folder and returns
the file to damage and the file to load.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import Clip
from humanoid.mocap.checks import MIN_FRAMES
from tests import synth
from tests.mocap import acclaim_samples
from tests.mocap.mutate import mutants

EXAMPLES = 2_000
VALID = 0.2
"""Part of the mutants that has to load: with fewer the damage is too crude."""
SECONDS = 2.0
"""Of the processor, for one file."""
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
MEGABYTES = 500

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 0.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Spine
  {
    OFFSET 0.0 45.5 1.0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0.0 30.25 0.0
    }
  }
  JOINT LeftUpLeg
  {
    OFFSET 10.0 -5.0 0.0
    CHANNELS 3 Zrotation Yrotation Xrotation
    JOINT LeftLeg
    {
      OFFSET 0.0 -42.5 0.0
      CHANNELS 3 Zrotation Yrotation Xrotation
      End Site
      {
        OFFSET 0.0 -41.0 2.0
      }
    }
  }
}
MOTION
Frames: 4
Frame Time: 0.0333333
"""


def acclaim_motion(folder: Path) -> tuple[Path, Path]:
    path = acclaim_samples.write(folder, frames=4)
    return path, path


def acclaim_skeleton(folder: Path) -> tuple[Path, Path]:
    path = acclaim_samples.write(folder, frames=2)
    return folder / "odd.asf", path


def humanoid3d(folder: Path) -> tuple[Path, Path]:
    path = folder / "humanoid3d_squat.txt"
    synth.write(synth.squat(seconds=0.2), path)
    return path, path


def bvh(folder: Path) -> tuple[Path, Path]:
    path = folder / "take.bvh"
    rows = [" ".join(f"{90 if c == 1 else 7 * ((c + t) % 5)}.5" for c in range(15)) for t in range(4)]
    path.write_text(BVH + "\n".join(rows) + "\n")
    return path, path


SAMPLES: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    "acclaim motion": acclaim_motion,
    "acclaim skeleton": acclaim_skeleton,
    "bvh": bvh,
    "humanoid3d": humanoid3d,
}


def check_clip(clip: Clip) -> None:
    """Assert that a clip is whole."""
    frames, joints = clip.num_frames, len(clip.joint_names)
    assert frames >= MIN_FRAMES and len(set(clip.joint_names)) == joints == len(clip.parents)
    assert clip.offsets.shape == (joints, 3) and clip.root_pos_w.shape == (frames, 3)
    assert clip.local_quat.shape == (frames, joints, 4) and clip.fps > 0
    for values in (clip.offsets, clip.root_pos_w, clip.local_quat, clip.global_poses()[0]):
        assert torch.isfinite(values).all()
    assert float((clip.local_quat.norm(dim=-1) - 1).abs().max()) < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    damaged, loaded = SAMPLES[name](tmp_path)
    content = damaged.read_bytes()
    check_clip(mocap.load(loaded))
    count = {"valid": 0, "all": 0}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=EXAMPLES, suppress_health_check=SLOW)
    @given(mutant=mutants(content))
    def attack(mutant: bytes) -> None:
        damaged.write_bytes(mutant)
        count["all"] += 1
        start = time.process_time()
        try:
            clip = mocap.load(loaded)
        except InputError as error:
            assert len(str(error).splitlines()) == 1 and len(str(error)) < 2_000
            assert str(tmp_path) in str(error)
        else:
            check_clip(clip)
            count["valid"] += 1
        assert time.process_time() - start < SECONDS

    attack()
    assert count["all"] >= EXAMPLES and count["valid"] >= VALID * count["all"], count
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    assert grown < MEGABYTES, f"{grown:.0f} MB more"


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_valid(tmp_path: Path, name: str) -> None:
    check_clip(mocap.load(SAMPLES[name](tmp_path)[1]))


@given(data=st.data())
def test_mutants_differ_now_and_then_and_are_never_long(data: st.DataObject) -> None:
    valid = acclaim_samples.ASF.encode()
    assert len(data.draw(mutants(valid))) < len(valid) + 20_000
