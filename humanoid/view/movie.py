"""Captions, PNG files and H.264 videos of rendered frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import imageio_ffmpeg
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from humanoid.core.errors import InputError
from humanoid.core.runs import atomic_path

INK = (24, 30, 42)
"""RGB of text on a light ground and of the ground of captions."""


def annotate(image: np.ndarray, caption: str, legend: Mapping[str, tuple[float, float, float]]) -> np.ndarray:
    """Return a frame with a caption and a legend of coloured dots.

    Args:
        image: (H, W, 3) uint8.
        caption: text at the bottom left, "" for none.
        legend: colour (RGB in 0-1) of each label at the top right.

    Returns:
        (H, W, 3) uint8.
    """
    picture = Image.fromarray(np.ascontiguousarray(image))
    draw, size = ImageDraw.Draw(picture, "RGBA"), max(11, round(picture.height / 28))
    font, pad = _font(size), round(0.6 * size)
    if caption:
        left, base = 2 * pad, picture.height - 2 * pad
        right = left + draw.textlength(caption, font=font)
        box = (left - pad, base - size - pad // 2, right + pad, base + pad)
        draw.rounded_rectangle(box, radius=pad, fill=(*INK, 170))
        draw.text((left, base), caption, font=font, anchor="ls", fill=(255, 255, 255, 255))
    x, base, dot = picture.width - 2.0 * pad, 2 * pad + size // 2, round(0.7 * size)
    for label, color in reversed(list(legend.items())):
        draw.text((x, base), label, font=font, anchor="rs", fill=(*INK, 255))
        x -= draw.textlength(label, font=font) + pad / 2
        red, green, blue = (round(255 * value) for value in color)
        draw.ellipse((x - dot, base - dot, x, base), fill=(red, green, blue, 255))
        x -= dot + 2 * pad
    return np.asarray(picture)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font bundled with matplotlib."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


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
