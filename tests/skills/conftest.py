"""A student of the tiny tracker, two iterations old."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from humanoid.nn import read_torch
from humanoid.sim import SimCfg
from humanoid.skills import LatentCfg, TeacherMotions
from humanoid.skills.distill_env import DaggerEnv
from humanoid.skills.rollouts import START

SMALL = LatentCfg(width=6, encoder_hidden=(32,), prior_hidden=(16,), decoder_hidden=(32,))


@pytest.fixture(scope="module")
def room(performance: TeacherMotions) -> DaggerEnv:
    """Four environments."""
    return DaggerEnv(performance.teacher, performance.library, SimCfg(), 4, 3, START)


@pytest.fixture
def rewrite() -> Callable[[Path, Path, str, float], Path]:
    """What copies a checkpoint with all numbers of one weight replaced."""

    def copy(source: Path, target: Path, name: str, value: float) -> Path:
        content = read_torch(source)
        content["weights"][name] = torch.full_like(content["weights"][name], value)
        torch.save(content, target)
        return target

    return copy
