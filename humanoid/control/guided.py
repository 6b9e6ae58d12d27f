"""Guided agent: a diffusion model plans for commands, a latent controller performs the plans."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.control.commands import CommandCfg, CommandCosts, Goal
from humanoid.control.latent import LatentController
from humanoid.core.constraints import Among, Checked, Natural, NonNegative, Positive
from humanoid.core.errors import HumanoidError
from humanoid.core.paths import data_dir
from humanoid.datasets.sources import load_motions
from humanoid.diffusion.model import DiffusionModel
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import digest, find
from humanoid.planning.guidance import WEIGHTS, weighted
from humanoid.planning.planner import DiffusionPlanner, Plan, Window
from humanoid.planning.sampler import SamplerCfg
from humanoid.planning.worker import Plans, PlanWorker, WorkerCfg
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.sim import Simulator, make_sim, require_device
from humanoid.skills.skills import SHIPPED, Skills
from humanoid.skills.teacher import PerformCfg, load_teacher
from humanoid.tasks.starts import standing

LOOP_SECONDS = 12.0
"""Looping clips are repeated until they last this long [s], so that keyframes fit in."""
GAIT = "walk"
"""Clips with this tag or, without tags, with this in their names are walks."""
PLANNER = "diffusion-small.pt"
"""Name of the shipped planner."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoopCfg(Checked):
    """How plans and control go together."""

    replan: Positive = 0.2
    """Time between plans [s]."""
    latency: Natural = 0
    """Frames until a plan is there; with a worker they are those it takes."""
    weights: dict[Annotated[str, Among(WEIGHTS)], NonNegative] = field(default_factory=dict)
    """Cost -> its weight; by default as :func:`~humanoid.planning.guidance.weighted` has it."""
    commands: CommandCfg = field(default_factory=CommandCfg)


