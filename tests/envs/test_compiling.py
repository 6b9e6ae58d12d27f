"""Compiled arithmetic: the same numbers, no break in any graph, clear words where it cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from humanoid.core import ConfigError
from humanoid.envs import ObservationCfg, Reference, RewardTerm, TrackingCfg, TrackingEnv, events
from humanoid.envs.compiling import CompiledFunction, compiled
from humanoid.envs.kernels import Observed
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.terminations import CurriculumCfg
from humanoid.motion import MotionLibrary
from tests.envs.drifting import DriftingSimulator

CPU = torch.device("cpu")
COUNT = 6
CFG = TrackingCfg(
    observation=ObservationCfg(future_steps=(1, 4), history_steps=2),
    reward=TRACKING_REWARDS | {"undesired_contact": RewardTerm(weight=-0.1)},
    curriculum=CurriculumCfg(termination={"body_distance": (1.0, 0.5)}),
)


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Let no test meet what another one compiled."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def _calls(library: MotionLibrary) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Return each pure function with arguments of a step."""
    env = TrackingEnv(replace(CFG, compile="never"), DriftingSimulator(library, COUNT), library)
    action = torch.linspace(-1, 1, COUNT * env.num_actions).reshape(COUNT, -1)
    for _ in range(5):
        env.step(action)
    state, ref, kernels, zero = env.state, env.cursor.now(), env.kernels, torch.zeros_like(action)
    force, noise = torch.ones(COUNT, env.body.num_bodies, 3), torch.full((COUNT, 12 + zero.shape[1]), 0.1)
    draw = torch.linspace(0, 1, 200).repeat(COUNT, 1)
    return {
        "evaluate": (
            kernels.evaluation,
            (state, Reference(now=ref), action, zero, force, None, {"body_distance": torch.tensor(0.1)}),
        ),
        "observe": (
            kernels.observation,
            (Observed(state, env.source.command(), action, env.joint_offset, env.history.flat(), None), draw),
        ),
        "disturb": (events.disturbed, (ref, env.parts.limits, noise)),
    }


def _numbers(result: object) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, tuple):
        return [number for part in result for number in _numbers(part)]
    values = result if isinstance(result, dict) else vars(result)
    return [number for part in values.values() for number in _numbers(part)]


def _same(found: object, expected: object) -> None:
    pairs = list(zip(_numbers(found), _numbers(expected), strict=True))
    assert pairs
    for one, two in pairs:
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("forgetful")
def test_every_function_is_one_graph(library: MotionLibrary) -> None:
    for function, arguments in _calls(library).values():
        # fullgraph: whatever needs a number on the host is an error; the backend compiles nothing
        traced = torch.compile(function, fullgraph=True, dynamic=False, backend="eager")
        _same(traced(*arguments), function(*arguments))


@pytest.mark.slow
@pytest.mark.usefixtures("forgetful")
def test_compiled_numbers_are_the_same(library: MotionLibrary) -> None:
    for function, arguments in _calls(library).values():
        _same(compiled(function, "always", CPU)(*arguments), function(*arguments))


@pytest.mark.slow
@pytest.mark.usefixtures("forgetful")
def test_compiled_steps_are_the_same_and_soon_compile_no_more(library: MotionLibrary) -> None:
    plain, fast = (
        TrackingEnv(replace(CFG, compile=choice), DriftingSimulator(library, COUNT), library)
        for choice in ("never", "always")
    )
    with torch.inference_mode():
        for step in range(12):
            action = torch.full((COUNT, plain.num_actions), 0.1 * step)
            with torch._dynamo.config.patch(error_on_recompile=step > 2):
                _same(vars(fast.step(action)), vars(plain.step(action)))
                _same(fast.observe(), plain.observe())


def test_on_a_cpu_nothing_is_compiled_unasked() -> None:
    assert compiled(torch.sin, "auto", CPU) is torch.sin
    assert compiled(torch.sin, "never", torch.device("cuda")) is torch.sin


@pytest.mark.usefixtures("forgetful")
def test_what_cannot_be_compiled_is_told() -> None:
    def waits(x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x

    with pytest.raises(ConfigError, match="waits"):
        compiled(waits, "always", CPU)(torch.ones(2))


@pytest.mark.usefixtures("forgetful")
def test_auto_goes_on_uncompiled() -> None:
    def waits(x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x

    function = CompiledFunction(waits, "auto")
    with pytest.warns(UserWarning, match="waits"):
        assert function(-torch.ones(2)).tolist() == [1.0, 1.0]
    with warnings.catch_warnings(action="error"):
        assert function(torch.ones(2)).tolist() == [1.0, 1.0]
