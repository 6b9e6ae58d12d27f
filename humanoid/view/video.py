"""Off-screen renderer of body states, independent of the simulator.

A :class:`Renderer` draws the body twice, solid for the simulated state and as a translucent
ghost for the reference, on an infinite floor::

    with Renderer(VideoCfg(), body) as renderer:
        frames = (renderer.frame(state, ghost, text) for state, ghost, text in shots)
        write_video("demo.mp4", frames, renderer.cfg.fps)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Literal

import mujoco
import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.constraints import Checked, Constraint, Positive, Share
from humanoid.core.errors import InputError, MismatchError
from humanoid.spatial import rotation as rot
from humanoid.view.camera import Eye, FollowCamera
from humanoid.view.egl import EglContext
from humanoid.view.movie import annotate, save_png, write_video

__all__ = ["Marker", "Renderer", "VideoCfg", "save_png", "write_video"]

Color = tuple[float, float, float]
BODY, BODY_SHADOW, GHOST, GHOST_SHADOW = "", "shadow/", "ghost/", "ghost_shadow/"
"""Prefixes of the names of the four copies of the body in the scene."""
GHOST_GROUP = 1
"""Geom group of the ghost and its shadow, hidden by one switch."""
LIGHT = np.array((-0.35, 0.45, -0.85))
"""Direction of the light, world."""
Pixels = Annotated[int, Constraint("even and at least 16", lambda size: size >= 16 and size % 2 == 0)]
DISC_HALF = 0.006
"""Half the thickness of a disc [m]."""


@dataclass(frozen=True, kw_only=True)
class VideoCfg(Checked):
    """Picture, camera and colours of a video."""

    width: Pixels = 854
    height: Pixels = 480
    fps: Positive = 25.0
    """Frames per second; 25 is every second step of a control rate of 50 Hz."""
    ghost_offset: tuple[float, float, float] = (0.0, 1.1, 0.0)
    """Offset of the ghost from its true position [m], world; zero overlays it on the body."""
    ghost_alpha: Share = 0.55
    """Opacity of the ghost."""
    distance: float = 3.7
    """Distance of the camera from its target [m]; grows when the two bodies move apart."""
    azimuth: float = 152.0
    """Viewing direction [deg], 0 along world x, 90 along y."""
    elevation: float = -13.0
    """Elevation of the viewing direction above the horizon [deg]."""
    smoothing: float = 0.2
    """Time constant [s] with which the camera follows the root."""
    cut: float = 2.0
    """Jump of the root [m] between frames from which on the camera jumps too."""
    body_color: Color = (0.91, 0.57, 0.28)
    """Of the simulated body, RGB in 0-1."""
    feet_color: Color = (0.29, 0.23, 0.22)
    """Of the simulated body's feet."""
    ghost_color: Color = (0.38, 0.60, 0.86)
    """Of the reference."""
    samples: int = 4
    """Anti-aliasing samples a pixel, 4 or 0; 0 halves the time of the software renderer."""


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A static marker on the floor: drawn, not simulated.

    Attributes:
        kind: ``pillar`` is a cylinder, ``disc`` lies flat.
        pos_w: (2,) [m] centre on the floor, world.
        radius: [m]
        height: of a pillar [m].
        color: RGB in 0-1.
    """

    kind: Literal["pillar", "disc"]
    pos_w: tuple[float, float]
    radius: float
    height: float = 1.7
    color: Color = (0.47, 0.50, 0.56)


class Renderer(AbstractContextManager["Renderer"]):
    """Off-screen renderer of the body states of one embodiment."""

    def __init__(self, cfg: VideoCfg, body: Embodiment, markers: Sequence[Marker] = ()) -> None:
        """Build the scene and open an off-screen OpenGL context.

        Args:
            cfg: picture, camera and colours.
            body: the embodiment.
            markers: static markers on the floor.

        Raises:
            MissingExtraError: the machine has no off-screen OpenGL.
        """
        self.cfg, self.body = cfg, body
        self._model = _scene_model(cfg, body, markers)
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._solid = [_Part(self._model, body, prefix) for prefix in (BODY, BODY_SHADOW)]
        self._ghost = [_Part(self._model, body, prefix) for prefix in (GHOST, GHOST_SHADOW)]
        gain = 1.0 - math.exp(-1.0 / (cfg.fps * max(cfg.smoothing, 1e-6)))
        self._camera = FollowCamera(cfg.distance, gain, cfg.cut, float(np.linalg.norm(cfg.ghost_offset)))
        self._mjv_camera = mujoco.MjvCamera()
        self._mjv_camera.azimuth, self._mjv_camera.elevation = cfg.azimuth, cfg.elevation
        self._option = mujoco.MjvOption()
        self._scene = mujoco.MjvScene(self._model, maxgeom=self._model.ngeom + 50)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_HAZE] = True
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        self._gl: EglContext | None = EglContext()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)

    @property
    def lookat(self) -> np.ndarray:
        """(3,) [m] point the camera looks at, world."""
        return self._camera.lookat.copy()

    def frame(self, state: BodyState, ghost: BodyState | None = None, caption: str = "") -> np.ndarray:
        """Draw one frame.

        Args:
            state: simulated state without leading axes; only body poses are read.
            ghost: reference state, or None for no ghost.
            caption: text at the bottom left, "" for none.

        Returns:
            (H, W, 3) uint8 RGB.

        Raises:
            MismatchError: the state belongs to another body.
            InputError: a pose is not finite, or the renderer is closed.
        """
        if self._gl is None:
            raise InputError("the renderer is closed; open a new one to draw more frames")
        roots = [self._place(self._solid, state, np.zeros(3))]
        if ghost is not None:
            roots.append(self._place(self._ghost, ghost, np.asarray(self.cfg.ghost_offset)))
        self._camera.follow(roots)
        self._mjv_camera.lookat[:] = self._camera.lookat
        self._mjv_camera.distance = self._camera.distance
        self._gl.make_current()
        image = self._draw(ghost=False, window=(0, 0, self.cfg.width, self.cfg.height))
        if ghost is not None:
            self._lay_ghost_over(image)
        legend = {"simulated": self.cfg.body_color, "reference": self.cfg.ghost_color}
        return annotate(image, caption, legend if ghost is not None else {})

    def close(self) -> None:
        """Release the OpenGL context."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.close()
            self._gl = None

    def __exit__(self, *_: object) -> None:
        """Close the renderer."""
        self.close()

    def _place(self, parts: list[_Part], state: BodyState, offset: np.ndarray) -> np.ndarray:
        """Move copies of the body to a state; return the drawn root position (3,) [m]."""
        pos, quat = _numpy(state.body_pos_w), _numpy(state.body_quat_w)
        wanted = (self.body.num_bodies, 3)
        if pos.shape != wanted:
            raise MismatchError(
                f"renderer of '{self.body.name}': body positions have shape {pos.shape}, expected {wanted}; "
                "pass one state without leading axes"
            )
        if not (np.isfinite(pos).all() and np.isfinite(quat).all()):
            raise InputError("cannot draw a body whose pose is not finite; the simulation has diverged")
        for part in parts:
            part.place(self._data, pos + offset, quat)
        return pos[0] + offset

    def _lay_ghost_over(self, image: np.ndarray) -> None:
        """Blend in the ghost, drawn opaque first so that overlapping parts show no seams.

        Only the window around the ghost is drawn twice.
        """
        points = np.concatenate([part.corners(self._data) for part in self._ghost])
        left_eye, right_eye = self._scene.camera
        fovy = math.radians(self._model.vis.global_.fovy)
        eye = Eye(0.5 * (left_eye.pos + right_eye.pos), left_eye.forward, left_eye.up, fovy)
        window = eye.window(points, self.cfg.width, self.cfg.height)
        if window is None:
            return
        left, bottom, width, height = window
        above = self._draw(ghost=True, window=window).astype(np.uint16)
        top = self.cfg.height - bottom - height
        below = image[top : top + height, left : left + width]
        weight = round(256 * self.cfg.ghost_alpha)
        below[:] = (below.astype(np.uint16) * (256 - weight) + above * weight) >> 8

    def _draw(self, ghost: bool, window: tuple[int, int, int, int]) -> np.ndarray:
        """Draw a window (left, bottom, width, height) [pixels] of the whole picture."""
        left, bottom, width, height = window
        self._option.geomgroup[GHOST_GROUP] = ghost
        # MuJoCo centres the infinite floor on the camera of the last update
        mujoco.mjv_updateCamera(self._model, self._data, self._mjv_camera, self._scene)
        mujoco.mjv_updateScene(
            self._model, self._data, self._option, None, self._mjv_camera,
            mujoco.mjtCatBit.mjCAT_ALL.value, self._scene,
        )  # fmt: skip
        for eye in self._scene.camera:
            low, pixel = eye.frustum_bottom, (eye.frustum_top - eye.frustum_bottom) / self.cfg.height
            eye.frustum_bottom, eye.frustum_top = low + pixel * bottom, low + pixel * (bottom + height)
            eye.frustum_center = pixel * (left + 0.5 * width - 0.5 * self.cfg.width)
        view = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(view, self._scene, self._context)
        image = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, view, self._context)
        return image[::-1]


