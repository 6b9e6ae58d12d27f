"""A parametric body with the topology and names of SMPL.

Twenty-four bodies, T-pose at zero, x forward, y left, z up. Segment lengths and
masses are fractions of height and weight from de Leva, "Adjustments to
Zatsiorsky-Seluyanov's segment inertia parameters", J. Biomech. 29(9), 1996
(male column, joint-centre based), completed by Drillis and Contini's ankle
height as printed in Winter, "Biomechanics and Motor Control of Human Movement".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import mujoco
import numpy as np

from humanoid.bodies.embodiment import Embodiment, Motor, blank_spec
from humanoid.core.constraints import Among, Checked, Interval

STIFFNESS_FACTOR = 2.0
"""Kp over BeyondMimic's ``I w^2``: with 1 the servo lags a running human too far."""

Mass = Annotated[float, Interval(10.0, 300.0)]
"""[kg]"""
Dofs = Annotated[str, Among(("anatomical", "ball"))]
"""39 hinges or 3 at every joint."""


@dataclass(frozen=True, kw_only=True)
class SmplCfg(Checked):
    """Stature, mass and joints of the parametric body."""

    height: Annotated[float, Interval(0.5, 2.5)] = 1.70
    """Stature [m]."""
    mass: Mass = 70.0
    """Body mass [kg]."""
    dofs: Dofs = "anatomical"
    """``anatomical``: 39 hinges where people have them; ``ball``: 3 at every joint (69)."""


GROUPS = {
    kind: Motor.tuned(armature, effort, STIFFNESS_FACTOR)
    for kind, (armature, effort) in {
        "trunk": (0.06, 300.0), "hip": (0.06, 300.0), "knee": (0.06, 300.0), "ankle": (0.035, 150.0),
        "shoulder": (0.025, 120.0), "elbow": (0.02, 100.0), "neck": (0.01, 50.0), "toe": (0.008, 40.0),
        "wrist": (0.005, 25.0),
    }.items()
}  # fmt: skip
"""Motor of each kind of joint, from armature [kg m^2] and torque limit [N m]."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One body of the tree, in fractions of height and mass.

    Attributes:
        parent: name of the parent body, "" for the root.
        offset: origin in the parent's frame, fraction of height.
        mass: fraction of body mass.
        group: key of :data:`GROUPS`.
        hinges: axes of its hinges in order, e.g. "yxz", when ``anatomical``.
        ranges: limits of those hinges [deg].
    """

    parent: str
    offset: tuple[float, float, float]
    mass: float
    group: str = "trunk"
    hinges: str = ""
    ranges: tuple[tuple[float, float], ...] = ()


def _mirrored(part: Part) -> Part:
    """Return the right-hand twin of a left-hand part: y, x- and z-rotations flip."""
    x, y, z = part.offset
    ranges = tuple(
        (low, high) if axis == "y" else (-high, -low)
        for axis, (low, high) in zip(part.hinges, part.ranges, strict=True)
    )
    return replace(part, parent=part.parent.replace("L_", "R_"), offset=(x, -y, z), ranges=ranges)


