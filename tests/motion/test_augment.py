"""Medleys: passages only where frames are alike, no jump at any seam."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.motion import Motion, mirror
from humanoid.motion.augment import MedleyCfg, medleys

CFG = MedleyCfg(count=3, seconds=4.0, stay=(0.3, 0.6), similarity=0.3, blend=0.12)


@pytest.fixture(scope="module")
def bends(body: Embodiment, squat: Motion) -> list[Motion]:
    """A bend and its mirror image, which are alike everywhere."""
    return [squat, replace(mirror(squat, body), name="other")]


def test_a_medley_goes_from_clip_to_clip_without_a_jump(bends: list[Motion], body: Embodiment) -> None:
    found = medleys(bends, body, CFG, seed=1)
    assert [motion.name for motion in found] == ["medley0", "medley1", "medley2"]
    assert any(len(motion.provenance["concatenated"]) > 2 for motion in found)
    for motion in found:
        names = motion.provenance["concatenated"]
        assert all(a != b for a, b in pairwise(names))
        step = motion.states.body_pos_w.diff(dim=0).norm(dim=-1).max()
        assert step < 2.0 * max(float(b.states.body_pos_w.diff(dim=0).norm(dim=-1).max()) for b in bends)


def test_one_seed_gives_one_medley(bends: list[Motion], body: Embodiment) -> None:
    first, again, other = (medleys(bends, body, CFG, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first.states.joint_pos, again.states.joint_pos)
    same = first.num_frames == other.num_frames
    assert not (same and torch.equal(first.states.joint_pos, other.states.joint_pos))


def test_none_are_made_unless_asked(bends: list[Motion], body: Embodiment) -> None:
    assert medleys(bends, body, MedleyCfg()) == []


def test_clips_that_nothing_leads_between_are_refused(squat: Motion, body: Embodiment) -> None:
    with pytest.raises(InputError, match="no passage of similarity"):
        medleys([squat], body, CFG)


def test_what_is_no_medley_is_refused() -> None:
    with pytest.raises(ConfigError, match="blend <= shortest <= longest"):
        MedleyCfg(stay=(0.1, 3.0), blend=0.2)
    with pytest.raises(ConfigError, match=r"\(0, 1\]"):
        MedleyCfg(similarity=0.0)
