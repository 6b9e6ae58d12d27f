"""Videos of a teleoperation, drawn by another process after they have been recorded.

Drawing takes more time than a control step has, so the loop only keeps states.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import HumanoidError
from humanoid.core.runs import open_run
from humanoid.view.video import Film, VideoCfg, write_video

LONGEST = 300.0
"""[s] after which a recording ends by itself."""


class Recorder:
    """Keeps states while it records; see ``apps.teleop_loop.Recorder``."""

    def __init__(self, folder: str | Path, body: Embodiment, dt: float, cfg: VideoCfg | None = None) -> None:
        """Record into ``teleop_001.mp4`` and so on in ``folder``, which is made when needed."""
        self._folder, self._body, self._cfg = Path(folder), body, cfg or VideoCfg()
        self._every = max(round(1.0 / (dt * self._cfg.fps)), 1)
        self._frames: list[tuple[Tensor, Tensor, str]] = []
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
            path = self._next_path()
        except HumanoidError as error:
            return str(error)
        work = (path, self._body, self._cfg, self._frames)
        # a fresh process: forking one that runs threads and OpenGL is not safe
        process = multiprocessing.get_context("spawn").Process(target=_draw, args=work)
        process.start()
        self._drawn.append((path, process))
        self._frames = []
        return f"drawing {path}"

    def take(self, state: BodyState, caption: str) -> None:
        """Take the state after a control step, leading axis 1."""
        if self._count % self._every == 0:
            pose = state[0]
            self._frames.append((pose.body_pos_w.clone(), pose.body_quat_w.clone(), caption))
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

    def _next_path(self) -> Path:
        folder, number = open_run(self._folder), 1
        taken = {path for path, _ in self._drawn}
        while (path := folder / f"teleop_{number:03d}.mp4").exists() or path in taken:
            number += 1
        return path


def _draw(path: Path, body: Embodiment, cfg: VideoCfg, frames: list[tuple[Tensor, Tensor, str]]) -> None:
    """Draw a video, giving way to whatever else runs."""
    os.nice(10)
    torch.set_num_threads(1)
    try:
        with Film(cfg, body) as film:
            write_video(
                path, (film.frame(_pose(pos, quat), None, text) for pos, quat, text in frames), cfg.fps
            )
    except HumanoidError as error:
        sys.exit(f"{path}: {error}")


def _pose(pos: Tensor, quat: Tensor) -> BodyState:
    """Return a state of which only poses matter."""
    none = torch.zeros(0)
    return BodyState(none, none, pos, quat, torch.zeros_like(pos), torch.zeros_like(pos))
