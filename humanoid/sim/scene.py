"""A scene: the body, a floor and named objects, described once for both simulators.

Each object becomes an MJCF with its friction, contact response and collision masks. Objects
rest on a plane of negligible friction that coincides with the floor: of two friction
coefficients both simulators take the larger one, and both average the contact parameters of
the two shapes, so on a plane of its own an object keeps its friction and its restitution.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import mujoco
import numpy as np

from humanoid.bodies.embodiment import Embodiment
from humanoid.core.constraints import Checked, Constraint, Interval, Positive
from humanoid.core.errors import ConfigError, InputError, nearest, one_line
from humanoid.sim.protocol import CONSTRAINT_TIME_CONSTANT

FLOOR = "floor"
"""Name of the floor in contact pairs."""
SLIPPERY = 0.01
"""Friction of the objects' floors: the least that Genesis takes."""
BODY_BIT = 1 << 29
"""Collision bit by which every shape of the body meets floor and objects."""
_OBJECT_BIT, _BOUNCE_BIT, _FIRST_FLOOR = 1 << 28, 1 << 27, 26
_IMPACT_STEPS = 8
"""Physics steps that an elastic impact lasts; with fewer the rebound depends on the phase of the step."""

_SHAPES = {
    "ball": (mujoco.mjtGeom.mjGEOM_SPHERE, "radius"),
    "box": (mujoco.mjtGeom.mjGEOM_BOX, "half width x, y, z"),
    "cylinder": (mujoco.mjtGeom.mjGEOM_CYLINDER, "radius, half height"),
}

_Finite = Annotated[float, Constraint("finite", math.isfinite)]
_BelowOne = Constraint("0 or more and below 1", lambda value: 0.0 <= value < 1.0)
_Rotation = Constraint("no zero quaternion", lambda value: 0.0 < math.hypot(*value) < math.inf)


@dataclass(frozen=True, kw_only=True)
class ObjectCfg(Checked):
    """An object of a scene."""

    shape: Literal["ball", "box", "cylinder", "mjcf"] = "ball"
    """A primitive, or a model read from ``file``."""
    size: tuple[Positive, ...] = ()
    """[m] Radius of a ball; half width x, y, z of a box; radius and half height of a cylinder."""
    mass: Positive = 1.0
    """[kg]; an MJCF has its own."""
    friction: Annotated[float, Interval(SLIPPERY, 5.0)] = 1.0
    """Sliding friction against the floor; with another shape the larger of the two coefficients counts.
    An MJCF has its own."""
    restitution: Annotated[float, _BelowOne] = 0.0
    """Rebound over impact speed on the floor and on objects of the same restitution. 0 is a critically
    damped contact, which returns at most 0.17; so is every contact with the body or an object of 0."""
    fixed: bool = False
    """Whether the object's root is fixed in the world."""
    file: str = ""
    """MJCF with one root body, whose joints other than a free root are hinges and slides."""
    pos: tuple[_Finite, _Finite, _Finite] = (0.0, 0.0, 0.0)
    """[m] Initial position of the root body, world."""
    quat: Annotated[tuple[float, float, float, float], _Rotation] = (1.0, 0.0, 0.0, 0.0)
    """Initial orientation of the root body, wxyz, world."""

    def check(self, name: str) -> None:
        """Check what the shape of the object ``name`` needs.

        Raises:
            ConfigError: a missing file, or a size of another shape.
        """
        where = f"scene.objects.{name}"
        if self.shape == "mjcf":
            if not self.file:
                raise ConfigError(f"{where}.file is empty; shape 'mjcf' needs an MJCF file")
            if self.size or self.restitution:
                raise ConfigError(f"{where}: size and restitution are for primitive shapes, not for 'mjcf'")
        elif self.shape not in _SHAPES:
            raise ConfigError(f"{where}.shape is '{self.shape}'{nearest(self.shape, (*_SHAPES, 'mjcf'))}")
        elif len(self.size) != _SHAPES[self.shape][1].count(",") + 1:
            needed = _SHAPES[self.shape][1]
            raise ConfigError(f"{where}.size is {list(self.size)}; a {self.shape} needs {needed} [m]")


