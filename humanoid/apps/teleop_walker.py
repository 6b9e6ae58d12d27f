"""The body of a teleoperation: skills in a simulator, led by plans that another process makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError, nearest
from humanoid.diffusion.costs import Cost, Joystick, Waypoint
from humanoid.diffusion.costs_pose import Style
from humanoid.diffusion.costs_scene import Boxes, Capsules, Obstacles, Spheres
from humanoid.diffusion.guidance import Guidance
from humanoid.diffusion.planner import Planner
from humanoid.diffusion.sampler import SamplerCfg
from humanoid.diffusion.trajectory import Layout
from humanoid.diffusion.worker import PlanWorker, WorkerCfg
from humanoid.eval.guide_stage import Composer
from humanoid.eval.guide_starts import standing
from humanoid.motion.motion import Motion
from humanoid.retarget.source import load_motions
from humanoid.view.arena import BOX_HALF, PILLAR_HALF, PILLAR_RADIUS, SPHERE_RADIUS, Kind
from humanoid.view.session import Orders

COSTS = ("joystick", "waypoint", "obstacles", "style")
"""What plans may heed."""
MOST_POSES = 256
"""Poses that a style keeps; more would only cost planning time."""


@dataclass(frozen=True, kw_only=True)
class WalkerCfg:
    """How plans are made and what they heed."""

    replan: float = 0.2
    """Time between plans [s]; a plan that takes longer is late."""
    weights: dict[str, float] = field(default_factory=dict)
    """Cost (joystick, waypoint, obstacles, style) -> its weight, 1 by default."""
    yaw_weight: float = 1.0
    """What (1 rad/s)^2 of turning counts in (m/s)^2."""
    reach: float = 1.0
    """A waypoint farther than this from the body [m] pulls as if it were so far."""
    frame: Literal["heading", "world"] = "heading"
    """Of the command: turning with the body, or as at the start."""
    seed: int = 0
    """Of the plans' noise."""
    sampler: SamplerCfg = field(default_factory=lambda: SamplerCfg(steps=5))
    """How a plan is drawn."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in self.weights:
            if name not in COSTS:
                raise ConfigError(f"walker.weights: '{name}' is no cost{nearest(name, COSTS)}")
        if not (0.0 < self.replan < math.inf and 0.0 < self.reach < math.inf):
            raise ConfigError(f"walker: replan {self.replan:g} s and reach {self.reach:g} m must be positive")


class GuidedWalker:
    """One body, planned for by a diffusion model; a ``Walker`` of ``apps.teleop_loop``."""

    def __init__(
        self,
        cfg: WalkerCfg,
        latent: str,
        diffusion: str,
        backend: str = "mujoco",
        device: str = "cpu",
        styles: Sequence[str] = (),
        clips: Sequence[str] = (),
    ) -> None:
        """Load everything, stand, and start the process that plans.

        Args:
            cfg: plans.
            latent: checkpoint of the skills.
            diffusion: checkpoint of the planner.
            backend: simulator.
            device: of the simulator, the skills and the plans.
            styles: motions, or sets or folders of them, that can be chosen as styles by their names.
            clips: names or tags to keep of these.

        Raises:
            InputError: a file that is missing or damaged.
            MismatchError: parts that do not belong together.
            ConfigError: a device that is not there.
        """
        composer = Composer.load(latent, diffusion, device, cfg.sampler)
        self.cfg, self.body, self.layout = cfg, composer.skills.body, composer.planner.layout
        motions = load_motions(styles, self.body, clips).motions if styles else ()
        self.styles = {motion.name: style_of(motion, self.body, self.layout) for motion in motions}
        self._sim = composer.simulator(backend, 1)
        self.driver = composer.driver(self._sim, cfg.seed)
        self._start = standing(self.body, self.layout.cfg.history + 1).to(device)
        self.driver.start(self._start)
        self.dt: float = self._sim.dt
        self._every = max(round(cfg.replan / self.layout.cfg.dt), 1)
        self._due, self._path = 0, None
        self.worker = PlanWorker(
            partial(Planner.load, diffusion, cfg.sampler, device),
            WorkerCfg(deadline=cfg.replan, seed=cfg.seed),
        )

    @property
    def state(self) -> BodyState:
        """Present state, leading axis 1, on the CPU."""
        return self.driver.state.to("cpu")

    @property
    def path(self) -> np.ndarray | None:
        """Where the plan has the root (F, 2) [m], world."""
        return self._path

    @property
    def plan_times(self) -> Sequence[float]:
        """How long the latest plans took [s]."""
        return self.worker.latencies

    @property
    def plan_misses(self) -> int:
        """Plans that came too late."""
        return self.worker.misses

    def steer(self, orders: Orders) -> None:
        """Follow a plan that has arrived and ask for the next when it is time."""
        plan = self.worker.poll()
        if plan is not None:
            self.driver.follow(plan)
            self._path = plan.features[0, self.layout.cfg.history :, :2].numpy()
        if self.driver.needs_frame and self.driver.tick >= self._due:
            self._due = self.driver.tick + self._every
            self.worker.submit(self.driver.window(), guidance(self.cfg, orders, self.styles))

    def step(self) -> None:
        """Advance one control period."""
        self.driver.step()

    def push(self, velocity_w: tuple[float, float]) -> None:
        """Add to the root's velocity."""
        change = torch.tensor([[*velocity_w, 0.0]], device=self._sim.device)
        self._sim.push(change, torch.zeros_like(change))

    def reset(self) -> None:
        """Stand at the start, without a plan."""
        self.driver.follow(None)
        self.driver.start(self._start)
        self._due, self._path = self.driver.tick, None

    def close(self) -> None:
        """End the process that plans and the simulator."""
        self.worker.close()
        self._sim.close()


