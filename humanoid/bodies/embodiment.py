"""Embodiment: names, tree, limits, inertia and servos of one body, read off its MJCF.

The MJCF is the single source: names, tree, axes, limits, inertia, armature and
the position actuators' gains come out of the compiled model, so the two
simulators, kinematics and retargeting cannot disagree about the body.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from humanoid.core.config import first_difference
from humanoid.core.errors import InputError, nearest, one_line

SIGNATURE_DIGITS = 5
"""Decimals that two bodies must share to count as the same (beyond float32 noise)."""
NATURAL_FREQUENCY, DAMPING_RATIO = 2 * math.pi * 10, 2.0
"""[rad/s] and ratio of position servos: BeyondMimic's w and zeta (arXiv 2508.08241, section S1)."""


@dataclass(frozen=True, kw_only=True)
class Motor:
    """Actuation of one joint.

    Attributes:
        armature: reflected inertia [kg m^2].
        effort: torque limit [N m].
        kp: servo stiffness [N m/rad].
        kd: servo damping [N m s/rad].
    """

    armature: float
    effort: float
    kp: float
    kd: float

    @classmethod
    def tuned(cls, armature: float, effort: float, stiffness: float = 1.0) -> Motor:
        """Return a motor with BeyondMimic's gains: ``Kp = stiffness I w^2``, ``Kd = 2 zeta sqrt(I Kp)``."""
        kp = stiffness * armature * NATURAL_FREQUENCY**2
        return cls(armature=armature, effort=effort, kp=kp, kd=2 * DAMPING_RATIO * math.sqrt(armature * kp))

    def attach(self, spec: mujoco.MjSpec, joint: str) -> None:
        """Set the armature of a hinge and add its position servo, of the same name."""
        spec.joint(joint).armature = self.armature
        servo = spec.add_actuator(name=joint, target=joint)
        servo.trntype = mujoco.mjtTrn.mjTRN_JOINT
        servo.set_to_position(kp=self.kp, kv=self.kd)
        servo.forcerange = [-self.effort, self.effort]
        servo.forcelimited = True


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """An anatomical point of a body, matched to the captured one by retargeting.

    Attributes:
        body: body that carries it.
        offset: (3,) [m] in the frame of that body.
    """

    body: str
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Embodiment:
    """One articulated body with a free root and hinge joints.

    Bodies and joints are in MuJoCo's depth-first order; body 0 is the root.

    Attributes:
        name: short name, e.g. ``smpl``.
        mjcf: the model as MJCF text, without a floor.
        body_names: N names.
        parents: (N,) index of the parent body, -1 for the root.
        body_pos: (N, 3) [m] origin in the parent's frame at the zero pose.
        body_quat: (N, 4) rotation in the parent's frame at the zero pose.
        body_mass: (N,) [kg].
        joint_names: D names of the hinges.
        joint_body: (D,) body that each hinge moves.
        joint_axis: (D, 3) unit axis in the frame of that body.
        joint_range: (D, 2) [rad] lower and upper limit.
        joint_armature: (D,) [kg m^2] reflected inertia.
        kp: (D,) [N m/rad] and kd: (D,) [N m s/rad] of the position servo.
        effort: (D,) [N m] torque limit.
        action_scale: (D,) [rad] joint angle of an action of 1.
        default_joint_pos: (D,) [rad] standing pose.
        anchor: body whose pose anchors the relative targets.
        tracked: bodies that rewards compare.
        end_effectors: bodies whose height ends an episode when it is off.
        feet: bodies that may carry weight.
        landmarks: SMPL's joint names ("Pelvis", "L_Hip", ..., "L_Toe") -> where they are on
            this body; those it lacks are absent.
        t_pose: (D,) [rad] joint angles of the T-pose, facing x.
    """

    name: str
    mjcf: str
    body_names: tuple[str, ...]
    parents: np.ndarray
    body_pos: np.ndarray
    body_quat: np.ndarray
    body_mass: np.ndarray
    joint_names: tuple[str, ...]
    joint_body: np.ndarray
    joint_axis: np.ndarray
    joint_range: np.ndarray
    joint_armature: np.ndarray
    kp: np.ndarray
    kd: np.ndarray
    effort: np.ndarray
    action_scale: np.ndarray
    default_joint_pos: np.ndarray
    anchor: str
    tracked: tuple[str, ...]
    end_effectors: tuple[str, ...]
    feet: tuple[str, ...]
    landmarks: Mapping[str, Landmark]
    t_pose: np.ndarray

    @property
    def num_bodies(self) -> int:
        """Number N of bodies."""
        return len(self.body_names)

    @property
    def num_joints(self) -> int:
        """Number D of actuated hinges."""
        return len(self.joint_names)

    def body_ids(self, names: Sequence[str]) -> list[int]:
        """Return the indices of bodies by name.

        Raises:
            InputError: a name is not a body of this embodiment.
        """
        return [_index(self.body_names, name, f"body of '{self.name}'") for name in names]

    def body_id(self, name: str) -> int:
        """Return the index of one body by name."""
        return self.body_ids([name])[0]

    def joint_ids(self, names: Sequence[str]) -> list[int]:
        """Return the indices of joints by name.

        Raises:
            InputError: a name is not a joint of this embodiment.
        """
        return [_index(self.joint_names, name, f"joint of '{self.name}'") for name in names]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process, without the compiled model, which is larger than a pipe."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    @cached_property
    def model(self) -> mujoco.MjModel:
        """The compiled MJCF; treat it as read-only."""
        return mujoco.MjModel.from_xml_string(self.mjcf)

    @cached_property
    def rest_pos(self) -> np.ndarray:
        """(N, 3) [m] body origins at the zero pose, in the root's frame."""
        data = mujoco.MjData(self.model)
        data.qpos[:] = 0.0
        data.qpos[3] = 1.0
        mujoco.mj_kinematics(self.model, data)
        return data.xpos[1:].copy()

    @cached_property
    def surface_points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points that bound each body from below when lowered by their radius.

        Returns:
            Body index (P,), position (P, 3) [m] in that body's frame, radius (P,) [m]:
            ends of capsules, centres of spheres, corners of boxes, vertices of meshes.
        """
        model, owner, points, radii = self.model, [], [], []
        for geom in range(model.ngeom):
            local, radius = _extreme_points(model, geom)
            points.append(placed(local, model.geom_pos[geom], model.geom_quat[geom]))
            owner += [int(model.geom_bodyid[geom]) - 1] * len(local)
            radii += [radius] * len(local)
        return np.array(owner), np.concatenate(points), np.array(radii)

    @cached_property
    def inertia(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre of mass (N, 3) [m] of each body and its inertia (N, 3, 3) [kg m^2] there, in its frame."""
        tensors, axes = np.zeros((self.num_bodies, 3, 3)), np.zeros(9)
        for body in range(self.num_bodies):
            mujoco.mju_quat2Mat(axes, self.model.body_iquat[body + 1])
            turn = axes.reshape(3, 3)
            tensors[body] = turn * self.model.body_inertia[body + 1] @ turn.T
        return self.model.body_ipos[1:].copy(), tensors

    @cached_property
    def collision_pairs(self) -> np.ndarray:
        """(N, N) bool, whether two bodies' shapes may collide: symmetric, never parent and child."""
        model, owner = self.model, self.model.geom_bodyid - 1
        meets = (model.geom_contype[:, None] & model.geom_conaffinity[None]) != 0
        meets = meets | meets.T
        pairs = np.zeros((self.num_bodies, self.num_bodies), dtype=bool)
        first, second = np.nonzero(meets)
        pairs[owner[first], owner[second]] = True
        children = np.flatnonzero(self.parents >= 0)
        pairs[children, self.parents[children]] = pairs[self.parents[children], children] = False
        for signature in model.exclude_signature:
            first, second = int(signature) >> 16, int(signature) & 0xFFFF
            pairs[first - 1, second - 1] = pairs[second - 1, first - 1] = False
        np.fill_diagonal(pairs, False)
        return pairs

    def signature(self) -> dict[str, Any]:
        """Return what a policy depends on, as plain lists that a checkpoint can hold."""
        names = {
            "name": self.name,
            "body_names": list(self.body_names),
            "joint_names": list(self.joint_names),
            "anchor": self.anchor,
            "tracked": list(self.tracked),
        }
        arrays = (
            "body_pos", "body_mass", "joint_axis", "joint_range", "joint_armature", "kp", "kd", "effort",
            "action_scale", "default_joint_pos",
        )  # fmt: skip
        return names | {
            key: (np.round(getattr(self, key), SIGNATURE_DIGITS) + 0.0).tolist() for key in arrays
        }

    def require_signature(self, other: Mapping[str, Any], source: str) -> None:
        """Compare with the body of a checkpoint; raise with the first difference.

        Args:
            other: signature stored beside the policy.
            source: file it came from, for the message.

        Raises:
            MismatchError: something the policy depends on differs.
        """
        for key, value in self.signature().items():
            first_difference(key, other.get(key), value, f"{source}: made for another body")

    @classmethod
    def from_mjcf(
        cls,
        mjcf: str,
        *,
        name: str,
        anchor: str,
        tracked: Sequence[str],
        end_effectors: Sequence[str],
        feet: Sequence[str],
        default_joint_pos: Mapping[str, float],
        effort_fraction: float = 0.25,
        landmarks: Mapping[str, Landmark] | None = None,
        t_pose: Mapping[str, float] | None = None,
    ) -> Embodiment:
        """Read an embodiment off MJCF text.

        The model has one free root body, hinges elsewhere, and one position
        actuator per hinge. The action scale is BeyondMimic's
        ``alpha = effort_fraction * tau_max / kp`` (arXiv 2508.08241, section S1).
        Without ``landmarks`` bodies are landmarks of their names; without ``t_pose``
        the zero pose is the T-pose.

        Raises:
            InputError: the model is not of that kind.
        """
        try:
            model = mujoco.MjModel.from_xml_string(mjcf)
        except ValueError as error:
            raise InputError(f"body '{name}': MuJoCo cannot compile the MJCF: {one_line(error)}") from error
        kinds = model.jnt_type
        if not len(kinds) or kinds[0] != mujoco.mjtJoint.mjJNT_FREE:
            raise InputError(f"body '{name}': the first joint must be the root's free joint")
        if (kinds[1:] != mujoco.mjtJoint.mjJNT_HINGE).any():
            raise InputError(f"body '{name}': only hinge joints may follow the free joint")
        hinges = np.arange(1, model.njnt)
        if model.nu != len(hinges) or (model.actuator_trnid[:, 0] != hinges).any():
            raise InputError(f"body '{name}': needs one actuator a hinge, in the order of the joints")
        joint_names = tuple(model.joint(i).name for i in hinges)
        body_names = tuple(model.body(i).name for i in range(1, model.nbody))
        if landmarks is None:
            landmarks = {body: Landmark(body=body) for body in body_names}
        kp, effort = model.actuator_gainprm[:, 0].copy(), model.actuator_forcerange[:, 1].copy()
        body = cls(
            name=name,
            mjcf=mjcf,
            body_names=body_names,
            parents=model.body_parentid[1:].astype(np.int64) - 1,
            body_pos=np.vstack((np.zeros(3), model.body_pos[2:])),
            body_quat=np.vstack(((1.0, 0, 0, 0), model.body_quat[2:])),
            body_mass=model.body_mass[1:].copy(),
            joint_names=joint_names,
            joint_body=model.jnt_bodyid[1:].astype(np.int64) - 1,
            joint_axis=model.jnt_axis[1:].copy(),
            joint_range=model.jnt_range[1:].copy(),
            joint_armature=model.dof_armature[6:].copy(),
            kp=kp,
            kd=-model.actuator_biasprm[:, 2].copy(),
            effort=effort,
            action_scale=effort_fraction * effort / kp,
            default_joint_pos=_angles(default_joint_pos, joint_names, name),
            anchor=anchor,
            tracked=tuple(tracked),
            end_effectors=tuple(end_effectors),
            feet=tuple(feet),
            landmarks=dict(landmarks),
            t_pose=_angles(t_pose or {}, joint_names, name),
        )
        points = [point.body for point in landmarks.values()]
        body.body_ids([anchor, *tracked, *end_effectors, *feet, *points])  # raises for unknown names
        return body

    def write_mjcf(self, folder: str | Path) -> Path:
        """Write the MJCF as ``NAME.xml`` in a folder, for simulators that load paths."""
        path = Path(folder) / f"{self.name}.xml"
        path.write_text(self.mjcf)
        return path


