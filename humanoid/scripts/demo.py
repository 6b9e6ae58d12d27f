"""``humanoid demo``: the shipped tracker performs real motion capture.

Loads the motion set, puts it on the body, runs the tracker in physics, and draws the
reference as a ghost beside the simulated body. Leaves ``demo.mp4``, ``demo.png``,
``report.html`` and ``metrics.json`` in the output folder and prints a table. The body is
driven by its joint servos alone: nothing holds or pushes the root.

A guided demo follows, without any reference and always in MuJoCo: with the shipped skills and the
shipped planner the body is steered by a stick past pillars, walks to a place and passes through
keyframes of a clip (:mod:`humanoid.scripts.demo_guided`). It ends the film, and its figures are
``guided`` in ``metrics.json`` and a section of the page. A version that ships no skills says so.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from humanoid.bodies import catalogue
from humanoid.core.runs import open_run
from humanoid.eval.report import table, write_json, write_report
from humanoid.eval.tracking import CALM, EvalCfg, error_curves, evaluation, make_setup
from humanoid.nn.checkpoint import Checkpoint
from humanoid.rl.checkpoints import KIND
from humanoid.scripts.demo_guided import DemoRun, film_demo, line, shipped_demo
from humanoid.scripts.film import film_rollout
from humanoid.scripts.verbs import DemoCfg
from humanoid.view.progress import Bar, say
from humanoid.view.video import Renderer, VideoCfg


def main(cfg: DemoCfg) -> None:
    """Perform, measure, film, report."""
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    learned = tuple(checkpoint.header.config.get("clips", ()))
    clips = cfg.clips or (() if cfg.motions else learned)
    what = EvalCfg(checkpoint=cfg.checkpoint, motions=cfg.motions, clips=clips, sim=cfg.sim, starts=1)
    body = catalogue.trained(checkpoint.header.config, checkpoint.header.body, cfg.checkpoint)
    film = Renderer(VideoCfg(), body) if cfg.video else None  # first, so that missing EGL is told at once
    with redirect_stdout(sys.stderr):
        say("setting up motions, simulator and tracker")
        setup = make_setup(what, event=CALM)
        out = open_run(cfg.out)
        say(f"performing {setup.env.library.num_clips} clips in {cfg.sim}")
        rollout = setup.play(Bar("control step"))
        metrics = evaluation(what, setup, rollout)
        guided = _guided_demo() if cfg.guided else None
        if guided is not None:
            metrics["guided"] = guided.figures
        write_json(out / "metrics.json", metrics)  # before the film, which takes longest
        if film is not None:
            say("filming")
            with film:
                more = film_demo(guided, on_frame=Bar("frame of the guided demo")) if guided else ()
                film_rollout(
                    film, setup, rollout, out / "demo.mp4", cfg.max_seconds, Bar("frame"), out / "demo.png",
                    guided=more,
                )  # fmt: skip
    write_report(out, metrics, error_curves(setup, rollout), "demo.mp4" if film else None)
    print(table(metrics))
    if guided is not None:
        print(line(guided.figures))
    say(f"results in {out}/: {'demo.mp4, demo.png, ' if film else ''}report.html, metrics.json")


def _guided_demo() -> DemoRun | None:
    """Perform the guided demo where skills are shipped, else say that there is none."""
    say("guided demo: planning and walking")
    done = shipped_demo(Bar("control step"))
    if isinstance(done, DemoRun):
        return done
    say(done)
    return None
