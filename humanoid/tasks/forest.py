"""Tasks among pillars: through a forest to a place behind it, and through it under a command.

15 pillars with radii of 0.15 to 0.25 m stand in a field 8 m wide and 9 m deep that begins
1 m ahead of the start; the place to reach is 1 m behind it, the limit 20 s (Diffuse-CLoC,
arXiv 2503.11801). Between any two is a way of at least :attr:`TaskCfg.gap`, which is ours.

Pillars are not in the simulator: contact is decided on the simulated state, from the body's
collision shapes and the pillar's. An episode ends, failed, with the first contact, so it
does not matter whether the pillar would push back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError
from humanoid.planning.costs.obstacles import Capsules, Obstacles
from humanoid.planning.costs.path_field import Ways
from humanoid.planning.costs.steering import BRISK, Cost, Steer, Waypoint
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import Course, Silhouette, first_step, share, velocity_error
from humanoid.tasks.task import Outcome, Setting, Task, arrival
from humanoid.tasks.velocity import SETTLE

COUNT = 15
RADIUS = (0.15, 0.25)
"""[m]"""
WIDE, DEEP, AHEAD = 8.0, 9.0, 1.0
"""Size of the field and where it begins ahead of the start [m]."""
BEHIND, ARRIVED = 1.0, 0.5
"""Place to reach behind the field, and how near it a body has arrived [m]."""
SECONDS = 20.0
_TRIES = 200


def draw_pillars(count: int, gap: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw forests of 15 pillars, one after the other where the last ones leave room.

    Args:
        count: number B of forests.
        gap: least way between two surfaces [m].
        generator: on the CPU.

    Returns:
        Places (B, 15, 2) [m] in the heading frame of the start, radii (B, 15) [m].

    Raises:
        InputError: no room for so wide a gap.
    """
    low, high = RADIUS
    radius = low + (high - low) * torch.rand(count, COUNT, generator=generator)
    pos = torch.zeros(count, 0, 2)
    for index in range(COUNT):
        draw = torch.rand(count, _TRIES, 2, generator=generator)
        tries = torch.stack((AHEAD + DEEP * draw[..., 0], WIDE * (draw[..., 1] - 0.5)), dim=-1)
        apart = (tries.unsqueeze(2) - pos.unsqueeze(1)).norm(dim=-1)
        room = apart - radius[:, None, :index] - radius[:, index, None, None]
        free = (room >= gap).all(-1)
        if not bool(free.any(-1).all()):
            raise InputError(
                f"{COUNT} pillars {gap:g} m apart find no room in {WIDE:g} x {DEEP:g} m; lower gap"
            )
        first = free.int().argmax(-1)
        pos = torch.cat((pos, tries[torch.arange(count), first].unsqueeze(1)), dim=1)
    return pos, radius


class ForestTask(Task):
    """Reach the place behind the forest in 20 s without touching a pillar.

    The error is the least distance to the place [m].
    """

    seconds, unit = SECONDS, "m"

    def __init__(self, setting: Setting) -> None:
        """Draw a forest for each body."""
        pos, radius = draw_pillars(setting.count, setting.cfg.gap, setting.generator())
        self.pos_w, self.radius = setting.place_w(pos.to(setting.device)), radius.to(setting.device)
        goal = torch.tensor((AHEAD + DEEP + BEHIND, 0.0), device=setting.device)
        self.goal_w = setting.place_w(goal.expand(setting.count, 2))
        self.start, self._cfg = setting.frame, setting.cfg
        self._ways: Ways | None = None
        if setting.cfg.ways:
            self._ways = Ways(goal_w=self.goal_w, start_w=self.start.pos_w, obstacles=self.obstacles())
        self._silhouette = Silhouette(setting.body, setting.device)
        self._gaps: list[Tensor] = []

    def costs(self, time: float) -> list[Cost]:
        """Go round the pillars to the place; see :class:`humanoid.tasks.task.Task`."""
        if self._ways is not None:
            return [Steer(ways=self._ways, speed=self._cfg.speed), self.obstacles()]
        steer = Steer(pos_w=self.goal_w, speed=self._cfg.speed)
        return [Waypoint(pos_w=self.goal_w, reach=self._cfg.reach), steer, self.obstacles()]

    def obstacles(self) -> Obstacles:
        """Return the cost of the pillars."""
        return Obstacles(capsules=Capsules.pillars(self.pos_w, self.radius))

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """See who touches a pillar or has arrived; see :class:`humanoid.tasks.task.Task`."""
        self._gaps.append(self._silhouette.clearance(state, self.pos_w, self.radius))
        return (self._gaps[-1] <= 0.0) | self.arrived(state.root_pos_w)

    def arrived(self, root_pos_w: Tensor) -> Tensor:
        """Return who is at the place, (...) bool, for roots (..., 3) [m]."""
        return (root_pos_w[..., :2] - self.goal_w).norm(dim=-1) <= ARRIVED

    def judge(self, course: Course) -> Outcome:
        """See who arrived untouched; see :class:`humanoid.tasks.task.Task`."""
        touched = torch.stack(self._gaps) <= 0.0
        outcome = arrival(course, self.goal_w, ARRIVED, touched)
        hit = first_step(touched) < outcome.end
        return Outcome(outcome.reached, outcome.end, outcome.error, {"touched": share(hit)})


