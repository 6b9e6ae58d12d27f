"""The shapes of a body as triangles, for whoever draws it without MuJoCo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from humanoid.bodies.embodiment import Embodiment

_ROUND, _RINGS = 16, 6
"""Facets around and from equator to pole."""
_HIDDEN = 3
"""Geom groups from here on are not drawn by MuJoCo's viewers unless asked: collision shapes."""

Triangles = tuple[np.ndarray, np.ndarray]
"""Vertices (V, 3) [m] and the indices (F, 3) of each triangle's corners, counter-clockwise."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """All shapes of one body.

    Attributes:
        body: its name.
        vertices: (V, 3) [m] in the frame of the body.
        faces: (F, 3) indices of vertices, counter-clockwise from outside.
    """

    body: str
    vertices: np.ndarray
    faces: np.ndarray


def meshes(body: Embodiment) -> list[Mesh]:
    """Return the visible shapes of each body that has some, in the order of the bodies.

    Where a body has shapes to see (geom groups 0 to 2) those for collisions are left out.
    """
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    found = []
    for index, name in enumerate(body.body_names):
        geoms = np.flatnonzero(model.geom_bodyid == index + 1)
        seen = geoms[model.geom_group[geoms] < _HIDDEN]
        vertices, faces = joined([_placed(model, g) for g in (seen if len(seen) else geoms).tolist()])
        if len(faces):
            found.append(Mesh(body=name, vertices=vertices, faces=faces))
    return found


def joined(parts: Sequence[Triangles]) -> Triangles:
    """Return several shapes as one; no triangles of none."""
    parts = [(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), *parts]
    starts = np.cumsum([0, *(len(points) for points, _ in parts[:-1])])
    faces = [corners + start for (_, corners), start in zip(parts, starts, strict=True)]
    return np.concatenate([points for points, _ in parts]), np.concatenate(faces)


def stick(end: np.ndarray, radius: float) -> Triangles:
    """Return a capsule of ``radius`` [m] from the origin to ``end (3,)`` [m]."""
    length = float(np.linalg.norm(end))
    quat, turn = np.zeros(4), np.zeros(9)
    mujoco.mju_quatZ2Vec(quat, np.asarray(end, dtype=np.float64))
    mujoco.mju_quat2Mat(turn, quat)
    points, faces = capsule(radius, 0.5 * length)
    return (points + np.array((0.0, 0.0, 0.5 * length))) @ turn.reshape(3, 3).T, faces


def box(half: np.ndarray) -> Triangles:
    """Return a box of half widths ``half (3,)`` [m]; its edges are sharp."""
    points, faces = [], []
    for axis in range(3):
        u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        for sign in (1.0, -1.0):
            corners = [sign * np.eye(3)[axis] + a * u + sign * b * v
                       for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]  # fmt: skip
            faces += [np.array(face) + len(points) for face in ((0, 1, 2), (0, 2, 3))]
            points += corners
    return np.array(points) * half, np.array(faces)


def capsule(radius: float, half: float) -> Triangles:
    """Return a capsule along z: caps of ``radius`` [m] about the points z = -half and half."""
    tilt = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 2 * _RINGS)
    profile = np.stack((radius * np.cos(tilt), radius * np.sin(tilt)), axis=-1)
    profile[:_RINGS, 1] -= half
    profile[_RINGS:, 1] += half
    return _turned(profile)


def sphere(radius: float) -> Triangles:
    """Return a ball of ``radius`` [m]."""
    return ellipsoid(np.full(3, radius))


def ellipsoid(half: np.ndarray) -> Triangles:
    """Return an ellipsoid of half axes ``half (3,)`` [m]."""
    tilt = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 2 * _RINGS + 1)
    points, faces = _turned(np.stack((np.cos(tilt), np.sin(tilt)), axis=-1))
    return points * half, faces


def cylinder(radius: float, half: float) -> Triangles:
    """Return a cylinder along z of half length ``half`` [m]; its edges are sharp."""
    profile = [(0.0, -half), (radius, -half), (radius, -half), (radius, half), (radius, half), (0.0, half)]
    return _turned(np.array(profile))


def _turned(profile: np.ndarray) -> Triangles:
    """Return the surface that ``profile (P, 2)`` (radius, z), upwards, makes around z."""
    angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
    ring = np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    flat = profile[:, None, :1] * ring
    points = np.concatenate((flat, np.broadcast_to(profile[:, None, 1:], (*flat.shape[:2], 1))), axis=-1)
    row = np.arange(len(profile) - 1)[:, None] * _ROUND
    near, far = row + np.arange(_ROUND), row + (np.arange(_ROUND) + 1) % _ROUND
    quads = np.stack((near, far, far + _ROUND, near + _ROUND), axis=-1).reshape(-1, 4)
    return points.reshape(-1, 3), np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))


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
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        first, number = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        points = model.mesh_vert[start : start + count].astype(float)
        faces = model.mesh_face[first : first + number].astype(np.int64)
    elif kind in _KINDS:
        points, faces = _KINDS[kind](model.geom_size[geom])
    else:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    return points @ turn.reshape(3, 3).T + model.geom_pos[geom], faces
