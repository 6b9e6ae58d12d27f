"""Shortest ways to a place round obstacles, as a map: where to walk from anywhere on it.

A plan looks about a second ahead. A cost that keeps bodies clear of obstacles sees no more
than that, and in front of a wide one, or between two, it holds the body where both sides are
equally far. The map sees farther: each node has the least time to the place, for a
walker that is slower the nearer it is to an obstacle (the Eikonal equation ``|grad T| =
slowness``), and the way is down its slope. So wide gaps are preferred to narrow ones of
almost the same length. :class:`humanoid.diffusion.costs.Steer` turns a body into that slope.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from humanoid.core.errors import ConfigError
from humanoid.diffusion.costs_input import Parameter, check_values, rows
from humanoid.diffusion.costs_scene import Obstacles
from humanoid.spatial.geometry import no_farther

_FAR = 1e9
"""Time of a node that no way has reached yet, longer than any."""
_MOST_BLOCKED = 1e3


@dataclass(frozen=True, kw_only=True)
class WaysCfg:
    """How near ways come to obstacles."""

    spacing: float = 0.15
    """Between nodes of the map [m]."""
    margin: float = 3.0
    """That the map goes beyond the start and the place [m]; what is wider than that is not gone round."""
    reach: float = 12.0
    """A place farther than this [m] is gone to by way of the point so far in its direction: the time that
    a map takes grows with the cube of its size."""
    narrow: float = 0.3
    """Clearance of the root at which arms begin to touch [m]; nearer, ways are ``blocked``."""
    wide: float = 0.9
    """Clearance [m] beyond which an obstacle does not matter."""
    narrow_cost: float = 4.0
    """Slowness at ``narrow``, in the open it is 1; it grows with the square of what is missing."""
    blocked: float = 30.0
    """Slowness where clearance is below ``narrow``: finite, so that ways lead out of there as well."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("spacing", "margin", "reach"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"ways: {name} is {getattr(self, name):g} m; it must be positive and finite"
                )
        if not 0.0 <= self.narrow < self.wide < math.inf:
            raise ConfigError(f"ways: narrow {self.narrow:g} m, wide {self.wide:g} m; 0 <= narrow < wide")
        if not 1.0 <= self.narrow_cost <= self.blocked <= _MOST_BLOCKED:
            raise ConfigError(
                f"ways: narrow_cost {self.narrow_cost:g}, blocked {self.blocked:g}; "
                f"1 <= narrow_cost <= blocked <= {_MOST_BLOCKED:g} is needed"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ways:
    """Ways to places, worked out when first asked for: a plan that another process makes takes them unmade.

    Attributes:
        goal_w: (2,) or (B, 2) [m] the place, world.
        start_w: (2,) or (B, 2) [m], world; maps hold it, and ``cfg.margin`` about it.
        obstacles: what to go round; uneven ground is not looked at.
        cfg: how near ways come to it.
    """

    goal_w: Parameter
    start_w: Parameter
    obstacles: Obstacles
    cfg: WaysCfg = WaysCfg()

    def __post_init__(self) -> None:
        """Check the places."""
        check_values("ways.goal_w", self.goal_w, (2,))
        check_values("ways.start_w", self.start_w, (2,))

    @classmethod
    def ahead(cls, yaw: Parameter, start_w: Tensor, obstacles: Obstacles, distance: float = 4.0) -> Ways:
        """Return ways to a place ``distance`` [m] away in a direction: what a stick asks for.

        Args:
            yaw: () or (B,) [rad], world.
            start_w: (B, 2) [m], world.
            obstacles: what to go round.
            distance: [m].
        """
        yaw = rows("ways.yaw", yaw, 0, start_w)
        return cls(
            goal_w=start_w + distance * torch.stack((yaw.cos(), yaw.sin()), dim=-1),
            start_w=start_w,
            obstacles=obstacles,
        )

    @cached_property
    def map(self) -> Map:
        """The way from each node, for each of B plans."""
        with torch.inference_mode(False), torch.no_grad():
            cfg = self.cfg
            start_w = torch.atleast_2d(torch.as_tensor(self.start_w, dtype=torch.float32)).clone()
            goal_w = torch.atleast_2d(torch.as_tensor(self.goal_w).to(start_w)).clone()
            start_w, goal_w = torch.broadcast_tensors(start_w, goal_w)
            goal_w = no_farther(goal_w, start_w, cfg.reach)
            half = 0.5 * float((goal_w - start_w).abs().max()) + cfg.margin
            count = math.ceil(2.0 * half / cfg.spacing) + 1
            origin_w = 0.5 * (goal_w + start_w) - 0.5 * cfg.spacing * (count - 1)
            steps = cfg.spacing * torch.arange(count, dtype=start_w.dtype, device=start_w.device)
            grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
            nodes_w = origin_w[:, None, None] + grid
            clearance = self.obstacles.room(nodes_w.flatten(1, 2)).unflatten(1, (count, count))
            distance = (nodes_w - goal_w[:, None, None]).norm(dim=-1)
            time = arrival_time(_slowness(clearance, cfg), distance, cfg.spacing)
            return Map(goal_w, origin_w, cfg.spacing, _downhill(time))

    def direction(self, pos_w: Tensor) -> Tensor:
        """Return where to go (B, F) [rad], world, from (B, F, 2) [m]; off the map, as from its edge."""
        return self.map.direction(pos_w)


@dataclass(frozen=True, eq=False)
class Map:
    """Where to go from each node.

    Attributes:
        goal_w: (B, 2) [m] places, world.
        origin_w: (B, 2) [m] of nodes (0, 0), world.
        spacing: between nodes [m].
        slope: (B, 2, X, Y) unit vectors, world.
    """

    goal_w: Tensor
    origin_w: Tensor
    spacing: float
    slope: Tensor

    def direction(self, pos_w: Tensor) -> Tensor:
        """See :meth:`Ways.direction`."""
        slope, origin_w, goal_w = (
            rows("ways", part, axes, pos_w)
            for part, axes in ((self.slope, 3), (self.origin_w, 1), (self.goal_w, 1))
        )
        at = 2.0 * (pos_w - origin_w.unsqueeze(1)) / (self.spacing * (slope.shape[-1] - 1)) - 1.0
        # grid_sample's x runs along the last axis, which is our y
        sampled = grid_sample(
            slope.expand(len(pos_w), -1, -1, -1),
            at.flip(-1).unsqueeze(2),
            padding_mode="border",
            align_corners=True,
        ).squeeze(-1)
        away = goal_w.unsqueeze(1) - pos_w
        # about the place itself the slope of a map is as coarse as its nodes
        near = away.norm(dim=-1) < 2.0 * self.spacing
        x, y = torch.where(near.unsqueeze(1), away.transpose(1, 2), sampled).unbind(1)
        return torch.atan2(y, x)


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


def _slowness(clearance: Tensor, cfg: WaysCfg) -> Tensor:
    missing = ((cfg.wide - clearance) / (cfg.wide - cfg.narrow)).clamp(0.0, 1.0)
    free = 1.0 + (cfg.narrow_cost - 1.0) * missing.square()
    return torch.where(clearance < cfg.narrow, cfg.blocked, free)


def _downhill(time: Tensor) -> Tensor:
    """Return unit vectors (B, 2, X, Y) down the slope of times (B, X, Y)."""
    slope = torch.stack(torch.gradient(time, dim=(1, 2)), dim=1).neg()
    return slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-9)
