"""Motions that need no data: generated clips on the default body."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from humanoid.bodies import Embodiment
from humanoid.motion import Motion
from humanoid.retarget import RetargetCfg, retarget
from tests import synth


@pytest.fixture(scope="session")
def motions(body: Embodiment) -> list[Motion]:
    """A walk of 2 s, a turn of 3.3 s and a squat of 1 s at 50 fps."""
    walk = retarget(synth.walk(), body, RetargetCfg(min_seconds=2.0))
    turn = retarget(synth.walk(turn=1.0, cycle=1.1), body, RetargetCfg(min_seconds=3.3))
    squat = retarget(synth.squat(seconds=1.0), body, RetargetCfg(min_seconds=1.0))
    return [walk, replace(turn, name="turn"), squat]


class Operations(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(  # noqa: ANN204
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def operations() -> type[Operations]:
    """A context that records which torch operations run."""
    return Operations
