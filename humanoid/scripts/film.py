"""Videos of a rollout: every clip in turn, the reference as a ghost beside the body."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from humanoid.eval.rollout import Rollout
from humanoid.eval.tracking import CALM, EvalCfg, Setup, make_setup
from humanoid.motion.metrics import body_distance
from humanoid.view.egl import EglContext
from humanoid.view.video import Renderer, VideoCfg, save_png, write_video


def film_rollout(
    film: Renderer,
    setup: Setup,
    rollout: Rollout,
    path: Path,
    longest: float,
    on_frame: Callable[[int, int], None] | None = None,
    poster: Path | None = None,
    clips: int | None = None,
    guided: Iterable[np.ndarray] = (),
) -> None:
    """Write a video of each clip's first run.

    Args:
        film: renderer of the setup's body.
        setup: evaluation set-up.
        rollout: states and references.
        path: the video file.
        longest: time shown of each clip [s].
        on_frame: called with (frame, total) for progress.
        poster: file for one picture, from a third of the video.
        clips: number of clips shown; all by default.
        guided: pictures of the same size that follow.
    """
    rate, names, fps = setup.env.library.fps, setup.env.library.names[:clips], film.cfg.fps
    steps = [min(int(rollout.steps[clip * setup.starts]), int(longest * rate)) for clip in range(len(names))]
    shots = [
        (clip, int(frame * rate / fps))
        for clip, count in enumerate(steps)
        for frame in range(int(count / rate * fps))
    ]
    distance = 1000 * body_distance(rollout.state.body_pos_w, rollout.ref.body_pos_w)

    def frames() -> Iterator[np.ndarray]:
        for index, (clip, step) in enumerate(shots):
            env = clip * setup.starts
            error = float(distance[step, env])
            caption = f"{names[clip]}   {(step + 1) / rate:4.1f} s   error {error:3.0f} mm"
            image = film.frame(rollout.state[step, env], rollout.ref[step, env], caption)
            if poster is not None and index == len(shots) // 3:
                save_png(poster, image)
            if on_frame is not None:
                on_frame(index + 1, len(shots))
            yield image
        yield from guided

    write_video(path, frames(), fps)


class Camera:
    """Films a run's checkpoint every so many minutes while it trains."""

    def __init__(self, checkpoint: Path, minutes: float, clips: int = 3) -> None:
        """Film the first ``clips`` clips into ``videos`` beside ``checkpoint``.

        Raises:
            MissingExtraError: the machine has no off-screen OpenGL.
        """
        EglContext().close()
        self.checkpoint, self.seconds, self.clips = checkpoint, 60.0 * minutes, clips
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for the next video."""
        return time.monotonic() - self._last >= self.seconds

    def shoot(self, samples: int) -> Path:
        """Perform the checkpoint in MuJoCo and film it; return the video."""
        self._last = time.monotonic()
        setup = make_setup(EvalCfg(checkpoint=str(self.checkpoint), starts=1), event=CALM)
        path = self.checkpoint.parent / "videos" / f"{samples // 1000:09d}k.mp4"
        with Renderer(VideoCfg(width=640, height=360), setup.env.body) as film:
            film_rollout(film, setup, setup.play(), path, longest=5.0, clips=self.clips)
        return path
