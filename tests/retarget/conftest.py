"""Captured and generated clips on the default body, each retargeted once."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import replace

import pytest

from humanoid import mocap
from humanoid.bodies import Embodiment
from humanoid.datasets import find_clip, load_manifest
from humanoid.mocap import Clip
from humanoid.motion import Motion
from humanoid.retarget import retarget
from tests import synth

Performed = Callable[[str], tuple[Clip, Motion]]
"""Name of a clip -> the clip at the motion's rate and length, and the motion."""

GENERATED = {"synth walk": synth.walk(), "synth turn": synth.walk(turn=0.8), "synth squat": synth.squat()}


@pytest.fixture(scope="session")
def performed(body: Embodiment) -> Performed:
    """Retarget by name: a clip of the shipped manifest, or a generated one."""

    @functools.cache
    def perform(name: str) -> tuple[Clip, Motion]:
        clip = GENERATED[name] if name in GENERATED else _captured(name)
        return clip.resampled(50.0).unrolled(4.0), retarget(clip, body)

    return perform


def _captured(name: str) -> Clip:
    if importlib.util.find_spec("pybullet_data") is None:
        pytest.skip("the package pybullet is not installed (extra 'mocap', Python 3.11)")
    manifest = load_manifest("humanoid3d")
    (entry,) = [clip for clip in manifest.clips if clip.name == name]
    return replace(mocap.load(find_clip(manifest, entry)), name=name, loop=bool(entry.loop))