def guidance(cfg: WalkerCfg, orders: Orders, styles: Mapping[str, Style]) -> Guidance:
    """Return the costs of what is asked."""
    command = orders.command
    costs: list[Cost] = []
    if orders.waypoint is not None:
        costs.append(Waypoint(pos_w=orders.waypoint, reach=cfg.reach))
    else:
        costs.append(
            Joystick(
                velocity=(command.forward, command.left),
                yaw_rate=command.turn,
                frame=cfg.frame,
                yaw_weight=cfg.yaw_weight,
            )
        )
    obstacles = obstacle_cost(orders)
    if obstacles is not None:
        costs.append(obstacles)
    if orders.style in styles:
        costs.append(styles[orders.style])
    return Guidance(costs, {cost.name: cfg.weights.get(cost.name, 1.0) for cost in costs})


def obstacle_cost(orders: Orders) -> Obstacles | None:
    """Return the cost of the obstacles that count, None without any."""
    groups: dict[Kind, Tensor] = {}
    for kind in ("pillar", "sphere", "box"):
        places = [found.pos_w for found in orders.obstacles if found.active and found.kind == kind]
        if places:
            groups[kind] = torch.tensor(places, dtype=torch.float32)
    if not groups:
        return None
    pillars, spheres, boxes = (groups.get(kind) for kind in ("pillar", "sphere", "box"))
    return Obstacles(
        capsules=None
        if pillars is None
        else Capsules.pillars(pillars[:, :2], torch.full((len(pillars),), PILLAR_RADIUS), 2.0 * PILLAR_HALF),
        spheres=None
        if spheres is None
        else Spheres(centre_w=spheres, radius=torch.full((len(spheres),), SPHERE_RADIUS)),
        boxes=None
        if boxes is None
        else Boxes(
            centre_w=boxes,
            half=torch.tensor(BOX_HALF).expand(len(boxes), 3),
            quat_w=torch.tensor((1.0, 0.0, 0.0, 0.0)).expand(len(boxes), 4),
        ),
    )


def style_of(motion: Motion, body: Embodiment, layout: Layout) -> Style:
    """Return the style of a motion of ``body``: its poses, at the rate of plans or thinner."""
    motion = motion.for_body(body)
    count = min(max(round(motion.duration / layout.cfg.dt), 1), MOST_POSES)
    states = motion.at(torch.linspace(0.0, motion.duration, count))
    return Style.of(layout, layout.features(states, body))
