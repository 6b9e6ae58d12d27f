"""Videos of a teleoperation, drawn by another process after they have been recorded.

Drawing takes more time than a control step has, so the loop only keeps states. They reach the
other process in a file: through its pipe the loop would wait until that process has started.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import HumanoidError
from humanoid.core.runs import atomic_write_bytes, open_run
from humanoid.view.video import Renderer, VideoCfg, write_video

LONGEST = 300.0
"""[s] after which a recording ends by itself."""
Frame = tuple[np.ndarray, np.ndarray, str]
"""Positions (1, N, 3) [m] and quaternions (1, N, 4) of the bodies, world, and a caption."""


class Recorder:
    """Keeps states while it records; see ``teleop.loop.Recorder``."""

    def __init__(self, folder: str | Path, body: Embodiment, dt: float, cfg: VideoCfg | None = None) -> None:
        """Record into ``teleop_001.mp4`` and so on in ``folder``, which is made when needed."""
        self._folder, self._body, self._cfg = Path(folder), body, cfg or VideoCfg()
        self._every = max(round(1.0 / (dt * self._cfg.fps)), 1)
        self._frames: list[Frame] = []
        self._count = 0
        self._drawn: list[tuple[Path, BaseProcess]] = []
        self.recording = False

    def toggle(self) -> str:
        """Begin a video, or end it and have it drawn."""
        self.recording = not self.recording
        if self.recording:
            self._frames, self._count = [], 0
            return "recording a video"
        if not self._frames:
            return "nothing was recorded"
        try:
            path = self._begin_drawing()
        except HumanoidError as error:
            return str(error)
        self._frames = []
        return f"drawing {path}"

    def take(self, state: BodyState, caption: str) -> None:
        """Take the state after a control step, leading axis 1."""
        if self._count % self._every == 0:
            pose = state[0]
            arrays = (pose.body_pos_w.numpy().copy(), pose.body_quat_w.numpy().copy())
            self._frames.append((*arrays, caption))
        self._count += 1

    def news(self) -> str:
        """Say which video has been drawn since the last call, or why one has not, "" for neither."""
        if self.recording and len(self._frames) > LONGEST * self._cfg.fps:
            return self.toggle()
        for entry in self._drawn:
            path, process = entry
            if process.is_alive():
                continue
            self._drawn.remove(entry)
            process.join()
            with suppress(OSError):  # there only where the process came to an early end
                _frames_of(path).unlink(missing_ok=True)
            return (
                f"{path} is there"
                if process.exitcode == 0
                else f"{path} could not be drawn; see the terminal"
            )
        return ""

    def close(self) -> list[str]:
        """End a recording, wait for all videos and return what is said of them."""
        said = [self.toggle()] if self.recording else []
        for _, process in self._drawn:
            process.join()
        while news := self.news():
            said.append(news)
        return said

    def _begin_drawing(self) -> Path:
        """Have what was recorded drawn and return where to.

        Raises:
            HumanoidError: nothing can be written there, or no process be started.
        """
        path = self._next_path()
        save_frames(_frames_of(path), self._frames)
        # a fresh process: forking one that runs threads and OpenGL is not safe
        work = (path, self._body, self._cfg)
        process = multiprocessing.get_context("spawn").Process(target=_draw, args=work)
        try:
            process.start()
        except OSError as error:
            _frames_of(path).unlink(missing_ok=True)
            raise HumanoidError(f"{path}: no process to draw it: {error.strerror or error}") from error
        self._drawn.append((path, process))
        return path

    def _next_path(self) -> Path:
        # opening a folder removes half-written files, such as a video that is being drawn
        folder, number = self._folder if self._drawn else open_run(self._folder), 1
        taken = {path for path, _ in self._drawn}
        while (
            (path := folder / f"teleop_{number:03d}.mp4").exists()
            or path in taken
            or _frames_of(path).exists()
        ):
            number += 1
        return path


def _frames_of(path: Path) -> Path:
    """Return where the frames of a video lie until it is drawn."""
    return path.with_suffix(".npz")


def save_frames(path: Path, frames: Sequence[Frame]) -> None:
    """Write frames, at least one.

    Raises:
        InputError: the file cannot be written.
    """
    pos, quat, captions = zip(*frames, strict=True)
    content = io.BytesIO()  # a zip that fails on the way to a full disk says so more than once
    np.savez(content, pos=np.stack(pos), quat=np.stack(quat), captions=np.array(captions))
    atomic_write_bytes(path, content.getvalue())


def take_frames(path: Path) -> list[Frame]:
    """Return the frames of a file and remove it."""
    with np.load(path, allow_pickle=False) as content:
        pos, quat, captions = (content[name] for name in ("pos", "quat", "captions"))
    path.unlink()
    return list(zip(pos, quat, captions.tolist(), strict=True))


def _draw(path: Path, body: Embodiment, cfg: VideoCfg) -> None:
    """Draw a video, giving way to whatever else runs."""
    os.nice(10)
    torch.set_num_threads(1)
    try:
        frames = take_frames(_frames_of(path))
        with Renderer(cfg, body) as film:
            states = (
                (_pose(torch.from_numpy(pos), torch.from_numpy(quat)), text) for pos, quat, text in frames
            )
            write_video(path, (film.frame(state, None, text) for state, text in states), cfg.fps)
    except HumanoidError as error:
        sys.exit(f"{path}: {error}")


def _pose(pos: Tensor, quat: Tensor) -> BodyState:
    """Return a state of which only poses matter."""
    none = torch.zeros(0)
    return BodyState(none, none, pos, quat, torch.zeros_like(pos), torch.zeros_like(pos))
