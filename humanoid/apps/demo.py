"""``humanoid demo``: the shipped tracker performs real motion capture.

Loads the motion set, puts it on the body, runs the tracker in physics, and draws the
reference as a ghost beside the simulated body. Leaves ``demo.mp4``, ``report.html`` and
``metrics.json`` in the output folder and prints a table. The body is driven by its joint
servos alone: nothing holds or pushes the root.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from humanoid.core.runs import open_run
from humanoid.eval.metrics import body_distance
from humanoid.eval.report import metrics_table, write_metrics, write_report
from humanoid.eval.tracking import CALM, EvalCfg, Stage, error_curves, measure, set_stage
from humanoid.rl.rollout import Rollout
from humanoid.view.progress import Bar
from humanoid.view.video import Film, VideoCfg, save_png, write_video


@dataclass(frozen=True, kw_only=True)
class DemoCfg:
    """What to show and where to put it."""

    checkpoint: str
    """Tracker that performs."""
    out: str = "demo_out"
    """Folder for the results."""
    motions: str = ""
    """What to perform; by default what the tracker learned."""
    clips: tuple[str, ...] = ()
    """Names or tags to perform; by default the clips the tracker learned."""
    sim: str = "mujoco"
    """``mujoco`` or ``genesis``."""
    video: bool = True
    """Whether to render."""
    max_seconds: float = 6.0
    """Longest stretch of a clip that is filmed [s]."""


def main(cfg: DemoCfg) -> None:
    """Perform, measure, film, report."""
    out = open_run(cfg.out)
    film = Film(VideoCfg(), _body(cfg)) if cfg.video else None  # fails early where EGL is missing
    _say("setting up: motions, simulator, tracker")
    stage = set_stage(EvalCfg(checkpoint=cfg.checkpoint, motions=cfg.motions, clips=_clips(cfg),
                              sim=cfg.sim, starts=1), event=CALM)  # fmt: skip
    _say(f"performing {stage.env.library.num_clips} clips in {cfg.sim}")
    rollout = stage.play(Bar("control step"))
    metrics = {"sim": cfg.sim, "checkpoint": cfg.checkpoint, "starts": 1, "seed": 0,
               **measure(stage, rollout)}  # fmt: skip
    if film is not None:
        _say("filming")
        with film:
            total = sum(1 for _ in _shots(stage, rollout, film.cfg.fps, cfg.max_seconds))
            frames = _frames(film, stage, rollout, cfg, total, out)
            write_video(out / "demo.mp4", frames, film.cfg.fps)
    write_metrics(out / "metrics.json", metrics)
    write_report(out / "report.html", metrics, error_curves(stage, rollout), "demo.mp4" if film else None)
    print(metrics_table(metrics))
    _say(f"results in {out}/: {'demo.mp4, ' if film else ''}report.html, metrics.json")


def _body(cfg: DemoCfg):  # noqa: ANN202 - an Embodiment
    from humanoid.eval.tracking import KIND, build_body
    from humanoid.nn.policy import Checkpoint

    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    return build_body(checkpoint.header["config"], checkpoint)


def _clips(cfg: DemoCfg) -> tuple[str, ...]:
    from humanoid.eval.tracking import KIND
    from humanoid.nn.policy import Checkpoint

    if cfg.clips or cfg.motions:
        return cfg.clips
    return tuple(Checkpoint.load(cfg.checkpoint, KIND).header["config"].get("clips", ()))


def _shots(stage: Stage, rollout: Rollout, fps: float, longest: float) -> Iterator[tuple[int, int]]:
    """Yield (environment, control step) of every video frame, clip after clip."""
    rate = stage.env.library.fps
    for env in range(stage.env.library.num_clips):
        steps = min(int(rollout.steps[env]), int(longest * rate))
        for frame in range(int(steps / rate * fps)):
            yield env, int(frame * rate / fps)


def _frames(
    film: Film, stage: Stage, rollout: Rollout, cfg: DemoCfg, total: int, out: Path
) -> Iterator[np.ndarray]:
    """Yield the video's frames; keep the middle one of the first clip as a picture."""
    bar, names = Bar("frame"), stage.env.library.names
    distance = 1000 * body_distance(rollout.state.body_pos_w, rollout.ref.body_pos_w)
    poster = total // 3
    for index, (env, step) in enumerate(_shots(stage, rollout, film.cfg.fps, cfg.max_seconds)):
        seconds = (step + 1) / stage.env.library.fps
        caption = f"{names[env]}   {seconds:4.1f} s   {cfg.sim}   error {distance[step, env]:.0f} mm"
        image = film.frame(rollout.state[step, env], rollout.ref[step, env], caption)
        if index == poster:
            save_png(out / "demo.png", image)
        bar(index + 1, total)
        yield image


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
