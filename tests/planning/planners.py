"""Planners that do as the window says, for tests of the process that runs them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from humanoid.core import InputError
from humanoid.diffusion import Frame
from humanoid.planning import DiffusionPlanner, Guidance, Keyframes, Plan, Window
from tests.diffusion.denoisers import Attentive, model_of

REFUSE, FAIL, DIE = -1.0, -2.0, -3.0
"""Orders; anything from 0 on is how many seconds a plan shall take."""


class Obedient:
    """Takes as long as it is told. Values of the plan: what the planner was given."""

    device = torch.device("cpu")

    def plan(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        generator: torch.Generator | None = None,
    ) -> Plan:
        """Do what the window says."""
        order = float(window.features[0, 0, 0])
        if order == REFUSE:
            raise InputError("environment 0: refused")
        if order == FAIL:
            raise ValueError("a bug\nof two lines")
        if order == DIE:
            os._exit(7)
        time.sleep(order)
        values = {
            "previous": torch.tensor(-1.0 if previous is None else float(previous.tick)),
            "noise": torch.rand((), generator=generator),
            "process": torch.tensor(float(os.getpid()), dtype=torch.float64),
            "threads": torch.tensor(torch.get_num_threads()),
        }
        frame = Frame.of_features(window.features[:, -1])
        return Plan(window.features, window.latents, frame, values, order, window.tick)


def broken() -> Obedient:
    """Fail to make a planner."""
    raise InputError("there is no such checkpoint")


def tiny() -> DiffusionPlanner:
    """Make a real planner with an untrained network."""
    return DiffusionPlanner(model_of(Attentive()))


def orphan(note: Path) -> None:
    """Start a worker, write down its process and vanish without a word."""
    from humanoid.planning import PlanWorker

    worker = PlanWorker(Obedient)
    features = torch.zeros(1, 3, 21)
    while not worker.ready:
        worker.poll()
        time.sleep(0.01)
    worker.submit(Window(features, features, features.bool(), features.bool(), 0))
    plan = None
    while plan is None:
        plan = worker.poll()
    note.write_text(str(int(plan.values["process"])))
    os.kill(os.getpid(), 9)
