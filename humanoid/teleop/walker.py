"""The body of a teleoperation: a guided agent in a simulator, planned for by a worker process."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.control.guided import LoopCfg, Planner, begin
from humanoid.core.constraints import Checked, Positive
from humanoid.core.errors import HumanoidError
from humanoid.datasets.sources import load_motions
from humanoid.envs.commands import Avoid, Command, Imitate, Place, Velocity
from humanoid.motion.motion import Motion
from humanoid.planning.planner import Plan
from humanoid.planning.sampler import SamplerCfg
from humanoid.planning.worker import PlanWorker
from humanoid.spatial.solids import Boxes, Capsules, Spheres
from humanoid.teleop.controls import SLOWEST, WORLD
from humanoid.teleop.obstacles import (
    BOX_HALF,
    KINDS,
    PILLAR_HALF,
    PILLAR_RADIUS,
    SPHERE_RADIUS,
    Kind,
    Obstacle,
)
from humanoid.teleop.session import TeleopCommand

START_SECONDS = 60.0
"""[s] that the planning process gets to start."""
FASTEST = WORLD.forward[1]
"""[m/s] Largest speed of a command in the world frame, in any direction."""
MOST_POSES = 256
"""Poses that a style keeps; more would only cost planning time."""


@dataclass(frozen=True, kw_only=True)
class WalkerCfg(Checked):
    """Plans of a teleoperation."""

    loop: LoopCfg = field(default_factory=LoopCfg)
    """Replanning and weights; a plan that takes longer than ``loop.replan`` is late."""
    frame: Literal["heading", "world"] = "heading"
    """Frame of the command: heading turns with the body; in world the body turns to where it goes."""
    speed: Positive = 0.8
    """Speed to a waypoint [m/s]."""
    reach: Positive = 1.0
    """Distance from a waypoint at which the body slows down [m]."""
    seed: int = 0
    """Seed of the plans' noise."""
    sampler: SamplerCfg = field(default_factory=lambda: SamplerCfg(steps=5))
    """How a plan is drawn."""


class GuidedWalker:
    """One body with a guided agent; a ``Walker`` of ``teleop.loop``."""

    def __init__(
        self,
        cfg: WalkerCfg,
        latent: str,
        diffusion: str,
        backend: str = "mujoco",
        device: str = "cpu",
        styles: Sequence[str] = (),
        clips: Sequence[str] = (),
        patience: float = START_SECONDS,
    ) -> None:
        """Load everything, take up a walk, and start the planning process.

        Args:
            cfg: plans.
            latent: checkpoint of the skills.
            diffusion: checkpoint of the planner.
            backend: simulator.
            device: of the simulator, the skills and the plans.
            styles: motions, sets or folders of them, that can be chosen as styles by their names.
            clips: names or tags to keep of these.
            patience: [s] that the planning process gets to start.

        Raises:
            InputError: a file that is missing or damaged.
            MismatchError: parts that do not belong together.
            ConfigError: a device that is not there.
            HumanoidError: the planning process does not start.
        """
        planner = Planner.load(diffusion, latent, device, cfg.sampler)
        self.cfg, self.body = cfg, planner.skills.body
        motions = load_motions(styles, self.body, clips).motions if styles else ()
        dt, self._history = planner.layout.cfg.dt, planner.layout.cfg.history
        self.styles = {motion.name: style_of(motion.for_body(self.body), dt) for motion in motions}
        walks = planner.skills.starts
        self._starts = planner.starts(1 if walks is None else len(walks.joint_pos))
        self._resets = 0
        self._path: tuple[Plan | None, np.ndarray | None] = None, None
        self._sim = planner.simulator(backend, 1)
        self.agent = planner.agent(self._sim, cfg.loop, cfg.seed, worker=True)
        assert isinstance(self.agent.planner, PlanWorker)
        self._worker = self.agent.planner
        self._state = self._sim.state()
        self.dt: float = self._sim.dt
        self._wait(patience)

    @property
    def state(self) -> BodyState:
        """Present state, leading axis 1, on the CPU."""
        return self._state.to("cpu")

    @property
    def path(self) -> np.ndarray | None:
        """Planned path of the root (F, 2) [m], world."""
        plan = self.agent.plan
        if plan is not self._path[0]:
            self._path = plan, None if plan is None else plan.features[0, self._history :, :2].numpy()
        return self._path[1]

    @property
    def plan_times(self) -> Sequence[float]:
        """Latencies of the latest plans [s]."""
        return self._worker.latencies

    @property
    def plan_misses(self) -> int:
        """Plans that came too late."""
        return self._worker.misses

    def steer(self, orders: TeleopCommand) -> None:
        """Follow a user's orders from the next plan on."""
        self.agent.command(commands_of(self.cfg, orders, self.styles))

    def step(self) -> None:
        """Advance one control period."""
        self._sim.set_targets(self.agent.act(self._state))
        self._sim.step()
        self._state = self._sim.state()

    def messages(self) -> list[str]:
        """Return problems with plans since the last call."""
        return self.agent.messages()

    def push(self, velocity_w: tuple[float, float]) -> None:
        """Add to the root's velocity."""
        change = torch.tensor([[*velocity_w, 0.0]], device=self._sim.device)
        self._sim.push(change, torch.zeros_like(change))
        self._state = self._sim.state()

    def reset(self) -> None:
        """Take up a walk at the origin, another one every time, without a plan."""
        self._resets += 1
        chosen = self._resets % len(self._starts.joint_pos)
        begin(self._sim, self.agent, self._starts[chosen : chosen + 1])
        self._state = self._sim.state()

    def close(self) -> None:
        """End the planning process and the simulator."""
        self.agent.close()
        self._sim.close()

    def _wait(self, patience: float) -> None:
        """Wait for the planning process: a walk without plans may fall meanwhile."""
        end = time.monotonic() + patience
        try:
            while not self._worker.ready:
                if time.monotonic() >= end:
                    raise HumanoidError(f"the planning process did not start within {patience:g} s")
                self._worker.poll()
                time.sleep(0.02)
        except HumanoidError:
            self.close()
            raise


def commands_of(cfg: WalkerCfg, orders: TeleopCommand, styles: Mapping[str, Imitate]) -> list[Command]:
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