_LEG = {
    "L_Hip": Part(parent="Pelvis", offset=(0.0, 0.050, 0.0), mass=0.1416, group="hip",
                  hinges="yxz", ranges=((-160, 80), (-70, 70), (-80, 80))),
    "L_Knee": Part(parent="L_Hip", offset=(0.0, 0.0, -0.2425), mass=0.0433, group="knee",
                   hinges="y", ranges=((-15, 165),)),
    "L_Ankle": Part(parent="L_Knee", offset=(0.0, 0.0, -0.2493), mass=0.0107, group="ankle",
                    hinges="yxz", ranges=((-75, 75), (-50, 50), (-60, 60))),
    "L_Toe": Part(parent="L_Ankle", offset=(0.080, 0.0, -0.025), mass=0.0030, group="toe",
                  hinges="y", ranges=((-60, 45),)),
}  # fmt: skip
_ARM = {
    "L_Thorax": Part(parent="Chest", offset=(0.0, 0.042, 0.065), mass=0.0150),
    "L_Shoulder": Part(parent="L_Thorax", offset=(-0.004, 0.068, 0.045), mass=0.0271, group="shoulder",
                       hinges="xyz", ranges=((-175, 120), (-100, 100), (-150, 150))),
    "L_Elbow": Part(parent="L_Shoulder", offset=(0.0, 0.1618, 0.0), mass=0.0162, group="elbow",
                    hinges="z", ranges=((-165, 15),)),
    "L_Wrist": Part(parent="L_Elbow", offset=(0.0, 0.1545, 0.0), mass=0.0041, group="wrist",
                    hinges="yxz", ranges=((-90, 90), (-80, 80), (-60, 60))),
    "L_Hand": Part(parent="L_Wrist", offset=(0.0, 0.0495, 0.0), mass=0.0020, group="wrist"),
}  # fmt: skip
_TRUNK = {
    "Torso": Part(parent="Pelvis", offset=(0.0, 0.0, 0.065), mass=0.0817,
                  hinges="yxz", ranges=((-60, 90), (-50, 50), (-60, 60))),
    "Spine": Part(parent="Torso", offset=(0.0, 0.0, 0.075), mass=0.0816),
    "Chest": Part(parent="Spine", offset=(0.0, 0.0, 0.038), mass=0.1296,
                  hinges="yxz", ranges=((-60, 90), (-50, 50), (-60, 60))),
    "Neck": Part(parent="Chest", offset=(0.0, 0.0, 0.117), mass=0.0120, group="neck",
                 hinges="yxz", ranges=((-70, 70), (-60, 60), (-90, 90))),
    "Head": Part(parent="Neck", offset=(0.0, 0.0, 0.045), mass=0.0574, group="neck"),
}  # fmt: skip


def _right(parts: dict[str, Part]) -> dict[str, Part]:
    return {name.replace("L_", "R_"): _mirrored(part) for name, part in parts.items()}


PARTS: dict[str, Part] = {
    "Pelvis": Part(parent="", offset=(0.0, 0.0, 0.0), mass=0.1117),
    **_LEG, **_right(_LEG), **_TRUNK, **_ARM, **_right(_ARM),
}  # fmt: skip
"""The tree in depth-first order."""

SOLE = 0.039
"""Height of the ankle above the sole, fraction of height (Drillis and Contini)."""

TRACKED = (
    "Pelvis", "L_Hip", "L_Knee", "L_Ankle", "R_Hip", "R_Knee", "R_Ankle", "Torso", "Chest",
    "Head", "L_Shoulder", "L_Elbow", "L_Wrist", "R_Shoulder", "R_Elbow", "R_Wrist",
)  # fmt: skip
"""Bodies that rewards compare."""
END_EFFECTORS = ("L_Ankle", "R_Ankle", "L_Wrist", "R_Wrist")
"""Bodies whose height ends an episode when it is off."""
FEET = ("L_Ankle", "L_Toe", "R_Ankle", "R_Toe")
"""Bodies that may carry weight."""
STANDING = {
    "L_Shoulder_x": math.radians(-75), "R_Shoulder_x": math.radians(75),
    "L_Elbow_z": math.radians(-15), "R_Elbow_z": math.radians(15),
}  # fmt: skip
"""Joint angles [rad] of the default pose: upright, arms hanging, elbows a little bent."""

# Collision classes as bits. Every pair that can meet in normal motion is listed and no
# other, so both simulators keep the same pairs without explicit excludes.
_GROUND, _ARM_BIT, _LEFT_LEG, _LEFT_ARM, _FOLD = 1, 2, 4, 8, 16


def collision_class(name: str) -> tuple[int, int]:
    """Return (contype, conaffinity); a pair collides when one's type meets the other's affinity."""
    side, _, part = name.rpartition("_")
    if part in ("Hip", "Knee", "Ankle", "Toe"):
        contype = _LEFT_LEG if side == "L" else 0
        affinity = _GROUND | _ARM_BIT | _FOLD | (_LEFT_LEG if side == "R" else 0)
        return contype, affinity
    if part in ("Elbow", "Wrist", "Hand"):
        contype = _ARM_BIT | (_LEFT_ARM if side == "L" else 0)
        return contype, _GROUND | (_LEFT_ARM if side == "R" else 0)
    if name in ("Chest", "Head"):
        return _FOLD, _GROUND | _ARM_BIT
    if name in ("Pelvis", "Torso", "Spine"):
        return 0, _GROUND | _ARM_BIT
    return 0, _GROUND


def build(cfg: SmplCfg | None = None) -> Embodiment:
    """Build the parametric body."""
    cfg = cfg or SmplCfg()
    spec = skeleton_spec({name: part.offset for name, part in PARTS.items()}, cfg.height, cfg.dofs)
    for name in PARTS:
        add_shape(spec.body(name), name, cfg)
    return to_embodiment(spec, cfg.dofs)


