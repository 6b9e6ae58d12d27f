"""Tasks among pillars: through a forest to a place behind it, and through it under a command.

15 pillars with radii of 0.15 to 0.25 m stand in a field 8 m wide and 9 m deep that begins
1 m ahead of the start; the place to reach is 1 m behind it, the limit 20 s (Diffuse-CLoC,
arXiv 2503.11801), with a gap of at least :attr:`TaskCfg.gap` between any two.

Pillars are not in the simulator: contact is decided on the simulated state, from the body's
collision shapes and the pillar's. An episode fails with the first contact.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError
from humanoid.envs.commands import Avoid, Command, Place, Velocity
from humanoid.spatial.frames import turned
from humanoid.spatial.solids import Capsules
from humanoid.tasks.scores import EpisodeRecord, Silhouette, first_step, share, velocity_error
from humanoid.tasks.task import EpisodeResult, TaskContext
from humanoid.tasks.velocity import SETTLE
from humanoid.tasks.waypoint import WaypointTask, arrival

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


class ForestTask(WaypointTask):
    """Reach the place behind the forest in 20 s without touching a pillar.

    The error is the least distance to the place [m]. Pillars are not simulated, so policies train in the
    waypoint environment.
    """

    seconds, unit = SECONDS, "m"

    def __init__(self, context: TaskContext) -> None:
        """Draw a forest for each body."""
        pos, radius = draw_pillars(context.count, context.cfg.gap, context.generator())
        self.pos_w, self.radius = context.place_w(pos.to(context.device)), radius.to(context.device)
        goal = torch.tensor((AHEAD + DEEP + BEHIND, 0.0), device=context.device)
        self.goal_w = context.place_w(goal.expand(context.count, 2))
        self.avoid = Avoid(capsules=Capsules.pillars(self.pos_w, self.radius))
        self._start_w, self._yaw, self._cfg = context.pos_w, context.yaw, context.cfg
        self._silhouette = Silhouette(context.body, context.device)
        self._gaps: list[Tensor] = []
        cfg = context.cfg
        reach = 0.0 if cfg.ways else cfg.reach
        self._place = Place(pos_w=self.goal_w, speed=cfg.speed, reach=reach, detour=cfg.ways)

    def command(self, time: float) -> Sequence[Command]:
        """Command the place behind the pillars; see :class:`humanoid.tasks.task.Task`."""
        return [self._place, self.avoid]

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Return who touches a pillar or has arrived; see :class:`humanoid.tasks.task.Task`."""
        self._gaps.append(self._silhouette.clearance(state, self.pos_w, self.radius))
        return (self._gaps[-1] <= 0.0) | self.arrived(state.root_pos_w)

    def arrived(self, root_pos_w: Tensor) -> Tensor:
        """Return who is at the place, (...) bool, for roots (..., 3) [m]."""
        return (root_pos_w[..., :2] - self.goal_w).norm(dim=-1) <= ARRIVED

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Find who arrived untouched; see :class:`humanoid.tasks.task.Task`."""
        touched = torch.stack(self._gaps) <= 0.0
        result = arrival(record, self.goal_w, ARRIVED, touched)
        hit = first_step(touched) < result.end
        return EpisodeResult(result.reached, result.end, result.error, {"touched": share(hit)})


class ForestWalk(ForestTask):
    """Walk ahead through the forest: a velocity command and obstacles together.

    The goal is the line where the field ends. The error is that of the velocity, as in
    :mod:`humanoid.tasks.velocity`, over the time until then: detours cost some. It is 1
    for a body that touches a pillar before its velocity counts.
    """

    unit = ""

    def command(self, time: float) -> Sequence[Command]:
        """Command a velocity away from pillars; see :class:`humanoid.tasks.task.Task`."""
        ahead = self._forward.expand(len(self.goal_w), 2)
        stick = Velocity(velocity=ahead, frame="world", yaw=self._yaw, detour=self._cfg.ways)
        return [stick, self.avoid]

    def arrived(self, root_pos_w: Tensor) -> Tensor:
        """Return who is past the field; see :meth:`ForestTask.arrived`."""
        gone = turned(root_pos_w[..., :2] - self._start_w, -self._yaw.expand(root_pos_w.shape[:-1]))
        return gone[..., 0] >= AHEAD + DEEP

    def evaluate(self, record: EpisodeRecord) -> EpisodeResult:
        """Find who is past the field untouched; see :class:`humanoid.tasks.task.Task`."""
        touched = torch.stack(self._gaps) <= 0.0
        past, hit = first_step(self.arrived(record.root_pos_w)), first_step(touched)
        end = torch.minimum(torch.minimum(past, hit) + 1, torch.full_like(past, len(touched)))
        velocity = turned(record.root_lin_vel_w[..., :2], -self._yaw.expand_as(record.yaw))
        error = velocity_error(velocity, self._forward)
        step = torch.arange(len(error), device=end.device).unsqueeze(-1)
        counted = (step >= round(SETTLE / record.dt)) & (step < end)
        mean = torch.where(counted, error, 0.0).sum(0) / counted.sum(0)
        error = torch.where(counted.any(0), mean, 1.0)  # hit before a velocity counts
        return EpisodeResult(past < hit, end, error, {"touched": share(hit < end)})

    @property
    def _forward(self) -> Tensor:
        """(2,) [m/s] the commanded velocity, relative to the heading at the start."""
        return torch.tensor((self._cfg.speed, 0.0), device=self.goal_w.device)
