"""Gates of the release stages: bounds on measured metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tools.release_stage import Measured

_SLACK = 1e-9
"""Differences of shares are rounded."""


@dataclass(frozen=True, kw_only=True)
class TrackerGate:
    """Gate of a tracker in every simulator it was measured in; 0 disables a bound."""

    success: float
    """Smallest share of runs within 0.5 m, over training clips."""
    mpjpe_l_success_mm: float
    """Largest root-relative error of those that succeed [mm]."""
    test_success: float = 0.0
    """Smallest share of runs within 0.5 m, over held-out clips."""
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
class LatentGate:
    """A student's beside its teacher, in every simulator that measured it."""

    success_below: float
    """Most by which its success may be below the teacher's."""
    mpjpe_l_above_mm: float
    """Most by which its root-relative error may be above the teacher's, each of its own successes [mm]."""
    prior_falls: float
    """Largest share of bodies that fall in 30 s of samples of the prior."""

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed, in words; empty where the gate holds."""
        missed: list[str] = []
        for sim, result in measured["student"].items():
            teacher, student, fallen = result["teacher"], result["student"], result["prior"]["fallen"]
            if teacher["success"] - student["success"] > self.success_below + _SLACK:
                rates = f"{_text(student['success'])}, the teacher's is {_text(teacher['success'])}"
                missed.append(f"student, {sim}: success {rates}; at most {self.success_below} below it")
            errors = [one["mpjpe_l_success_mm"] for one in (student, teacher)]
            if None in errors or errors[0] - errors[1] > self.mpjpe_l_above_mm:
                both = f"{_text(errors[0])}, the teacher's is {_text(errors[1])}"
                missed.append(
                    f"student, {sim}: mpjpe_l_success_mm {both}; at most {self.mpjpe_l_above_mm} above it"
                )
            if fallen > self.prior_falls:
                missed.append(f"prior, {sim}: falls {_text(fallen)} > {self.prior_falls}")
        return missed


@dataclass(frozen=True, kw_only=True)
class RolloutGate:
    """Least amount of rollouts to learn from."""

    kept: float
    """Smallest share of rollouts that do not fail."""
    hours: float
    """Least time that is recorded [h]."""

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed, in words; empty where the gate holds."""
        found = [
            (sim, key, result[key]) for sim, result in measured["rollouts"].items() for key in vars(self)
        ]
        return [
            f"rollouts, {sim}: {key} {_text(value)} < {getattr(self, key)}"
            for sim, key, value in found
            if value < getattr(self, key)
        ]


@dataclass(frozen=True, kw_only=True)
class DiffusionGate:
    """A planner's on guided tasks: fields TASK_KEY are bounds of that number of a task's result.

    They hold in the first simulator; the others may lose a little.
    """

    joystick_error: float
    """Largest error of the velocity, as a share of the command."""
    joystick_falls: float
    waypoint_success: float
    forest_success: float
    perturb_falls: float
    inbetween_falls: float
    inbetween_mpjpe_l_mm: float
    """Largest root-relative distance from keyframes [mm] (Diffuse-CLoC tells the root's apart)."""
    composed: float
    """Least share of what each does alone that joystick and obstacles keep together: of the forest's
    success, and of the joystick's 1 - error."""
    drop: float
    """Most that each share may be worse in the other simulators."""
    sims: tuple[str, ...] = ("genesis", "mujoco")
    """Simulators that it must be measured in."""
    episodes: int = 100
    """Fewest episodes of each task."""

    @property
    def bounds(self) -> dict[tuple[str, str], float]:
        """Thresholds of each task: at least that success, at most that of anything else."""
        names = [name.split("_", 1) for name in vars(self) if "_" in name]
        return {(task, key): getattr(self, f"{task}_{key}") for task, key in names}

    def failures(self, measured: Measured) -> list[str]:
        """Return what is missed, in words; empty where the gate holds.

        Where the first simulator has not measured, the bounds are held against the next.
        """
        missed = self._too_little(measured)
        for (task, key), bound in self.bounds.items():
            results = measured[task]
            sim, *others = [sim for sim in self.sims if sim in results]
            value, more = results[sim][key], key == "success"
            if value is None or (value < bound if more else value > bound):
                missed.append(f"{task}, {sim}: {key} {_text(value)} {'<' if more else '>'} {bound}")
            for other in others if not key.endswith("_mm") else ():
                there = results[other][key]
                worse = _worse(value, there, more)
                if worse is None or worse > self.drop + _SLACK:
                    change = f"{_text(value)} in {sim}, {_text(there)} in {other}"
                    missed.append(f"{task}: {key} {change}; at most {self.drop} worse")
        return missed + self._not_kept(measured)

    def _too_little(self, measured: Measured) -> list[str]:
        """Return what is missing of a whole measurement."""
        sims = [sim for sim in self.sims if all(sim in results for results in measured.values())]
        fewest = min(result["n"] for results in measured.values() for result in results.values())
        if len(sims) == len(self.sims) and fewest >= self.episodes:
            return []
        asked = f"{self.episodes} in {' and '.join(self.sims)} are asked for"
        return [f"measured with {fewest} episodes of each task in {' and '.join(sims)}; {asked}"]

    def _not_kept(self, measured: Measured) -> list[str]:
        """Return what joystick and obstacles lose together."""
        missed: list[str] = []
        for sim, both in measured["joystick+forest"].items():
            walk, forest = measured["joystick"][sim], measured["forest"][sim]
            if both["success"] < self.composed * forest["success"] - _SLACK:
                rates = f"{_text(both['success'])}, {_text(forest['success'])} without the joystick"
                missed.append(f"joystick+forest, {sim}: success {rates}; {self.composed} of it is to stay")
            errors = [both["error"], walk["error"]]
            if None in errors or 1.0 - errors[0] < self.composed * (1.0 - errors[1]) - _SLACK:
                told = f"{_text(errors[0])}, {_text(errors[1])} without obstacles"
                missed.append(
                    f"joystick+forest, {sim}: error {told}; {self.composed} of 1 - error is to stay"
                )
        return missed


def _worse(here: float | None, there: float | None, more_is_better: bool) -> float | None:
    """Return by how much ``there`` is worse than ``here``; None where one is not known."""
    if here is None or there is None:
        return None
    return here - there if more_is_better else there - here


def _text(value: Any) -> str:  # noqa: ANN401 - a number or None
    return f"{value:.3f}" if isinstance(value, float) else str(value)
