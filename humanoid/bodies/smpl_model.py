"""The SMPL-topology body built from a user's SMPL, SMPL-H or SMPL-X file and shape.

Joints and skin in rest pose come from ``smplx``'s linear shape model; ``trimesh``
measures the skin. Tree, hinges, servos, collision classes and names are those of
the parametric body (:mod:`humanoid.bodies.smpl`), so motions and tasks made for
one fit the other. The model files are licensed and never part of this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from humanoid.bodies import smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.smpl_file import SmplFile, load_file
from humanoid.bodies.smpl_shapes import EXTRA, Hull, Shape, add_shape, fit_box, fit_capsule, fit_hull
from humanoid.core.errors import ConfigError, InputError, require

DENSITY = 1000.0
"""[kg/m^3] of a human body, lungs half full."""
SMPL_JOINTS = (
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest",
    "L_Toe", "R_Toe", "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder",
    "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist", "L_Hand", "R_Hand",
)  # fmt: skip
"""Our names in the order of SMPL's 24 joints."""
FROM_SMPL_AXES = (2, 0, 1)
"""Ours (x forward, y left, z up) out of SMPL's (x left, y up, z forward)."""
_ACROSS = ("Pelvis", "Torso", "Spine", "Chest")
"""Parts wider than long: their capsule lies from left to right."""


@dataclass(frozen=True, kw_only=True)
class SmplModelCfg:
    """Which body model file to build, and how."""

    path: str
    """A model file, or a folder with files named as published (``SMPL_NEUTRAL.npz``)."""
    model_type: Literal["smpl", "smplh", "smplx"] | None = None
    """None infers it from the number of joints in the file."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Picks the file when ``path`` is a folder."""
    betas: tuple[float, ...] = ()
    """Shape coefficients; those not given are 0."""
    mass: float | None = None
    """Body mass [kg]; None takes the volume of the skin times 1000 kg/m^3."""
    shapes: Literal["capsule", "hull"] = "capsule"
    """``capsule``: capsules and, for the feet, boxes (fast); ``hull``: convex hulls."""
    dofs: Literal["anatomical", "ball"] = "anatomical"
    """As in :class:`humanoid.bodies.smpl.SmplCfg`."""
    trust_pickle: bool = False
    """Whether a pickle (SMPL's own ``.pkl``) may be opened."""


@dataclass(frozen=True, kw_only=True)
class RestBody:
    """A shaped body in rest pose, folded to 24 parts, in our axes.

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
        ConfigError: an unknown choice, or a mass outside 10-300 kg.
        InputError: the file cannot be read, does not fit its model type, or gives no human body.
        MissingExtraError: smplx or trimesh is not installed.
    """
    _check_cfg(cfg)
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
    for name in smpl.PARTS:
        shape = hulls[name] if cfg.shapes == "hull" else _simple_shape(name, rest, hulls[name])
        add_shape(spec, name, shape, density * hulls[name].volume, smpl.collision_class(name))
    return smpl.to_embodiment(spec, cfg.dofs)


def rest_body(file: SmplFile, betas: tuple[float, ...] = ()) -> RestBody:
    """Shape the model and fold its joints and skin to our 24 parts.

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
    """Return vertices (V, 3) and joints (K, 3) [m] in our axes.

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


def _check_cfg(cfg: SmplModelCfg) -> None:
    choices = {
        "gender": ("neutral", "male", "female"),
        "shapes": ("capsule", "hull"),
        "dofs": ("anatomical", "ball"),
    }
    for field, allowed in choices.items():
        if (value := getattr(cfg, field)) not in allowed:
            raise ConfigError(f"body model {field} '{value}' is unknown; allowed: {', '.join(allowed)}")
    if cfg.mass is not None and not 10.0 <= cfg.mass <= 300.0:
        raise ConfigError(f"body mass {cfg.mass} kg is outside 10-300 kg")


def _total_mass(cfg: SmplModelCfg, rest: RestBody, file: SmplFile) -> float:
    mass = cfg.mass if cfg.mass is not None else DENSITY * rest.volume
    if not 10.0 <= mass <= 300.0:
        raise InputError(
            f"{file.path}: f: the skin encloses {rest.volume:.3g} m^3, no closed human body; "
            "give the mass yourself"
        )
    return mass


def _simple_shape(name: str, rest: RestBody, hull: Hull) -> Shape:
    """Return the capsule or, for feet, the box of a part, in the frame of its body."""
    joint = rest.joints[name]
    side, _, part = name.rpartition("_")
    if part in ("Ankle", "Toe"):  # both on one level, or the body would stand on its heels or toes
        sole = min(rest.vertices[f"{side}_{p}"][:, 2].min() for p in ("Ankle", "Toe"))
        return fit_box(hull, float(sole - joint[2]))
    if name in _ACROSS:
        return fit_capsule(hull, np.array((0.0, 1.0, 0.0)))
    child = next((child for child, entry in smpl.PARTS.items() if entry.parent == name), None)
    if child is None:  # head and hands go on in the direction of the bone that leads to them
        return fit_capsule(hull, joint - rest.joints[smpl.PARTS[name].parent])
    return fit_capsule(hull, rest.joints[child] - joint)
