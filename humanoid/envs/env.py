"""The environment: a simulated body, commands to follow, and a task's terms.

:meth:`Env.step` is the order of everything that happens in a control period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState, SceneState
from humanoid.core.constraints import Checked, Positive
from humanoid.core.errors import ConfigError, nearest
from humanoid.envs import events
from humanoid.envs.commands import Command
from humanoid.envs.compiling import Compile
from humanoid.envs.events import CommandDelay, EventCfg
from humanoid.envs.guard import Guard, GuardCfg
from humanoid.envs.kernels import Observed, StepKernels
from humanoid.envs.observations import History, ObservationCfg, proprioception
from humanoid.envs.rewards import Rewards, need_contacts
from humanoid.envs.sources import CommandSource
from humanoid.envs.terminations import TERMINATIONS, CurriculumCfg, Terminations
from humanoid.envs.terms import BodyTensors
from humanoid.motion.library import MotionLibrary
from humanoid.sim.protocol import SimCfg, Simulator
from humanoid.sim.scene import SceneCfg


@dataclass(frozen=True, kw_only=True)
class ActionCfg:
    """How an action becomes servo targets."""

    around: Literal["reference", "default"] = "reference"
    """Targets are this pose plus ``action_scale * action``; ``reference`` needs commands with one."""
    velocity_lead: bool = True
    """With ``reference``: add ``(Kd / Kp) dq_ref``, which cancels the servo's lag."""


