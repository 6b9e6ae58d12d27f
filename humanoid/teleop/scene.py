"""Scene of a teleoperation: body, floor, plan, command, obstacles, waypoint.

Only poses are sent for a frame; what changes shape (the plan, the arrow of the command) is
sent when it changes. All stands in a frame that moves the other way while the body walks, so
that the camera of every client stays the user's own.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.geoms import Triangles, box, capsule, cylinder, joined, meshes, sphere, stick
from humanoid.teleop.controls import STANDING, StickCommand
from humanoid.teleop.obstacles import BOX_HALF, PILLAR_HALF, PILLAR_RADIUS, SPHERE_RADIUS, Kind, Obstacle
from humanoid.teleop.session import WITHIN, TeleopCommand
from humanoid.view.player import BODY

if TYPE_CHECKING:
    import viser

PLAN, COMMAND, WAYPOINT = (58, 95, 168), (46, 158, 107), (46, 158, 107)
OBSTACLE, REFUSED = (209, 76, 66), (186, 170, 168)
"""Colours, RGB."""
PALE = 0.3
"""Opacity of an obstacle that does not count."""
WORLD = "/world"
"""Name of the frame that everything is in."""
STILL = 2e-3
"""[m], and of a quaternion: what moves less is not sent."""
_LIFT = 0.015
"""[m] of what lies on the floor above it."""
_SHAPES: dict[Kind, Triangles] = {
    "pillar": capsule(PILLAR_RADIUS, PILLAR_HALF),
    "sphere": sphere(SPHERE_RADIUS),
    "box": box(np.array(BOX_HALF)),
}


@dataclass(frozen=True)
class Snapshot:
    """Contents of the scene at one time.

    Attributes:
        pos: (N, 3) [m] origins of the bodies, world.
        quat: (N, 4) rotations of the bodies, world.
        yaw: [rad] of the frame that command and velocity are in: the root's heading, or 0 for the world's.
        orders: what is asked.
        velocity: what the root does, over about a step of its gait.
        path: (F, 2) [m] where the plan has the root, world; None without a plan.
        seconds: simulated time.
        misses: control steps that ended too late.
        plan_ms: how long the last plan took; None before the first.
        plan_misses: plans that came too late.
        recording: whether a video is being recorded.
    """

    pos: np.ndarray
    quat: np.ndarray
    yaw: float
    orders: TeleopCommand
    velocity: StickCommand
    path: np.ndarray | None = None
    seconds: float = 0.0
    misses: int = 0
    plan_ms: float | None = None
    plan_misses: int = 0
    recording: bool = False


class PageScene:
    """The shapes of all clients' pages."""

    def __init__(self, server: viser.ViserServer, body: Embodiment) -> None:
        """Put up what is always there."""
        self._api, self._names = server.scene, body.body_names
        server.initial_camera.position, server.initial_camera.look_at = (-3.4, -2.2, 2.1), (0.6, 0.0, 0.7)
        self._api.configure_environment_map("warehouse", environment_intensity=0.4)
        self.world = self._api.add_frame(WORLD, show_axes=False)
        self._api.add_grid(
            f"{WORLD}/floor", infinite_grid=True, cell_size=0.5, section_size=1.0, plane_opacity=1.0,
            cell_color=(226, 229, 234), section_color=(196, 201, 210), plane_color=(247, 248, 250),
            shadow_opacity=0.25, fade_distance=40.0,
        )  # fmt: skip
        self.bodies = {
            name: self._api.add_mesh_simple(f"{WORLD}/body/{name}", *shape, color=BODY, side="double")
            for name, shape in meshes(body).items()
        }
        self._pose = np.full((body.num_bodies, 7), np.inf)
        self._asked = self._api.add_frame(f"{WORLD}/asked", show_axes=False)
        self._arrows: list[Any] = []
        self._command = STANDING
        self._plan = self._api.add_point_cloud(
            f"{WORLD}/plan",
            np.zeros((1, 3), np.float32),
            PLAN,
            point_size=0.05,
            point_shape="circle",
            visible=False,
        )
        self.waypoint = self._api.add_mesh_simple(
            f"{WORLD}/waypoint", *_flag(), color=WAYPOINT, visible=False
        )
        self.obstacles: dict[str, tuple[Obstacle, Any]] = {}
        self._path: np.ndarray | None = None

    def show(self, snapshot: Snapshot, follow: bool) -> None:
        """Move everything to a snapshot; ``follow`` keeps the body in the middle."""
        self._pose = self._moved(snapshot)
        if follow:
            self.world.position = (-self._pose[0, 0], -self._pose[0, 1], 0.0)
        self._show_command(snapshot.orders)
        self._show_plan(snapshot.path)
        waypoint = snapshot.orders.waypoint
        self.waypoint.visible = waypoint is not None
        if waypoint is not None:
            self.waypoint.position = (*waypoint, _LIFT)
        self._show_obstacles(snapshot.orders)

    def _moved(self, snapshot: Snapshot) -> np.ndarray:
        """Move the body where that can be seen; a body at rest costs no browser anything."""
        pose = np.concatenate((snapshot.pos, snapshot.quat), axis=-1)
        if np.abs(pose - self._pose).max() < STILL:
            return self._pose
        for index, name in enumerate(self._names):
            if name in self.bodies:
                handle = self.bodies[name]
                handle.position, handle.wxyz = snapshot.pos[index], snapshot.quat[index]
        x, y, _ = snapshot.pos[0]
        self._asked.position = (x, y, _LIFT)
        self._asked.wxyz = (math.cos(0.5 * snapshot.yaw), 0.0, 0.0, math.sin(0.5 * snapshot.yaw))
        return pose

    def _show_command(self, orders: TeleopCommand) -> None:
        command = STANDING if orders.waypoint is not None else orders.command
        if command == self._command:
            return
        self._command = command
        for part in self._arrows:
            part.remove()
        velocity, bow = np.array((command.forward, command.left, 0.0)), _bow(command.turn)
        tips = [(np.zeros(3), velocity)] if velocity.any() else []
        tips += [(bow[-2], bow[-1])] if len(bow) else []
        self._arrows = []
        if tips:
            self._arrows.append(self._api.add_arrows(
                f"{WORLD}/asked/tips", np.array(tips, np.float32), COMMAND,
                shaft_radius=0.02, head_radius=0.055, head_length=0.11,
            ))  # fmt: skip
        if len(bow):
            shape = joined([_between(one, two) for one, two in itertools.pairwise(bow[:-1])])
            self._arrows.append(self._api.add_mesh_simple(f"{WORLD}/asked/bow", *shape, color=COMMAND))

    def _show_plan(self, path: np.ndarray | None) -> None:
        if path is self._path:
            return
        self._path = path
        self._plan.visible = path is not None
        if path is not None:
            self._plan.points = np.pad(path[::3], ((0, 0), (0, 1)), constant_values=_LIFT).astype(np.float32)

    def _show_obstacles(self, orders: TeleopCommand) -> None:
        wanted = {obstacle.name: obstacle for obstacle in orders.obstacles}
        for name in [name for name in self.obstacles if name not in wanted]:
            self.obstacles.pop(name)[1].remove()
        for name, obstacle in wanted.items():
            before, handle = self.obstacles.get(name, (None, None))
            if handle is None:
                handle = self._api.add_mesh_simple(
                    f"{WORLD}/obstacle/{name.replace(' ', '_')}",
                    *_SHAPES[obstacle.kind],
                    color=OBSTACLE,
                    side="double",
                )
            if before != obstacle:
                handle.position = obstacle.pos_w
                handle.color = OBSTACLE if obstacle.active else REFUSED
                handle.opacity = 1.0 if obstacle.active else PALE
                self.obstacles[name] = (obstacle, handle)


def _bow(turn: float) -> np.ndarray:
    """Return points (P, 3) [m] of an arc around the body as far as it turns in a second, none for 0."""
    if turn == 0.0:
        return np.zeros((0, 3))
    angle = np.linspace(0.0, turn, 12)
    return 0.5 * np.stack((np.cos(angle), np.sin(angle), 0.0 * angle), axis=-1)


def _between(one: np.ndarray, two: np.ndarray) -> Triangles:
    """Return a stick from one point (3,) [m] to another."""
    points, faces = stick(two - one, 0.02)
    return points + one, faces


def _flag() -> Triangles:
    """Return a disc as wide as a waypoint counts as reached, a pole and a ball on it."""
    ball, faces = sphere(0.06)
    end = np.array((0.0, 0.0, 1.2))
    return joined([cylinder(WITHIN, 0.005), stick(end, 0.012), (ball + end, faces)])