class _Part:
    """One copy of the body in the scene, solid or projected to its shadow on the floor."""

    def __init__(self, model: mujoco.MjModel, body: Embodiment, prefix: str) -> None:
        number = {model.body(prefix + name).id: index for index, name in enumerate(body.body_names)}
        self._geoms = np.array([g for g in range(model.ngeom) if model.geom_bodyid[g] in number])
        self._owner = np.array([number[model.geom_bodyid[g]] for g in self._geoms])
        self._pos = model.geom_pos[self._geoms].copy()
        self._mat = _matrices(model.geom_quat[self._geoms])
        self._radius = model.geom_rbound[self._geoms, None, None].copy()
        self._squash, self._lift = np.eye(3), np.zeros(3)
        if prefix in (BODY_SHADOW, GHOST_SHADOW):
            # one more pass; MuJoCo's shadow map would double the frame time
            # some thickness stays: a singular matrix has no normals
            self._squash[:, 2] = -LIGHT[0] / LIGHT[2], -LIGHT[1] / LIGHT[2], 1e-4
            self._lift[2] = 0.003

    def place(self, data: mujoco.MjData, pos: np.ndarray, quat: np.ndarray) -> None:
        """Move the geoms to the world poses (N, 3) [m] and (N, 4) of the bodies."""
        turn = _matrices(quat)[self._owner]
        center = pos[self._owner] + np.einsum("gij,gj->gi", turn, self._pos)
        data.geom_xpos[self._geoms] = center @ self._squash.T + self._lift
        data.geom_xmat[self._geoms] = (self._squash @ turn @ self._mat).reshape(-1, 9)

    def corners(self, data: mujoco.MjData) -> np.ndarray:
        """Return corners (8 G, 3) [m] of boxes around the geoms, world."""
        signs = np.array(np.meshgrid(*[(-1.0, 1.0)] * 3)).reshape(3, 8).T
        boxes = data.geom_xpos[self._geoms, None] + self._radius * signs @ self._squash.T
        return boxes.reshape(-1, 3)


