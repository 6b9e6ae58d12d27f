"""Receding-horizon plans with numpy and onnxruntime alone: no torch, no simulator.

planner = Planner(OnnxDenoiser("diffusion.onnx"), DdimCfg(), seed=0)
guidance = Guidance([Joystick(velocity=(0.8, 0.0), yaw_rate=0.2)])
plan = planner.plan(window, guidance, previous=plan)       # every few frames
skills.targets(proprioception, plan.latent(frames_since))  # every control step

What it does is what :mod:`humanoid.planning.planner` does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from humanoid.core.errors import InputError
from humanoid.export.guidance import Guidance
from humanoid.export.sampling import Draw, Known, sample
from humanoid.export.skills_runtime import OnnxDenoiser
from humanoid.export.tokens import ROOT, Frame, TokenLayout
from humanoid.planning.sampler_cfg import DdimCfg

REACH = 0.5
"""[m] in the plane; a body farther from where its plan has it was moved, and is planned for anew."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What B bodies did up to now.

    Attributes:
        features: (B, N + 1, S) world features, oldest first, now last, as ``metadata.state_names`` says.
        latents: (B, N, Z) that were held from each frame before now to the next.
        latents_known: (B, N) bool; others may hold anything.
        states_known: (B, N + 1) bool, true for now; others may hold anything.
        tick: frames since some start, by which plans of one run are put in order.
    """

    features: np.ndarray
    latents: np.ndarray
    latents_known: np.ndarray
    states_known: np.ndarray
    tick: int


@dataclass(frozen=True, kw_only=True)
class Keyframes:
    """What B bodies shall look like, and when.

    Attributes:
        frame: (B, Q) [frames] from now. They are rounded to the nearest frame; those that are
            then not in 1 .. H are ignored. Where two meet, the later in the list wins.
        features: (B, Q, S) world features.
        mask: (B, Q, S) bool: which of them count. Of a vector of the root x and y are given both or
            neither, because they turn into each other in the frame of now.
    """

    frame: np.ndarray
    features: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What B bodies are expected to do and the latents that make them.

    Attributes:
        features: (B, T, S) world features of the frames -N .. H.
        latents: (B, A, Z) to hold from now on, one a frame.
        frame: heading frames of now.
        values: each cost (B,), before the last step down its gradient.
        seconds: [s] that planning took.
        tick: of the window it is for.
    """

    features: np.ndarray
    latents: np.ndarray
    frame: Frame
    values: dict[str, np.ndarray]
    seconds: float
    tick: int

    def latent(self, age: int) -> np.ndarray | None:
        """Return the latents (B, Z) for ``age`` frames after the plan's now; None where it has run out."""
        return self.latents[:, age] if 0 <= age < self.latents.shape[1] else None


class Planner:
    """An exported denoiser that plans."""

    def __init__(self, denoiser: OnnxDenoiser, cfg: DdimCfg | None = None, seed: int = 0) -> None:
        """Plan with ``denoiser``; ``seed`` is that of the noise."""
        self.denoiser, self.cfg = denoiser, cfg or DdimCfg()
        self._random = np.random.default_rng(seed)

    def plan(
        self,
        window: Window,
        guidance: Guidance | None = None,
        keyframes: Keyframes | None = None,
        previous: Plan | None = None,
        draw: Draw | None = None,
    ) -> Plan:
        """Plan for each of B bodies.

        Args:
            window: what they did.
            guidance: costs, or None for whatever comes natural.
            keyframes: what they shall look like, or None.
            previous: an earlier plan to begin from, or None. It counts where it still has
                frames left and the body is where it says.
            draw: gives the noise; by default the planner's own.

        Raises:
            InputError: shapes that do not belong together, or a number that is known and not finite.
        """
        begun, layout = time.perf_counter(), self.denoiser.layout
        _check(window, keyframes, previous, layout, self.denoiser.latent_width)
        frame = Frame.of_features(window.features[:, -1])
        known = _known(layout, window, keyframes, frame)
        warm = None if previous is None else _left(layout, window, previous, frame)
        drawn = sample(self.denoiser, known, frame, guidance, self.cfg, draw or self._normal, warm)
        features = layout.globalized(drawn.states, frame)
        seconds = time.perf_counter() - begun
        return Plan(
            features=features,
            latents=drawn.latents[:, layout.history :],
            frame=frame,
            values=drawn.values,
            seconds=seconds,
            tick=window.tick,
        )

    def _normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._random.standard_normal(shape, dtype=np.float32)


