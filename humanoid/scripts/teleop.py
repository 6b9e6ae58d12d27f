"""``humanoid teleop``: drive the simulated humanoid from a browser page.

A guided diffusion model plans a second ahead, several times a second, in a process of its
own; the decoder of the latent skills turns plans into servo targets at 50 Hz; a simulator
moves the body. On the page, taps on I K and J L (U O in the world's frame) step the command and space
takes it back, obstacles can be dragged about, and plots compare what is asked with what is done. It begins
in the middle of a walk, and where no speed is asked the body goes on at its own: the skills
that ship have not learned to stand. Nothing holds the root: a body that is asked too much
falls, and is put back on its feet.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from typing import Any

import torch

from humanoid.control.guided import LoopCfg
from humanoid.core.errors import require
from humanoid.planning.costs.obstacles import default_radius
from humanoid.scripts.verbs import TeleopCfg
from humanoid.teleop.controls import WORLD, ControlsCfg
from humanoid.teleop.gamepad import Gamepad
from humanoid.teleop.loop import Loop, ScriptedInput
from humanoid.teleop.page import PageCfg, TeleopPage
from humanoid.teleop.recorder import Recorder
from humanoid.teleop.session import TeleopSession
from humanoid.teleop.walker import GuidedWalker, WalkerCfg
from humanoid.view.browser import EXTRA, HOST
from humanoid.view.progress import say

SCRIPT = (
    ScriptedInput(3.0, {"forward": 0.8}),
    ScriptedInput(3.0, {"forward": 0.8, "turn": 0.6}),
    ScriptedInput(3.0, {"forward": 0.8, "turn": -0.6}),
    ScriptedInput(3.0, {"forward": 1.0}),
    ScriptedInput(3.0, {}),
)
"""Inputs of ``--headless``, repeated."""
WORLD_SCRIPT = tuple(
    ScriptedInput(5.0, values)
    for values in ({"forward": 0.8}, {"left": 0.8}, {"forward": -0.8}, {"left": -0.8}, {})
)
"""The same for commands in the world frame."""


def main(cfg: TeleopCfg) -> dict[str, Any]:
    """Drive until the time is over or an interrupt; return metrics.

    Raises:
        InputError: a checkpoint or a motion that is missing or damaged, a port that cannot be had.
        MismatchError: checkpoints that do not belong together.
        MissingExtraError: viser is not installed.
    """
    if not cfg.headless:
        require("viser", EXTRA)  # before everything else is loaded, which takes its time
    torch.set_num_threads(1)  # the other core plans
    with redirect_stdout(sys.stderr), ExitStack() as stack:
        settings = WalkerCfg(loop=LoopCfg(replan=cfg.replan), frame=cfg.frame)
        walker = GuidedWalker(settings, cfg.latent, cfg.diffusion, cfg.sim, cfg.device, cfg.styles, cfg.clips)
        stack.callback(walker.close)
        world = cfg.frame == "world"
        controls = WORLD if world else ControlsCfg()
        radii = [default_radius(name) for name in walker.body.body_names]
        session = TeleopSession(controls=controls, styles=tuple(walker.styles), radii=radii)
        if cfg.headless:
            say(f"a script steers for {cfg.seconds:g} s")
            loop = Loop(walker, session, frame=cfg.frame)
            result = loop.run(cfg.seconds, WORLD_SCRIPT if world else SCRIPT)
        else:
            result = _served(cfg, walker, session, stack).run(cfg.seconds)
    return {"task": "teleop", "sim": cfg.sim, **result}


def table(result: dict[str, Any]) -> str:
    """Return the metrics as text."""
    return "\n".join(f"{name:16} {'-' if value is None else value}" for name, value in result.items())


def _served(cfg: TeleopCfg, walker: GuidedWalker, session: TeleopSession, stack: ExitStack) -> Loop:
    recorder = Recorder(cfg.out, walker.body, walker.dt)
    stack.callback(lambda: [say(line) for line in recorder.close()])
    pad = Gamepad.find()
    if pad is not None:
        say("a gamepad steers too: left stick walks, right stick turns, A stops")
        stack.callback(pad.close)
    page = TeleopPage(PageCfg(host=cfg.host, port=cfg.port), walker.body, session)
    stack.callback(page.close)
    if cfg.host != HOST:
        say(f"listening on {cfg.host}: everybody who reaches it can steer; nothing asks for a password")
    say(f"open {page.address} in a browser; Ctrl-C ends")
    return Loop(walker, session, page.offer, pad, recorder, frame=cfg.frame)
