"""``humanoid inpaint FILE``: fill in a motion between keyframes, in physics.

``FILE`` has keyframes (YAML or npz, see :mod:`humanoid.planning.keyframes`), or is a motion with
parts to be replaced (``--holes 1.0:2.5``) or of which only poses now and then are kept
(``--every 1``). A diffusion model plans motions that pass through what is known, skills turn
plans into servo targets, and a simulator does the rest: nothing holds the root, so keyframes
are met as well as a body can. Several bodies try at once; the best is kept.

Leaves ``inpaint.npz``, ``inpaint.mp4`` (with the motion whose parts were replaced as a ghost), ``report.md``
and ``metrics.json``. As a library::

    planner = Planner.load()
    sim = planner.simulator("mujoco", count=8)
    keys = load_keys("keys.yaml", planner.layout, sim.body)
    motion = inpaint(keys, planner, sim)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState, cat
from humanoid.control.guided import LoopCfg, Planner
from humanoid.control.inpaint import inpaint, simulated
from humanoid.core.errors import InputError
from humanoid.core.io import npz_names
from humanoid.core.runs import atomic_write_text, open_run
from humanoid.diffusion.trajectory import Layout
from humanoid.eval.report import grid, rounded, write_json
from humanoid.motion.motion import Motion
from humanoid.planning.keyframes import KeyPoses, key_distances, keys_of_states, load_keys
from humanoid.scripts.verbs import InpaintCfg
from humanoid.view.progress import Bar, say

APART = 0.199
"""Least time [s] between keyframes that are shown in a table; metrics.json has all."""


@dataclass(frozen=True)
class InbetweenProblem:
    """Keyframes and how to begin.

    Attributes:
        keys: keyframes.
        clip: the motion they are from, None for a keyframe file.
        start: (1, N + 1) states to start from, the last at ``begin``; None for standing.
        begin: time of the start in the motion [s].
    """

    keys: KeyPoses
    clip: Motion | None = None
    start: BodyState | None = None
    begin: float = 0.0


def key_errors(keys: KeyPoses, motion: Motion) -> list[dict[str, Any]]:
    """Return for each keyframe how far its bodies are from it [mm]; none after the motion's end."""
    columns = [motion.body_names.index(name) for name in keys.bodies]
    mean, farthest = key_distances(keys, motion.at(keys.times).body_pos_w[:, columns])
    reached = keys.times <= motion.duration + 0.5 / motion.fps
    return [
        {
            "time": round(float(keys.times[row]), 3),
            "bodies": int(keys.given[row].sum()),
            "mean_mm": round(1000 * float(mean[row]), 1) if reached[row] else None,
            "farthest_mm": round(1000 * float(farthest[row]), 1) if reached[row] else None,
        }
        for row in range(len(keys.times))
    ]


def problem_of(cfg: InpaintCfg, layout: Layout, body: Embodiment) -> InbetweenProblem:
    """Read what is known.

    Raises:
        InputError: missing or malformed file, holes outside the motion, or keyframes that no
            person passes.
        MismatchError: a motion of another body.
    """
    path = Path(cfg.keyframes)
    if path.suffix.lower() != ".npz" or "joint_pos" not in npz_names(path):
        if cfg.holes or cfg.every:
            raise InputError(f"{path}: has keyframes; holes and every are for motions")
        return InbetweenProblem(load_keys(path, layout, body))
    clip = Motion.load(path).for_body(body)
    begin = layout.cfg.history * layout.cfg.dt
    times = _known_times(cfg, clip, begin, layout.cfg.dt)
    keys = keys_of_states(times, clip.at(times), clip.duration, layout, body, str(path))
    back = clip.at(torch.arange(layout.cfg.history + 1) * layout.cfg.dt)
    return InbetweenProblem(keys, clip, back.map(lambda part: part.unsqueeze(0)), begin)


def main(cfg: InpaintCfg) -> dict[str, Any]:
    """Fill in a motion, write and film it; return the errors at keyframes.

    Raises:
        HumanoidError: a file, checkpoint, device or folder that does not do.
    """
    planner = Planner.load(cfg.diffusion, cfg.latent, cfg.device)
    body, layout = planner.skills.body, planner.layout
    problem = problem_of(cfg, layout, body)
    out = open_run(cfg.out)
    sim = planner.simulator(cfg.sim, cfg.tries, cfg.seed)
    say(f"{len(problem.keys.times)} keyframes in {problem.keys.seconds:g} s, {cfg.tries} tries in {cfg.sim}")
    begun = time.perf_counter()
    motion = inpaint(
        problem.keys, planner, sim, problem.start, problem.begin, LoopCfg(), cfg.seed, Bar("control step")
    )
    wall = time.perf_counter() - begun
    sim.close()
    if problem.clip is not None:
        motion = _led_in(motion, problem.clip, problem.begin, body)
    motion.save(out / "inpaint.npz")
    result = report(cfg, problem.keys, motion, wall)
    write_json(out / "metrics.json", result)
    atomic_write_text(out / "report.md", table(result) + "\n")
    if cfg.video:
        _film(out / "inpaint.mp4", motion, problem, body)
    say(f"results in {out}/")
    return result


