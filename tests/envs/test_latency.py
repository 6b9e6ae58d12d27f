"""Latency: what reaches the servos, and when."""

from __future__ import annotations

import pytest
import torch

from humanoid.envs.events import CommandDelay

DT = 0.02


def make(low: float, high: float, count: int = 5) -> CommandDelay:
    return CommandDelay((low, high), DT, count, 2, torch.Generator().manual_seed(0))


def targets(step: int, count: int = 5) -> torch.Tensor:
    return torch.full((count, 2), float(step))


def test_without_latency_commands_pass() -> None:
    delay = make(0.0, 0.0)
    sent = targets(3)
    assert delay(sent) is sent


@pytest.mark.parametrize(("seconds", "late"), [(0.02, 1.0), (0.01, 0.5), (0.04, 2.0), (0.03, 1.5)])
def test_a_ramp_arrives_late_by_the_latency(seconds: float, late: float) -> None:
    delay = make(seconds, seconds)
    delay.reset(torch.ones(5, dtype=torch.bool), targets(0))
    for step in range(10):
        arrived = delay(targets(step))
        if step >= 2:  # a ramp: the mean over a period is that of the line
            torch.testing.assert_close(arrived, targets(step) - late)


def test_latencies_stay_in_their_range_and_differ() -> None:
    delay = make(0.0, 0.02, 1000)
    assert 0.0 <= float(delay.periods.min()) < 0.05
    assert 0.95 < float(delay.periods.max()) <= 1.0


def test_reset_forgets_what_was_sent_and_draws_anew_for_those_only() -> None:
    delay = make(0.005, 0.02)
    delay.reset(torch.ones(5, dtype=torch.bool), targets(0))
    delay(targets(100))
    before = delay.periods.clone()
    mask = torch.tensor([True, False, True, False, False])
    delay.reset(mask, targets(7))
    assert torch.equal(delay.periods != before, mask)
    arrived = delay(targets(7))
    assert torch.equal(arrived[mask], targets(7)[mask])
    late = before[~mask]
    torch.testing.assert_close(arrived[~mask][:, 0], 7 + 93 * late)
