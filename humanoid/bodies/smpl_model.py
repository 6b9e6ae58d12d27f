"""The SMPL-topology body built from a user's SMPL, SMPL-H or SMPL-X file and shape.

Joints and skin in rest pose come from ``smplx``'s linear shape model. Collision shapes are fitted to
the convex hull (``trimesh``) of the skin of each part, so that a densely meshed face or hand counts no
more than a coarse thigh. Tree, hinges, servos, collision classes and names are those of the parametric
body (:mod:`humanoid.bodies.smpl`). The model files are licensed and never part of this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import mujoco
import numpy as np
import torch

from humanoid.bodies import smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.smpl_file import Kind, SmplFile, load_file
from humanoid.core.constraints import Among, Checked
from humanoid.core.errors import InputError, require

if TYPE_CHECKING:
    from trimesh import Trimesh

EXTRA = "mocap"
"""Extra of this package that installs smplx and trimesh."""
DENSITY = 1000.0
"""[kg/m^3] of a human body, lungs half full."""
SHORTEST = 0.002
"""[m] least half length of a capsule."""
LEAST_VOLUME = 1e-6
"""[m^3] least volume of a body part."""
SMPL_JOINTS = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest",
    "L_Toe", "R_Toe", "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder",
    "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist", "L_Hand", "R_Hand",
)  # fmt: skip
"""Body names in the order of SMPL's 24 joints."""
FROM_SMPL_AXES = (2, 0, 1)
"""Index of x forward, y left, z up in SMPL's axes (x left, y up, z forward)."""
_ACROSS = ("Pelvis", "Torso", "Spine", "Chest")
"""Parts wider than long: their capsule lies from left to right."""


@dataclass(frozen=True, kw_only=True)
class SmplModelCfg(Checked):
    """Body model file, shape and collision shapes."""

    path: str
    """A model file, or a folder with files named as published (``SMPL_NEUTRAL.npz``)."""
    model_type: Kind | None = None
    """None infers it from the number of joints in the file."""
    gender: Annotated[str, Among(("neutral", "male", "female"))] = "neutral"
    """Picks the file when ``path`` is a folder."""
    betas: tuple[float, ...] = ()
    """Shape coefficients; those not given are 0."""
    mass: smpl.Mass | None = None
    """Body mass [kg]; None takes the volume of the skin times 1000 kg/m^3."""
    shapes: Annotated[str, Among(("capsule", "hull"))] = "capsule"
    """``capsule``: capsules and, for the feet, boxes (fast); ``hull``: convex hulls."""
    dofs: smpl.Dofs = "anatomical"
    """As in :class:`humanoid.bodies.smpl.SmplCfg`."""
    trust_pickle: bool = False
    """Whether a pickle (SMPL's own ``.pkl``) may be opened."""


@dataclass(frozen=True, kw_only=True)
class RestBody:
    """A shaped body in rest pose, folded to 24 parts, x forward, y left, z up.

    Attributes:
        joints: name -> (3,) [m] joint position in the file's origin.
        vertices: name -> (P, 3) [m] skin whose largest weight is that part's.
        volume: [m^3] inside the skin.
    """

    joints: dict[str, np.ndarray]
    vertices: dict[str, np.ndarray]
    volume: float


def build_from_model(cfg: SmplModelCfg) -> Embodiment:
    """Build the body of a model file.

    Raises:
        InputError: the file cannot be read, does not fit its model type, or gives no human body.
        MissingExtraError: smplx or trimesh is not installed.
    """
    file = load_file(cfg.path, cfg.model_type, cfg.gender, cfg.trust_pickle)
    rest = rest_body(file, cfg.betas)
    offsets = {}
    for name, part in smpl.PARTS.items():
        offset = rest.joints[name] - rest.joints[part.parent] if part.parent else np.zeros(3)
        if part.parent and np.linalg.norm(offset) < 1e-3:
            raise InputError(f"{file.path}: J_regressor: '{name}' coincides with '{part.parent}'")
        offsets[name] = (float(offset[0]), float(offset[1]), float(offset[2]))
    spec = smpl.skeleton_spec(offsets, 1.0, cfg.dofs)
    hulls = {
        name: fit_hull(points - rest.joints[name], f"{file.path}: weights: part '{name}'")
        for name, points in rest.vertices.items()
    }
    mass = _total_mass(cfg, rest, file)
    density = mass / sum(hull.volume for hull in hulls.values())
    for name, hull in hulls.items():
        contype, affinity = smpl.collision_class(name)
        common = {"name": name, "mass": density * hull.volume, "contype": contype, "conaffinity": affinity}
        if cfg.shapes == "hull":
            mesh = spec.add_mesh(name=name, uservert=hull.vertices.ravel().tolist())
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
            spec.body(name).add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **common)
        else:
            spec.body(name).add_geom(**_primitive(name, rest, hull), **common)
    return smpl.to_embodiment(spec, cfg.dofs)