def report(cfg: InpaintCfg, keys: KeyPoses, motion: Motion, wall: float) -> dict[str, Any]:
    """Return the errors at keyframes and whether the body lasted to the end."""
    rows = key_errors(keys, motion)
    means = [row["mean_mm"] for row in rows if row["mean_mm"] is not None and row["time"] > 0.0]
    return {
        "task": "inpaint",
        "sim": cfg.sim,
        "keyframes": cfg.keyframes,
        "seconds": round(keys.seconds, 3),
        "lasted": round(motion.duration, 3),
        "fell_at": motion.provenance["fell_at"],
        "mean_mm": round(sum(means) / len(means), 1) if means else None,
        "rows": rows,
        "wall_seconds": round(wall, 2),
    }


def table(result: dict[str, Any]) -> str:
    """Return the errors as an aligned Markdown table, a row a keyframe, at most five a second."""
    rows, last = [], -math.inf
    for row in result["rows"]:
        if row["time"] < last + APART:
            continue
        last = row["time"]
        errors = (rounded(row[name], 1) for name in ("mean_mm", "farthest_mm"))
        rows.append([f"{last:g}", str(row["bodies"]), *errors])
    fell = f"; falls at {result['fell_at']:g} s" if result["fell_at"] is not None else ""
    return "\n".join(
        (
            grid(["keyframe s", "bodies", "mean mm", "farthest mm"], rows),
            "",
            f"mean over keyframes {rounded(result['mean_mm'], 1)} mm, {result['seconds']:g} s{fell}",
        )
    )


def _known_times(cfg: InpaintCfg, clip: Motion, begin: float, dt: float) -> Tensor:
    """Return the times [s] of a motion at which it is known."""
    where = f"{cfg.keyframes}, which lasts from 0 to {clip.duration:g} s"
    for low, high in cfg.holes:
        if not begin - 1e-6 <= low < high <= clip.duration + 1e-6:
            raise InputError(
                f"{where}: the hole from {low:g} to {high:g} s does not lie between {begin:g} s (the body "
                "needs what is before to start from) and the end"
            )
    if not cfg.holes and not begin < cfg.every <= clip.duration:
        raise InputError(
            f"{where}: nothing to fill in; give holes, or every of {begin:g} s to the motion's length"
        )
    step = cfg.every or dt
    times = step * torch.arange(1, int(clip.duration / step + 1e-6) + 1)
    for low, high in cfg.holes:
        times = times[(times < low - 1e-6) | (times > high + 1e-6)]
    times = times[times > begin + 1e-6]
    if not len(times):
        raise InputError(f"{where}: nothing of it is left to hold on to; make the holes smaller")
    return times


def _led_in(motion: Motion, clip: Motion, begin: float, body: Embodiment) -> Motion:
    """Put what the body started from before a simulated motion, so that times are those of the clip."""
    before = clip.at(torch.arange(round(begin * motion.fps)) / motion.fps)
    states = cat([before, motion.states])
    return simulated(states, body, motion.fps, f"{clip.name}_inpainted", motion.provenance)


def _film(path: Path, motion: Motion, problem: InbetweenProblem, body: Embodiment) -> None:
    """Film a motion, with the clip that the keyframes are from as a ghost."""
    from humanoid.view.video import Renderer, VideoCfg, write_video  # here, so that a table needs no OpenGL

    with Renderer(VideoCfg(), body) as film:
        times = torch.arange(int(motion.duration * film.cfg.fps) + 1) / film.cfg.fps
        states, bar = motion.at(times), Bar("frame")
        ghost = None if problem.clip is None else problem.clip.at(times)

        def frame(index: int) -> Any:  # noqa: ANN401 - a picture
            bar(index + 1, len(times))
            now = float(times[index])
            gap = (problem.keys.times - now).abs().min()
            caption = f"{now:4.1f} s" + ("   known" if float(gap) < 0.5 / film.cfg.fps else "")
            return film.frame(states[index], None if ghost is None else ghost[index], caption)

        write_video(path, (frame(index) for index in range(len(times))), film.cfg.fps)
