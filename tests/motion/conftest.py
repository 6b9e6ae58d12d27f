"""Motions that need no data: generated clips on the default body."""

from __future__ import annotations

from dataclasses import replace

import pytest

from humanoid.bodies.embodiment import Embodiment
from humanoid.mocap import synth
from humanoid.motion.motion import Motion
from humanoid.retarget.pipeline import RetargetCfg, retarget


@pytest.fixture(scope="session")
def motions(body: Embodiment) -> list[Motion]:
    """A walk of 2 s, a turn of 3.3 s and a squat of 1 s at 50 fps."""
    walk = retarget(synth.walk(), body, RetargetCfg(min_seconds=2.0))
    turn = retarget(synth.walk(turn=1.0, cycle=1.1), body, RetargetCfg(min_seconds=3.3))
    squat = retarget(synth.squat(seconds=1.0), body, RetargetCfg(min_seconds=1.0))
    return [walk, replace(turn, name="turn"), squat]
