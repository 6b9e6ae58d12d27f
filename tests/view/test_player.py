"""Playback: frame over time, seeking, looping, and the colours of bodies in contact."""

from __future__ import annotations

import numpy as np
import pytest

from humanoid.core import InputError
from humanoid.view import CapturedSkeleton, Player, Recording
from humanoid.view.player import BODY, IN_CONTACT


def take(
    name: str = "a", frames: int = 20, fps: float = 10.0, way: tuple[float, float] = (0.0, 0.0)
) -> Recording:
    """Two bodies, of which 'foot' stands in the second half; a source of three joints."""
    pos = np.zeros((frames, 2, 3))
    pos[:, :, :2] += np.linspace(0, 1, frames)[:, None, None] * np.array(way)
    quat = np.tile((1.0, 0.0, 0.0, 0.0), (frames, 2, 1))
    joints = np.tile(np.array(((5.0, 5, 1), (5, 5, 2), (5, 6, 2))), (frames, 1, 1))
    return Recording(
        name=name,
        fps=fps,
        pos=pos,
        quat=quat,
        body_names=("root", "foot"),
        contact=np.arange(frames)[:, None] >= frames // 2,
        contact_names=("foot",),
        source=CapturedSkeleton(
            pos=joints,
            quat=np.tile((1.0, 0, 0, 0), (frames, 3, 1)),
            offsets=np.array(((0.0, 0, 0), (0, 0, 1), (0, 1, 0))),
            parents=(-1, 0, 0),
        ),
    )


def test_time_makes_frames() -> None:
    player = Player([take()])
    assert not player.advance(0.05) and player.frame == 0
    assert player.advance(0.06) and player.frame == 1
    player.speed = 4.0
    player.advance(0.25)
    assert player.frame == 11 and player.seconds == pytest.approx(1.1)


def test_pause_holds_the_frame() -> None:
    player = Player([take()])
    player.seek(7)
    player.toggle()
    assert not player.advance(10.0) and player.frame == 7 and not player.playing
    player.toggle()
    assert player.advance(0.1) and player.frame == 8


def test_the_end_of_a_loop_is_its_start() -> None:
    player = Player([take()])
    player.seek(19)
    assert player.advance(0.1) and player.frame == 0
    player.step(-1)
    assert player.frame == 19 and not player.playing


def test_without_loop_playing_stops_at_the_end_and_starts_over() -> None:
    player = Player([take()])
    player.loop = False
    assert player.advance(60.0)
    assert player.frame == 19 and not player.playing
    player.step(5)
    assert player.frame == 19
    player.toggle()
    assert player.frame == 0 and player.playing
    player.step(-3)
    assert player.frame == 0


@pytest.mark.parametrize(("wanted", "shown"), [(-5, 0), (0, 0), (12, 12), (19, 19), (500, 19)])
def test_seeking_stays_in_the_take(wanted: int, shown: int) -> None:
    player = Player([take()])
    player.seek(wanted)
    assert player.frame == shown


def test_choosing_among_takes() -> None:
    player = Player([take("a"), take("b", frames=3)])
    player.seek(15)
    player.choose("b")
    assert player.recording.name == "b" and player.frame == 0
    player.seek(9)
    assert player.frame == 2
    with pytest.raises(InputError, match="'c'"):
        player.choose("c")
    with pytest.raises(InputError):
        Player([])


def test_a_foot_in_contact_is_painted() -> None:
    one = take()
    assert one.colors(9) == [BODY, BODY] and one.contacts(9) == set()
    assert one.colors(10) == [BODY, IN_CONTACT] and one.contacts(10) == {"foot"}


def test_bones_begin_at_their_joint() -> None:
    skeleton = take().source
    assert skeleton is not None
    assert skeleton.bones(0).tolist() == [[0, 0, 1], [0, 1, 0]] and len(skeleton.bones(2)) == 0


@pytest.mark.parametrize(
    ("way", "expected"), [((0.0, 0.0), (0.0, 1.0)), ((3.0, 0.0), (0.0, 1.0)), ((0.0, 3.0), (-1.0, 0.0))]
)
def test_the_source_starts_to_the_left_of_the_way(
    way: tuple[float, float], expected: tuple[float, float]
) -> None:
    one = take(way=way)
    assert one.source is not None
    start = one.source.pos[0, 0] + one.source_offset(1.0)
    assert start[:2] - one.pos[0, 0, :2] == pytest.approx(expected)
    assert one.source_offset(1.0)[2] == 0.0  # heights are compared by eye
    assert (one.source.pos[0, 0] + one.source_offset(0.0))[:2] == pytest.approx(one.pos[0, 0, :2])