@dataclass(frozen=True, kw_only=True)
class SceneCfg:
    """Objects around the body, and the contacts to report."""

    objects: dict[str, ObjectCfg] = field(default_factory=dict)
    """Name -> object."""
    contact_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs whose contact force :class:`SceneState` has. Names are those of bodies and objects,
    ``floor``, or ``OBJECT/BODY`` for one body of an MJCF."""

    def __post_init__(self) -> None:
        """Check names and shapes.

        Raises:
            ConfigError: a name that an object cannot have, a shape without its size, a pair given twice.
        """
        for name, item in self.objects.items():
            if not name or "/" in name or name == FLOOR:
                raise ConfigError(f"scene.objects: '{name}' is no name for an object")
            item.check(name)
        for pair in self.contact_pairs:
            if pair[0] == pair[1] or self.contact_pairs.count(pair) > 1:
                raise ConfigError(f"scene.contact_pairs: {list(pair)} is a name with itself, or given twice")


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectModel:
    """An object as MJCF.

    Attributes:
        name: its name in the scene.
        cfg: its configuration.
        spec: MJCF with one root body under the world.
        body_names: of the MJCF, depth-first; the first is the root.
        joint_names: J hinges and slides, depth-first.
        floor: index in :func:`floors` of the plane it rests on.
    """

    name: str
    cfg: ObjectCfg
    spec: mujoco.MjSpec
    body_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    floor: int


@dataclass(frozen=True, kw_only=True)
class FloorPlane:
    """A plane at height 0 that only objects of one restitution meet.

    Attributes:
        contype: its collision bit.
        solref: [s] time constant and damping ratio of its contacts.
    """

    contype: int
    solref: tuple[float, float]


def floors(scene: SceneCfg, substep: float) -> list[FloorPlane]:
    """Return the objects' floors, one a restitution, for physics steps of ``substep`` [s]."""
    return [
        FloorPlane(contype=1 << (_FIRST_FLOOR - index), solref=solref(restitution, substep))
        for index, restitution in enumerate(_restitutions(scene))
    ]


def object_models(scene: SceneCfg, body: Embodiment, substep: float) -> list[ObjectModel]:
    """Compile the objects of a scene for physics steps of ``substep`` [s].

    Raises:
        ConfigError: an object has the name of a body, or a contact pair names nothing.
        InputError: an MJCF is unreadable or has what the simulators do not share.
    """
    planes, levels, models = floors(scene, substep), _restitutions(scene), []
    for name, cfg in scene.objects.items():
        if name in body.body_names:
            raise ConfigError(f"scene.objects: '{name}' is a body of '{body.name}'; rename the object")
        index = levels.index(cfg.restitution)
        spec = _read(name, cfg) if cfg.shape == "mjcf" else _primitive(name, cfg, planes[index])
        models.append(_finish(name, cfg, spec, index, planes[index]))
    known = [FLOOR, *body.body_names, *scene.objects]
    known += [f"{model.name}/{part}" for model in models for part in model.body_names]
    for name in chain(*scene.contact_pairs):
        if name not in known:
            raise ConfigError(f"scene.contact_pairs: unknown name '{name}'{nearest(name, known)}")
    return models


def solref(restitution: float, substep: float) -> tuple[float, float]:
    """Return time constant [s] and damping ratio of contacts with a restitution.

    An impact is half a period of a damped spring that does not pull: its restitution is
    exp(-tan(a) (pi - 2 a)) with damping ratio sin(a) (Schwager and Poeschel, 2007).
    """
    if restitution == 0.0:
        return CONSTRAINT_TIME_CONSTANT, 1.0
    angle = np.linspace(1e-5, 0.5 * math.pi - 1e-5, 20_000)
    rebound = np.exp(-np.tan(angle) * (math.pi - 2.0 * angle))
    damping = math.sin(np.interp(restitution, rebound[::-1], angle[::-1]))
    return _IMPACT_STEPS * substep / (math.pi * damping), damping


def _restitutions(scene: SceneCfg) -> list[float]:
    return sorted({item.restitution for item in scene.objects.values()})