def _scene_model(cfg: VideoCfg, body: Embodiment, markers: Sequence[Marker]) -> mujoco.MjModel:
    """Return copies of the body on a lit floor, for drawing only."""
    spec = mujoco.MjSpec.from_string(body.mjcf)
    _paint(spec, cfg, body, BODY)
    for prefix in (BODY_SHADOW, GHOST, GHOST_SHADOW):
        copy = mujoco.MjSpec.from_string(body.mjcf)
        _paint(copy, cfg, body, prefix)
        spec.attach(copy, prefix=prefix, frame=spec.worldbody.add_frame())
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = cfg.width, cfg.height
    visual.quality.offsamples = cfg.samples
    # half of MuJoCo's default facets, which take a third of the software renderer's time
    visual.quality.numslices, visual.quality.numstacks, visual.quality.numquads = 20, 10, 1
    visual.headlight.ambient, visual.headlight.diffuse = [0.42] * 3, [0.22] * 3
    visual.headlight.specular = [0.0] * 3
    visual.rgba.haze = [*HORIZON, 1.0]
    visual.map.haze, visual.map.zfar = 0.35, 40.0
    spec.stat.extent, spec.stat.center = 2.5, [0.0, 0.0, 1.0]
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, dir=LIGHT, castshadow=False,
        diffuse=[0.62, 0.60, 0.56], specular=[0.12] * 3, ambient=[0.0] * 3,
    )  # fmt: skip
    _add_floor(spec)
    _add_markers(spec, markers)
    return spec.compile()


def _paint(spec: mujoco.MjSpec, cfg: VideoCfg, body: Embodiment, prefix: str) -> None:
    """Give every geom of one copy its colour, material and group."""
    flat = prefix in (BODY_SHADOW, GHOST_SHADOW)
    spec.add_material(name="paint", emission=GLOW if flat else 0.0, specular=0.0 if flat else 0.25)
    for geom in spec.geoms:
        color = cfg.feet_color if geom.parent.name in body.feet else cfg.body_color
        if prefix:
            color = SHADE / GLOW if flat else cfg.ghost_color
        geom.material, geom.rgba = "paint", [*color, 1.0]
        geom.group = GHOST_GROUP if prefix in (GHOST, GHOST_SHADOW) else 0


HORIZON, ZENITH = (0.86, 0.89, 0.93), (0.52, 0.64, 0.79)
"""Colours of the sky."""
TILE_LIGHT, TILE_DARK, TILE_EDGE = (0.80, 0.82, 0.85), (0.74, 0.765, 0.80), (0.90, 0.915, 0.935)
"""Colours of the floor."""
SHADE, GLOW = np.array((0.55, 0.575, 0.61)), 100.0
"""Colour of shadows; their geoms are emissive, so that light hardly changes them."""


def _add_floor(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=ZENITH, rgb2=HORIZON, width=256, height=1536,
    )  # fmt: skip
    spec.add_texture(
        name="tiles", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE, rgb1=TILE_LIGHT, rgb2=TILE_DARK, markrgb=TILE_EDGE,
        width=512, height=512,
    )  # fmt: skip
    material = spec.add_material(name="tiles", texrepeat=[1.0, 1.0], texuniform=True, specular=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0], material="tiles"
    )


def _add_markers(spec: mujoco.MjSpec, markers: Sequence[Marker]) -> None:
    for index, marker in enumerate(markers):
        half = DISC_HALF if marker.kind == "disc" else 0.5 * marker.height
        spec.worldbody.add_geom(
            name=f"marker {index}", type=mujoco.mjtGeom.mjGEOM_CYLINDER, pos=[*marker.pos_w, half],
            size=[marker.radius, half, 0.0], rgba=[*marker.color, 1.0], group=0,
        )  # fmt: skip


def _matrices(quat: np.ndarray) -> np.ndarray:
    """Return rotation matrices (n, 3, 3) of quaternions (n, 4)."""
    return rot.to_matrix(rot.normalize(torch.from_numpy(quat))).numpy()


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
