"""Motion-graph walks: transitions between similar frames, no jump at a seam."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.motion import Motion, mirror
from humanoid.motion.augment import GraphWalkCfg, graph_walks

CFG = GraphWalkCfg(count=3, seconds=4.0, stay=(0.3, 0.6), similarity=0.3, blend=0.12)


@pytest.fixture(scope="module")
def bends(body: Embodiment, squat: Motion) -> list[Motion]:
    """A bend and its mirror image, which are alike everywhere."""
    return [squat, replace(mirror(squat, body), name="other")]


def test_a_walk_goes_from_clip_to_clip_without_a_jump(bends: list[Motion], body: Embodiment) -> None:
    found = graph_walks(bends, body, CFG, seed=1)
    assert [motion.name for motion in found] == ["medley0", "medley1", "medley2"]
    assert any(len(motion.provenance["concatenated"]) > 2 for motion in found)
    for motion in found:
        names = motion.provenance["concatenated"]
        assert all(a != b for a, b in pairwise(names))
        step = motion.states.body_pos_w.diff(dim=0).norm(dim=-1).max()
        assert step < 2.0 * max(float(b.states.body_pos_w.diff(dim=0).norm(dim=-1).max()) for b in bends)


def test_one_seed_gives_one_walk(bends: list[Motion], body: Embodiment) -> None:
    first, again, other = (graph_walks(bends, body, CFG, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first.states.joint_pos, again.states.joint_pos)
    same = first.num_frames == other.num_frames
    assert not (same and torch.equal(first.states.joint_pos, other.states.joint_pos))


def test_none_are_made_unless_asked(bends: list[Motion], body: Embodiment) -> None:
    assert graph_walks(bends, body, GraphWalkCfg()) == []


def test_clips_without_a_transition_are_an_error(squat: Motion, body: Embodiment) -> None:
    with pytest.raises(InputError, match="similarity"):
        graph_walks([squat], body, CFG)


def test_bad_fields_are_errors() -> None:
    with pytest.raises(ConfigError, match="blend"):
        GraphWalkCfg(stay=(0.1, 3.0), blend=0.2)
    with pytest.raises(ConfigError, match=r"\(0, 1\]"):
        GraphWalkCfg(similarity=0.0)
