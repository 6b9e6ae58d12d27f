"""Metrics against numpy and against trajectories whose errors are known."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from humanoid.motion import body_distance, local_distance, run_metrics
from humanoid.motion.metrics import RunMetrics, at_rate, summarize

FPS = 50.0


def _pair(frames: int = 60, bodies: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a reference and a simulation some centimetres from it."""
    draw = torch.Generator().manual_seed(seed)
    ref = torch.randn(frames, bodies, 3, generator=draw, dtype=torch.float64)
    return ref + 0.05 * torch.randn(frames, bodies, 3, generator=draw, dtype=torch.float64), ref


def _numpy_metrics(pos: np.ndarray, ref: np.ndarray, fps: float) -> dict[str, float]:
    """The definitions once more, as a reader of the papers would write them."""
    distance = np.sqrt(((pos - ref) ** 2).sum(-1)).mean(-1)
    end = next((i + 1 for i, d in enumerate(distance) if d > 0.5), len(distance))
    a, b = pos[:end], ref[:end]
    local = np.sqrt((((a - a[:, :1]) - (b - b[:, :1])) ** 2).sum(-1))
    time, report = np.arange(end) / fps, np.arange(int((end - 1) / fps * 30 + 1e-9) + 1) / 30

    def resampled(x: np.ndarray) -> np.ndarray:
        flat = x.reshape(end, -1)
        return np.stack([np.interp(report, time, column) for column in flat.T], -1).reshape(-1, *x.shape[1:])

    velocity = np.diff(resampled(a), axis=0) - np.diff(resampled(b), axis=0)
    return {
        "success": bool((distance <= 0.5).all()),
        "success_strict": bool((distance <= 0.25).all()),
        "mpjpe_g_mm": 1000 * distance[:end].mean(),
        "mpjpe_l_mm": 1000 * local.mean(),
        "vel_mm": 1000 * np.linalg.norm(velocity, axis=-1).mean(),
        "acc_mm": 1000 * np.linalg.norm(np.diff(velocity, axis=0), axis=-1).mean(),
        "survived": next((i for i, d in enumerate(distance) if d > 0.5), len(distance)) / len(distance),
    }


@pytest.mark.parametrize("fps", [30.0, 50.0, 60.0])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_numpys(fps: float, seed: int) -> None:
    pos, ref = _pair(seed=seed)
    found = asdict(run_metrics(pos, ref, fps))
    assert found == pytest.approx(_numpy_metrics(pos.numpy(), ref.numpy(), fps), rel=1e-6)


def test_frames_after_a_failure_do_not_count() -> None:
    pos, ref = _pair()
    pos[40] = ref[40] + torch.tensor((0.0, 0.6, 0.0))
    pos[41:] += 100.0
    found = run_metrics(pos, ref, FPS)
    assert asdict(found) == pytest.approx(_numpy_metrics(pos.numpy(), ref.numpy(), FPS), rel=1e-6)
    assert not found.success
    # the frame that fails is the last one that counts
    expected = (1000 * body_distance(pos[:40], ref[:40]).sum() + 600) / 41
    assert found.mpjpe_g_mm == pytest.approx(expected.item())
    assert found.survived == pytest.approx(40 / 60)


@pytest.mark.parametrize(
    ("distance", "success", "strict"),
    [(0.25, True, True), (0.2500001, True, False), (0.5, True, False), (0.5000001, False, False)],
)
def test_lines_of_success_belong_to_success(distance: float, success: bool, strict: bool) -> None:
    ref = torch.zeros(10, 4, 3, dtype=torch.float64)
    pos = ref.clone()
    pos[7, :, 0] = distance
    found = run_metrics(pos, ref, FPS)
    assert (found.success, found.success_strict) == (success, strict)


def test_distance_is_the_mean_over_bodies() -> None:
    ref = torch.zeros(1, 4, 3)
    pos = ref.clone()
    pos[0, 1] = torch.tensor((3.0, 4.0, 0.0))  # 5 m; three others at 0
    assert body_distance(pos, ref).tolist() == [1.25]
    pos[0] += torch.tensor((7.0, 0.0, 0.0))  # roots are moved together
    assert local_distance(pos, ref).tolist() == [1.25]


def test_perfect_tracking() -> None:
    ref = _pair()[1]
    found = run_metrics(ref.clone(), ref, FPS)
    assert found == RunMetrics(True, True, 0.0, 0.0, 0.0, 0.0, 1.0)