def _primitive(name: str, cfg: ObjectCfg, plane: FloorPlane) -> mujoco.MjSpec:
    """Return a body of one shape, twice where it bounces: stiff for the body, elastic for the floor."""
    spec = mujoco.MjSpec()
    root = spec.worldbody.add_body(name=name)
    kind, size = _SHAPES[cfg.shape][0], [*cfg.size, 0.0, 0.0][:3]
    for elastic in (False, True)[: 2 if cfg.restitution else 1]:
        geom = root.add_geom(name="bounce" if elastic else "shape", type=kind, size=size)
        geom.mass, geom.friction[0] = (0.0 if elastic else cfg.mass), cfg.friction
        geom.solref = plane.solref if elastic else (CONSTRAINT_TIME_CONSTANT, 1.0)
        geom.contype = _BOUNCE_BIT if elastic else BODY_BIT | _OBJECT_BIT
        geom.conaffinity = 0 if cfg.restitution else _OBJECT_BIT | plane.contype
        if elastic:
            geom.conaffinity, geom.group = _BOUNCE_BIT | plane.contype, 3
    return spec


def _read(name: str, cfg: ObjectCfg) -> mujoco.MjSpec:
    """Return an MJCF without actuators, sensors and keyframes."""
    path = Path(cfg.file)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    if len(spec.worldbody.bodies) != 1 or len(spec.worldbody.geoms):
        raise InputError(f"{path}: object '{name}' needs one body under the world and no shape there")
    if len(spec.excludes):
        raise InputError(f"{path}: object '{name}' has <exclude>, which Genesis does not keep; use contype")
    for part in list(chain(spec.actuators, spec.sensors, spec.keys)):
        spec.delete(part)
    spec.meshdir = str((path.parent / spec.meshdir).resolve())
    spec.texturedir = str((path.parent / spec.texturedir).resolve())
    for geom in spec.geoms:
        geom.solref, geom.condim = (CONSTRAINT_TIME_CONSTANT, 1.0), 3
    for joint in spec.joints:
        joint.solref_limit = (CONSTRAINT_TIME_CONSTANT, 1.0)
    return spec


def _finish(name: str, cfg: ObjectCfg, spec: mujoco.MjSpec, floor: int, plane: FloorPlane) -> ObjectModel:
    """Place the root, name and check the joints, set the masks of an MJCF."""
    root = spec.worldbody.bodies[0]
    root.pos, root.quat = cfg.pos, np.array(cfg.quat) / math.hypot(*cfg.quat)
    root.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    for joint in list(root.joints):
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            spec.delete(joint)
    if not cfg.fixed:
        if len(root.joints):
            raise InputError(f"{cfg.file}: root of object '{name}' has joints; set fixed=true or remove them")
        root.add_freejoint()
    bodies = list(_tree(root))
    for index, part in enumerate(bodies):
        part.name = part.name or f"body{index}"
    joints = [joint for part in bodies for joint in part.joints]
    for index, joint in enumerate(joints[0 if cfg.fixed else 1 :]):
        if joint.type not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            raise InputError(f"{cfg.file}: joint '{joint.name}' of object '{name}' is no hinge and no slide")
        joint.name = joint.name or f"joint{index}"
    if cfg.shape == "mjcf":
        for geom in spec.geoms:
            if geom.contype or geom.conaffinity:
                geom.contype, geom.conaffinity = BODY_BIT | _OBJECT_BIT, _OBJECT_BIT | plane.contype
    try:
        model = spec.compile()
    except ValueError as error:
        raise InputError(f"{cfg.file or name}: {one_line(error)}") from error
    return ObjectModel(
        name=name,
        cfg=cfg,
        spec=spec,
        body_names=tuple(model.body(index).name for index in range(1, model.nbody)),
        joint_names=tuple(model.joint(index).name for index in range(0 if cfg.fixed else 1, model.njnt)),
        floor=floor,
    )


def _tree(root: mujoco.MjsBody) -> Iterator[mujoco.MjsBody]:
    """Yield a body and those below it, depth-first."""
    yield root
    for child in root.bodies:
        yield from _tree(child)


def require_object(name: str, allowed: Collection[str]) -> None:
    """Check that a state or a push is for an object of the scene.

    Raises:
        InputError: no such object, or a fixed one where only free ones are allowed.
    """
    if name not in allowed:
        raise InputError(f"'{name}' is no free object of the scene{nearest(name, allowed)}")
