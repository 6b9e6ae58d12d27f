"""Contact labels: a switch with hysteresis, against a plain walk over the frames."""

from __future__ import annotations

import torch

from humanoid.retarget import ContactCfg
from humanoid.retarget.contacts import floor_slope, hysteresis, resting_height, standing

FPS = 50.0


def test_hysteresis_is_a_switch(generator: torch.Generator) -> None:
    on = torch.rand(400, 3, generator=generator) < 0.1
    off = torch.rand(400, 3, generator=generator) < 0.1
    state, want = [False] * 3, []
    for frame in range(400):
        for column in range(3):
            if off[frame, column]:
                state[column] = False
            elif on[frame, column]:
                state[column] = True
        want.append(list(state))
    assert torch.equal(hysteresis(on, off), torch.tensor(want))


def stepping(height: float = 0.08, rest: float = 0.0) -> torch.Tensor:
    """Return a point (T, 1, 3) that stands for a second, steps forward for one, stands for one."""
    t = torch.arange(150) / FPS
    phase = (t - 1).clamp(0, 1)
    way = 0.6 * (phase - torch.sin(2 * torch.pi * phase) / (2 * torch.pi))
    lift = height * torch.sin(torch.pi * phase) ** 2
    return torch.stack((way, torch.zeros_like(t), rest + lift), -1)[:, None]


def test_a_step_is_a_gap_between_two_stands() -> None:
    label = standing(stepping(), torch.zeros(1), FPS, 1.0, ContactCfg())[:, 0]
    assert label[:45].all() and label[105:].all() and not label[68:88].any()
    assert int(label.int().diff().abs().sum()) == 2, "one gap"


def test_labels_do_not_depend_on_the_size_of_the_person() -> None:
    cfg = ContactCfg()
    once = standing(stepping(), torch.zeros(1), FPS, 1.0, cfg)
    assert torch.equal(standing(0.5 * stepping(), torch.zeros(1), FPS, 2.0, cfg), once)


def test_flicker_is_dropped() -> None:
    still = torch.zeros(60, 1, 3)
    still[30, 0, 2] = 0.2  # one frame of noise
    assert standing(still, torch.zeros(1), FPS, 1.0, ContactCfg(min_seconds=0.1)).all()
    high = torch.full((60, 1, 3), 0.5)
    high[30, 0, 2] = 0.0
    assert not standing(high, torch.zeros(1), FPS, 1.0, ContactCfg()).any()


def test_resting_height_is_that_of_the_stands() -> None:
    found = resting_height(stepping(rest=0.07), FPS)
    torch.testing.assert_close(found, torch.tensor([0.07]), atol=2e-3, rtol=0)


def test_resting_height_ignores_a_few_frames_below_the_floor() -> None:
    pos = torch.cat((stepping(rest=0.07),) * 4)
    pos[200:202, 0, 2] = -0.3
    torch.testing.assert_close(resting_height(pos, FPS), torch.tensor([0.07]), atol=5e-3, rtol=0)


def walking(slope: float = 0.0) -> torch.Tensor:
    """Return two feet (T, 2, 3) that step in turn along x on a floor that rises by ``slope``."""
    steps = [stepping()[:, 0]]
    for _ in range(4):
        last = stepping()[:, 0].clone()
        last[:, 0] += steps[-1][-1, 0]
        steps.append(last)
    left = torch.cat(steps)
    right = left.roll(75, 0).clone()
    right[:75] = left[0]
    feet = torch.stack((left, right + torch.tensor((0.0, -0.2, 0.0))), 1)
    feet[..., 2] += slope * feet[..., 0]
    return feet


def test_a_leaning_floor_is_found() -> None:
    for slope in (0.03, -0.02):
        torch.testing.assert_close(
            floor_slope(walking(slope), FPS), torch.tensor((slope, 0.0)), atol=2e-3, rtol=0
        )


def test_a_level_floor_a_staircase_and_a_stand_have_no_slope() -> None:
    assert not floor_slope(walking(), FPS).any()
    assert not floor_slope(walking(0.3), FPS).any(), "a ramp is no floor"
    assert not floor_slope(torch.zeros(50, 2, 3), FPS).any()
