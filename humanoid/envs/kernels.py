"""The arithmetic of a step in three pure functions, compiled on a GPU.

The configured terms are stacked while the functions are traced, so a step costs the same however they
are composed. Physics, library look-ups, random draws and state over time stay outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState, SceneState
from humanoid.envs import events
from humanoid.envs.commands import Command
from humanoid.envs.compiling import compiled
from humanoid.envs.observations import Observer
from humanoid.envs.rewards import RewardSum
from humanoid.envs.terminations import FailureTest
from humanoid.envs.terms import BodyTensors, Errors, StepState

if TYPE_CHECKING:
    from humanoid.envs.env import EnvCfg

Healthy = Callable[[BodyState, Errors, Tensor], Tensor]
"""Returns from state, errors and action (B, D) which environments hold valid numbers, (B,) bool."""


@dataclass(frozen=True)
class Observed:
    """Arguments of the observation terms, leading axis B.

    Attributes:
        state: current state.
        command: that is observed.
        action: (B, D) latest action.
        joint_offset: (B, D) [rad] error of the measured joint angles.
        history: (B, H * F), where it is observed.
        scene: objects and pair contacts, where there are any.
    """

    state: BodyState
    command: Command
    action: Tensor
    joint_offset: Tensor
    history: Tensor | None
    scene: SceneState | None


@dataclass(frozen=True)
class Evaluation:
    """Outcome of one step, leading axis B.

    Attributes:
        groups: (B, G) reward of each group.
        failed: (B,) bool, a termination holds.
        good: (B,) bool, the numbers are valid.
        log: name -> () mean over the environments.
    """

    groups: Tensor
    failed: Tensor
    good: Tensor
    log: dict[str, Tensor]


class StepKernels:
    """Evaluates, observes and perturbs; compiled as ``EnvCfg.compile`` chooses."""

    def __init__(self, cfg: EnvCfg, parts: BodyTensors, dt: float, healthy: Healthy) -> None:
        """Find the terms; nothing is compiled before the first step.

        Raises:
            ConfigError: an unknown term or parameter.
        """
        self._parts, self._healthy, self._event = parts, healthy, cfg.event
        device = parts.default.device
        self.rewards = RewardSum(cfg.reward, dt, device)
        self.failure = FailureTest(cfg.termination, cfg.curriculum)
        self.observer = Observer(cfg.observation)
        self._evaluated = compiled(self.evaluation, cfg.compile, device)
        self._observed = compiled(self.observation, cfg.compile, device)
        self._disturbed = compiled(events.disturbed, cfg.compile, device)
        self._draw_width = -1

    def evaluate(
        self,
        state: BodyState,
        command: Command,
        action: Tensor,
        last_action: Tensor,
        force_w: Tensor | None,
        scene: SceneState | None,
        thresholds: dict[str, float],
    ) -> Evaluation:
        """Return reward, failure and log of a step.

        Args:
            state: after the step, leading axis B.
            command: of the same instant.
            action: (B, D).
            last_action: (B, D).
            force_w: (B, N, 3) [N] contact forces, where a reward reads them.
            scene: objects and pair contacts, where there are any.
            thresholds: terminations whose threshold changes between steps.
        """
        # as tensors: numbers would be compiled in, every new one again
        moving = {name: torch.full((), value, device=action.device) for name, value in thresholds.items()}
        return self._evaluated(state, command, action, last_action, force_w, scene, moving)

    def observe(self, seen: Observed, generator: torch.Generator) -> dict[str, Tensor]:
        """Return ``{"actor": (B, O), "critic": (B, P)}``, the actor's with noise drawn on its device."""
        if self._draw_width < 0:
            self._draw_width = self.observer.noise_width(self.terms(seen))
        shape = (len(seen.action), self._draw_width)
        draw = torch.rand(shape, generator=generator, device=seen.action.device)
        actor, critic = self._observed(seen, draw)
        return {"actor": actor, "critic": critic}

    def perturbed(self, ref: BodyState, generator: torch.Generator) -> BodyState:
        """Return states with the configured noise of starts; see :func:`events.perturbed_start`."""
        noise = events.start_noise(ref, self._event, generator)
        return self._disturbed(ref, self._parts.limits, noise)

    def terms(self, seen: Observed) -> dict[str, Tensor]:
        """Return the terms that actor and critic share, without noise."""
        return self.observer.terms(self._measured(seen))

    def evaluation(
        self,
        state: BodyState,
        command: Command,
        action: Tensor,
        last_action: Tensor,
        force_w: Tensor | None,
        scene: SceneState | None,
        moving: dict[str, Tensor],
    ) -> Evaluation:
        """Return the outcome of a step; pure, see :meth:`evaluate`."""
        step = StepState(state, command, action, last_action, self._parts, None, force_w, scene)
        step = step.with_errors()
        assert step.errors is not None
        good = self._healthy(state, step.errors, action)
        groups, log = self.rewards(step, good)
        log["episode/nonfinite"] = 1.0 - good.float().mean()
        return Evaluation(groups, self.failure(step, moving), good, log)

    def observation(self, seen: Observed, draw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the observations of actor and critic; pure, see :meth:`observe`."""
        return self.observer(self._measured(seen), draw)

    def _measured(self, seen: Observed) -> StepState:
        state = seen.state
        if self._event.joint_offset:
            state = replace(state, joint_pos=state.joint_pos + seen.joint_offset)
        action = seen.action
        return StepState(
            state, seen.command, action, action, self._parts, None, None, seen.scene, seen.history
        )