def test_constant_velocity_error_has_no_acceleration_error() -> None:
    time = torch.arange(101, dtype=torch.float64)[:, None, None] / FPS
    ref = torch.zeros(101, 3, 3, dtype=torch.float64)
    drift = torch.tensor((0.12, 0.0, 0.0), dtype=torch.float64)
    found = run_metrics(ref + time * drift, ref, FPS)
    # 0.12 m/s at 30 frames/s are 4 mm a frame; on the mean of 0 .. 2 s it is 0.12 m off
    assert found.vel_mm == pytest.approx(4.0)
    assert found.acc_mm == pytest.approx(0.0, abs=1e-9)
    assert found.mpjpe_g_mm == pytest.approx(120.0)
    assert found.mpjpe_l_mm == pytest.approx(0.0, abs=1e-9)


def test_constant_acceleration_error() -> None:
    time = torch.arange(61, dtype=torch.float64)[:, None, None] / 30.0
    ref = torch.zeros(61, 2, 3, dtype=torch.float64)
    pos = ref + 0.5 * 0.18 * time**2 * torch.tensor((0.0, 0.0, 1.0), dtype=torch.float64)
    # 0.18 m/s^2 / 30^2 = 0.2 mm/frame^2
    assert run_metrics(pos, ref, 30.0).acc_mm == pytest.approx(0.2)


@given(fps=st.sampled_from([24.0, 30.0, 50.0, 60.0, 120.0]), frames=st.integers(2, 80))
def test_resampling_is_exact_on_straight_lines(fps: float, frames: int) -> None:
    time = torch.arange(frames, dtype=torch.float64) / fps
    found = at_rate(torch.stack((time, 1 - 2 * time), -1), fps, 30.0)
    expected = torch.arange(len(found), dtype=torch.float64) / 30.0
    torch.testing.assert_close(found, torch.stack((expected, 1 - 2 * expected), -1))
    assert expected[-1] <= time[-1] + 1e-6 < expected[-1] + 1 / 30 + 2e-6


def test_short_runs_have_no_velocity() -> None:
    pos, ref = _pair(frames=1)
    found = run_metrics(pos, ref, FPS)
    assert found.mpjpe_g_mm > 0
    assert math.isnan(found.vel_mm)
    assert math.isnan(found.acc_mm)
    pos, ref = _pair(frames=3)  # 0.04 s: two frames at 30 fps
    found = run_metrics(pos, ref, FPS)
    assert found.vel_mm > 0
    assert math.isnan(found.acc_mm)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("frame", [0, 20])
def test_numbers_that_are_not_finite_are_a_failure(value: float, frame: int) -> None:
    pos, ref = _pair()
    pos[frame:, 2, 1] = value
    found = run_metrics(pos, ref, FPS)
    assert not found.success
    assert not found.success_strict
    if frame:
        assert found.mpjpe_g_mm == pytest.approx(1000 * body_distance(pos[:20], ref[:20]).mean().item())
    else:
        assert math.isnan(found.mpjpe_g_mm)


def test_summary_of_runs() -> None:
    runs = [
        RunMetrics(True, True, 10.0, 5.0, 1.0, 2.0, 1.0),
        RunMetrics(True, False, 30.0, 15.0, 3.0, math.nan, 1.0),
        RunMetrics(False, False, 500.0, 100.0, math.nan, math.nan, 0.5),
        RunMetrics(False, False, math.nan, math.nan, math.nan, math.nan, 0.0),
    ]
    assert summarize(runs) == {
        "success": 0.5,
        "success_strict": 0.25,
        "survived": 0.625,  # (1 + 1 + 0.5 + 0) / 4
        "mpjpe_g_mm": 180.0,  # (10 + 30 + 500) / 3
        "mpjpe_l_mm": 40.0,  # (5 + 15 + 100) / 3
        "mpjpe_l_success_mm": 10.0,  # (5 + 15) / 2
        "vel_mm": 2.0,
        "acc_mm": 2.0,
    }


def test_means_of_nothing_are_none() -> None:
    found = summarize([RunMetrics(False, False, math.nan, math.nan, math.nan, math.nan, 0.0)])
    assert found["success"] == 0.0
    assert all(found[key] is None for key in found if key.endswith("mm"))
