"""The body of a teleoperation: skills in a simulator, led by plans that another process makes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.control.command import SLOWEST, WORLD
from humanoid.control.commands import CommandCfg, CommandCosts
from humanoid.control.guided import Composer
from humanoid.control.obstacles import (
    BOX_HALF,
    KINDS,
    PILLAR_HALF,
    PILLAR_RADIUS,
    SPHERE_RADIUS,
    Kind,
    Obstacle,
)
from humanoid.core.errors import ConfigError, HumanoidError, nearest
from humanoid.datasets.sources import load_motions
from humanoid.envs.commands import Avoid, Command, Imitate, Place, Velocity
from humanoid.motion.motion import Motion
from humanoid.planning.guidance import WEIGHTS, weighted
from humanoid.planning.planner import Planner
from humanoid.planning.sampler import SamplerCfg
from humanoid.planning.worker import PlanWorker, WorkerCfg
from humanoid.skills.skills import Skills
from humanoid.spatial.solids import Boxes, Capsules, Spheres
from humanoid.tasks.starts import standing
from humanoid.teleop.session import Orders

START_SECONDS = 60.0
"""[s] that the process which plans gets to start."""
FASTEST = WORLD.forward[1]
"""[m/s] of a command in the world's frame, whichever way: its two parts together may ask for more."""
FRAMES = ("heading", "world")
"""Frames of a command."""
MOST_POSES = 256
"""Poses that a style keeps; more would only cost planning time."""


@dataclass(frozen=True, kw_only=True)
class WalkerCfg(CommandCfg):
    """How plans are made and what they heed."""

    replan: float = 0.2
    """Time between plans [s]; a plan that takes longer is late."""
    weights: dict[str, float] = field(default_factory=dict)
    """Cost -> its weight; by default as :func:`~humanoid.planning.guidance.weighted` has it."""
    reach: float = 1.0
    """A waypoint farther than this from the body [m] pulls as if it were so far."""
    frame: Literal["heading", "world"] = "heading"
    """Of the command: turning with the body, or as at the start; then the body turns to where it goes."""
    speed: float = 0.8
    """To a waypoint [m/s]."""
    seed: int = 0
    """Of the plans' noise."""
    sampler: SamplerCfg = field(default_factory=lambda: SamplerCfg(steps=5))
    """How a plan is drawn."""

    def __post_init__(self) -> None:
        """Check frames, weights and times."""
        super().__post_init__()
        for name, weight in self.weights.items():
            if name not in WEIGHTS:
                raise ConfigError(f"walker.weights: '{name}' is no cost{nearest(name, tuple(WEIGHTS))}")
            if not 0.0 <= weight < math.inf:
                raise ConfigError(f"walker.weights.{name} is {weight:g}; it must be finite, 0 or more")
        if self.frame not in FRAMES:
            raise ConfigError(f"walker.frame: '{self.frame}' is no frame{nearest(self.frame, FRAMES)}")
        if not (0.0 < self.replan < math.inf and 0.0 < self.reach < math.inf):
            raise ConfigError(f"walker: replan {self.replan:g} s and reach {self.reach:g} m must be positive")
        if not 0.0 < self.speed < math.inf:
            raise ConfigError(f"walker.speed is {self.speed:g} m/s; it must be positive")