def skeleton_spec(offsets: dict[str, tuple[float, float, float]], scale: float, dofs: str) -> mujoco.MjSpec:
    """Return bodies, hinges and servos without shapes.

    Args:
        offsets: origin of each body in its parent's frame.
        scale: metres per unit of ``offsets``.
        dofs: ``anatomical`` or ``ball``.
    """
    spec = blank_spec("smpl")
    bodies = {"": spec.worldbody}
    for name, part in PARTS.items():
        pos = [scale * value for value in offsets[name]]
        body = bodies[part.parent].add_body(name=name, pos=pos if part.parent else [0, 0, 0])
        bodies[name] = body
        if not part.parent:
            body.add_freejoint(name="root")
            continue
        hinges, ranges = part.hinges, part.ranges
        if dofs == "ball":
            hinges, ranges = (hinges, ranges) if len(hinges) == 3 else ("zyx", ((-180, 180),) * 3)
        for axis, (low, high) in zip(hinges, ranges, strict=True):
            joint = f"{name}_{axis}"
            body.add_joint(
                name=joint,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=[float(axis == letter) for letter in "xyz"],
                range=[math.radians(low), math.radians(high)],
            )
            GROUPS[part.group].attach(spec, joint)
    return spec


def add_shape(body: mujoco.MjsBody, name: str, cfg: SmplCfg) -> None:
    """Give one body its capsule, sphere or box, with mass and collision class."""
    h = cfg.height
    side, _, part = name.rpartition("_")
    sign = -1.0 if side == "R" else 1.0
    capsules: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
        "Pelvis": ((0, -0.040, 0.010), (0, 0.040, 0.010), 0.058),
        "Torso": ((0, -0.030, 0.025), (0, 0.030, 0.025), 0.055),
        "Spine": ((0, -0.035, 0.010), (0, 0.035, 0.010), 0.056),
        "Chest": ((0, -0.045, 0.035), (0, 0.045, 0.035), 0.060),
        "Neck": ((0, 0, 0.0), (0, 0, 0.035), 0.030),
        "Head": ((0.010, 0, 0.035), (0.010, 0, 0.070), 0.052),
        "Thorax": ((0, 0, 0.010), (-0.004, 0.060, 0.040), 0.026),
        "Shoulder": ((0, 0.008, 0), (0, 0.150, 0), 0.027),
        "Elbow": ((0, 0.008, 0), (0, 0.145, 0), 0.022),
        "Wrist": ((0, 0.008, 0), (0, 0.032, 0), 0.019),
        "Hand": ((0, -0.004, 0), (0, 0.004, 0), 0.023),
        "Hip": ((0, 0, -0.015), (0, 0, -0.215), 0.044),
        "Knee": ((0, 0, -0.015), (0, 0, -0.235), 0.030),
    }
    contype, affinity = collision_class(name)
    common = {"name": name, "mass": cfg.mass * PARTS[name].mass, "contype": contype, "conaffinity": affinity}
    if part in ("Ankle", "Toe"):
        drop = SOLE if part == "Ankle" else SOLE + PARTS["L_Toe"].offset[2]
        back, front, top = (-0.038, 0.080, 0.004) if part == "Ankle" else (0.0, 0.042, 0.004)
        center = ((back + front) / 2, 0.0, (top - drop) / 2)
        half = ((front - back) / 2, 0.026, (top + drop) / 2)
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[h * v for v in center], size=[h * v for v in half], **common,
        )  # fmt: skip
        return
    start, end, radius = capsules[part]
    flip = np.array((1.0, sign, 1.0)) if side else np.ones(3)
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[*(h * flip * start), *(h * flip * end)], size=[h * radius, 0, 0], **common,
    )  # fmt: skip


def to_embodiment(spec: mujoco.MjSpec, dofs: str) -> Embodiment:
    """Compile a skeleton with shapes and read the embodiment off it; ``dofs`` decides its name."""
    spec.compile()
    name = "smpl" if dofs == "anatomical" else "smpl_ball"
    return Embodiment.from_mjcf(
        spec.to_xml(), name=name, anchor="Chest", tracked=TRACKED,
        end_effectors=END_EFFECTORS, feet=FEET, default_joint_pos=STANDING,
    )  # fmt: skip
