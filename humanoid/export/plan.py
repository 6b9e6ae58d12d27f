"""Receding-horizon plans with numpy and onnxruntime alone: no torch, no simulator.

planner = OnnxPlanner("plan.onnx", seed=0)
walk = {"joystick": {"velocity": (0.8, 0.0), "yaw_rate": 0.2}}
plan = planner.plan(features, latents, tick=tick, costs=walk, previous=plan)   # every few frames
skills.targets(proprioception, plan.latent(frames_since))                      # every control step

The graph was generated from :class:`humanoid.planning.planner.DiffusionPlanner`; it holds everything from
world features to world features, for a fixed number B of bodies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from humanoid.core.errors import InputError, MismatchError, nearest
from humanoid.export.metadata import PlanMetadata, SkillsMetadata
from humanoid.export.runtime import Session

INPUTS = (
    "features", "latents", "latents_known", "states_known", "key_frame", "key_features", "key_mask",
    "previous_features", "previous_latents", "age", "noise_states", "noise_latents", "weights",
)  # fmt: skip
"""Inputs of every exported planner; commands of its costs follow, as COST.PARAMETER."""
OUTPUTS: tuple[str, ...] = ("planned_features", "planned_latents", "costs", "dropped")
ROOT = 15
"""Numbers of a state token that are of the root: five vectors."""

Commands = Mapping[str, Mapping[str, ArrayLike]]
"""Cost -> parameter -> numbers."""


@dataclass(frozen=True, kw_only=True)
class OnnxPlan:
    """Expected motion of B bodies and the latents that make it.

    Attributes:
        features: (B, T, S) world features of the frames -N .. H.
        latents: (B, A, Z) to hold from now on, one a frame.
        values: each cost in use (B,), before the last step down its gradient.
        dropped: by cost, bodies without it in some step because it was not finite, where any.
        seconds: [s] of planning.
        tick: of now.
    """

    features: np.ndarray
    latents: np.ndarray
    values: dict[str, np.ndarray]
    dropped: dict[str, int]
    seconds: float
    tick: int

    def latent(self, age: int) -> np.ndarray | None:
        """Return the latents (B, Z) for ``age`` frames after the plan's now; None beyond its end."""
        return self.latents[:, age] if 0 <= age < self.latents.shape[1] else None


