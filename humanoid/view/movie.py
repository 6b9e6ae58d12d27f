"""Captions, PNG files and H.264 videos of rendered frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import imageio_ffmpeg
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from humanoid.core.errors import InputError
from humanoid.core.runs import atomic_path

INK = (24, 30, 42)
"""RGB of text on a light ground and of the ground of captions."""


class Captioner:
    """Draws a caption and a legend of coloured dots on frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        """Load the font bundled with matplotlib."""
        self._width, self._height = width, height
        self._size = max(11, round(height / 28))
        path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
        self._font = ImageFont.truetype(str(path), self._size)

    def write(
        self, image: np.ndarray, caption: str, legend: Mapping[str, tuple[float, float, float]]
    ) -> np.ndarray:
        """Draw on a copy of a frame.

        Args:
            image: (H, W, 3) uint8.
            caption: text at the bottom left, "" for none.
            legend: colour (RGB in 0-1) of each label at the top right.

        Returns:
            (H, W, 3) uint8.
        """
        picture = Image.fromarray(np.ascontiguousarray(image))
        draw = ImageDraw.Draw(picture, "RGBA")
        pad = round(0.6 * self._size)
        if caption:
            self._caption(draw, caption, pad)
        x = self._width - 2.0 * pad
        for label, color in reversed(list(legend.items())):
            x = self._label(draw, label, color, x, pad) - 2 * pad
        return np.asarray(picture)

    def _caption(self, draw: ImageDraw.ImageDraw, text: str, pad: int) -> None:
        left, base = 2 * pad, self._height - 2 * pad
        right = left + draw.textlength(text, font=self._font)
        box = (left - pad, base - self._size - pad // 2, right + pad, base + pad)
        draw.rounded_rectangle(box, radius=pad, fill=(*INK, 170))
        draw.text((left, base), text, font=self._font, anchor="ls", fill=(255, 255, 255, 255))

    def _label(
        self, draw: ImageDraw.ImageDraw, text: str, color: tuple[float, float, float], x: float, pad: int
    ) -> float:
        """Write right-aligned at ``x``; return the left edge of the label."""
        base, dot = 2 * pad + self._size // 2, round(0.7 * self._size)
        draw.text((x, base), text, font=self._font, anchor="rs", fill=(*INK, 255))
        x -= draw.textlength(text, font=self._font) + pad / 2
        red, green, blue = (round(255 * value) for value in color)
        draw.ellipse((x - dot, base - dot, x, base), fill=(red, green, blue, 255))
        return x - dot


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write one frame (H, W, 3) uint8 as a PNG file, atomically."""
    with atomic_path(path) as partial:
        Image.fromarray(np.ascontiguousarray(image)).save(partial, format="PNG")


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float, quality: int = 21) -> int:
    """Encode frames as H.264 in an MP4 file that browsers play.

    Frames are consumed one at a time. The file is written atomically: if the iterator raises,
    no file is left.

    Args:
        path: the file; its folder is created if missing.
        frames: (H, W, 3) uint8 RGB of one even size.
        fps: frames per second.
        quality: constant rate factor of x264, 0 (best) to 51.

    Returns:
        Number of frames written.

    Raises:
        InputError: no frames, an odd size, sizes that differ, or an unwritable file.
    """
    path = Path(path)
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise InputError(f"{path}: no frames to write; give at least one")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise InputError(f"{path}: frames of {width}x{height} pixels cannot be encoded; make both sides even")
    count = 0
    with atomic_path(path) as partial:
        writer = imageio_ffmpeg.write_frames(
            str(partial), (width, height), fps=fps, codec="libx264", quality=None,  # type: ignore[arg-type]
            macro_block_size=2, pix_fmt_in="rgb24", pix_fmt_out="yuv420p", ffmpeg_log_level="error",
            output_params=["-crf", str(quality), "-preset", "veryfast", "-movflags", "+faststart"],
        )  # fmt: skip
        try:
            writer.send(None)
            for frame in itertools.chain((first,), iterator):
                if frame.shape != first.shape or frame.dtype != np.uint8:
                    raise InputError(
                        f"{path}: frame {count} is {frame.dtype} {frame.shape}, "
                        f"the first is uint8 {first.shape}; all must be alike"
                    )
                writer.send(np.ascontiguousarray(frame))
                count += 1
        finally:
            writer.close()
    return count
