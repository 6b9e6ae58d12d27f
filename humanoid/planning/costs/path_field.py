"""Cost-to-go field: the least time to a place round obstacles, from every node of a grid.

A plan looks about a second ahead. A cost that keeps bodies clear of obstacles sees no more
than that: in front of a wide one, or between two, it holds the body where both sides are
equally far. The field sees farther. It solves the Eikonal equation ``|grad T| = slowness`` for a
walker that is slower the nearer it is to an obstacle, so wide gaps are preferred to narrow ones of
almost the same length.

A walker cannot follow the gradient of T: close to a pillar it points back to where the body comes
from. So of straight steps in directions about its heading the one with the least cost-to-go is taken;
:class:`humanoid.planning.costs.steering.Steer` turns the body there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from humanoid.core.errors import ConfigError
from humanoid.planning.costs.obstacles import Obstacles
from humanoid.spatial.geometry import clamp_distance
from humanoid.spatial.parameters import Parameter, check_values, rows

_FAR = 1e9
"""Initial time of a node, longer than any path."""
_MOST_BLOCKED = 1e3
_APART = 5.0
"""Between the directions that are compared [degrees]."""
_ALONG = 3
"""Samples along a step."""


@dataclass(frozen=True, kw_only=True)
class PathFieldCfg:
    """Grid of the field, and the cost of coming near obstacles."""

    spacing: float = 0.15
    """Between nodes of the map [m]."""
    margin: float = 3.0
    """That the map goes beyond the start and the place [m]; what is wider than that is not gone round."""
    reach: float = 12.0
    """A place farther than this [m] is gone to by way of the point so far in its direction: the time that
    a map takes grows with the cube of its size."""
    narrow: float = 0.3
    """Clearance of the root at which arms begin to touch [m]; nearer, a node is ``blocked``."""
    wide: float = 1.2
    """Clearance [m] beyond which an obstacle does not matter."""
    narrow_cost: float = 8.0
    """Slowness at ``narrow``, in the open it is 1; it grows with the square of what is missing."""
    blocked: float = 30.0
    """Slowness where clearance is below ``narrow``: finite, so that paths lead out of there."""
    step: float = 0.9
    """Length of the steps that are compared [m], less where the place is nearer."""
    max_turn: float = 100.0
    """Largest angle between such a step and the heading [degrees]."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("spacing", "margin", "reach", "step"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"path field: {name} is {getattr(self, name):g} m; it must be positive and finite"
                )
        if not 0.0 < self.max_turn <= 180.0:
            raise ConfigError(
                f"path field: max_turn is {self.max_turn:g} degrees; more than 0 and at most 180 are needed"
            )
        if not 0.0 <= self.narrow < self.wide < math.inf:
            raise ConfigError(
                f"path field: narrow {self.narrow:g} m, wide {self.wide:g} m; 0 <= narrow < wide"
            )
        if not 1.0 <= self.narrow_cost <= self.blocked <= _MOST_BLOCKED:
            raise ConfigError(
                f"path field: narrow_cost {self.narrow_cost:g}, blocked {self.blocked:g}; "
                f"1 <= narrow_cost <= blocked <= {_MOST_BLOCKED:g} is needed"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class PathField:
    """Path to places round obstacles. The field is computed on first use, by the process that plans.

    Attributes:
        goal_w: (2,) or (B, 2) [m] the place, world.
        start_w: (2,) or (B, 2) [m], world; the grid holds it, and ``cfg.margin`` about it.
        obstacles: solids to avoid; uneven ground does not count.
        cfg: grid and costs.
    """

    goal_w: Parameter
    start_w: Parameter
    obstacles: Obstacles
    cfg: PathFieldCfg = PathFieldCfg()

    def __post_init__(self) -> None:
        """Check the places."""
        check_values("path field.goal_w", self.goal_w, (2,))
        check_values("path field.start_w", self.start_w, (2,))

    @classmethod
    def ahead(cls, yaw: Parameter, start_w: Tensor, obstacles: Obstacles, distance: float = 4.0) -> PathField:
        """Return the path to a place ``distance`` [m] away in a direction, for velocity commands.

        Args:
            yaw: () or (B,) [rad], world.
            start_w: (B, 2) [m], world.
            obstacles: solids to avoid.
            distance: [m].
        """
        yaw = rows("path field.yaw", yaw, 0, start_w)
        return cls(
            goal_w=start_w + distance * torch.stack((yaw.cos(), yaw.sin()), dim=-1),
            start_w=start_w,
            obstacles=obstacles,
        )

    @cached_property
    def map(self) -> CostToGo:
        """The cost-to-go of each node, for each of B plans."""
        with torch.inference_mode(False), torch.no_grad():
            cfg = self.cfg
            start_w = torch.atleast_2d(torch.as_tensor(self.start_w, dtype=torch.float32)).clone()
            goal_w = torch.atleast_2d(torch.as_tensor(self.goal_w).to(start_w)).clone()
            start_w, goal_w = torch.broadcast_tensors(start_w, goal_w)
            goal_w = clamp_distance(goal_w, start_w, cfg.reach)
            half = 0.5 * float((goal_w - start_w).abs().max()) + cfg.margin
            count = math.ceil(2.0 * half / cfg.spacing) + 1
            origin_w = 0.5 * (goal_w + start_w) - 0.5 * cfg.spacing * (count - 1)
            steps = cfg.spacing * torch.arange(count, dtype=start_w.dtype, device=start_w.device)
            grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
            nodes_w = origin_w[:, None, None] + grid
            clearance = self.obstacles.room(nodes_w.flatten(1, 2)).unflatten(1, (count, count))
            distance = (nodes_w - goal_w[:, None, None]).norm(dim=-1)
            slowness = _slowness(clearance, cfg)
            time = arrival_time(slowness, distance, cfg.spacing)
            return CostToGo(goal_w, origin_w, torch.stack((time, slowness), dim=1), cfg)

    def direction(self, pos_w: Tensor, yaw: Tensor) -> Tensor:
        """Return where to go (B, F) [rad], world.

        Args:
            pos_w: (B, F, 2) [m] from where, world.
            yaw: (B, F) [rad] where it faces, world.
        """
        return self.map.direction(pos_w, yaw)


@dataclass(frozen=True, eq=False)
class CostToGo:
    """Cost-to-go on a grid.

    Attributes:
        goal_w: (B, 2) [m] places, world.
        origin_w: (B, 2) [m] of nodes (0, 0), world.
        nodes: (B, 2, X, Y) least time to the place, in metres of open ground, and slowness.
        cfg: spacing of the nodes and the steps that are compared.
    """

    goal_w: Tensor
    origin_w: Tensor
    nodes: Tensor
    cfg: PathFieldCfg

    def direction(self, pos_w: Tensor, yaw: Tensor) -> Tensor:
        """See :meth:`PathField.direction`."""
        away = rows("path field", self.goal_w, 1, pos_w).unsqueeze(1) - pos_w
        distance = away.norm(dim=-1)
        heading = yaw.unsqueeze(-1) + self._directions(yaw)
        along = torch.linspace(0.0, 1.0, _ALONG + 1, dtype=pos_w.dtype, device=pos_w.device)[1:]
        reach = distance.clamp_max(self.cfg.step)[..., None, None] * along
        ray = torch.stack((heading.cos(), heading.sin()), dim=-1)
        time, slowness = self._seen(pos_w[:, :, None, None] + reach.unsqueeze(-1) * ray.unsqueeze(3))
        cost = time[..., -1] + reach[..., -1] * slowness.mean(-1)
        best = heading.gather(-1, cost.argmin(-1, keepdim=True)).squeeze(-1)
        # near the place the field is as coarse as its nodes
        near = distance < 2.0 * self.cfg.spacing
        return torch.where(near, torch.atan2(away[..., 1], away[..., 0]), best)

    def _directions(self, like: Tensor) -> Tensor:
        """Return the angles that are compared (A,) [rad], straight on first: it wins among equals."""
        count = math.ceil(self.cfg.max_turn / _APART)
        degrees = _APART * torch.arange(1, count + 1, dtype=like.dtype, device=like.device)
        angles = torch.deg2rad(degrees.clamp_max(self.cfg.max_turn))
        return torch.cat((angles.new_zeros(1), torch.stack((angles, -angles), dim=1).flatten()))

    def _seen(self, pos_w: Tensor) -> tuple[Tensor, Tensor]:
        """Return time and slowness (B, ...) at (B, ..., 2) [m]; off the grid plus the way to it."""
        flat = pos_w.flatten(1, -2)
        nodes, origin_w = (
            rows("path field", part, axes, pos_w) for part, axes in ((self.nodes, 3), (self.origin_w, 1))
        )
        size = self.cfg.spacing * (nodes.shape[-1] - 1)
        at = flat - origin_w.unsqueeze(1)
        inside = at.clamp(0.0, size)
        # grid_sample's x runs along the last axis, which is our y
        sampled = grid_sample(
            nodes.expand(len(flat), -1, -1, -1),
            (2.0 * inside / size - 1.0).flip(-1).unsqueeze(2),
            align_corners=True,
        ).squeeze(-1)
        time = sampled[:, 0] + (at - inside).norm(dim=-1)
        return time.view(pos_w.shape[:-1]), sampled[:, 1].view(pos_w.shape[:-1])


def arrival_time(slowness: Tensor, distance: Tensor, spacing: float) -> Tensor:
    """Return least times (B, X, Y) to a place: the first-order upwind solution of the Eikonal equation.

    All nodes are updated at once until no time changes (Jacobi's order of Rouy and Tourin's scheme,
    SIAM J. Numer. Anal. 29, 1992): more sweeps than fast marching, each a few tensor operations.

    Args:
        slowness: (B, X, Y) time for each metre.
        distance: (B, X, Y) [m] from the place, which holds a node at least within one ``spacing``.
        spacing: between nodes [m].
    """
    first = torch.where(distance <= 1.5 * spacing, distance * slowness, _FAR)
    time, step = first, spacing * slowness
    while True:
        around = pad(time.unsqueeze(1), (1, 1, 1, 1), value=_FAR).squeeze(1)
        x = torch.minimum(around[:, :-2, 1:-1], around[:, 2:, 1:-1])
        y = torch.minimum(around[:, 1:-1, :-2], around[:, 1:-1, 2:])
        gap = x - y
        both = 0.5 * (x + y + (2.0 * step.square() - gap.square()).clamp_min(0.0).sqrt())
        through = torch.where(gap.abs() < step, both, torch.minimum(x, y) + step)
        new = torch.minimum(time, through)
        if not bool((time - new > 1e-4).any()):
            return new
        time = new


def _slowness(clearance: Tensor, cfg: PathFieldCfg) -> Tensor:
    missing = ((cfg.wide - clearance) / (cfg.wide - cfg.narrow)).clamp(0.0, 1.0)
    free = 1.0 + (cfg.narrow_cost - 1.0) * missing.square()
    return torch.where(clearance < cfg.narrow, cfg.blocked, free)