class OnnxPlanner:
    """An exported planner.

    Attributes:
        metadata: names, frames, costs and commands.
    """

    def __init__(self, path: str | Path, seed: int = 0, threads: int = 1) -> None:
        """Open a planner.

        Args:
            path: the ONNX file.
            seed: of the noise.
            threads: of the CPU.

        Raises:
            InputError: missing, not a model, or its inputs are not those of its metadata.
            MismatchError: another kind of network.
            MissingExtraError: onnxruntime is not installed.
        """
        self._session, self._random = Session(path, threads), np.random.default_rng(seed)
        self.path = self._session.path
        self.metadata = PlanMetadata.from_text(self._session.texts, str(path))
        shapes = self.metadata.shapes
        for name in {*shapes, *self._session.shapes, *INPUTS}:
            if shapes.get(name) != self._session.shapes.get(name):
                raise InputError(
                    f"{path}: input '{name}' is {self._session.shapes.get(name)}, its metadata have "
                    f"{shapes.get(name)}; export it again"
                )
        self._defaults = {}
        for name, numbers in self.metadata.defaults.items():
            if name not in shapes or len(numbers) not in (1, int(np.prod(shapes[name]))):
                raise InputError(f"{path}: metadata 'defaults' of '{name}' do not fit; export it again")
            array = np.array(numbers, np.float32)
            same = len(numbers) == 1
            self._defaults[name] = np.full(shapes[name], array[0]) if same else array.reshape(shapes[name])

    def require(self, skills: SkillsMetadata) -> None:
        """Refuse skills whose latents are not planned.

        Raises:
            MismatchError: another body or other skills.
        """
        meta = self.metadata
        if meta.body_fingerprint != skills.body_fingerprint:
            raise MismatchError(f"{self.path}: plans for another body than the skills of {skills.run_path}")
        if meta.latent_digest != skills.latent_digest:
            raise MismatchError(
                f"{self.path}: plans latents of the skills {meta.latent_digest}, {skills.run_path} holds "
                f"{skills.latent_digest}; export those"
            )

    def plan(
        self,
        features: np.ndarray,
        latents: np.ndarray,
        *,
        tick: int,
        costs: Commands | None = None,
        weights: Mapping[str, float] | None = None,
        keyframes: Mapping[str, ArrayLike] | None = None,
        previous: OnnxPlan | None = None,
        states_known: np.ndarray | None = None,
        latents_known: np.ndarray | None = None,
        noise: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> OnnxPlan:
        """Plan for each of B bodies.

        Args:
            features: (B, N + 1, S) world features, oldest first, now last, as ``metadata.state_names``.
            latents: (B, N, Z) that were held from each frame before now to the next.
            tick: frames since some start, which orders the plans of one run.
            costs: those in use with their commands, for one body or for all. Of several obstacles,
                keyframes or poses fewer than the graph holds may be given; a command that is left out
                is the one at export.
            weights: of costs in use; by default those of the metadata.
            keyframes: ``frame (B, Q)`` [frames] from now, ``features (B, Q, S)`` in the world and
                ``mask (B, Q, S)`` of the numbers that count, as
                :class:`humanoid.planning.planner.Keyframes`; Q at most that of the graph.
            previous: an earlier plan to begin from. It counts where it still has frames left and the
                body is near it.
            states_known: (B, N + 1) bool, true for now; by default all.
            latents_known: (B, N) bool; by default all.
            noise: standard normal (B, T, P) and (B, L, Z); by default drawn.

        Raises:
            InputError: an unknown cost or command, or a number that is known and not finite.
            MismatchError: an array of another shape than the graph's.
        """
        begun, shapes, costs = time.perf_counter(), self.metadata.shapes, costs or {}
        given: dict[str, ArrayLike] = {
            "features": features,
            "latents": latents,
            "latents_known": np.ones(shapes["latents_known"], bool)
            if latents_known is None
            else latents_known,
            "states_known": np.ones(shapes["states_known"], bool) if states_known is None else states_known,
            "age": -1 if previous is None else tick - previous.tick,
            "weights": self._weights(costs, weights or {}),
        }
        given |= {f"key_{name}": value for name, value in (keyframes or {}).items()}
        if previous is not None:
            given |= {"previous_features": previous.features, "previous_latents": previous.latents}
        for index, name in enumerate(("noise_states", "noise_latents")):
            given[name] = self._random.standard_normal(shapes[name]) if noise is None else noise[index]
        given |= {f"{cost}.{name}": value for cost, of in costs.items() for name, value in of.items()}
        feed = {name: self._array(name, given.pop(name, None)) for name in shapes}
        if given:
            name = next(iter(given))
            raise InputError(f"{self.path}: no input '{name}'{nearest(name, shapes)}")
        _check(feed)
        found = self._session.run(feed)
        planned, ahead, values, dropped = (found[name] for name in OUTPUTS)
        used = [
            (index, name) for index, name in enumerate(self.metadata.costs) if feed["weights"][index] > 0.0
        ]
        return OnnxPlan(
            features=planned,
            latents=ahead,
            values={name: values[:, index] for index, name in used},
            dropped={name: int(dropped[:, i].sum()) for i, name in used if dropped[:, i].any()},
            seconds=time.perf_counter() - begun,
            tick=tick,
        )

    def _weights(self, costs: Commands, weights: Mapping[str, float]) -> list[float]:
        known = self.metadata.costs
        for name in (*costs, *weights):
            if name not in known:
                raise InputError(f"{self.path}: no cost '{name}'{nearest(name, known)}")
        for name, weight in weights.items():
            if not 0.0 <= weight < np.inf:
                raise InputError(f"weight {weight:g} of '{name}'; give a finite number, 0 or more")
        return [weights.get(name, default) if name in costs else 0.0 for name, default in known.items()]

    def _array(self, name: str, value: ArrayLike | None) -> np.ndarray:
        """Return an input of its shape and type; missing rows and bodies are filled up."""
        shape = self.metadata.shapes[name]
        types = {"latents_known": bool, "states_known": bool, "key_mask": bool, "age": np.int64}
        default = self._defaults.get(name, np.zeros(shape, types.get(name, np.float32)))
        if value is None:
            return default
        array = np.asarray(value, default.dtype)
        if name in self._defaults and array.ndim == len(shape) - 1:
            array = np.broadcast_to(array, (shape[0], *array.shape))
        rows_open = name in self._defaults or name.startswith("key_")
        if rows_open and array.ndim == len(shape) > 1 and array.shape[1] < shape[1]:
            array = np.concatenate((array, default[: len(array), array.shape[1] :]), axis=1)
        if array.shape != shape:
            raise MismatchError(f"{self.path}: {name} of shape {np.shape(value)}, expected {shape}")
        return array


def _check(feed: Mapping[str, np.ndarray]) -> None:
    """Refuse numbers that are known and not finite, and half-known vectors of the root."""
    seen, mask = feed["states_known"], feed["key_mask"]
    if not seen[:, -1].all():
        raise InputError("states_known: the state of now must be known")
    used = {"features": feed["features"][seen], "latents": feed["latents"][feed["latents_known"]]}
    used["key_features"] = feed["key_features"][mask]
    rest = {name: array for name, array in feed.items() if name not in used}
    for name, array in (used | rest).items():
        if not np.isfinite(array).all():
            raise InputError(f"{name}: a number that is not finite")
    if (mask[..., 0:ROOT:3] != mask[..., 1:ROOT:3]).any():
        raise InputError("key_mask: gives only x or only y of a vector of the root")