class ForestWalk(ForestTask):
    """Walk through the forest on a stick that is held forward: a joystick and obstacles together.

    Reached is the line where the field ends. The error is that of the velocity, as in
    :mod:`humanoid.tasks.velocity`, over the time until then: going round costs some. It is 1
    for a body that touches a pillar before its velocity counts.
    With :attr:`TaskCfg.ways` the stick points to a place some way ahead, and a map leads there.
    """

    unit = ""

    def __init__(self, setting: Setting) -> None:
        """Draw a forest for each body."""
        super().__init__(setting)
        self._here_w = self.start.pos_w

    def costs(self, time: float) -> list[Cost]:
        """Follow the stick, away from pillars; see :class:`humanoid.tasks.task.Task`."""
        obstacles, speed = self.obstacles(), self._cfg.speed
        if not self._cfg.ways:
            return [Steer(yaw=self.start.yaw, speed=speed, slowest=BRISK), obstacles]
        ways = Ways.ahead(self.start.yaw, self._here_w, obstacles)
        return [Steer(ways=ways, speed=speed, slowest=BRISK), obstacles]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """See who touches a pillar or is past; see :class:`humanoid.tasks.task.Task`."""
        here_w = state.root_pos_w[:, :2]
        self._here_w = torch.where(here_w.isfinite().all(-1, keepdim=True), here_w, self._here_w)
        return super().watch(state, step)

    def arrived(self, root_pos_w: Tensor) -> Tensor:
        """Return who is past the field; see :meth:`ForestTask.arrived`."""
        gone = turned(root_pos_w[..., :2] - self.start.pos_w, -self.start.yaw.expand(root_pos_w.shape[:-1]))
        return gone[..., 0] >= AHEAD + DEEP

    def judge(self, course: Course) -> Outcome:
        """See who is past the field untouched; see :class:`humanoid.tasks.task.Task`."""
        touched = torch.stack(self._gaps) <= 0.0
        past, hit = first_step(self.arrived(course.root_pos_w)), first_step(touched)
        end = torch.minimum(torch.minimum(past, hit) + 1, torch.full_like(past, len(touched)))
        velocity = turned(course.root_lin_vel_w[..., :2], -self.start.yaw.expand_as(course.yaw))
        error = velocity_error(velocity, self._forward)
        step = torch.arange(len(error), device=end.device).unsqueeze(-1)
        counted = (step >= round(SETTLE / course.dt)) & (step < end)
        mean = torch.where(counted, error, 0.0).sum(0) / counted.sum(0)
        error = torch.where(counted.any(0), mean, 1.0)  # hit before a velocity counts
        return Outcome(past < hit, end, error, {"touched": share(hit < end)})

    @property
    def _forward(self) -> Tensor:
        """(2,) [m/s] what the stick asks for, relative to the heading at the start."""
        return torch.tensor((self._cfg.speed, 0.0), device=self.goal_w.device)
