"""A maker's MJCF brought to one form: tree, hinges, inertia and primitive collision shapes.

They are copied into a new model, without the file's meshes, lights, motors, sensors, key frames, fingers
and floor.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import mujoco
import numpy as np

from humanoid.bodies.embodiment import blank_spec, mesh_vertices, placed
from humanoid.core.errors import InputError, one_line

_SHAPES = (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_BOX)
_ROUND = (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_ELLIPSOID)
_FILED = (mujoco.mjtGeom.mjGEOM_MESH, mujoco.mjtGeom.mjGEOM_SDF, mujoco.mjtGeom.mjGEOM_HFIELD)
_COLOR = (0.75, 0.77, 0.8, 1.0)
_SOLE = 0.03
"""[m] Thickness of the box that stands for the sole of a foot that has only a mesh."""


def read_robot(path: Path, name: str, root: str, joints: Sequence[str], feet: Sequence[str]) -> mujoco.MjSpec:
    """Return a new model with the robot of a file, without actuators, joint damping and friction.

    Joints may be named with or without ``_joint``; they get the names of ``joints``. Hinges that ``joints``
    does not name (fingers) are welded at zero. A cylinder or ellipsoid becomes the largest capsule or
    sphere along its axis inside it.

    Args:
        path: the MJCF.
        name: short name of the robot, for messages.
        root: its root body.
        joints: names of the hinges it must have.
        feet: bodies that must have a collision shape; made from their meshes if they lack one.

    Raises:
        InputError: unreadable, another robot, or one that cannot be brought to that form.
    """
    model = _compiled(path, root, feet)
    names = _joint_names(path, name, model, joints)
    top = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, root)
    if top < 0 or model.body_parentid[top] != 0:
        raise InputError(f"{path}: no body '{root}' that stands in the world itself; is this a '{name}'?")
    spec = blank_spec(name)
    made = {0: spec.worldbody}
    for body in range(top, model.nbody):
        parent = int(model.body_parentid[body])
        if body != top and (parent == 0 or parent not in made):
            break  # depth first: the robot's subtree is over
        made[body] = _add_body(model, body, made[parent], body == top)
        _add_hinges(path, model, body, made[body], names)
        _add_shapes(model, body, made[body])
    for foot in feet:
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, foot)
        if index not in made:
            raise InputError(f"{path}: no body '{foot}'; is this a '{name}'?")
        if not made[index].geoms:
            _add_sole(path, model, index, made[index])
    _add_excludes(model, spec, {model.body(index).name for index in made if index})
    return spec


def _compiled(path: Path, root: str, feet: Collection[str]) -> mujoco.MjModel:
    """Compile the file, without its meshes if inertia and soles do not depend on them."""
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except Exception as error:  # MuJoCo's parser raises several kinds
        raise InputError(f"{path}: not a readable MJCF: {one_line(error)}") from error
    top = spec.body(root)
    bodies = [] if top is None else [top, *top.find_all(mujoco.mjtObj.mjOBJ_BODY)]
    weighed = all(body.explicitinertial for body in bodies)
    from_geoms = spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
    standing = all(any(map(_collides, body.geoms)) for body in bodies if body.name in feet)
    if weighed and standing and not from_geoms:
        _strip(spec)
    try:
        return spec.compile()
    except Exception as error:
        raise InputError(
            f"{path}: MuJoCo cannot compile it: {one_line(error)}; its meshes must lie beside it, or every "
            "body needs an inertial and the feet a primitive collision shape"
        ) from error


def _collides(geom: mujoco.MjsGeom) -> bool:
    return geom.type in (*_SHAPES, *_ROUND) and bool(geom.contype or geom.conaffinity)


def _strip(spec: mujoco.MjSpec) -> None:
    """Delete everything that needs a file or names something that goes."""
    for listed in (spec.keys, spec.sensors, spec.pairs, spec.skins, spec.flexes, spec.tuples, spec.sites):
        for element in list(listed):
            spec.delete(element)
    for geom in list(spec.geoms):
        if geom.type in _FILED:
            spec.delete(geom)
        else:
            geom.material = ""
            geom.meshname = ""  # a primitive fitted to a mesh would need it; sizes are checked later
    for listed in (spec.meshes, spec.hfields, spec.materials, spec.textures):
        for element in list(listed):
            spec.delete(element)


def _joint_names(path: Path, name: str, model: mujoco.MjModel, joints: Sequence[str]) -> dict[int, str]:
    """Return index of a joint in the file -> its name in ``joints``."""
    plain = {joint.removesuffix("_joint"): joint for joint in joints}
    found: dict[int, str] = {}
    for index in range(model.njnt):
        wanted = plain.get(model.joint(index).name.removesuffix("_joint"))
        if wanted is not None and model.jnt_type[index] == mujoco.mjtJoint.mjJNT_HINGE:
            found[index] = wanted
    missing = [joint for joint in joints if joint not in found.values()]
    if missing:
        listed = ", ".join(missing[:6]) + (", ..." if len(missing) > 6 else "")
        raise InputError(
            f"{path}: has {len(joints) - len(missing)} of the {len(joints)} joints of '{name}'; missing: "
            f"{listed}; give a file of the {len(joints)}-joint robot"
        )
    return found


def _add_body(model: mujoco.MjModel, body: int, parent: mujoco.MjsBody, top: bool) -> mujoco.MjsBody:
    made = parent.add_body(
        name=model.body(body).name,
        pos=[0, 0, 0] if top else model.body_pos[body],
        quat=[1, 0, 0, 0] if top else model.body_quat[body],
    )
    if top:
        made.add_freejoint(name="root")
    if model.body_mass[body] > 0:
        made.explicitinertial = True
        made.mass = model.body_mass[body]
        made.ipos, made.iquat = model.body_ipos[body], model.body_iquat[body]
        made.inertia = model.body_inertia[body]
    return made


def _add_hinges(
    path: Path, model: mujoco.MjModel, body: int, made: mujoco.MjsBody, names: dict[int, str]
) -> None:
    for index in np.flatnonzero(model.jnt_bodyid == body).tolist():
        if index not in names:
            continue
        if np.abs(model.jnt_pos[index]).max() > 1e-6 or abs(model.qpos0[model.jnt_qposadr[index]]) > 1e-6:
            raise InputError(
                f"{path}: joint '{model.joint(index).name}' has a 'pos' or 'ref'; only joints in the origin "
                "of their body with zero at the drawn pose are read"
            )
        limited = bool(model.jnt_limited[index])
        made.add_joint(
            name=names[index],
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=model.jnt_axis[index],
            range=model.jnt_range[index] if limited else (-math.pi, math.pi),
        )


def _add_shapes(model: mujoco.MjModel, body: int, made: mujoco.MjsBody) -> None:
    for geom in np.flatnonzero(model.geom_bodyid == body).tolist():
        kind = mujoco.mjtGeom(int(model.geom_type[geom]))
        collides = bool(model.geom_contype[geom] or model.geom_conaffinity[geom])
        if not collides or kind not in (*_SHAPES, *_ROUND):
            continue
        size = model.geom_size[geom].copy()
        if kind in _ROUND:
            cylinder = kind == mujoco.mjtGeom.mjGEOM_CYLINDER
            radius, half = (size[0], size[1]) if cylinder else (min(size[:2]), size[2])
            radius = min(radius, half)
            kind = mujoco.mjtGeom.mjGEOM_CAPSULE if half > radius else mujoco.mjtGeom.mjGEOM_SPHERE
            size = np.array((radius, half - radius, 0.0))
        made.add_geom(
            name=model.geom(geom).name,
            type=kind,
            size=size,
            pos=model.geom_pos[geom],
            quat=model.geom_quat[geom],
            contype=int(model.geom_contype[geom]),
            conaffinity=int(model.geom_conaffinity[geom]),
            condim=int(model.geom_condim[geom]),
            friction=model.geom_friction[geom],
            rgba=_COLOR,
        )


def _add_sole(path: Path, model: mujoco.MjModel, body: int, made: mujoco.MjsBody) -> None:
    """Give a foot a flat box as long and wide as its meshes, its bottom where theirs is."""
    points = []
    for geom in np.flatnonzero(model.geom_bodyid == body).tolist():
        if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH or model.geom_dataid[geom] < 0:
            continue
        points.append(placed(mesh_vertices(model, geom), model.geom_pos[geom], model.geom_quat[geom]))
    if not points:
        raise InputError(f"{path}: '{made.name}' has neither a collision shape nor a mesh to stand on")
    low, high = np.vstack(points).min(0), np.vstack(points).max(0)
    top = min(high[2], low[2] + _SOLE)
    made.add_geom(
        name=f"{made.name}_sole",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + top) / 2],
        size=[(high[0] - low[0]) / 2, (high[1] - low[1]) / 2, (top - low[2]) / 2],
        rgba=_COLOR,
    )


def _add_excludes(model: mujoco.MjModel, spec: mujoco.MjSpec, kept: set[str]) -> None:
    for signature in model.exclude_signature:
        pair = [model.body(int(index)).name for index in (int(signature) >> 16, int(signature) & 0xFFFF)]
        if set(pair) <= kept:
            spec.add_exclude(bodyname1=pair[0], bodyname2=pair[1])