def action_centre(cfg: ActionCfg, body: BodyTensors, pose: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return servo targets [rad] of zero actions, (D,) or (B, D).

    Args:
        cfg: of the actions.
        body: constants of the embodiment.
        pose: joint angles and velocities (B, D) of the reference at the end of the control period.
    """
    if pose is None or cfg.around == "default":
        return body.default
    return pose[0] + body.lead * pose[1] if cfg.velocity_lead else pose[0]


@dataclass(frozen=True, kw_only=True)
class EnvCfg(Checked):
    """Configuration of a task, apart from body, motions and simulator."""

    action: ActionCfg = field(default_factory=ActionCfg)
    observation: ObservationCfg = field(default_factory=ObservationCfg)
    reward: Rewards = field(default_factory=dict)
    """Reward term -> weight and parameters."""
    termination: Terminations = field(default_factory=dict)
    """Termination -> threshold; any of them ends an episode as failed."""
    episode_seconds: Positive = 10.0
    """Length after which an episode is cut without failing [s]."""
    curriculum: CurriculumCfg = field(default_factory=CurriculumCfg)
    event: EventCfg = field(default_factory=EventCfg)
    guard: GuardCfg = field(default_factory=GuardCfg)
    scene: SceneCfg = field(default_factory=SceneCfg)
    """Objects around the body and the contact pairs that terms read."""
    compile: Compile = "auto"
    """Whether the arithmetic of a step is compiled: ``auto`` on a GPU, ``always`` or ``never``."""

    def simulated(self, sim: SimCfg) -> SimCfg:
        """Return the simulator's configuration with what events and rewards need of it switched on."""
        return replace(
            sim,
            randomizable=sim.randomizable or self.event.varies_physics,
            contacts=sim.contacts or need_contacts(self.reward),
        )

    def __post_init__(self) -> None:
        """Check the fields; a curriculum moves registered terminations."""
        super().__post_init__()
        for name in self.curriculum.termination:
            if name not in TERMINATIONS:
                raise ConfigError(f"curriculum.termination: unknown '{name}'{nearest(name, TERMINATIONS)}")


@dataclass(frozen=True, kw_only=True)
class GoalEnvCfg(EnvCfg):
    """Environment of a goal without a reference: actions around the default pose, an upright body."""

    action: ActionCfg = field(default_factory=partial(ActionCfg, around="default"))
    termination: Terminations = field(default_factory=lambda: {"head_height": 0.5, "tilt": 1.2})


@dataclass(frozen=True)
class StepResult:
    """Outcome of a control step, leading axis B.

    Attributes:
        obs: ``{"actor": (B, O), "critic": (B, P)}`` after the step and any reset.
        reward: (B,).
        groups: (B, G) the reward's parts, one a group of reward terms; they sum to it.
        done: (B,) bool, failed or cut.
        time_out: (B,) bool, cut without failing (end of a clip or of an episode).
        log: name -> () tensor, on the device.
    """

    obs: dict[str, Tensor]
    reward: Tensor
    groups: Tensor
    done: Tensor
    time_out: Tensor
    log: dict[str, Tensor]


class Env:
    """B simulated bodies with commands from one source.

    Attributes:
        kind: of the checkpoints of policies trained here.
        origin: task, body, motions and simulator as plain values, stored in checkpoints.
    """

    kind = "policy"

    def __init__(
        self,
        cfg: EnvCfg,
        sim: Simulator,
        source: Callable[[Env], CommandSource],
        seed: int = 0,
        library: MotionLibrary | None = None,
    ) -> None:
        """Bind a simulator and start all episodes.

        Args:
            cfg: terms and events.
            sim: simulated bodies; needs ``randomizable`` where events vary the physics.
            source: makes the command source once body, generator and randomised physics are set.
            seed: of everything random.
            library: motions that commands refer to, named in dumps.

        Raises:
            ConfigError: an unknown term or parameter, or actions around a reference without one.
        """
        self.cfg, self.sim, self.body = cfg, sim, sim.body
        self.origin: dict[str, Any] = {}
        self.num_envs, self.num_actions, self.device = sim.num_envs, sim.body.num_joints, sim.device
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.parts = BodyTensors(self.body, self.device)
        self.guard = Guard(cfg.guard, self.body, self.num_envs, sim.dt, self.device, library)
        self.kernels = StepKernels(cfg, self.parts, sim.dt, self.guard.healthy)
        self.max_episode_length = round(cfg.episode_seconds / sim.dt)
        self._allocate()
        self._randomize()
        self.source = source(self)
        if cfg.action.around == "reference" and self.source.servo_pose() is None:
            raise ConfigError("action.around is 'reference', but the commands hold none; use 'default'")
        self._restart()

    def reset(self, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Begin new episodes where ``mask (B,)``, everywhere by default; return the observation."""
        if mask is None:
            self._restart()
        else:
            self._begin(mask)
        return self.observe()

    def step(self, action: Tensor) -> StepResult:
        """Advance every environment by one control period; ``action (B, D)``.

        In order: servo targets from action and command, one control period of physics, the command
        advances, rewards and terminations compare the new state with the command of the same instant,
        episodes that ended begin again, pushes, observation. Nothing is stale: the state is read again
        after resets and pushes. An environment with invalid numbers has failed with reward 0.
        """
        before, action = self.state, action.detach()
        command = self._actuate(action)
        state, scene = self._sense()
        force = self.sim.contacts().force_w if self.kernels.rewards.needs_contacts else None
        thresholds = self.cfg.curriculum.thresholds(self.steps * self.num_envs)
        found = self.kernels.evaluate(state, command, action, self.last_action, force, scene, thresholds)
        clock = self.episode_length
        self.guard.record(before, action, self.sent, self.source.row(), clock, ~found.good, state)

        failed, groups = self.source.excuse(found.failed, found.groups)
        failed, reward = failed | ~found.good, groups.sum(-1)
        finished, cut = self.source.finished(), clock >= self.max_episode_length
        cut = cut if finished is None else torch.logical_or(finished, cut)
        done, time_out = failed | cut, cut & ~failed
        self.source.learn(reward, failed, done)

        self.last_action = torch.where(done.unsqueeze(-1), torch.zeros_like(action), action)
        self._begin(done)
        self.steps += 1
        log = found.log | {"episode/failed": failed.float().mean()}
        return StepResult(self.observe(), reward, groups, done, time_out, log)

    def play(self, action: Tensor, push: Tensor | None = None) -> None:
        """Advance one control period without reward, failure, reset or random push.

        Args:
            action: (B, D).
            push: (B, 6) [m/s] and [rad/s], world, added to the root's twist after it; none by default.
        """
        self._actuate(action)
        if push is not None:
            self.sim.push(push[:, :3], push[:, 3:])
        self.last_action = action
        self._read(~self._everyone)

    def observe(self) -> dict[str, Tensor]:
        """Return ``{"actor": (B, O), "critic": (B, P)}`` of the current state."""
        return self.kernels.observe(self._observed(), self.generator)

    def terms(self) -> dict[str, Tensor]:
        """Return the actor's terms of the current state by name, without noise and joint offset."""
        seen = replace(self._observed(), joint_offset=torch.zeros_like(self.joint_offset))
        return self.kernels.observer.actor(self.kernels.terms(seen))

    def observation_layout(self) -> list[tuple[str, int]]:
        """Return names and widths of the actor's terms in order."""
        return self.kernels.observer.layout(self.terms())

    @property
    def reward_groups(self) -> tuple[str, ...]:
        """Names of the columns of ``StepResult.groups``."""
        return self.kernels.rewards.groups

    @property
    def history_shape(self) -> tuple[int, int]:
        """Frames and numbers a frame of the term ``history``, (0, 0) where there is none."""
        return self.history.shape

    def perturbed(self, state: BodyState) -> BodyState:
        """Return states (B, root first) with the configured noise of starts."""
        return self.kernels.perturbed(state, self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Return source and generator state; environments restart on resume."""
        return {
            "source": self.source.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of an earlier run and restart the environments.

        Raises:
            MismatchError: the earlier run had other motions.
        """
        self.source.load_state_dict(state["source"])
        self.steps = int(state.get("steps", 0))
        self._restart()
        self.generator.set_state(state["generator"].cpu())  # last: the restart draws from it

    def place(self, mask: Tensor, start: BodyState) -> None:
        """Put the environments of ``mask (B,)`` into start states; their episodes begin."""
        if self.scene is None:
            self.sim.reset(mask, start)
        else:
            self.sim.reset(mask, start, self.source.objects(start) or self._objects)
        self.delay.reset(mask, start.joint_pos)
        self.episode_length = torch.where(mask, torch.zeros_like(self.episode_length), self.episode_length)

    def _actuate(self, action: Tensor) -> Command:
        """Advance command and physics by one control period; return the command of its end."""
        command = self.source.advance()
        self.sent = self.delay(self.targets(action, self.source.servo_pose()))
        self.sim.set_targets(self.sent)
        self.sim.step()
        self.episode_length = self.episode_length + 1
        return command

    def targets(self, action: Tensor, pose: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return servo targets (B, D) [rad].

        Args:
            action: (B, D).
            pose: joint angles and velocities (B, D) of the reference at the end of the control period.
        """
        centre = action_centre(self.cfg.action, self.parts, pose)
        return centre + (self.parts.scale * action - self.joint_offset)

    def _begin(self, mask: Tensor) -> None:
        """Begin episodes where ``mask (B,)``; push the others."""
        self.place(mask, self.source.reset(mask))
        if self._pushes.enabled:
            twist = self._pushes.step() * ~mask.unsqueeze(-1)
            self.sim.push(twist[:, :3], twist[:, 3:])
        self._read(mask)

    def _restart(self) -> None:
        """Begin all episodes, with staggered clocks so that time-outs do not fall together."""
        self._begin(self._everyone)
        self.last_action = torch.zeros_like(self.last_action)
        stagger = torch.rand(self.num_envs, generator=self.generator, device=self.device)
        self.episode_length = (stagger * self.max_episode_length).long()

    def _read(self, fresh: Tensor) -> None:
        """Read the state; where ``fresh (B,)``, an episode begins with it."""
        self.state, self.scene = self._sense()
        if self.cfg.observation.history_steps:
            zero = self.parts.default - self.joint_offset  # the same error as in joint_pos
            self.history.push(proprioception(self.state, zero), fresh)

    def _sense(self) -> tuple[BodyState, SceneState | None]:
        """Return the present state, and objects and pair contacts where the scene has any."""
        if not (self.cfg.scene.objects or self.cfg.scene.contact_pairs):
            return self.sim.state(), None
        scene = self.sim.scene_state()
        return scene.robot, scene

    def _observed(self) -> Observed:
        history = self.history.flat() if self.cfg.observation.history_steps else None
        command, action = self.source.command(), self.last_action
        return Observed(self.state, command, action, self.joint_offset, history, self.scene)

    def _randomize(self) -> None:
        cfg, count, joints = self.cfg.event, self.num_envs, self.num_actions
        self._pushes = events.PushTimer(cfg, count, self.sim.dt, self.generator)
        self.delay = CommandDelay(cfg.latency, self.sim.dt, count, joints, self.generator)
        self.joint_offset = events.uniform((count, joints), self.generator) * cfg.joint_offset
        if cfg.varies_physics:
            self.guard.physics = events.random_physics(cfg, count, self.body.anchor, self.generator)
            self.sim.randomize(self.guard.physics)

    def _allocate(self) -> None:
        count, device = self.num_envs, self.device
        self.last_action = torch.zeros(count, self.num_actions, device=device)
        self.sent = torch.zeros_like(self.last_action)
        self.episode_length = torch.zeros(count, dtype=torch.long, device=device)
        self._everyone = torch.ones(count, dtype=torch.bool, device=device)
        self.state, self.scene = self._sense()
        self._objects = {} if self.scene is None else self.scene.objects
        frame = proprioception(self.state, self.parts.default)
        self.history = History(self.cfg.observation.history_steps, frame.shape[-1], count, device)
        self.steps = 0
