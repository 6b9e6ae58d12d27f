"""DAgger environment: the student acts in the tracker's task; the tracker labels every visited state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from humanoid.core.errors import MismatchError
from humanoid.envs.env import action_centre
from humanoid.envs.events import EventCfg
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.starts import StartCfg
from humanoid.envs.tracking import StepResult, TrackingCfg, TrackingEnv
from humanoid.motion.library import MotionLibrary
from humanoid.nn.checkpoint import Checkpoint
from humanoid.sim import SimCfg, make_sim
from humanoid.skills.model import PROPRIOCEPTION, REFERENCE

DAGGER_EVENT = EventCfg(
    push_seconds=(1.0, 3.0),
    push_twist=(0.5, 0.5, 0.1, 0.3, 0.3, 0.5),
    friction=(1.0, 1.0),
    com_offset=(0.0, 0.0, 0.0),
    joint_offset=0.0,
)
"""Perturbed starts and pushes, so that a student visits states off the reference."""


@dataclass(frozen=True)
class DaggerObservation:
    """Observations before a control step, leading axis B.

    Attributes:
        observation: (B, O) of the teacher.
        reference: (B, R) terms of :data:`~humanoid.skills.model.REFERENCE`.
        proprioception: (B, P) terms of :data:`~humanoid.skills.model.PROPRIOCEPTION`.
    """

    observation: Tensor
    reference: Tensor
    proprioception: Tensor


class Columns:
    """Where the student's terms stand in the teacher's observation, and how actions translate.

    The teacher acts about the reference, the decoder about the default pose, because it
    sees no reference. One servo target is both.
    """

    def __init__(self, observation: Sequence[tuple[str, int]], env: TrackingEnv) -> None:
        """Find the columns.

        Args:
            observation: names and widths of the teacher's terms.
            env: its task.

        Raises:
            MismatchError: a term is missing, or the next reference is not among those shown.
        """
        self.layout = {str(name): int(width) for name, width in observation}
        for name in (*REFERENCE, *PROPRIOCEPTION):
            if name not in self.layout:
                raise MismatchError(f"the tracker does not observe '{name}'; latents need layout 'native'")
        steps = env.cfg.observation.future_steps
        if steps[0] != 1:
            raise MismatchError(
                f"the tracker sees the reference {list(steps)} steps ahead; 1 must come first"
            )
        ends = torch.tensor(list(self.layout.values())).cumsum(0).tolist()
        self._span = dict(zip(self.layout, zip([0, *ends[:-1]], ends, strict=True), strict=True))
        self._action, self.parts, self.joints = env.cfg.action, env.parts, env.num_actions

    @property
    def widths(self) -> tuple[int, int]:
        """Widths R and P of what the student sees."""
        reference, own = (sum(self.layout[name] for name in names) for names in (REFERENCE, PROPRIOCEPTION))
        return reference, own

    def sight(self, observation: Tensor, last_action: Tensor) -> DaggerObservation:
        """Return what student and teacher see; ``last_action (B, D)`` is the student's."""
        own = [self._get(observation, name) for name in PROPRIOCEPTION[:-1]]
        reference = torch.cat([self._get(observation, name) for name in REFERENCE], dim=-1)
        return DaggerObservation(observation, reference, torch.cat((*own, last_action), dim=-1))

    def resting(self, observation: Tensor) -> Tensor:
        """Return the decoder's action (B, D) that holds the present pose; the last one before any."""
        return self._get(observation, "joint_pos") / self.parts.scale

    def to_skill(self, action: Tensor, observation: Tensor) -> Tensor:
        """Return the decoder's action for the teacher's (B, D)."""
        return action + self._pose(observation)

    def to_teacher(self, action: Tensor, observation: Tensor) -> Tensor:
        """Return the teacher's action for the decoder's (B, D)."""
        return action - self._pose(observation)

    def _pose(self, observation: Tensor) -> Tensor:
        """Return the decoder's action, (D,) or (B, D), for the centre of the teacher's actions."""
        names = ("joint_pos_ref", "joint_vel_ref")
        pos, vel = (self._get(observation, name)[..., : self.joints] for name in names)
        return (action_centre(self._action, self.parts, (pos, vel)) - self.parts.default) / self.parts.scale

    def _get(self, observation: Tensor, name: str) -> Tensor:
        first, last = self._span[name]
        return observation[..., first:last]


class DaggerEnv:
    """The teacher's task, in which the student acts."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        library: MotionLibrary,
        sim: SimCfg,
        num_envs: int,
        seed: int,
        event: EventCfg = DAGGER_EVENT,
    ) -> None:
        """Build the task that the teacher was trained in, without noise on what is observed.

        Raises:
            MismatchError: the teacher is of another body, observation or rate.
        """
        task = checkpoint.header.section(TrackingCfg, "task")
        task = replace(
            task,
            observation=replace(task.observation, noise_scale=0.0),
            reward=TRACKING_REWARDS,
            event=event,
            start=StartCfg(),
        )
        physics = replace(sim, contacts=False, randomizable=event.varies_physics)
        simulator = make_sim(physics, library.body, num_envs, seed)
        self.env = TrackingEnv(task, simulator, library, seed)
        checkpoint.require(self.env.observation_layout(), simulator.dt)
        self.teacher = checkpoint.policy(simulator.device)
        self.columns = Columns(self.env.observation_layout(), self.env)
        self.last_action = self.columns.resting(self.env.observe()["actor"])

    def look(self) -> DaggerObservation:
        """Return the observations of now."""
        return self.columns.sight(self.env.observe()["actor"], self.last_action)

    def label(self, sight: DaggerObservation) -> Tensor:
        """Return the teacher's action as the decoder's (B, D)."""
        return self.columns.to_skill(self.teacher(sight.observation), sight.observation)

    def step(self, sight: DaggerObservation, action: Tensor, noise: Tensor | float = 0.0) -> StepResult:
        """Act for one control step; environments that end begin anew.

        Args:
            sight: of this instant.
            action: (B, D) of the decoder.
            noise: added to what is executed; the student does not know of it.
        """
        result = self.env.step(self.columns.to_teacher(action + noise, sight.observation))
        fresh = self.columns.resting(result.obs["actor"])
        self.last_action = torch.where(result.done.unsqueeze(-1), fresh, action)
        return result

    def start(self, rows: Tensor) -> None:
        """Start every environment at a row of the library ``(B,)``."""
        self.env.start(rows)
        self.last_action = self.columns.resting(self.env.observe()["actor"])

    def play(
        self,
        sight: DaggerObservation,
        action: Tensor,
        noise: Tensor | float = 0.0,
        push: Tensor | None = None,
    ) -> None:
        """Act for one control step without resets.

        Args:
            sight: of this instant.
            action: (B, D) of the decoder.
            noise: added to what is executed; the student does not know of it.
            push: (B, 6) [m/s] and [rad/s], world, added to the root's twist after it; none by default.
        """
        self.env.play(self.columns.to_teacher(action + noise, sight.observation), push)
        self.last_action = action
