"""The picture of a motion's quality, looked at through its pixels."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from humanoid.view import quality_over_time


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def feet(frames: int, share: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One foot that swings up to 10 cm and is labelled for a share of the time."""
    time = np.arange(frames)
    return {"L_Toe": (50 - 50 * np.cos(time / 9), time < share * frames)}


def test_bands_grow_with_contact() -> None:
    def blue(share: float) -> int:
        image = pixels(quality_over_time("walk", 50.0, feet(200, share), {}))
        return int((abs(image - (0x3B, 0x6F, 0xB6)).sum(-1) < 30).sum())

    none, half, all_ = blue(0.0), blue(0.5), blue(1.0)
    assert none < half < all_
    assert (all_ - none) / (half - none) < 2.3


def test_what_is_over_the_limit_is_red() -> None:
    def red(values: np.ndarray) -> int:
        image = pixels(quality_over_time("walk", 50.0, {}, {"skate": (values, 3.0)}))
        return int(((image[..., 0] > 150) & (image[..., 1] < 190) & (image[..., 2] < 190)
                    & (image[..., 0] - image[..., 1] > 40)).sum())  # fmt: skip

    assert red(np.full(100, 1.0)) == 0
    assert red(np.linspace(0, 9, 100)) > 500


def test_an_hour_is_drawn_as_fast_as_a_minute_with_its_peaks() -> None:
    values = np.zeros(180_000)
    values[90_000] = 50.0
    image = pixels(quality_over_time("$long_{", 50.0, feet(180_000, 0.5), {"jerk": (values, None)}))
    column = (image[image.shape[0] // 2 :, :, 2] - image[image.shape[0] // 2 :, :, 0] > 60).sum(0)
    assert column.max() > 40  # a thin but tall spike


def test_one_frame_can_be_plotted() -> None:
    foot = {"L_Toe": (np.zeros(1), np.ones(1, dtype=bool))}
    assert pixels(quality_over_time("pose", 50.0, foot, {"x": (np.zeros(1), 0.0)})).size
