"""Triangle meshes of a body's shapes and of primitives, for renderers other than MuJoCo's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np

from humanoid.bodies.embodiment import Embodiment, mesh_vertices, placed
from humanoid.core.errors import require

_COUNT = (16, 12)
"""Facets around and from pole to pole."""
_COLLISION_GROUP = 3
"""Geom groups from here on hold collision shapes; MuJoCo's viewers hide them by default."""
_ROUND = (int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_CAPSULE))

Triangles = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) [m] and the indices (F, 3) of each triangle's corners, counter-clockwise."""


def meshes(body: Embodiment) -> dict[str, Triangles]:
    """Return the shapes of each body that has some, in its frame, by its name in the order of the bodies.

    Collision shapes are left out where a body has visual shapes (geom groups 0 to 2).
    """
    model = body.model
    found = {}
    for index, name in enumerate(body.body_names):
        geoms = np.flatnonzero(model.geom_bodyid == index + 1)
        seen = geoms[model.geom_group[geoms] < _COLLISION_GROUP]
        shape = joined([_placed(model, g) for g in (seen if len(seen) else geoms).tolist()])
        if len(shape[1]):
            found[name] = shape
    return found


def balls(body: Embodiment, spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return body (S,), centre (S, 3) [m] in its frame and radius (S,) [m] of balls that fill round shapes.

    Args:
        body: of which spheres and capsules count.
        spacing: [m] largest distance of two balls along a capsule.
    """
    model, owner, centers, radii = body.model, [], [np.zeros((0, 3))], []
    for geom in np.flatnonzero(np.isin(model.geom_type, _ROUND)).tolist():
        half = model.geom_size[geom, 1] if model.geom_type[geom] == _ROUND[1] else 0.0
        line = np.zeros((1 + math.ceil(2 * half / spacing), 3))
        line[:, 2] = np.linspace(half, -half, len(line))
        centers.append(placed(line, model.geom_pos[geom], model.geom_quat[geom]))
        owner += [int(model.geom_bodyid[geom]) - 1] * len(line)
        radii += [model.geom_size[geom, 0]] * len(line)
    return np.array(owner, np.int64), np.concatenate(centers).astype(np.float32), np.array(radii, np.float32)


def joined(parts: Sequence[Triangles]) -> Triangles:
    """Return several shapes as one; no triangles for none."""
    if not parts:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    starts = np.cumsum([0, *(len(points) for points, _ in parts[:-1])])
    faces = [corners + start for (_, corners), start in zip(parts, starts, strict=True)]
    return np.concatenate([points for points, _ in parts]), np.concatenate(faces)


def stick(end: np.ndarray, radius: float) -> Triangles:
    """Return a capsule of ``radius`` [m] from the origin to ``end (3,)`` [m]."""
    length = float(np.linalg.norm(end))
    quat = np.zeros(4)
    mujoco.mju_quatZ2Vec(quat, np.asarray(end, dtype=np.float64))
    points, faces = capsule(radius, 0.5 * length)
    return placed(points, 0.5 * np.asarray(end), quat), faces


def box(half: np.ndarray) -> Triangles:
    """Return a box of half widths ``half (3,)`` [m] with sharp edges."""
    return _made("box", sharp=True, extents=2 * np.asarray(half))


def capsule(radius: float, half: float) -> Triangles:
    """Return a capsule along z: caps of ``radius`` [m] about the points z = -half and half."""
    return _made("capsule", radius=radius, height=2 * half, count=_COUNT)


def sphere(radius: float) -> Triangles:
    """Return a sphere of ``radius`` [m]."""
    return _made("uv_sphere", radius=radius, count=_COUNT)


def ellipsoid(half: np.ndarray) -> Triangles:
    """Return an ellipsoid of half axes ``half (3,)`` [m]."""
    points, faces = sphere(1.0)
    return points * half, faces


def cylinder(radius: float, half: float) -> Triangles:
    """Return a cylinder along z of half length ``half`` [m] with sharp edges."""
    return _made("cylinder", sharp=True, radius=radius, height=2 * half, sections=2 * _COUNT[0])


def _made(kind: str, sharp: bool = False, **sizes: Any) -> Triangles:  # noqa: ANN401 - trimesh's arguments
    """Return a primitive of trimesh; where ``sharp``, triangles share no vertices (nor normals)."""
    mesh = getattr(require("trimesh.creation", "teleop"), kind)(**sizes)
    if sharp:
        mesh.unmerge_vertices()
    return np.array(mesh.vertices), np.array(mesh.faces)


_KINDS: dict[int, Callable[[np.ndarray], Triangles]] = {
    int(mujoco.mjtGeom.mjGEOM_SPHERE): lambda size: sphere(size[0]),
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): lambda size: capsule(size[0], size[1]),
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): ellipsoid,
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): lambda size: cylinder(size[0], size[1]),
    int(mujoco.mjtGeom.mjGEOM_BOX): box,
}


def _placed(model: mujoco.MjModel, geom: int) -> Triangles:
    """Return one geom in the frame of its body; nothing for planes, height fields and the like."""
    kind = int(model.geom_type[geom])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first, number = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        points = mesh_vertices(model, geom)
        faces = model.mesh_face[first : first + number].astype(np.int64)
    elif kind in _KINDS:
        points, faces = _KINDS[kind](model.geom_size[geom])
    else:
        return joined([])
    return placed(points, model.geom_pos[geom], model.geom_quat[geom]), faces
