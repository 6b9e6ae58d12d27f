"""The arithmetic of a step in three pure functions, which a GPU runs compiled.

Physics, gathers from the library, random draws and what an environment remembers stay outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.envs import events, observations, rewards, terminations
from humanoid.envs.body import BodyTensors
from humanoid.envs.compiling import compiled
from humanoid.envs.rewards import TrackingErrors
from humanoid.envs.scoring import Scorer
from humanoid.envs.task import TrackingCfg

Healthy = Callable[[BodyState, TrackingErrors, Tensor], Tensor]
"""Tells from state, errors and action (B, D) whose numbers make sense, (B,) bool."""


@dataclass(frozen=True)
class Judgement:
    """What a step was worth, leading axis B.

    Attributes:
        groups: (B, G) reward of each group.
        failed: (B,) bool, a test of :mod:`humanoid.envs.terminations` failed.
        good: (B,) bool, the numbers make sense.
        log: name -> () mean over the environments.
    """

    groups: Tensor
    failed: Tensor
    good: Tensor
    log: dict[str, Tensor]


class StepKernels:
    """Judges, observes and disturbs; compiled where the task's ``compile`` says so."""

    def __init__(self, cfg: TrackingCfg, parts: BodyTensors, scorer: Scorer, healthy: Healthy) -> None:
        """Keep what never changes; nothing is compiled before the first step."""
        self._cfg, self._parts, self._scorer, self._healthy = cfg, parts, scorer, healthy
        device = parts.default.device
        self._judged = compiled(self._judge, cfg.compile, device)
        self._seen = compiled(self._observe, cfg.compile, device)
        self._disturbed = compiled(events.disturbed, cfg.compile, device)
        self._draw_width = -1

    def judge(
        self,
        state: BodyState,
        ref: BodyState,
        action: Tensor,
        last_action: Tensor,
        force_w: Tensor | None,
        body_distance: float,
    ) -> Judgement:
        """Return reward, failure and log of a step.

        Args:
            state: after the step, leading axis B.
            ref: reference of the same instant, leading axis B.
            action: (B, D).
            last_action: (B, D).
            force_w: (B, N, 3) [N] contact forces, where the reward needs them.
            body_distance: in place of the one in ``TerminationCfg`` [m]; it may change between steps.
        """
        # a number would be compiled in, and every new one compiled anew
        distance = torch.full((), body_distance, device=action.device) if body_distance > 0.0 else None
        return self._judged(state, ref, action, last_action, force_w, distance)

    def observe(
        self,
        state: BodyState,
        ahead: BodyState,
        last_action: Tensor,
        joint_offset: Tensor,
        history: Tensor | None,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return ``{"actor": (B, O), "critic": (B, P)}``, the actor's with noise.

        Args:
            state: current state, leading axis B.
            ahead: references ahead, leading axes (B, S).
            last_action: (B, D).
            joint_offset: (B, D) [rad] that the actor's joint angles are off.
            history: (B, H * F), where the actor has one.
            generator: of the device of the state.
        """
        cfg, count = self._cfg.observation, len(last_action)
        if self._draw_width < 0:
            terms = self._terms(state, ahead, last_action, joint_offset, history)
            self._draw_width = observations.noisy_width(
                observations.seen(terms, cfg.layout), cfg.noise_widths
            )
        draw = torch.rand(count, self._draw_width, generator=generator, device=last_action.device)
        actor, critic = self._seen(state, ahead, last_action, joint_offset, history, draw)
        return {"actor": actor, "critic": critic}

    def perturbed(self, ref: BodyState, generator: torch.Generator) -> BodyState:
        """Return the reference with the configured noise; see :func:`events.perturbed_start`."""
        noise = events.start_noise(ref, self._cfg.event, generator)
        return self._disturbed(ref, self._parts.limits, noise)

    def _judge(
        self,
        state: BodyState,
        ref: BodyState,
        action: Tensor,
        last_action: Tensor,
        force_w: Tensor | None,
        body_distance: Tensor | None,
    ) -> Judgement:
        parts = self._parts
        errors = rewards.tracking_errors(state, ref, parts.anchor, parts.pick)
        good = self._healthy(state, errors, action)
        groups, log = self._scorer(state, errors, action, last_action, good, force_w)
        cfg = replace(self._cfg.termination, body_distance=0.0)
        failed = terminations.failed(state, ref, errors, parts.anchor, parts.end_effectors, cfg)
        if body_distance is not None:
            failed = failed | (terminations.world_distance(state, ref) > body_distance)
        log["episode/nonfinite"] = 1.0 - good.float().mean()
        return Judgement(groups, failed, good, log)

    def _observe(
        self,
        state: BodyState,
        ahead: BodyState,
        last_action: Tensor,
        joint_offset: Tensor,
        history: Tensor | None,
        draw: Tensor,
    ) -> tuple[Tensor, Tensor]:
        cfg, parts = self._cfg.observation, self._parts
        terms = self._terms(state, ahead, last_action, joint_offset, history)
        noisy = observations.noised(observations.seen(terms, cfg.layout), cfg.noise_widths, draw)
        private = observations.critic_terms(state, parts.anchor, parts.pick, cfg.layout)
        actor = torch.cat(tuple(noisy.values()), dim=-1)
        # the critic sees the whole state as it is; the past would only widen it
        present = (term for name, term in terms.items() if name != "history")
        return actor, torch.cat((*present, *private.values()), dim=-1)

    def _terms(
        self,
        state: BodyState,
        ahead: BodyState,
        last_action: Tensor,
        joint_offset: Tensor,
        history: Tensor | None,
    ) -> dict[str, Tensor]:
        parts, form = self._parts, self._cfg.observation.layout
        if self._cfg.event.joint_offset:
            state = replace(state, joint_pos=state.joint_pos + joint_offset)
        terms = observations.actor_terms(state, ahead, last_action, parts.default, parts.anchor, form)
        return terms if history is None else terms | {"history": history}
