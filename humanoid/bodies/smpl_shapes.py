"""Collision shapes fitted to the vertices of one body part.

Everything is measured on the convex hull, so that a densely meshed face or hand
counts no more than a coarse thigh. A capsule lies along the bone, reaches from end
to end and holds the hull's volume; a box stands on the sole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from humanoid.core.errors import InputError, require

EXTRA = "mocap"
"""Extra of this package that brings smplx and trimesh."""
SHORTEST = 0.002
"""[m] least half length of a capsule; a ball is no capsule to MuJoCo."""
LEAST_VOLUME = 1e-6
"""[m^3] below which a part is no part: a millilitre."""


@dataclass(frozen=True, kw_only=True)
class Capsule:
    """A capsule in the frame of its body.

    Attributes:
        start: (3,) [m] centre of one cap.
        end: (3,) [m] centre of the other.
        radius: [m].
    """

    start: np.ndarray
    end: np.ndarray
    radius: float


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box along the axes of its body.

    Attributes:
        center: (3,) [m].
        half: (3,) [m] half widths.
    """

    center: np.ndarray
    half: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Hull:
    """A convex polyhedron in the frame of its body.

    Attributes:
        vertices: (H, 3) [m].
        volume: [m^3].
        centroid: (3,) [m] of the volume.
    """

    vertices: np.ndarray
    volume: float
    centroid: np.ndarray


Shape = Capsule | Box | Hull


def fit_hull(points: np.ndarray, place: str) -> Hull:
    """Return the convex hull of points.

    Args:
        points: (P, 3) [m].
        place: where the points come from, for the message.

    Raises:
        InputError: they span no volume.
    """
    trimesh, spatial = require("trimesh", EXTRA), require("scipy.spatial", EXTRA)
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            mesh = trimesh.convex.convex_hull(np.asarray(points))
            volume = float(mesh.volume)
    except (spatial.QhullError, ValueError) as error:
        raise InputError(f"{place}: {len(points)} vertices span no volume") from error
    if not volume > LEAST_VOLUME:
        raise InputError(f"{place}: {len(points)} vertices span {volume:.1e} m^3, too little for a body part")
    return Hull(vertices=np.asarray(mesh.vertices), volume=volume, centroid=np.asarray(mesh.center_mass))


def fit_capsule(hull: Hull, axis: np.ndarray) -> Capsule:
    """Return the capsule of a given direction with the length and the volume of a hull.

    Args:
        hull: what it replaces.
        axis: (3,) direction, of any length.
    """
    axis = axis / np.linalg.norm(axis)
    along = hull.vertices @ axis
    length = float(np.ptp(along))
    radius = _capsule_radius(hull.volume, length)
    half = max(length / 2 - radius, SHORTEST)
    middle = hull.centroid + ((along.min() + along.max()) / 2 - hull.centroid @ axis) * axis
    return Capsule(start=middle - half * axis, end=middle + half * axis, radius=radius)


def _capsule_radius(volume: float, length: float) -> float:
    """Return r with ``pi r^2 length - 2/3 pi r^3 = volume``, or of a ball where that is too thick."""
    if volume >= math.pi * length**3 / 6:
        return (3 * volume / (4 * math.pi)) ** (1 / 3)
    low, high = 0.0, length / 2  # the volume grows with r up to there
    for _ in range(50):
        radius = (low + high) / 2
        if math.pi * radius**2 * (length - 2 / 3 * radius) < volume:
            low = radius
        else:
            high = radius
    return high


def fit_box(hull: Hull, bottom: float) -> Box:
    """Return the box along the axes around a hull, standing on a given level.

    Args:
        hull: what it replaces.
        bottom: [m] z of the box's lower face, below the hull's top.
    """
    low, high = hull.vertices.min(0), hull.vertices.max(0)
    low[2] = bottom
    return Box(center=(low + high) / 2, half=(high - low) / 2)


def add_shape(spec: mujoco.MjSpec, name: str, shape: Shape, mass: float, collision: tuple[int, int]) -> None:
    """Give the body ``name`` its geom; inertia follows from the shape.

    Args:
        spec: model that has the body.
        name: of the body; the geom (and the mesh of a hull) take the same.
        shape: in the frame of the body.
        mass: [kg].
        collision: contype and conaffinity.
    """
    common = {"name": name, "mass": mass, "contype": collision[0], "conaffinity": collision[1]}
    body = spec.body(name)
    if isinstance(shape, Capsule):
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*shape.start, *shape.end], size=[shape.radius, 0, 0], **common,
        )  # fmt: skip
    elif isinstance(shape, Box):
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, pos=list(shape.center), size=list(shape.half), **common)
    else:
        mesh = spec.add_mesh(name=name, uservert=shape.vertices.ravel().tolist())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **common)
