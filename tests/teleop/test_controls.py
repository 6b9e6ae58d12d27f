"""A command is stepped by taps, stays in its range and says so."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanoid.core import ConfigError, InputError
from humanoid.teleop import Controls, ControlsCfg, StickCommand
from humanoid.teleop.controls import AXES, KEYS, STANDING, STOP, WORLD

CAMERA = set("WASDQE")
"""Keys that move viser's camera, besides the arrows."""


@pytest.fixture
def controls() -> Controls:
    """A body that stands and could go any way."""
    return Controls(ControlsCfg(forward=(-0.8, 2.0), left=(-0.6, 0.6), turn=(-1.5, 1.5)))


def test_no_key_moves_the_camera() -> None:
    assert not CAMERA & set(KEYS)


@pytest.mark.parametrize(("key", "axis", "sign"), [(key, *where) for key, where in KEYS.items()])
def test_a_tap_is_one_step(controls: Controls, key: str, axis: str, sign: int) -> None:
    assert controls.press(key) == ""
    assert getattr(controls.command, axis) == pytest.approx(sign * controls.cfg.step(axis))
    assert all(getattr(controls.command, other) == 0.0 for other in AXES if other != axis)


def test_space_stops(controls: Controls) -> None:
    for key in ("I", "I", "J", "U"):
        controls.press(key)
    assert not controls.command.stands
    controls.press(STOP)
    assert controls.command == STANDING and controls.command.stands


@given(keys=st.lists(st.sampled_from(sorted(KEYS)), max_size=60))
def test_stays_in_range_and_as_many_taps_back_stop(keys: list[str]) -> None:
    controls = Controls(ControlsCfg())
    for key in keys:
        controls.press(key)
        for axis in AXES:
            low, high = controls.cfg.range(axis)
            assert low - 1e-9 <= getattr(controls.command, axis) <= high + 1e-9
    opposite = {"I": "K", "K": "I", "J": "L", "L": "J", "U": "O", "O": "U"}
    free = Controls(ControlsCfg(forward=(-99, 99), left=(-99, 99), turn=(-99, 99)))
    for key in [*keys, *(opposite[key] for key in keys)]:
        free.press(key)
    assert free.command == STANDING


def test_what_cannot_be_changed_is_no_axis() -> None:
    assert ControlsCfg().axes == ("forward", "turn") and WORLD.axes == ("forward", "left")
    fixed = Controls(ControlsCfg())
    assert "left" in fixed.press("U") and fixed.command == STANDING
    assert "forward" in fixed.press("K") and fixed.command == STANDING


def test_beyond_the_range_is_clamped_and_said(controls: Controls) -> None:
    said = controls.set({"forward": 7.0, "turn": -0.5})
    assert controls.command == StickCommand(forward=controls.cfg.forward[1], turn=-0.5)
    assert "+7.00 m/s is beyond" in said and "clamped to +2.00 m/s" in said and "turn" not in said
    assert "clamped" in controls.press("I")
    assert controls.command.forward == controls.cfg.forward[1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_refused_and_the_command_stays(controls: Controls, value: float) -> None:
    controls.press("I")
    before = controls.command
    with pytest.raises(InputError, match="no finite number"):
        controls.set({"turn": 0.3, "forward": value})
    assert controls.command == before


def test_refusals(controls: Controls) -> None:
    with pytest.raises(InputError, match="key 'X'"):
        controls.press("X")
    wrongs: list[dict[str, Any]] = [
        {"forward": (0.5, 2.0)},
        {"turn": (-math.inf, 1.0)},
        {"left": (0.6, -0.6)},
        {"turn_step": 0.0},
    ]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="controls"):
            ControlsCfg(**wrong)
