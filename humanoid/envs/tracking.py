"""The tracking environment: a body that follows motions from a library.

One :meth:`TrackingEnv.step` in order: targets from action and next reference, one
control period of physics, reference moves on, reward and failure from the state after
the step against the reference of that same instant, masked reset of what has ended,
pushes, observation. Nothing is stale: the state is read again after resets and pushes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError, MismatchError, nearest
from humanoid.envs import events, observations, rewards, terminations
from humanoid.envs.events import EventCfg
from humanoid.envs.observations import ObservationCfg
from humanoid.envs.reference import ReferenceCursor
from humanoid.envs.rewards import RewardCfg
from humanoid.envs.terminations import TerminationCfg
from humanoid.motion.library import MotionLibrary
from humanoid.motion.sampler import AdaptiveSampler, SamplerCfg
from humanoid.sim.protocol import Simulator


@dataclass(frozen=True, kw_only=True)
class ActionCfg:
    """How an action becomes servo targets."""

    around: Literal["reference", "default"] = "reference"
    """Targets are this pose plus ``action_scale * action``."""
    velocity_lead: bool = True
    """With ``reference``: add ``(Kd / Kp) dq_ref``, which cancels the servo's lag."""


@dataclass(frozen=True, kw_only=True)
class TrackingCfg:
    """Everything that defines the task, apart from body, motions and simulator."""

    action: ActionCfg = field(default_factory=ActionCfg)
    observation: ObservationCfg = field(default_factory=ObservationCfg)
    reward: RewardCfg = field(default_factory=RewardCfg)
    termination: TerminationCfg = field(default_factory=TerminationCfg)
    event: EventCfg = field(default_factory=EventCfg)
    sampler: SamplerCfg = field(default_factory=SamplerCfg)


