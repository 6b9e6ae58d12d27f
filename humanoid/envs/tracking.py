"""The tracking environment: a body that follows motions from a library.

One :meth:`TrackingEnv.step` in order: targets from action and next reference, one
control period of physics, reference moves on, reward and failure from the state after
the step against the reference of that same instant, masked reset of what has ended,
pushes, observation. Nothing is stale: the state is read again after resets and pushes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState, where
from humanoid.core.errors import MismatchError
from humanoid.envs import events, falling, observations, task, terminations
from humanoid.envs.body import BodyTensors
from humanoid.envs.delay import CommandDelay
from humanoid.envs.guard import Guard
from humanoid.envs.history import History, proprioception
from humanoid.envs.kernels import StepKernels
from humanoid.envs.reference import ReferenceCursor
from humanoid.envs.scoring import Scorer, mask_joined
from humanoid.envs.starts import Starts
from humanoid.envs.task import ActionCfg, TrackingCfg
from humanoid.motion.library import MotionLibrary
from humanoid.motion.sampler import AdaptiveSampler
from humanoid.sim.protocol import Simulator

__all__ = ["ActionCfg", "StepResult", "TrackingCfg", "TrackingEnv"]


@dataclass(frozen=True)
class StepResult:
    """What one control step returns, leading axis B.

    Attributes:
        reward: (B,).
        groups: (B, G) the reward's parts, one a group of ``RewardCfg.groups``; they sum to it.
        done: (B,) bool, failed or cut.
        time_out: (B,) bool, cut without failing (end of clip or of episode).
        log: name -> () tensor, on the device.
    """

    reward: Tensor
    groups: Tensor
    done: Tensor
    time_out: Tensor
    log: dict[str, Tensor]


class TrackingEnv:
    """Batched tracking of a motion library in a simulator."""

    def __init__(self, cfg: TrackingCfg, sim: Simulator, library: MotionLibrary, seed: int = 0) -> None:
        """Bind a simulator and a library of the same body and device.

        Raises:
            ConfigError: unknown or missing reward term, noise on an unknown observation,
                or a number that makes no sense.
            MismatchError: the library's rate is not the simulator's control rate.
        """
        if abs(library.fps * sim.dt - 1.0) > 1e-4:
            raise MismatchError(f"motions have {library.fps:g} fps, control runs at {1 / sim.dt:g} Hz")
        task.check(cfg)
        self.cfg, self.sim, self.library, self.body = cfg, sim, library, sim.body
        self.num_envs, self.num_actions, self.device = sim.num_envs, sim.body.num_joints, sim.device
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.parts = BodyTensors(self.body, self.device)
        self.scorer = Scorer(cfg.reward, self.parts, sim.dt)
        self.guard = Guard(cfg.guard, library, self.num_envs, sim.dt)
        self.kernels = StepKernels(cfg, self.parts, self.scorer, self.guard.healthy)
        self.sampler = AdaptiveSampler(library, cfg.sampler, self.generator)
        self.cursor = ReferenceCursor(library, self.num_envs, cfg.observation.future_steps)
        self.max_episode_length = round(cfg.termination.episode_seconds / sim.dt)
        self._randomize()
        self._make_starts()
        self._forget()
        self.restart()

    def step(self, action: Tensor) -> StepResult:
        """Advance every environment by one control period; ``action (B, D)``.

        An environment whose numbers are no longer finite has failed with reward 0 and
        starts anew: it costs one episode, not the run.
        """
        waiting, before = self.wait > 0, self.state
        ref = self._move(action)
        state = self.sim.state()
        force = self.sim.contacts().force_w if self.scorer.needs_contacts else None
        distance = self._thresholds().body_distance
        found = self.kernels.judge(state, ref, action, self.last_action, force, distance)
        row, clock = self.cursor.row, self.episode_length
        self.guard.record(before, action, self.sent, row, clock, ~found.good, state)
        groups, log = found.groups, found.log
        failed = found.failed & ~waiting | ~found.good
        if self.starts is not None:
            groups = mask_joined(groups, self.masked & waiting)
        reward = groups.sum(-1)
        cut = torch.logical_or(self.cursor.at_end(), self.episode_length >= self.max_episode_length)
        done, time_out = failed | cut, cut & ~failed
        self._teach_sampler(reward, failed, done)

        self.last_action = torch.where(done.unsqueeze(-1), torch.zeros_like(action), action)
        self.reset(done)
        self.steps += 1
        log["episode/failed"] = failed.float().mean()
        return StepResult(reward, groups, done, time_out, log)

    def start(self, rows: Tensor, state: BodyState | None = None, wait: Tensor | None = None) -> None:
        """Start every environment at a table row of its own ``(B,)``.

        Args:
            rows: (B,) rows of the library.
            state: joints and root to start in; by default the reference, perturbed as configured.
            wait: (B,) control steps for which the reference stands still; none by default.
        """
        self._place(self._everyone, rows, state, wait)
        self.masked = torch.zeros_like(self.masked)
        self.last_action = torch.zeros_like(self.last_action)
        self._look(self._everyone)

    def play(self, action: Tensor, push: Tensor | None = None) -> None:
        """Advance one control period without reward, failure, reset or random push.

        Args:
            action: (B, D).
            push: (B, 6) [m/s] and [rad/s], world, added to the root's twist after it; none by default.
        """
        self._move(action)
        if push is not None:
            self.sim.push(push[:, :3], push[:, 3:])
        self.last_action = action
        self._look(~self._everyone)

    def reset(self, mask: Tensor) -> None:
        """Start the environments of ``mask (B,)`` somewhere in the library; push the others."""
        rows = self.sampler.sample(self.num_envs)
        if self.starts is None:
            self._place(mask, rows)
        else:
            unusual, other_rows, state, wait, masked = self.starts.draw(self.sampler.bin_of_row[rows])
            rows = torch.where(unusual, other_rows, rows)
            state = where(unusual, state, self._perturbed(rows))
            self._place(mask, rows, state, wait)
            self.masked = torch.where(mask, masked, self.masked)
            self.unusual = torch.where(mask, unusual, self.unusual)
        if self._pushes.enabled:
            twist = self._pushes.step() * ~mask.unsqueeze(-1)
            self.sim.push(twist[:, :3], twist[:, 3:])
        self._look(mask)

    def restart(self) -> None:
        """Start every environment, with clocks apart so that cuts of long clips do not fall together."""
        self.reset(self._everyone)
        self.last_action = torch.zeros_like(self.last_action)
        stagger = torch.rand(self.num_envs, generator=self.generator, device=self.device)
        self.episode_length = (stagger * self.max_episode_length).long()

    def observe(self) -> dict[str, Tensor]:
        """Return ``{"actor": (B, O), "critic": (B, P)}`` of the current state."""
        history = self.history.flat() if self.cfg.observation.history_steps else None
        return self.kernels.observe(
            self.state, self.cursor.ahead(), self.last_action, self.joint_offset, history, self.generator
        )

    def terms(self, state: BodyState) -> dict[str, Tensor]:
        """Return the actor's terms without noise; see :func:`observations.actor_terms`."""
        ahead, parts = self.cursor.ahead(), self.parts
        form = self.cfg.observation.layout
        terms = observations.actor_terms(state, ahead, self.last_action, parts.default, parts.anchor, form)
        if self.cfg.observation.history_steps:
            terms["history"] = self.history.flat()
        return terms

    def observation_layout(self) -> list[tuple[str, int]]:
        """Return names and widths of the actor's terms in order."""
        return observations.layout(self.terms(self.state), self.cfg.observation.layout)

    @property
    def reward_groups(self) -> tuple[str, ...]:
        """Names of the columns of ``StepResult.groups``."""
        return self.scorer.groups

    @property
    def history_shape(self) -> tuple[int, int]:
        """Frames and numbers a frame of the term ``history``, (0, 0) where there is none."""
        return self.history.shape

    def targets(self, action: Tensor, ref: BodyState) -> Tensor:
        """Return servo targets (B, D) [rad].

        Args:
            action: (B, D).
            ref: reference at the end of the control period, leading axis B.
        """
        moved = self.parts.scale * action - self.joint_offset
        if self.cfg.action.around == "default":
            return self.parts.default + moved
        lead = self.parts.lead * ref.joint_vel if self.cfg.action.velocity_lead else 0.0
        return ref.joint_pos + lead + moved

    def state_dict(self) -> dict[str, Any]:
        """Return sampler and generator state; environments restart on resume."""
        return {
            "sampler": self.sampler.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over sampler and generator state of an earlier run and restart the environments.

        Raises:
            MismatchError: the earlier run learned other motions.
        """
        theirs, mine = len(state["sampler"]["failures"]), self.sampler.num_bins
        if theirs != mine:
            raise MismatchError(
                f"the run learned motions of {theirs} bins, these have {mine}; use its motions"
            )
        self.sampler.load_state_dict(state["sampler"])
        self.steps = int(state.get("steps", 0))
        self.restart()
        self.generator.set_state(state["generator"].cpu())  # last, for the restart draws from it

    def _teach_sampler(self, reward: Tensor, failed: Tensor, done: Tensor) -> None:
        """Count the step; unusual starts tell nothing of the reference and do not count."""
        usual = ~self.unusual
        self.sampler.update(self.cursor.row, failed, usual)
        if self.cfg.sampler.by != "reward":
            return
        self.earned, self.age = self.earned + reward, self.age + 1
        # who fails has earned nothing in what would have been left of the clip
        left = torch.minimum(self.cursor.last - self.cursor.row, self.max_episode_length - self.age)
        whole = torch.where(failed, self.age + left.clamp_min(0), self.age)
        self.sampler.credit(self.started, self.earned / (whole * self.scorer.best), done & usual)
        self.earned = torch.where(done, 0.0, self.earned)
        self.age = torch.where(done, 0, self.age)

    def _move(self, action: Tensor) -> BodyState:
        """Advance physics and reference by one control period; return the reference then."""
        row = self.cursor.row
        self.cursor.advance(self.wait > 0)
        self.wait = (self.wait - 1).clamp_min(0)
        ref = self.cursor.now()
        # a reference that stands still needs no lead, whatever its speed was there
        moves = (self.cursor.row > row).unsqueeze(-1)
        led = replace(ref, joint_vel=ref.joint_vel * moves)
        self.sent = self.delay(self.targets(action, led))
        self.sim.set_targets(self.sent)
        self.sim.step()
        self.episode_length = self.episode_length + 1
        return ref

    def _place(
        self, mask: Tensor, rows: Tensor, state: BodyState | None = None, wait: Tensor | None = None
    ) -> None:
        """Put the environments of ``mask (B,)`` at rows, into states, waiting."""
        self.cursor.jump(mask, rows)
        start = self._perturbed(self.cursor.row) if state is None else state
        self.sim.reset(mask, start)
        self.delay.reset(mask, start.joint_pos)
        zero = torch.zeros_like(self.episode_length)
        self.started = torch.where(mask, rows, self.started)
        self.wait = torch.where(mask, zero if wait is None else wait, self.wait)
        self.episode_length = torch.where(mask, zero, self.episode_length)

    def _perturbed(self, rows: Tensor) -> BodyState:
        """Return the reference of rows (B,) with the configured noise, joints and root."""
        return self.kernels.perturbed(self.library.roots(rows), self.generator)

    def _look(self, fresh: Tensor) -> None:
        """Read the state; where ``fresh (B,)``, an episode begins with it."""
        self.state = self.sim.state()
        if self.cfg.observation.history_steps:
            zero = self.parts.default - self.joint_offset  # the same wrong zeros as in joint_pos
            self.history.push(proprioception(self.state, zero), fresh)

    def _thresholds(self) -> terminations.TerminationCfg:
        return self.cfg.curriculum.termination(self.cfg.termination, self.steps * self.num_envs)

    def _randomize(self) -> None:
        cfg, count, joints = self.cfg.event, self.num_envs, self.num_actions
        self._pushes = events.PushTimer(cfg, count, self.sim.dt, self.generator)
        self.delay = CommandDelay(cfg.latency, self.sim.dt, count, joints, self.generator)
        self.joint_offset = events.uniform((count, joints), self.generator) * cfg.joint_offset
        if cfg.varies_physics:
            self.guard.physics = events.random_physics(cfg, count, self.body.anchor, self.generator)
            self.sim.randomize(self.guard.physics)

    def _make_starts(self) -> None:
        """Make the pools of unusual starts, where any are configured."""
        self.starts: Starts | None = None
        if self.cfg.start.enabled:
            self.starts = Starts(
                self.cfg.start,
                self.library,
                self.sampler.bin_of_row,
                self.parts.limits,
                lambda: falling.drop(self.sim, self.parts.limits, self.generator),
                self.generator,
            )

    def _forget(self) -> None:
        """Make what is remembered of every environment from step to step."""
        count, device = self.num_envs, self.device
        self.last_action = torch.zeros(count, self.num_actions, device=device)
        self.sent = torch.zeros_like(self.last_action)
        self.episode_length = torch.zeros(count, dtype=torch.long, device=device)
        self.started, self.wait = torch.zeros_like(self.episode_length), torch.zeros_like(self.episode_length)
        self.masked = torch.zeros(count, dtype=torch.bool, device=device)
        self.unusual = torch.zeros_like(self.masked)
        self.earned, self.age = torch.zeros(count, device=device), torch.zeros_like(self.wait)
        self._everyone = torch.ones(count, dtype=torch.bool, device=device)
        frame = proprioception(self.sim.state(), self.parts.default)
        self.history = History(self.cfg.observation.history_steps, frame.shape[-1], count, device)
        self.steps = 0
