"""The guided demo with the shipped skills, in short."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest

from humanoid.core import paths
from humanoid.scripts.demo_course import CourseCfg
from humanoid.scripts.demo_guided import DemoRun, GuidedDemoCfg, guided_demo, line, props, shipped_demo

SHORT = CourseCfg(
    stick=((0.0, 0.4),), pillars=((2.5, 0.15), (3.5, -1.0)), goal=(6.0, 0.0), longest=0.4, keys=1
)


@pytest.fixture(scope="module")
def done() -> DemoRun:
    """A stick for 0.4 s, 0.4 s towards a place that is too far, one keyframe."""
    shipped = GuidedDemoCfg.shipped()
    return guided_demo(
        GuidedDemoCfg(latent=shipped.latent, diffusion=shipped.diffusion, tries=1, act=SHORT)
    )  # fmt: skip


def test_the_parts_follow_each_other(done: DemoRun) -> None:
    task = done.task
    assert len(task.states) == len(task.captions) == 90  # 0.4 + 0.4 + 1 s at 50 Hz
    assert task.begin == pytest.approx(0.8)
    parts = list(dict.fromkeys(text.split()[0] for text in task.captions))
    assert parts == ["stick", "walk", "keyframes"]
    assert task.next_key(39) is None and task.next_key(40) is not None and task.next_key(89) is not None


def test_figures_say_what_happened(done: DemoRun) -> None:
    figures = done.figures
    assert figures["falls"] == 0 and not figures["touched"] and not figures["arrived"]
    walked = 6.0 - figures["waypoint_m"]
    assert 0.3 < walked < 1.5  # 0.8 s of a walk, and not yet there
    assert figures["keyframes"] == 1 and 0.0 < figures["keyframe_error_m"] < 0.5
    assert figures["plans"] == 9 and figures["plan_ms_median"] > 0.0
    assert "no fall" in line(figures) and "try 1 of 1" in line(figures)


def test_the_keyframe_lies_ahead_of_where_it_begins(done: DemoRun) -> None:
    key = done.task.next_key(40)
    assert key is not None
    gone = (key.root_pos_w - done.task.states[39].root_pos_w[0])[:2].norm()
    assert 0.4 < float(gone) < 1.7  # a second of a walk


def test_pillars_and_the_place_are_where_they_were_asked_for(done: DemoRun) -> None:
    first, second, disc = props(done.task)
    assert (first.kind, second.kind, disc.kind) == ("pillar", "pillar", "disc")
    assert math.dist(first.pos_w, second.pos_w) == pytest.approx(
        math.dist((2.5, 0.15), (3.5, -1.0)), abs=1e-4
    )
    assert math.dist(first.pos_w, disc.pos_w) == pytest.approx(math.dist((2.5, 0.15), (6.0, 0.0)), abs=1e-4)


def test_without_shipped_skills_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.DATA_VARIABLE, str(tmp_path))
    said = shipped_demo()
    assert isinstance(said, str) and "no guided demo" in said and "\n" not in said


def test_to_come_by_later_is_not_to_arrive(done: DemoRun) -> None:
    """A body that walks over the place between keyframes was not sent there."""
    task, step = copy.copy(done.task), len(done.task.states) - 1
    assert task.begin is not None and not task.arrived
    task.goal_w = task.states[-1].root_pos_w[:, :2]
    task.states, task.captions = list(task.states), list(task.captions)
    task.watch(task.states[-1], step)
    assert task.distance() == 0.0 and not task.arrived
    task.begin = None
    task.watch(task.states[-1], step)
    assert task.arrived