def _known(layout: TokenLayout, window: Window, keyframes: Keyframes | None, frame: Frame) -> Known:
    """Return history and keyframes as tokens seen from now."""
    held, history = window.states_known[..., None], layout.history
    batch, width = len(window.features), window.latents.shape[-1]
    states = np.zeros((batch, layout.num_states, layout.width), np.float32)
    mask = np.zeros(states.shape, dtype=bool)
    if keyframes is not None:
        _place(layout, keyframes, states, mask)
    states[:, : history + 1] = np.where(held, window.features, 0.0)
    mask[:, : history + 1] = held
    latents = np.zeros((batch, layout.num_latents, width), np.float32)
    latent_mask = np.zeros(latents.shape[:2], dtype=bool)
    latents[:, :history] = np.where(window.latents_known[..., None], window.latents, 0.0)
    latent_mask[:, :history] = window.latents_known
    ahead = keyframes is not None and keyframes.frame.size > 0
    return Known(layout.localized(states, frame), mask, latents, latent_mask, ahead)


def _place(layout: TokenLayout, keyframes: Keyframes, states: np.ndarray, mask: np.ndarray) -> None:
    """Write keyframes into world features (B, T, S) and which of their numbers are given."""
    offset = np.floor(keyframes.frame + 0.5)
    for plan, key in zip(*np.nonzero((offset >= 1) & (offset <= layout.horizon)), strict=True):
        row, given = layout.history + int(offset[plan, key]), keyframes.mask[plan, key]
        states[plan, row, given] = keyframes.features[plan, key, given]
        mask[plan, row] |= given


def _left(layout: TokenLayout, window: Window, previous: Plan, frame: Frame) -> Known | None:
    """Return what is left of a plan, seen from now; None where it is of no use to anybody."""
    age = window.tick - previous.tick
    if not 0 <= age < layout.horizon:
        return None
    left, ahead = previous.features[:, age:], previous.latents[:, age:]
    gap = left[:, layout.history, :2] - window.features[:, -1, :2]
    near = np.linalg.norm(gap, axis=-1) < REACH
    states = np.zeros_like(previous.features)
    states[:, : left.shape[1]] = layout.localized(left, frame)
    mask = np.zeros(states.shape, dtype=bool)
    mask[:, : left.shape[1]] = near[:, None, None]
    latents = np.zeros((len(ahead), layout.num_latents, ahead.shape[-1]), np.float32)
    latent_mask = np.zeros(latents.shape[:2], dtype=bool)
    span = slice(layout.history, layout.history + ahead.shape[1])
    latents[:, span], latent_mask[:, span] = ahead, near[:, None]
    return Known(states, mask, latents, latent_mask)


def _check(
    window: Window, keyframes: Keyframes | None, previous: Plan | None, layout: TokenLayout, width: int
) -> None:
    """Refuse what does not fit the model or is not finite."""
    batch, rows = len(window.features), layout.history + 1
    shapes: dict[str, tuple[np.ndarray, tuple[int, ...]]] = {
        "window.features": (window.features, (batch, rows, layout.width)),
        "window.latents": (window.latents, (batch, layout.history, width)),
        "window.latents_known": (window.latents_known, (batch, layout.history)),
        "window.states_known": (window.states_known, (batch, rows)),
    }
    if keyframes is not None:
        keys = keyframes.frame.shape[-1]
        for name, tail in {"frame": (), "features": (layout.width,), "mask": (layout.width,)}.items():
            shapes[f"keyframes.{name}"] = (getattr(keyframes, name), (batch, keys, *tail))
    if previous is not None:
        shapes["previous.features"] = (previous.features, (batch, layout.num_states, layout.width))
        shapes["previous.latents"] = (previous.latents, (batch, layout.latent_horizon, width))
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise InputError(f"{name}: its shape is {array.shape}, expected {shape}")
    for message, plans in _faults(window, keyframes).items():
        if plans.any():
            raise InputError(f"body {int(plans.argmax())}: {message}")


def _faults(window: Window, keyframes: Keyframes | None) -> dict[str, np.ndarray]:
    """Return what can be wrong with numbers, and for which bodies (B,) it is."""
    broken = ~np.isfinite(window.features).all(-1) & window.states_known
    lost = ~np.isfinite(window.latents).all(-1) & window.latents_known
    faults = {
        "the state of now is not known": ~window.states_known[:, -1],
        "a known state of the window is not finite": broken.any(-1),
        "a known latent of the window is not finite": lost.any(-1),
    }
    if keyframes is not None:
        wrong = ~np.isfinite(keyframes.features) & keyframes.mask
        x, y = (keyframes.mask[..., axis:ROOT:3] for axis in (0, 1))
        faults |= {
            "the time of a keyframe is not finite": ~np.isfinite(keyframes.frame).all(-1),
            "a given number of a keyframe is not finite": wrong.any(axis=(1, 2)),
            "a keyframe gives only x or only y of a vector of the root": (x ^ y).any(axis=(1, 2)),
        }
    return faults
