"""Configurations of the evaluations, free of torch: the command line reads them for its help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from humanoid.core.constraints import (
    Among,
    Checked,
    Constraint,
    Count,
    Natural,
    NonNegative,
    NotEmpty,
    Positive,
)
from humanoid.core.errors import ConfigError

SPLITS = ("all", "train", "test")
"""Values of :attr:`EvalCfg.split`."""
GUIDED = ("both", "on", "off")
"""Values of :attr:`TaskEvalCfg.guidance`."""

Sources = Annotated[str | tuple[str, ...], tyro.conf.arg(metavar="[SOURCE ...]")]
Sims = Annotated[
    str | tuple[str, ...],
    Constraint(
        "mujoco, genesis or both", lambda sim: bool(sim) and set(_names(sim)) <= {"mujoco", "genesis"}
    ),
    tyro.conf.arg(metavar="{mujoco,genesis} ..."),
]


def _names(sim: str | tuple[str, ...]) -> tuple[str, ...]:
    return (sim,) if isinstance(sim, str) else tuple(sim)


@dataclass(frozen=True, kw_only=True)
class EvaluationCfg(Checked):
    """Motions, simulators and seed of an evaluation."""

    motions: Sources = ()
    """Manifests, capture files, npz motions or folders; by default those that the checkpoint names."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of manifests."""
    sim: Sims = "mujoco"
    """Simulator, or both in turn."""
    device: str = "cpu"
    """torch device of genesis and of plans; mujoco runs on cpu."""
    seed: int = 0
    """Seed of starts, falls, scenes, commands and plans."""

    @property
    def sims(self) -> tuple[str, ...]:
        """The simulators, one or both."""
        return _names(self.sim)


@dataclass(frozen=True, kw_only=True)
class EvalCfg(EvaluationCfg):
    """Evaluation of a tracker."""

    checkpoint: str = ""
    """Tracker; the shipped one by default."""
    split: Annotated[Literal["all", "train", "test"], Among(SPLITS)] = "all"
    """Clips of the manifests to use: train, test (held out) or all."""
    starts: Count = 8
    """Seeded starts of each clip, joints +-0.05 rad and root +-0.2 m/s apart."""
    friction: NonNegative = 0.0
    """Sliding friction of body and floor; 0: that of the training."""
    latency: NonNegative = 0.0
    """Delay from command to servo [s]."""
    noise: NonNegative = 0.0
    """Factor on the observation noise of the training."""
    randomized: bool = False
    """Draw friction, masses, gains, centre of mass, joint zeros and latency as in training."""

    @property
    def conditions(self) -> dict[str, float | bool]:
        """The conditions that differ from calm ones."""
        given = {name: getattr(self, name) for name in ("friction", "latency", "noise", "randomized")}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, kw_only=True)
class PerturbCfg(EvalCfg):
    """Sweep of pushes."""

    sizes: Annotated[tuple[NonNegative, ...], NotEmpty] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
    """Velocities that a push adds to the root [m/s]."""
    seconds: Positive = 15.0
    """Time of a pushed run [s]."""
    every: Positive = 1.0
    """Time between pushes [s]; the first comes at once."""

    def __post_init__(self) -> None:
        """Require a push within the time of a run."""
        super().__post_init__()
        if self.every > self.seconds:
            raise ConfigError(
                f"every is {self.every:g} s, seconds {self.seconds:g} s; every <= seconds is needed"
            )


@dataclass(frozen=True, kw_only=True)
class RecoverCfg(EvalCfg):
    """Measure whether a tracker gets up after random falls."""

    starts: tyro.conf.Suppress[Count] = 1
    """Unused: each fall is a start."""
    falls: Count = 128
    """Bodies that are dropped; those that do not come to rest are not counted."""
    seconds: Positive = 5.0
    """Time in which a body must be up [s], the waiting of the reference included."""


@dataclass(frozen=True, kw_only=True)
class LatentEvalCfg(EvaluationCfg):
    """Measure latent skills beside their teacher, and the falls under samples of the prior."""

    checkpoint: str = ""
    """Latent skills; the shipped ones by default."""
    teacher: str = ""
    """Tracker they were distilled from; the shipped one by default."""
    starts: Count = 4
    """Seeded starts of each clip."""
    falls: Natural = 100
    """Bodies that follow samples of the prior; 0 skips that part."""
    seconds: Positive = 30.0
    """Time for which they do [s]."""


@dataclass(frozen=True, kw_only=True)
class TaskEvalCfg(EvaluationCfg):
    """Evaluation of guided skills on a task."""

    task: str = "joystick"
    """Task: joystick, waypoint, forest, inbetween, perturb, switch or joystick+forest."""
    n: Count = 100
    """Episodes."""
    latent: str = ""
    """Latent skills; the shipped ones by default."""
    diffusion: str = ""
    """Planner; the shipped one by default."""
    guidance: Annotated[Literal["both", "on", "off"], Among(GUIDED)] = "both"
    """With the costs of the task (on), without (off), or both in turn."""
    timed_plans: Count = 50
    """Plans of one body over which the planning time is measured."""