def blank_spec(name: str) -> mujoco.MjSpec:
    """Return an empty model in radians, for bodies with stiff servos."""
    spec = mujoco.MjSpec()
    spec.modelname = name
    spec.compiler.autolimits = True
    spec.compiler.degree = False
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return spec


def placed(points: np.ndarray, pos: np.ndarray, quat: np.ndarray) -> np.ndarray:
    """Return points (P, 3) of a frame at ``pos (3,)``, ``quat (4,)`` in its parent."""
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, quat)
    return points @ turn.reshape(3, 3).T + pos


def mesh_vertices(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Return the vertices (P, 3) [m] of a geom's mesh in the frame of the geom."""
    mesh = model.geom_dataid[geom]
    start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    return model.mesh_vert[start : start + count].astype(float)


def _extreme_points(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, float]:
    """Return points (P, 3) [m] of one geom in its own frame and the radius around them."""
    size, kind = model.geom_size[geom], model.geom_type[geom]
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return np.zeros((1, 3)), float(size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return np.array(((0, 0, size[1]), (0, 0, -size[1]))), float(size[0])
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, -1).T
        return signs * size, 0.0
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        return mesh_vertices(model, geom), 0.0
    raise InputError(f"geom '{model.geom(geom).name}' is neither sphere, capsule, box nor mesh")


def _angles(table: Mapping[str, float], joint_names: Sequence[str], body: str) -> np.ndarray:
    """Return joint angles (D,) [rad], zero where the table has none."""
    angles = np.zeros(len(joint_names))
    for joint, value in table.items():
        angles[_index(joint_names, joint, f"joint of '{body}'")] = value
    return angles


def _index(names: Sequence[str], name: str, what: str) -> int:
    if name not in names:
        raise InputError(f"'{name}' is not a {what}{nearest(name, names)}")
    return list(names).index(name)
