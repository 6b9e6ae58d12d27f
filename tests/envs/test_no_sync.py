"""Nothing in a step waits for the device: what would stall a GPU is recorded while steps run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from humanoid.bodies import Embodiment
from humanoid.envs import EventCfg, ObservationCfg, RewardTerm, StartCfg, TrackingCfg, TrackingEnv
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.terminations import CurriculumCfg
from humanoid.motion import MotionLibrary, SamplerCfg
from tests.envs.drifting import DriftingSimulator

VALUES = {
    "aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero", "aten::nonzero",
    "aten::nonzero_numpy", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
    "aten::unique_consecutive", "aten::repeat_interleave.Tensor", "aten::bincount", "aten::allclose",
}  # fmt: skip
"""Operations whose result the host must know: a number, or a shape that depends on numbers."""
TO_HOST = {"item", "tolist", "numpy", "cpu", "__array__", "__bool__", "__int__", "__float__", "__index__"}
FROM_HOST = {"tensor", "as_tensor", "from_numpy", "cuda"}


class Waits(TorchFunctionMode):
    """Records calls that copy between host and device; seen before torch takes them apart."""

    def __init__(self, found: list[str]) -> None:
        """Append to ``found``."""
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in TO_HOST | FROM_HOST:
            self.found.append(name)
        elif name == "to" and any(isinstance(a, (str, torch.device)) for a in (*args[1:], *kwargs.values())):
            self.found.append("to a device")
        elif name in ("__getitem__", "__setitem__") and _holds_list(args[1]):
            self.found.append("index by a list")
        return func(*args, **kwargs)


class WaitsInside(TorchDispatchMode):
    """Records operations that need numbers of the device on the host."""

    def __init__(self, found: list[str]) -> None:
        """Append to ``found``."""
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.name()
        by_mask = name.startswith(("aten::index", "aten::_index_put")) and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
            for argument in args[1:2]
            if isinstance(argument, (list, tuple))
            for index in argument
        )
        if name in VALUES or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def _holds_list(index: object) -> bool:
    return isinstance(index, list) or (isinstance(index, tuple) and any(map(_holds_list, index)))


def waits(function: Callable[[], object]) -> list[str]:
    """Return what ``function`` does that a GPU would have to be waited for."""
    found: list[str] = []
    with Waits(found), WaitsInside(found):
        function()
    return found


X, MASK = torch.arange(6.0), torch.tensor([True, False] * 3)
INDEX = torch.tensor([0, 2])
STALLS: Iterable[Callable[[], object]] = (
    lambda: X[0].item(),
    lambda: X.tolist(),
    lambda: X.numpy(),
    lambda: X.cpu(),
    lambda: X.to("cpu"),
    lambda: X.to(device=torch.device("cpu")),
    lambda: bool(MASK.any()),
    lambda: "yes" if MASK.all() else "no",
    lambda: int(X[1]),
    lambda: float(X[1]),
    lambda: [0, 1, 2][INDEX[1]],
    lambda: X[MASK],
    lambda: X.clone().__setitem__(MASK, X[:3]),
    lambda: MASK.nonzero(),
    lambda: torch.where(MASK),
    lambda: X.masked_select(MASK),
    lambda: torch.unique(X),
    lambda: torch.equal(X, X),
    lambda: torch.repeat_interleave(X[:2], INDEX),
    lambda: torch.tensor([1.0, 2.0]),
    lambda: X[[0, 1]],
    lambda: range(10)[X.argmax()],
)


@pytest.mark.parametrize("stall", STALLS)
def test_what_would_wait_is_recorded(stall: Callable[[], object]) -> None:
    assert waits(stall)


def test_what_would_not_wait_is_not_recorded() -> None:
    def fine() -> Tensor:
        picked = torch.where(MASK, X, 0.0)[INDEX].to(torch.float64)
        return picked.masked_fill(picked > 1.0, 2.0) * torch.zeros(2) + X[1:3] + X.index_select(0, INDEX)

    assert waits(fine) == []


CASES = {
    "as configured by default": {},
    "history and latency": {
        "observation": ObservationCfg(future_steps=(1, 2, 4), history_steps=3),
        "event": EventCfg(latency=(0.0, 0.02)),
    },
    "contacts and groups": {
        "reward": TRACKING_REWARDS
        | {
            "action_rate": RewardTerm(weight=-0.1, group="rest"),
            "undesired_contact": RewardTerm(weight=-0.1, group="rest"),
        },
    },
    "starts of every kind": {
        "start": StartCfg(off_reference=0.2, cross_clip=0.2, pool=64),
        "sampler": SamplerCfg(by="reward"),
    },
    "curriculum": {
        "curriculum": CurriculumCfg(termination={"body_distance": (1.0, 0.3)}, samples=100.0),
    },
}


@pytest.mark.parametrize("parts", CASES.values(), ids=CASES)
def test_a_step_never_waits(library: MotionLibrary, parts: dict[str, Any]) -> None:
    cfg = replace(TrackingCfg(episode_seconds=0.1), **parts)
    env = TrackingEnv(cfg, DriftingSimulator(library, 8), library)
    action = torch.ones(8, env.num_actions)

    def steps() -> None:
        for _ in range(8):
            env.step(action)
            env.observe()

    assert waits(steps) == []


def test_the_simulator_of_these_tests_lives(library: MotionLibrary, body: Embodiment) -> None:
    env = TrackingEnv(TrackingCfg(), DriftingSimulator(library, 8), library)
    results = [env.step(torch.ones(8, body.num_joints)) for _ in range(60)]
    done = torch.stack([result.done for result in results])
    assert 0.0 < done.float().mean() < 0.5  # episodes end, and not all at once
    assert all(result.reward.isfinite().all() for result in results)
