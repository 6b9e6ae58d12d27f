"""Tracker: a policy that follows reference motions, and its agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from humanoid.bodies import catalogue
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError, MismatchError
from humanoid.core.paths import data_dir
from humanoid.envs.commands import Command, Reference
from humanoid.envs.env import action_centre
from humanoid.envs.observations import History, Observer, proprioception
from humanoid.envs.terms import BodyTensors, StepState
from humanoid.envs.tracking import TrackingCfg
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import Checkpoint, find
from humanoid.nn.policy import Policy
from humanoid.rl.checkpoints import KIND
from humanoid.sim import SimCfg, Simulator, make_sim, require_device

SHIPPED = "tracker.pt"
"""Name of the shipped checkpoint."""


class Tracker:
    """A trained policy with the body, task and physics of its training.

    Attributes:
        checkpoint: header and weights.
        body: that it moves.
        task: configuration of the environment that it was trained in.
        policy: mean actions.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "cpu") -> None:
        """Rebuild what a checkpoint describes.

        Raises:
            MismatchError: this version builds another body.
        """
        header, source = checkpoint.header, str(checkpoint.path)
        self.checkpoint, self.body = checkpoint, catalogue.trained(header.config, header.body, source)
        self.task = header.section(TrackingCfg, "task")
        self.policy, self.device = checkpoint.policy(device), torch.device(device)

    @classmethod
    def load(cls, path: str | Path = "", device: str = "cpu") -> Tracker:
        """Read a checkpoint of ``humanoid train track``: a file, a folder, or by default the shipped one.

        Raises:
            InputError: missing, damaged or foreign file.
            MismatchError: another kind of checkpoint, or of a body that is built differently here.
            ConfigError: a device that is not there.
        """
        require_device(device)
        return cls(Checkpoint.load(find(path, SHIPPED, data_dir("pretrained")), KIND, device), device)

    @property
    def control_dt(self) -> float:
        """Control period [s]."""
        return self.checkpoint.header.control_dt

    def simulator(self, backend: str = "mujoco", count: int = 1, seed: int = 0) -> Simulator:
        """Return bodies in the physics of the training.

        Args:
            backend: ``genesis`` or ``mujoco``.
            count: number of bodies.
            seed: of the simulator.
        """
        trained = self.checkpoint.header.section(SimCfg, "sim")
        physics = replace(
            trained, backend=backend, device=str(self.device), contacts=False, randomizable=False
        )
        return make_sim(physics, self.body, count, seed)

    def reference(self, motion: Motion, time: Tensor) -> Reference:
        """Return the command to follow a motion.

        Args:
            motion: of the body.
            time: (B,) [s] of now in the motion; it stands still at its end.
        """
        steps = torch.tensor(self.task.observation.future_steps, dtype=time.dtype, device=time.device)
        ahead = (time.unsqueeze(-1) + self.control_dt * steps).clamp_max(motion.duration)
        return Reference(now=motion.at(time.clamp_max(motion.duration)), ahead=motion.at(ahead))

    def agent(self, sim: Simulator) -> TrackerAgent:
        """Return an agent of the bodies of a simulator.

        Raises:
            MismatchError: another body or control rate.
        """
        self.body.require_signature(sim.body.signature(), "simulator")
        if abs(sim.dt - self.control_dt) > 1e-6:
            raise MismatchError(
                f"the tracker was trained at {self.control_dt} s a control step, not {sim.dt} s"
            )
        return TrackerAgent(self, sim.num_envs)


class TrackerAgent:
    """An agent of B bodies that follows references."""

    def __init__(self, tracker: Tracker, count: int) -> None:
        """Begin without a past.

        Raises:
            MismatchError: the next control step is not among the references that the policy observes.
        """
        cfg, device = tracker.task, tracker.device
        steps = tuple(cfg.observation.future_steps)
        if cfg.action.around == "reference" and 1 not in steps:
            raise MismatchError(f"the tracker observes references {list(steps)} steps ahead; 1 is needed")
        self.policy: Policy = tracker.policy
        self.observer, self.parts = Observer(cfg.observation), BodyTensors(tracker.body, device)
        self._action, self._next = cfg.action, steps.index(1) if 1 in steps else 0
        self.last_action = torch.zeros(count, tracker.body.num_joints, device=device)
        self._history_steps = cfg.observation.history_steps
        self._history = History(self._history_steps, 7 + tracker.body.num_joints, count, device)
        self._fresh = torch.ones(count, dtype=torch.bool, device=device)
        self._command: Reference | None = None

    def reset(self, mask: Tensor | None = None) -> None:
        """Forget the last actions and the history of bodies (B,), all by default."""
        chosen = torch.ones_like(self._fresh) if mask is None else mask
        self.last_action = self.last_action.masked_fill(chosen.unsqueeze(-1), 0.0)
        self._fresh = self._fresh | chosen

    @torch.no_grad()
    def act(self, state: BodyState, command: Reference | Sequence[Command] | None = None) -> Tensor:
        """Return servo targets (B, D) [rad]; see :class:`humanoid.control.agent.Agent`.

        Raises:
            InputError: no reference was given yet.
        """
        if command is not None:
            given = [command] if isinstance(command, Reference) else command
            self._command = next((one for one in given if isinstance(one, Reference)), None)
        ref = self._command
        if ref is None or ref.ahead is None:
            raise InputError("a tracker follows a Reference with the frames ahead; give one")
        past = None
        if self._history_steps:
            self._history.push(proprioception(state, self.parts.default), self._fresh)
            past = self._history.flat()
        self._fresh = torch.zeros_like(self._fresh)
        step = StepState(state, ref, self.last_action, self.last_action, self.parts, history=past)
        terms = self.observer.actor(self.observer.terms(step))
        action = self.last_action = self.policy(torch.cat(tuple(terms.values()), dim=-1))
        ahead = ref.ahead[:, self._next]
        centre = action_centre(self._action, self.parts, (ahead.joint_pos, ahead.joint_vel))
        return centre + self.parts.scale * action
