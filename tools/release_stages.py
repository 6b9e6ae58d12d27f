"""What is shipped: stages, the pieces they are trained in, and the gates they must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Measured = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What was measured (``train``, ``test``, ``pushed``, ``recovered``) -> simulator -> its metrics."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a stage must reach, in every simulator that measured it; 0 asks for nothing."""

    success: float
    """Smallest share of runs within 0.5 m, over the clips to learn."""
    mpjpe_l_success_mm: float
    """Largest root-relative error of those that succeed [mm]."""
    test_success: float = 0.0
    """Smallest share of runs within 0.5 m, over the clips kept back."""
    spread: float = 0.0
    """Largest difference of success between simulators."""
    upright: float = 0.0
    """Smallest share of walks and runs upright under pushes of 0.5 m/s every second."""
    recovered: float = 0.0
    """Smallest share of fallen bodies up within 5 s."""

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed, in words; empty where the gate holds."""
        missed: list[str] = []
        least = {
            ("train", "success"): self.success,
            ("test", "success"): self.test_success,
            ("pushed", "upright_0_5_mps"): self.upright,
            ("recovered", "up"): self.recovered,
        }
        for (what, key), bound in least.items():
            for sim, result in measured.get(what, {}).items():
                if bound and not (result[key] is not None and result[key] >= bound):
                    missed.append(f"{what}, {sim}: {key} {_text(result[key])} < {bound}")
        for sim, result in measured["train"].items():
            error = result["mpjpe_l_success_mm"]
            if error is None or error > self.mpjpe_l_success_mm:
                missed.append(f"train, {sim}: mpjpe_l_success_mm {_text(error)} > {self.mpjpe_l_success_mm}")
        rates = [result["success"] for result in measured["train"].values()]
        if self.spread and max(rates) - min(rates) > self.spread:
            missed.append(f"train: success differs by {max(rates) - min(rates):.3f} > {self.spread}")
        return missed


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A training run of a stage."""

    config: str
    """Name of a configuration in ``cfg/``."""
    overrides: tuple[str, ...] = ()
    """What differs from it."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One checkpoint that ships."""

    name: str
    inputs: tuple[str, ...]
    """Motion sets that it learns from and is measured on; the first one is what the demo performs."""
    output: str
    gate: Gate
    gpu: tuple[Piece, ...]
    """Pieces on a CUDA machine, each starting from the one before."""
    cpu: tuple[Piece, ...] = ()
    """Pieces elsewhere; none where two cores cannot."""
    cpu_shows: tuple[str, ...] = ()
    """Clips of the first set that the demo performs where the CPU's pieces were learned; all if empty."""
    measures: tuple[str, ...] = ("train", "test", "pushed", "recovered")
    """What is measured."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the motion sets."""
        return tuple(path.rpartition("/")[2].removesuffix(".yaml") for path in self.inputs)


def _text(value: Any) -> str:  # noqa: ANN401 - a number or None
    return f"{value:.3f}" if isinstance(value, float) else str(value)


LIBRARY = tuple(
    f"motions/{name}.yaml" for name in ("humanoid3d", "humanoid3d_long", "cmu02", "amp", "ballplay")
)
"""Every motion set."""
SHORT = "clips=[walk,turn,run,crawl,getup]"
"""What two cores learn first."""
LONG = (
    "motions=[humanoid3d,humanoid3d_long,cmu02,amp,ballplay]",
    "split=train",
    "clips=[walk,humanoid3d/run,jog,amp/run,cmu02/run,crawl,getup,pass,catch]",
)
"""What they learn then: every walk, run and get-up."""
CALM = (
    *LONG[:2],
    "clips=[walk,humanoid3d/run,jog,amp/run,cmu02/run,crawl,humanoid3d/getup_facedown,ballplay/getup12,pass,catch]",
)
"""What they end with, without pushes and falls: every walk and run, and the get-ups that they can do."""
GENTLE = ("ppo.entropy=0.0", "num_envs=512")
ROBUST = ("task.event.push_seconds=[1,3]", "task.start.fallen=0.1", "task.start.pool=1024")
"""Pushes, and falls to get up from."""
ANCHORED = (
    "task.reward.weight={anchor_pos: 1.0, anchor_rot: 0.5, body_pos: 1.0, body_rot: 1.0, body_lin_vel: 1.0, "
    "body_ang_vel: 1.0, action_rate: -0.05, joint_limit: -10.0, undesired_contact: 0.0}",
)
"""Twice the weight on the place: pushed bodies drift, and half a metre is a failure."""

STAGES = (
    Stage(
        name="tracker",
        inputs=LIBRARY,
        output="tracker.pt",
        gate=Gate(
            success=0.98, mpjpe_l_success_mm=35.0, test_success=0.85, spread=0.03, upright=0.95, recovered=0.9
        ),
        gpu=(Piece(config="track_library"),),
        cpu=(
            Piece(config="track_cpu", overrides=("samples=5.7e6",)),
            Piece(
                config="track_cpu",
                overrides=(SHORT, "ppo.learning_rate=2e-4", "ppo.entropy=0.0", "samples=2.8e7"),
            ),
            Piece(
                config="track_cpu",
                overrides=(*LONG, *GENTLE, *ROBUST, *ANCHORED, "ppo.learning_rate=2e-4", "samples=4.2e7"),
            ),
            Piece(
                config="track_cpu",
                overrides=(*CALM, *GENTLE, *ANCHORED, "ppo.learning_rate=1.5e-4", "samples=4.5e7"),
            ),
        ),
        cpu_shows=("walk", "turn", "crawl", "getup"),
    ),
    Stage(
        name="tracker-g1",
        inputs=("motions/humanoid3d.yaml",),
        output="tracker-g1.pt",
        gate=Gate(success=0.95, mpjpe_l_success_mm=60.0),
        gpu=(Piece(config="track_g1"),),
        measures=("train",),
    ),
)
