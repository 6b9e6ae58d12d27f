"""Figures of errors, looked at through their pixels."""

from __future__ import annotations

import base64
import io
import math
import sys

import numpy as np
import pytest
from PIL import Image

from humanoid.view import clip_bars, data_uri, error_over_time


def curve(top: float, frames: int = 30) -> dict[str, list[float]]:
    """Errors that grow to ``top`` [mm] in one second."""
    ramp = np.linspace(0, top, frames)
    return {
        "time_s": np.linspace(0, 1, frames).tolist(),
        "global_mm": ramp.tolist(),
        "local_mm": (0.5 * ramp).tolist(),
    }


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_error_over_time_grows_with_the_number_of_clips() -> None:
    few = pixels(error_over_time({name: curve(50) for name in "abcd"}))
    many = pixels(error_over_time({name: curve(50) for name in "abcdefghi"}))
    assert few.std() > 5
    assert many.shape[0] > 2 * few.shape[0] and many.shape[1] == few.shape[1]


def test_failure_line_is_drawn_only_where_a_clip_comes_near_it() -> None:
    def red(png: bytes) -> int:
        image = pixels(png)
        return int(((image[..., 0] > 150) & (image[..., 1] < 90) & (image[..., 2] < 90)).sum())

    assert red(error_over_time({"good": curve(80)})) == 0
    assert red(error_over_time({"bad": curve(600)})) > 20


@pytest.mark.parametrize("name", ["$x_{$", "<b>", "a" * 60, "跳"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_clip_name_can_be_plotted(name: str) -> None:
    assert pixels(error_over_time({name: curve(50)})).size
    assert pixels(clip_bars({name: 3.0}, {name: 1.0}, "error [mm]")).size


def test_plots_survive_missing_numbers() -> None:
    broken = curve(50)
    broken["global_mm"][3] = math.nan
    assert pixels(error_over_time({"gap": broken})).size
    assert pixels(error_over_time({})).size
    assert pixels(clip_bars({"none": None, "nan": math.nan, "one": 5.0}, {"one": 0.5}, "error [mm]")).size
    assert pixels(clip_bars({}, {}, "error [mm]")).size


def test_longer_bars_for_larger_errors() -> None:
    def blue(value: float) -> int:
        image = pixels(clip_bars({"a": value, "b": 100.0}, {}, "error [mm]"))
        return int(((image[..., 2] - image[..., 0]) > 60).sum())

    assert blue(90.0) > 1.2 * blue(10.0)


def test_data_uri_holds_the_picture() -> None:
    png = clip_bars({"a": 1.0}, {}, "error [mm]")
    head, _, body = data_uri(png).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == png


def test_no_global_figures() -> None:
    error_over_time({"a": curve(5)})
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