class GuidedAgent:
    """An agent of B bodies that follows commands by planning periodically.

    Attributes:
        controller: performs the plans.
        plan: the plan that is followed, None before the first.
        plan_seconds: [s] that each plan took, of those made in this process.
        window: motion that was last planned from.
        generator: of the plans' noise; a worker has its own.
    """

    def __init__(
        self,
        planner: Plans | PlanWorker,
        controller: LatentController,
        cfg: LoopCfg | None = None,
        seed: int = 0,
    ) -> None:
        """Join planner and controller.

        Args:
            planner: in this process, or a worker beside it.
            controller: of the planner's layout.
            cfg: how they go together.
            seed: of the plans' noise; a worker has its own.
        """
        self.planner, self.controller, self.cfg = planner, controller, cfg or LoopCfg()
        layout, body = controller.layout, controller.skills.body
        self._costs = CommandCosts(layout, body, self.cfg.commands)
        self._every = max(1, round(self.cfg.replan / layout.cfg.dt))
        if not isinstance(planner, PlanWorker):
            self.generator = torch.Generator(device=planner.device).manual_seed(seed)
        self._goals: Sequence[Goal] = ()
        self._last: Plan | None = None
        self._coming: deque[tuple[int, Plan]] = deque()
        self._messages: list[str] = []
        self._dropped: set[str] = set()
        self._due, self._begun = controller.tick, controller.tick
        self.plan: Plan | None = None
        self.window: Window | None = None
        self.plan_seconds: list[float] = []

    @property
    def period(self) -> int:
        """Control steps between plans."""
        return self._every * self.controller.skills.hold

    def command(self, goals: Sequence[Goal]) -> None:
        """Follow commands from the next plan on; none for the learned motion by itself."""
        self._goals = tuple(goals)

    def reset(self, mask: Tensor | None = None, history: BodyState | None = None) -> None:
        """Plan at the next step; arguments as :meth:`LatentController.reset`."""
        self.controller.reset(mask, history)
        self._due = self.controller.tick
        if mask is None:
            self._begun, self.plan, self._last = self.controller.tick, None, None
            self._coming.clear()

    def act(self, state: BodyState, command: Sequence[Goal] | None = None) -> Tensor:
        """Return servo targets (B, D) [rad]; see :class:`humanoid.control.agent.Agent`.

        Raises:
            InputError: a command that no plan can follow.
        """
        if command is not None:
            self.command(command)
        self.controller.observe(state)
        if self.controller.begins_frame and self.controller.tick >= self._due:
            self._due = self.controller.tick + self._every
            self._make()
        self._take()
        return self.controller.act(state)

    def messages(self) -> list[str]:
        """Return problems with plans since the last call, each once; the last plan is followed meanwhile."""
        taken, self._messages = self._messages, []
        return taken

    def close(self) -> None:
        """End the worker, if there is one."""
        if isinstance(self.planner, PlanWorker):
            self.planner.close()

    def _make(self) -> None:
        window = self.window = self.controller.window()
        if isinstance(self.planner, PlanWorker):
            costs, keyframes = self._costs(self._goals, window.features[:, -1, :2])
            self.planner.submit(window, weighted(costs, self.cfg.weights) if costs else None, keyframes)
            return
        self._last = plan_for(
            self.planner, self._costs, self._goals, window, self.cfg.weights, self._last, self.generator
        )
        self.plan_seconds.append(self._last.seconds)
        self._coming.append((window.tick + self.cfg.latency, self._last))

    def _take(self) -> None:
        """Follow the newest plan that is there."""
        if isinstance(self.planner, PlanWorker):
            try:
                plan = self.planner.poll()
            except HumanoidError as error:
                self._report(str(error))
                return
            if plan is not None and plan.tick >= self._begun:
                self._coming.append((self.controller.tick, plan))
        while self._coming and self._coming[0][0] <= self.controller.tick:
            self.plan = self._coming.popleft()[1]
            self.controller.follow(self.plan)
            new = self.plan.dropped.keys() - self._dropped
            if new:
                self._dropped |= new
                names = ", ".join(f"'{name}'" for name in sorted(new))
                self._report(f"a plan leaves out {names}, not finite there; it is followed (reported once)")

    def _report(self, message: str) -> None:
        logger.warning("%s", message)
        self._messages.append(message)


def plan_for(
    planner: Plans,
    costs: CommandCosts,
    goals: Sequence[Goal],
    window: Window,
    weights: dict[str, float],
    previous: Plan | None,
    generator: torch.Generator,
) -> Plan:
    """Return plans for commands.

    Args:
        planner: in this process.
        costs: translates commands.
        goals: commands.
        window: motion up to now.
        weights: of costs by name, beside the defaults.
        previous: plan to begin from, or None.
        generator: of the noise.
    """
    found, keyframes = costs(goals, window.features[:, -1, :2])
    return planner.plan(window, weighted(found, weights) if found else None, keyframes, previous, generator)


