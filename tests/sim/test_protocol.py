"""Settings that no simulator can use are refused before one is built."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from humanoid.core import ConfigError, load_config
from humanoid.sim import SimCfg, require_device


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dt", 0.0), ("dt", -0.02), ("dt", math.nan), ("friction", 0.0), ("friction", math.inf),
        ("substeps", 0), ("solver_iterations", 0), ("threads", -1),
    ],
)  # fmt: skip
def test_numbers_that_make_no_physics(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"sim.{name} is"):
        SimCfg(**{name: value})
    with pytest.raises(ConfigError, match=f"sim.{name} is"):
        load_config(SimCfg, None, [f"{name}={value}"])


def test_devices_by_name() -> None:
    assert require_device("cpu") == torch.device("cpu")
    for name in ("gpu", "", "mps", "cuda:x", "cpu cuda"):
        with pytest.raises(ConfigError, match=f"'{name}'"):
            require_device(name)


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="CUDA"):
        require_device(f"cuda:{torch.cuda.device_count()}")
