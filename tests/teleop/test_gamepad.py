"""A pad is read from its events without waiting; a pipe stands for the device."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from humanoid.teleop import Gamepad, Sticks
from humanoid.teleop.gamepad import DEAD_ZONE


class Wire:
    """A device that the test writes events to."""

    def __init__(self) -> None:
        """Open it."""
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self.pad = Gamepad(reading)

    def event(self, kind: int, number: int, value: int) -> None:
        """Send one, as ``struct js_event`` lays it out."""
        os.write(self.writing, struct.pack("=IhBB", 0, value, kind, number))


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A pad that is plugged in."""
    wire = Wire()
    yield wire
    wire.pad.close()


def test_none_where_there_is_none(tmp_path: Path) -> None:
    assert Gamepad.find(tmp_path) is None
    assert Gamepad.find(tmp_path / "absent") is None


def test_found_by_its_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "js0")
    pad = Gamepad.find(tmp_path)
    assert pad is not None
    pad.close()


def test_what_it_says_on_opening_is_nothing(wire: Wire) -> None:
    for axis in range(6):
        wire.event(0x82, axis, 0)
    assert wire.pad.poll() is None


def test_sticks_steer_and_let_go(wire: Wire) -> None:
    wire.event(0x02, 1, -32767)
    assert wire.pad.poll() == Sticks(forward=1.0)
    assert wire.pad.poll() == Sticks(forward=1.0)  # held: the pad itself says nothing more
    wire.event(0x02, 0, -32767)
    wire.event(0x02, 3, 32767)
    assert wire.pad.poll() == Sticks(forward=1.0, left=1.0, turn=-1.0)
    for axis in (0, 1, 3):
        wire.event(0x02, axis, 0)
    assert wire.pad.poll() == Sticks()
    assert wire.pad.poll() is None


def test_the_middle_is_dead(wire: Wire) -> None:
    wire.event(0x02, 1, -int(0.9 * DEAD_ZONE * 32767))
    assert wire.pad.poll() == Sticks()
    wire.event(0x02, 1, -16384)
    sticks = wire.pad.poll()
    assert sticks is not None and 0.3 < sticks.forward < 0.5


def test_a_button_stops(wire: Wire) -> None:
    wire.event(0x01, 0, 1)
    assert wire.pad.poll() == Sticks(stop=True)
    wire.event(0x01, 0, 0)
    assert wire.pad.poll() is None


def test_unplugged_it_stops_once(wire: Wire) -> None:
    wire.event(0x02, 1, -32767)
    wire.pad.poll()
    os.close(wire.writing)
    assert wire.pad.poll() == Sticks(stop=True)
    assert wire.pad.poll() is None