def rest_body(file: SmplFile, betas: tuple[float, ...] = ()) -> RestBody:
    """Shape the model and fold its joints and skin to 24 parts.

    Args:
        file: validated arrays.
        betas: shape coefficients.

    Raises:
        InputError: too many or non-finite betas, a part without skin, an inhuman size.
    """
    vertices, joints = shaped(file, betas)
    height = float(np.ptp(vertices[:, 2]))
    if not 0.5 <= height <= 2.5:
        raise InputError(f"{file.path}: v_template: {height:.3g} m tall with betas {betas}, must be 0.5-2.5")
    layout = file.layout
    fold = np.array((*range(22), *layout.fold))
    parts = np.zeros((len(vertices), len(SMPL_JOINTS)))
    np.add.at(parts.T, fold, file.weights.T)
    owner = parts.argmax(1)
    where = (*range(22), *layout.hands)
    skin = {name: vertices[owner == i] for i, name in enumerate(SMPL_JOINTS)}
    if bare := [name for name, points in skin.items() if not len(points)]:
        raise InputError(f"{file.path}: weights: no vertex belongs to {', '.join(bare)}")
    trimesh = require("trimesh", EXTRA)
    # measured about a point inside, where small holes (SMPL-X has some) matter least
    mesh = trimesh.Trimesh(vertices - vertices.mean(0), file.f, process=False)
    return RestBody(
        joints={name: joints[where[i]] for i, name in enumerate(SMPL_JOINTS)},
        vertices=skin, volume=abs(float(mesh.volume)),
    )  # fmt: skip


def shaped(file: SmplFile, betas: tuple[float, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) and joints (K, 3) [m], x forward, y left, z up.

    The functions are called rather than the model classes, because those of
    SMPL-X open the file themselves with pickles allowed.

    Args:
        file: validated arrays.
        betas: shape coefficients; those not given are 0.

    Raises:
        InputError: too many or non-finite betas.
        MissingExtraError: smplx is not installed.
    """
    allowed = file.layout.max_betas(file.shapedirs.shape[2])
    if len(betas) > allowed:
        raise InputError(f"{file.path}: shapedirs: {len(betas)} betas given, the file has {allowed}")
    if not all(math.isfinite(value) for value in betas):
        raise InputError(f"{file.path}: betas {betas}: not all finite")
    lbs = require("smplx.lbs", EXTRA)
    vertices = torch.from_numpy(file.v_template)[None]
    if betas:
        dirs = torch.from_numpy(file.shapedirs[:, :, : len(betas)].astype(np.float64))
        vertices = vertices + lbs.blend_shapes(torch.tensor([betas], dtype=torch.float64), dirs)
    joints = lbs.vertices2joints(torch.from_numpy(file.J_regressor), vertices)
    axes = list(FROM_SMPL_AXES)
    return vertices[0].numpy()[:, axes], joints[0].numpy()[:, axes]


def fit_hull(points: np.ndarray, place: str) -> Trimesh:
    """Return the convex hull of points.

    Args:
        points: (P, 3) [m].
        place: origin of the points, for the message.

    Raises:
        InputError: they span no volume.
        MissingExtraError: trimesh is not installed.
    """
    trimesh, spatial = require("trimesh", EXTRA), require("scipy.spatial", EXTRA)
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            hull = trimesh.convex.convex_hull(np.asarray(points))
            volume = float(hull.volume)
    except (spatial.QhullError, ValueError) as error:
        raise InputError(f"{place}: {len(points)} vertices span no volume") from error
    if not volume > LEAST_VOLUME:
        raise InputError(f"{place}: {len(points)} vertices span {volume:.1e} m^3, too little for a body part")
    return hull


def fit_capsule(hull: Trimesh, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return centres of the caps (3,) [m] and radius [m] of the capsule with length and volume of a hull.

    Args:
        hull: the part.
        axis: (3,) direction, of any length.
    """
    axis = axis / np.linalg.norm(axis)
    along, centroid = hull.vertices @ axis, np.asarray(hull.center_mass)
    length, volume = float(np.ptp(along)), float(hull.volume)
    radius = (3 * volume / (4 * math.pi)) ** (1 / 3)  # of a ball, where a capsule would be too thick
    if volume < math.pi * length**3 / 6:
        optimize = require("scipy.optimize", EXTRA)
        radius = optimize.brentq(lambda r: math.pi * r**2 * (length - 2 / 3 * r) - volume, 0.0, length / 2)
    half = max(length / 2 - radius, SHORTEST) * axis
    middle = centroid + ((along.min() + along.max()) / 2 - centroid @ axis) * axis
    return middle - half, middle + half, radius


def _total_mass(cfg: SmplModelCfg, rest: RestBody, file: SmplFile) -> float:
    mass = cfg.mass if cfg.mass is not None else DENSITY * rest.volume
    if not 10.0 <= mass <= 300.0:
        raise InputError(
            f"{file.path}: f: the skin encloses {rest.volume:.3g} m^3, no closed human body; "
            "give the mass yourself"
        )
    return mass


def _primitive(name: str, rest: RestBody, hull: Trimesh) -> dict[str, Any]:
    """Return the geom of a part in the frame of its body: a box for feet, else a capsule along the bone."""
    joint = rest.joints[name]
    side, _, part = name.rpartition("_")
    if part in ("Ankle", "Toe"):  # both on one level, or the body would stand on its heels or toes
        low, high = hull.bounds.copy()
        low[2] = min(rest.vertices[f"{side}_{p}"][:, 2].min() for p in ("Ankle", "Toe")) - joint[2]
        return {"type": mujoco.mjtGeom.mjGEOM_BOX, "pos": (low + high) / 2, "size": (high - low) / 2}
    child = next((child for child, entry in smpl.PARTS.items() if entry.parent == name), None)
    if name in _ACROSS:
        axis = np.array((0.0, 1.0, 0.0))
    elif child is None:  # head and hands continue the bone that leads to them
        axis = joint - rest.joints[smpl.PARTS[name].parent]
    else:
        axis = rest.joints[child] - joint
    start, end, radius = fit_capsule(hull, axis)
    return {"type": mujoco.mjtGeom.mjGEOM_CAPSULE, "fromto": [*start, *end], "size": [radius, 0, 0]}