class Planner(DiffusionPlanner):
    """A diffusion model that plans, with the skills that perform its plans.

    Attributes:
        skills: of the body that the plans are of.
    """

    def __init__(self, model: DiffusionModel, skills: Skills, cfg: SamplerCfg | None = None) -> None:
        """Join a model and skills that belong together.

        Raises:
            MismatchError: they are of different bodies.
        """
        super().__init__(model, cfg)
        skills.body.require_signature(model.header.body, model.header.source)
        self.skills = skills

    @classmethod
    def load(  # type: ignore[override]
        cls,
        path: str | Path = "",
        skills: str | Path = "",
        device: str = "cpu",
        cfg: SamplerCfg | None = None,
    ) -> Planner:
        """Read two checkpoints that belong together.

        Args:
            path: of ``humanoid train diffusion``, a file or a folder; the shipped one by default.
            skills: of ``humanoid train latent``; by default beside the planner, else the shipped ones.
            device: of everything.
            cfg: how plans are drawn.

        Raises:
            InputError: a file is missing, damaged or foreign.
            MismatchError: they are of other kinds, or not of each other.
            ConfigError: a device that is not there.
        """
        require_device(device)
        shipped = data_dir("pretrained")
        if not skills and Path(path).is_dir() and (Path(path) / SHIPPED).is_file():
            skills = path
        where = find(skills, SHIPPED, shipped)
        found = Skills.load(where, device)
        source = find(path, PLANNER, shipped)
        model = DiffusionModel.load(source, device)
        model.require(found.body, digest(where), str(source))
        return cls(model, found, cfg)

    def simulator(self, backend: str = "mujoco", count: int = 1, seed: int = 0) -> Simulator:
        """Return bodies in the physics that the skills were learned in.

        Args:
            backend: ``genesis`` or ``mujoco``.
            count: number of bodies.
            seed: of the simulator.
        """
        physics = self.skills.physics(backend, str(self.device))
        return make_sim(physics, self.skills.body, count, seed)

    def agent(
        self, sim: Simulator, cfg: LoopCfg | None = None, seed: int = 0, worker: bool = False
    ) -> GuidedAgent:
        """Return an agent of the bodies of a simulator, which take up a walk.

        Args:
            sim: of the skills' body and control rate.
            cfg: how plans and control go together.
            seed: of the plans' noise.
            worker: plan in another process while the loop continues; call :meth:`GuidedAgent.close` then.

        Raises:
            MismatchError: another body or control rate.
        """
        self.skills.require(sim)
        cfg = cfg or LoopCfg()
        planner: Plans | PlanWorker = self
        if worker:
            make = partial(DiffusionPlanner.load, self.model.header.source, self.cfg, str(self.device))
            planner = PlanWorker(make, WorkerCfg(deadline=cfg.replan, seed=seed))
        controller = LatentController(self.skills, self.layout, sim.num_envs, seed)
        agent = GuidedAgent(planner, controller, cfg, seed)
        begin(sim, agent, self.starts(sim.num_envs))
        return agent

    def starts(self, count: int) -> BodyState:
        """Return histories (count, N + 1) to start from: walks that ship with the skills, or standing."""
        frames, known = self.layout.cfg.history + 1, self.skills.starts
        if known is None or known.joint_pos.shape[1] < frames:
            return standing(self.skills.body, frames).to(self.device)[torch.zeros(count, dtype=torch.long)]
        return known[torch.arange(count) % len(known.joint_pos), -frames:]

    def motions(self, source: str | Sequence[str] = (), clips: Sequence[str] = ()) -> tuple[Motion, ...]:
        """Return motions to start from, walks unless ``clips`` are named.

        Args:
            source: manifests, files or folders; by default those in the skills' checkpoint. A shipped one
                names motions that every machine has, fewer than it learned.
            clips: names or tags.

        Raises:
            InputError: a source does not exist or is malformed.
        """
        header, cfg = self.skills.header, RetargetCfg()
        learned = header.section(PerformCfg, "perform")
        if not source:
            teacher = load_teacher(header.config.get("teacher", "")).header
            source = learned.motions or teacher.config.get("motions", "humanoid3d")
            clips, cfg = clips or learned.clips, teacher.section(RetargetCfg, "retarget")
        cfg = replace(cfg, min_seconds=max(cfg.min_seconds, LOOP_SECONDS))
        return load_motions(source, self.skills.body, clips, cfg, keep=None if clips else is_walk).motions


def begin(sim: Simulator, agent: GuidedAgent, history: BodyState) -> None:
    """Put all bodies of a simulator where histories (B, N + 1) end."""
    history = history.to(sim.device)
    sim.reset(torch.ones(sim.num_envs, dtype=torch.bool, device=sim.device), history[:, -1])
    agent.reset(history=history)


def is_walk(name: str, tags: tuple[str, ...]) -> bool:
    """Return whether a clip is a walk, by its tags or else its name."""
    return GAIT in tags if tags else GAIT in name