class GuidedWalker:
    """One body, planned for by a diffusion model; a ``Walker`` of ``teleop.loop``."""

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
        """Load everything, take up a walk, and start the process that plans.

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
            HumanoidError: the process that plans does not start.
        """
        composer = Composer.load(latent, diffusion, device, cfg.sampler)
        self.cfg, self.body, self.layout = cfg, composer.skills.body, composer.planner.layout
        motions = load_motions(styles, self.body, clips).motions if styles else ()
        self.styles = {
            motion.name: style_of(motion.for_body(self.body), self.layout.cfg.dt) for motion in motions
        }
        self._costs = CommandCosts(self.layout, self.body, cfg)
        self._sim = composer.simulator(backend, 1)
        self.driver = composer.driver(self._sim, cfg.seed)
        self._starts = starts_of(composer.skills, self.layout.cfg.history + 1).to(device)
        self._resets = 0
        self.driver.start(self._starts[:1])
        self.dt: float = self._sim.dt
        self._every = max(round(cfg.replan / self.layout.cfg.dt), 1)
        self._due, self._begun, self._path = 0, 0, None
        self._left_out: set[str] = set()
        self.worker = PlanWorker(
            partial(Planner.load, diffusion, cfg.sampler, device),
            WorkerCfg(deadline=cfg.replan, seed=cfg.seed),
        )
        self._wait()

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
        """Follow a plan that has arrived and ask for the next when it is time.

        Raises:
            HumanoidError: a plan failed, or goes without a cost for the first time; said once,
                and the walk can go on.
        """
        plan, left_out = self.worker.poll(), set[str]()
        if plan is not None and plan.tick >= self._begun:
            self.driver.follow(plan)
            self._path = plan.features[0, self.layout.cfg.history :, :2].numpy()
            left_out = plan.dropped.keys() - self._left_out
        if self.driver.needs_frame and self.driver.tick >= self._due:
            self._due = self.driver.tick + self._every
            goals = commands_of(self.cfg, orders, self.styles)
            costs, keyframes = self._costs(goals, self.driver.state.root_pos_w[:, :2])
            guidance = weighted(costs, self.cfg.weights) if costs else None
            self.worker.submit(self.driver.window(), guidance, keyframes)
        if left_out:
            self._left_out |= left_out
            names = ", ".join(f"'{name}'" for name in sorted(left_out))
            raise HumanoidError(
                f"a plan leaves out what is not finite there: {names}; it is followed even so (said once)"
            )

    def _wait(self) -> None:
        """Wait until the process that plans is there: a walk that nobody plans for may fall meanwhile."""
        end = time.monotonic() + START_SECONDS
        try:
            while not self.worker.ready:
                if time.monotonic() >= end:
                    raise HumanoidError(f"the planning process did not start within {START_SECONDS:g} s")
                self.worker.poll()
                time.sleep(0.02)
        except HumanoidError:
            self.close()
            raise

    def step(self) -> None:
        """Advance one control period."""
        self.driver.step()

    def push(self, velocity_w: tuple[float, float]) -> None:
        """Add to the root's velocity."""
        change = torch.tensor([[*velocity_w, 0.0]], device=self._sim.device)
        self._sim.push(change, torch.zeros_like(change))
        self.driver.state = self._sim.state()  # what the decoder sees in the next step

    def reset(self) -> None:
        """Take up a walk at the origin, another one every time, without a plan."""
        self._resets += 1
        chosen = self._resets % len(self._starts.joint_pos)
        self.driver.follow(None)
        self.driver.start(self._starts[chosen : chosen + 1])
        # beyond the end of every plan from before, so that none is followed and none gone on from
        self.driver.tick += self.layout.cfg.horizon + 1
        self._due = self._begun = self.driver.tick
        self._path = None

    def close(self) -> None:
        """End the process that plans and the simulator."""
        self.worker.close()
        self._sim.close()


def starts_of(skills: Skills, count: int) -> BodyState:
    """Return histories (S, count) to begin from: walks that came with the skills, else a body that stands."""
    if skills.starts is None or skills.starts.joint_pos.shape[1] < count:
        return standing(skills.body, count)
    return skills.starts[:, -count:]


def commands_of(cfg: WalkerCfg, orders: Orders, styles: Mapping[str, Imitate]) -> list[Command]:
    """Return the commands of a user; none where nothing is commanded.

    A slow velocity leaves the pace to the body. In the heading frame it includes turning, and is
    followed past obstacles; in the world frame it leads round them.

    Args:
        cfg: frame of the velocity, and the way to a waypoint.
        orders: of the user.
        styles: that can be chosen, by name.
    """
    found: list[Command] = []
    stick, speed = orders.command, math.hypot(orders.command.forward, orders.command.left)
    velocity = torch.tensor([[stick.forward, stick.left]]) if speed >= SLOWEST else None
    if orders.waypoint is not None:
        found.append(Place(pos_w=torch.tensor([orders.waypoint]), speed=cfg.speed, reach=cfg.reach))
    elif cfg.frame == "heading":
        found.append(Velocity(velocity=velocity, yaw_rate=torch.tensor([stick.turn])))
    elif velocity is not None:
        found.append(Velocity(velocity=velocity * min(1.0, FASTEST / speed), frame="world"))
    avoid = avoid_of(orders.obstacles)
    if avoid is not None:
        found.append(avoid)
    if orders.style in styles:
        found.append(styles[orders.style])
    return found


def avoid_of(obstacles: Sequence[Obstacle]) -> Avoid | None:
    """Return the solids of the obstacles that count, None without any."""
    groups: dict[Kind, Tensor] = {}
    for kind in KINDS:
        places = [found.pos_w for found in obstacles if found.active and found.kind == kind]
        if places:
            groups[kind] = torch.tensor(places, dtype=torch.float32)
    if not groups:
        return None
    pillars, spheres, boxes = (groups.get(kind) for kind in KINDS)
    return Avoid(
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


def style_of(motion: Motion, dt: float) -> Imitate:
    """Return the style of a motion: its poses ``dt`` [s] apart, or farther."""
    count = min(max(round(motion.duration / dt), 1), MOST_POSES)
    return Imitate(states=motion.at(torch.linspace(0.0, motion.duration, count)))
