"""Commands as costs and conditioning of a guided plan: the one place that knows how to plan for a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.constraints import Checked, Positive
from humanoid.core.errors import InputError
from humanoid.diffusion.trajectory import Layout
from humanoid.envs.commands import Avoid, Command, Imitate, Place, Pose, Velocity
from humanoid.planning.costs.obstacles import Obstacles
from humanoid.planning.costs.path_field import PathField
from humanoid.planning.costs.pose import Style
from humanoid.planning.costs.steering import STICK_SLOWEST, Cost, Joystick, Steer, Waypoint
from humanoid.planning.planner import Keyframes
from humanoid.spatial.frames import turned

Goal = Command | Cost | Keyframes
"""Inputs of a guided agent: commands, and beside them costs and conditioning as a planner has them."""


@dataclass(frozen=True, kw_only=True)
class CommandCfg(Checked):
    """How commands are followed."""

    yaw_weight: Positive = 1.0
    """Cost of (1 rad/s)^2 of yaw rate, in (m/s)^2 of velocity."""
    turn_rate: Positive = 1.0
    """Fastest turn towards where a body shall go [rad/s]; at 1.5 the shipped skills fall more often."""


class CommandCosts:
    """Translates commands for a planner.

    Costs that take time to prepare (the path field to a place, the poses of a style) are kept for as
    long as the same command is given.
    """

    def __init__(self, layout: Layout, body: Embodiment, cfg: CommandCfg | None = None) -> None:
        """Translate for plans of a layout.

        Args:
            layout: of the planner's tokens.
            body: who moves.
            cfg: how commands are followed.
        """
        self.layout, self.body, self.cfg = layout, body, cfg or CommandCfg()
        self._field: tuple[Place, Avoid, PathField] | None = None
        self._style: tuple[Imitate, Style] | None = None

    def __call__(self, goals: Sequence[Goal], here_w: Tensor) -> tuple[list[Cost], Keyframes | None]:
        """Return the costs of commands, and the keyframes that plans are conditioned on.

        Args:
            goals: commands of now; solids to avoid count for all of them.
            here_w: (B, 2) [m] of the roots, world.

        Raises:
            InputError: a command that no plan can follow, or two that give keyframes.
        """
        avoid = next((goal for goal in goals if isinstance(goal, Avoid)), None)
        obstacles = _obstacles(avoid)
        costs: list[Cost] = []
        keyframes: list[Keyframes] = []
        for goal in goals:
            if isinstance(goal, Velocity):
                costs.append(self._velocity(goal, obstacles, here_w))
            elif isinstance(goal, Place):
                costs += self._place(goal, avoid, obstacles, here_w)
            elif isinstance(goal, Imitate):
                costs.append(self._imitated(goal))
            elif isinstance(goal, Pose):
                keyframes.append(self._keyframes(goal))
            elif isinstance(goal, Keyframes):
                keyframes.append(goal)
            elif isinstance(goal, Avoid):
                costs += [obstacles] if obstacles is not None else []
            elif callable(goal):
                costs.append(goal)
            else:
                raise InputError(f"command '{type(goal).__name__}' cannot be planned for; give another one")
        if len(keyframes) > 1:
            raise InputError("two commands give keyframes; give one")
        return costs, keyframes[0] if keyframes else None

    def _velocity(self, goal: Velocity, obstacles: Obstacles | None, here_w: Tensor) -> Cost:
        cfg, velocity = self.cfg, goal.velocity
        if goal.frame == "heading" or velocity is None:
            return Joystick(velocity=velocity, yaw_rate=goal.yaw_rate, yaw_weight=cfg.yaw_weight)
        yaw = torch.zeros_like(velocity[:, 0]) if goal.yaw is None else goal.yaw
        if not goal.face:
            velocity = velocity if goal.yaw is None else turned(velocity, yaw)
            return Joystick(
                velocity=velocity, yaw_rate=goal.yaw_rate, frame="world", yaw_weight=cfg.yaw_weight
            )
        yaw, path = yaw + torch.atan2(velocity[:, 1], velocity[:, 0]), None
        if goal.detour and obstacles is not None:
            path = PathField.ahead(yaw, here_w, obstacles)
        return Steer(
            yaw=yaw if path is None else None,
            path=path,
            speed=velocity.norm(dim=-1),
            turn_rate=cfg.turn_rate,
            slowest=STICK_SLOWEST,
            yaw_weight=cfg.yaw_weight,
        )

    def _place(
        self, goal: Place, avoid: Avoid | None, obstacles: Obstacles | None, here_w: Tensor
    ) -> list[Cost]:
        """Lead to a place: round obstacles until every body is within reach of it, then straight."""
        cfg, path = self.cfg, None
        if goal.detour and avoid is not None and obstacles is not None:
            away = goal.pos_w.to(here_w) - here_w
            if not goal.reach or bool((away.norm(dim=-1) > goal.reach).any()):
                path = self._path(goal, avoid, obstacles, here_w)
        steer = Steer(
            pos_w=goal.pos_w if path is None else None,
            path=path,
            speed=goal.speed,
            turn_rate=cfg.turn_rate,
            yaw_weight=cfg.yaw_weight,
        )
        if path is not None or not goal.reach:
            return [steer]
        return [steer, Waypoint(pos_w=goal.pos_w, reach=goal.reach)]

    def _path(self, goal: Place, avoid: Avoid, obstacles: Obstacles, here_w: Tensor) -> PathField:
        if self._field is None or self._field[0] is not goal or self._field[1] is not avoid:
            self._field = goal, avoid, PathField(goal_w=goal.pos_w, start_w=here_w, obstacles=obstacles)
        return self._field[2]

    def _imitated(self, goal: Imitate) -> Style:
        if self._style is None or self._style[0] is not goal:
            self._style = goal, Style.of(self.layout, self.layout.features(goal.states, self.body))
        return self._style[1]

    def _keyframes(self, goal: Pose) -> Keyframes:
        """Return whole or partial states as numbers of tokens."""
        features = self.layout.features(goal.state, self.body)
        mask = torch.ones_like(features, dtype=torch.bool)
        if goal.bodies:
            mask = self.layout.mask(goal.bodies).to(mask.device).expand_as(mask)
        return Keyframes(goal.time / self.layout.cfg.dt, features, mask)


def _obstacles(avoid: Avoid | None) -> Obstacles | None:
    if avoid is None or (avoid.spheres is None and avoid.capsules is None and avoid.boxes is None):
        return None
    return Obstacles(spheres=avoid.spheres, capsules=avoid.capsules, boxes=avoid.boxes)