@dataclass(frozen=True)
class StepResult:
    """What one control step returns, leading axis B.

    Attributes:
        reward: (B,).
        done: (B,) bool, failed or cut.
        time_out: (B,) bool, cut without failing (end of clip or of episode).
        log: name -> () tensor, on the device.
    """

    reward: Tensor
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
        self.cfg, self.sim, self.library, self.body = cfg, sim, library, sim.body
        self.num_envs, self.num_actions, self.device = sim.num_envs, sim.body.num_joints, sim.device
        _check_numbers(cfg)
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.sampler = AdaptiveSampler(library, cfg.sampler, self.generator)
        self.cursor = ReferenceCursor(library, self.num_envs, cfg.observation.future_steps)
        self.max_episode_length = round(cfg.termination.episode_seconds / sim.dt)
        self._load_body()
        self._randomize()
        self.last_action = torch.zeros(self.num_envs, self.num_actions, device=self.device)
        self.episode_length = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self._everyone = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self.restart()
        self._check_observation()

    def step(self, action: Tensor) -> StepResult:
        """Advance every environment by one control period; ``action (B, D)``.

        An environment whose numbers are no longer finite has failed with reward 0 and
        starts anew: it costs one episode, not the run.
        """
        ref = self._move(action)
        state = self.sim.state()
        errors = rewards.tracking_errors(state, ref, self._anchor, self._tracked)
        good = terminations.finite(state, errors)
        reward, log = self._reward(state, errors, action, good)
        failed = terminations.failed(
            state, ref, errors, self._anchor, self._end_effectors, self.cfg.termination
        )
        failed |= ~good
        cut = torch.logical_or(self.cursor.at_end(), self.episode_length >= self.max_episode_length)
        done, time_out = failed | cut, cut & ~failed
        self.sampler.update(self.cursor.row, failed)

        self.last_action = torch.where(done.unsqueeze(-1), torch.zeros_like(action), action)
        self.reset(done)
        log["episode/failed"] = failed.float().mean()
        log["episode/nonfinite"] = 1.0 - good.float().mean()
        return StepResult(reward, done, time_out, log)

    def start(self, rows: Tensor) -> None:
        """Start every environment at a table row of its own ``(B,)``, perturbed as configured."""
        self._place(self._everyone, rows)
        self.last_action = torch.zeros_like(self.last_action)
        self.state = self.sim.state()

    def play(self, action: Tensor) -> None:
        """Advance one control period without reward, failure, reset or push."""
        self._move(action)
        self.last_action = action
        self.state = self.sim.state()

    def reset(self, mask: Tensor) -> None:
        """Start the environments of ``mask (B,)`` somewhere in the library; push the others."""
        self._place(mask, self.sampler.sample(self.num_envs))
        if self._pushes.enabled:
            twist = self._pushes.step() * ~mask.unsqueeze(-1)
            self.sim.push(twist[:, :3], twist[:, 3:])
        self.state = self.sim.state()

    def restart(self) -> None:
        """Start every environment, with clocks apart so that cuts of long clips do not fall together."""
        self.reset(self._everyone)
        self.last_action = torch.zeros_like(self.last_action)
        stagger = torch.rand(self.num_envs, generator=self.generator, device=self.device)
        self.episode_length = (stagger * self.max_episode_length).long()

    def observe(self) -> dict[str, Tensor]:
        """Return ``{"actor": (B, O), "critic": (B, P)}`` of the current state."""
        measured = self.state
        if self.cfg.event.joint_offset:
            measured = replace(measured, joint_pos=measured.joint_pos + self.joint_offset)
        terms = self.terms(measured)
        noisy = observations.with_noise(terms, self.cfg.observation.noise, self.generator)
        private = observations.critic_terms(self.state, self._anchor, self._tracked)
        return {
            "actor": torch.cat(tuple(noisy.values()), dim=-1),
            "critic": torch.cat((*terms.values(), *private.values()), dim=-1),
        }

    def terms(self, state: BodyState) -> dict[str, Tensor]:
        """Return the actor's terms without noise; see :func:`observations.actor_terms`."""
        return observations.actor_terms(
            state, self.cursor.ahead(), self.last_action, self._default, self._anchor
        )

    def observation_layout(self) -> list[tuple[str, int]]:
        """Return names and widths of the actor's terms in order."""
        return observations.layout(self.terms(self.state))

    def targets(self, action: Tensor, ref: BodyState) -> Tensor:
        """Return servo targets (B, D) [rad].

        Args:
            action: (B, D).
            ref: reference at the end of the control period, leading axis B.
        """
        if self.cfg.action.around == "default":
            return self._default + self._scale * action - self.joint_offset
        lead = self._lead * ref.joint_vel if self.cfg.action.velocity_lead else 0.0
        return ref.joint_pos + lead + self._scale * action - self.joint_offset

    def state_dict(self) -> dict[str, Any]:
        """Return sampler and generator state; environments restart on resume."""
        return {"sampler": self.sampler.state_dict(), "generator": self.generator.get_state()}

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
        self.restart()
        self.generator.set_state(state["generator"].cpu())  # last, for the restart draws from it

    def _move(self, action: Tensor) -> BodyState:
        """Advance physics and reference by one control period; return the reference then."""
        self.cursor.advance()
        ref = self.cursor.now()
        self.sim.set_targets(self.targets(action, ref))
        self.sim.step()
        self.episode_length = self.episode_length + 1
        return ref

    def _place(self, mask: Tensor, rows: Tensor) -> None:
        self.cursor.jump(mask, rows)
        start = events.perturbed_start(self.cursor.now(), self._limits, self.cfg.event, self.generator)
        self.sim.reset(mask, start)
        self.episode_length = torch.where(mask, torch.zeros_like(self.episode_length), self.episode_length)

    def _reward(
        self, state: BodyState, errors: rewards.TrackingErrors, action: Tensor, good: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reward, 0 where not ``good (B,)``, and the means of its terms and of errors."""
        cfg = self.cfg.reward
        terms = rewards.tracking_rewards(errors, cfg)
        terms["action_rate"] = rewards.action_rate(action, self.last_action)
        terms["joint_limit"] = rewards.joint_limit(state.joint_pos, self._soft_low, self._soft_high)
        if cfg.weight.get("undesired_contact", 0.0):
            force = self.sim.contacts().force_w
            terms["undesired_contact"] = rewards.undesired_contact(force, self._not_feet, cfg.contact_force)
        total = sum(cfg.weight.get(name, 0.0) * term for name, term in terms.items())
        assert isinstance(total, Tensor)
        every = torch.stack((total * self.sim.dt, *terms.values(), *errors.squared.values()))
        every = torch.where(good, every, 0.0)
        means = every[1:].mean(-1)
        log = dict(zip((f"reward/{name}" for name in terms), means, strict=False))
        roots = means[len(terms) :].sqrt()
        log |= dict(zip((f"error/{name}" for name in errors.squared), roots, strict=True))
        return every[0], log

    def _load_body(self) -> None:
        """Put what the step needs of the body on the device."""
        body, device = self.body, self.device

        def tensor(array: Any) -> Tensor:  # noqa: ANN401 - any array
            return torch.tensor(array, dtype=torch.float32, device=device)

        self._anchor = body.body_id(body.anchor)
        self._tracked = torch.tensor(body.body_ids(body.tracked), device=device)
        rows = [body.tracked.index(name) for name in body.end_effectors]
        self._end_effectors = torch.tensor(rows, device=device)
        feet = body.body_ids(body.feet)
        others = [i for i in range(body.num_bodies) if i not in feet]
        self._not_feet = torch.tensor(others, device=device)
        self._default, self._scale = tensor(body.default_joint_pos), tensor(body.action_scale)
        self._lead = tensor(body.kd / body.kp)
        self._limits = tensor(body.joint_range)
        middle, half = self._limits.mean(-1), 0.5 * (self._limits[:, 1] - self._limits[:, 0])
        self._soft_low = middle - self.cfg.reward.soft_limit * half
        self._soft_high = middle + self.cfg.reward.soft_limit * half

    def _randomize(self) -> None:
        cfg, count = self.cfg.event, self.num_envs
        self._pushes = events.PushTimer(cfg, count, self.sim.dt, self.generator)
        self.joint_offset = events.uniform((count, self.num_actions), self.generator) * cfg.joint_offset
        if cfg.varies_physics:
            self.sim.randomize(events.random_physics(cfg, count, self.body.anchor, self.generator))

    def _check_observation(self) -> None:
        """Refuse noise on terms that do not exist."""
        terms = [name for name, _ in self.observation_layout()]
        for name in self.cfg.observation.noise:
            if name not in terms:
                raise ConfigError(f"observation.noise: unknown term '{name}'{nearest(name, terms)}")


def _check_numbers(cfg: TrackingCfg) -> None:
    """Refuse what would silently train something else."""
    known = RewardCfg()
    for group in ("weight", "sigma"):
        given, allowed = getattr(cfg.reward, group), getattr(known, group)
        for name in given:
            if name not in allowed:
                raise ConfigError(f"reward.{group}: unknown term '{name}'{nearest(name, allowed)}")
        for name in allowed:
            if name not in given:
                raise ConfigError(
                    f"reward.{group} lacks '{name}': the group replaces the default, name all terms"
                )
    for name, sigma in cfg.reward.sigma.items():
        if not sigma > 0.0:
            raise ConfigError(f"reward.sigma.{name} is {sigma:g}; it must be positive")
    steps = cfg.observation.future_steps
    if not steps or min(steps) < 0:
        raise ConfigError(
            f"observation.future_steps is {list(steps)}; one or more steps of 0 and above are needed"
        )
    for name, width in cfg.observation.noise.items():
        if width < 0.0:
            raise ConfigError(f"observation.noise.{name} is {width:g}; it must be 0 or positive")
