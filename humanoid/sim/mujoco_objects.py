"""Objects and pair contacts of a scene in MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import ObjectState
from humanoid.sim.scene import BODY_BIT, FLOOR, SLIPPERY, ObjectModel, SceneCfg, floors, require_object

NET_FORCE = [1 << mujoco.mjtConDataField.mjCONDATA_FORCE.value, 3, 1]
"""Parameters of a contact sensor that sums the forces of all its contacts."""
_GROUND_BIT = 1
"""Collision bit of the floor that the body stands on."""


def add_objects(
    spec: mujoco.MjSpec, body: Embodiment, scene: SceneCfg, models: Sequence[ObjectModel], substep: float
) -> None:
    """Add objects, their floors and a sensor for each contact pair behind the body."""
    if models:
        for geom in spec.geoms:
            if geom.conaffinity & _GROUND_BIT:
                geom.conaffinity |= BODY_BIT
    for index, plane in enumerate(floors(scene, substep)):
        geom = spec.worldbody.add_geom(
            name=_floor(index), type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], group=3
        )
        geom.contype, geom.conaffinity, geom.solref = plane.contype, 0, plane.solref
        geom.friction[0] = SLIPPERY
    for model in models:
        spec.attach(model.spec, frame=spec.worldbody.add_frame(), prefix=f"{model.name}/")
        for child in model.body_names[1:]:  # parents fixed in the world are not excluded by themselves
            parent = spec.body(f"{model.name}/{child}").parent.name
            spec.add_exclude(bodyname1=parent, bodyname2=f"{model.name}/{child}")
    for first, second in scene.contact_pairs:
        owners = (first.partition("/")[0], second.partition("/")[0])
        floor = next((model.floor for model in models if model.name in owners), None)
        one, two = (_sensed(name, body, models, floor) for name in (first, second))
        spec.add_sensor(
            name=f"contact_{first}_{second}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=one[0],
            objname=one[1],
            reftype=two[0],
            refname=two[1],
            intprm=NET_FORCE,
        )


class MujocoObjects:
    """Reads and writes the objects of a batch."""

    def __init__(
        self, model: mujoco.MjModel, batch: Batch, scene: SceneCfg, models: Sequence[ObjectModel]
    ) -> None:
        """Find roots, free joints, joint columns and sensors by name."""
        self._names = [item.name for item in models]
        self._pairs = scene.contact_pairs
        self._roots = np.array([model.body(f"{m.name}/{m.body_names[0]}").id for m in models], dtype=int)
        joints = {m.name: [model.joint(f"{m.name}/{j}") for j in m.joint_names] for m in models}
        self._joint_qs = {n: np.array([j.qposadr[0] for j in own], int) for n, own in joints.items()}
        self._joint_dofs = {n: np.array([j.dofadr[0] for j in own], int) for n, own in joints.items()}
        self._free = {}
        for item, root in zip(models, self._roots, strict=True):
            if not item.cfg.fixed:
                joint = model.body_jntadr[root]
                self._free[item.name] = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
        self._qpos, self._qvel = batch.bind("qpos"), batch.bind("qvel")
        self._sensors = batch.bind("sensordata") if self._pairs else None
        if models:
            self._xpos, self._xquat = batch.bind("xpos"), batch.bind("xquat")
            self._cvel, self._com = batch.bind("cvel"), batch.bind("subtree_com")

    def state(self, diverged: Tensor) -> dict[str, ObjectState]:
        """Return the objects, NaN positions where ``diverged (B,)``."""
        if not self._names:
            return {}
        pos, quat = tensor(self._xpos[:, self._roots]), tensor(self._xquat[:, self._roots])
        cvel = tensor(self._cvel[:, self._roots])
        ang = cvel[..., :3]
        lin = cvel[..., 3:] + torch.linalg.cross(ang, pos - tensor(self._com[:, self._roots]))
        pos.masked_fill_(diverged[:, None, None], torch.nan)
        return {
            name: ObjectState(
                pos_w=pos[:, index],
                quat_w=quat[:, index],
                lin_vel_w=lin[:, index],
                ang_vel_w=ang[:, index],
                joint_pos=tensor(self._qpos[:, self._joint_qs[name]]).masked_fill_(
                    diverged[:, None], torch.nan
                ),
                joint_vel=tensor(self._qvel[:, self._joint_dofs[name]]),
            )
            for index, name in enumerate(self._names)
        }

    def contacts(self) -> dict[tuple[str, str], Tensor]:
        """Return pair -> (B, 3) [N] force on the first, world."""
        if self._sensors is None:
            return {}
        # the sensor reports the force that the first exerts on the second
        force = -tensor(self._sensors[:, -3 * len(self._pairs) :]).unflatten(-1, (-1, 3))
        return dict(zip(self._pairs, force.unbind(1), strict=True))

    def reset(self, ids: np.ndarray, objects: Mapping[str, ObjectState]) -> None:
        """Write the states (B, ...) of some objects into the environments ``ids``."""
        for name, given in objects.items():
            require_object(name, self._names)
            state = given[torch.from_numpy(ids)]
            if name in self._free:
                q, v = self._free[name]
                self._qpos[ids, q : q + 3] = state.pos_w.numpy()
                self._qpos[ids, q + 3 : q + 7] = state.quat_w.numpy()
                self._qvel[ids, v : v + 3] = state.lin_vel_w.numpy()
                ang = state.ang_vel_w.double().numpy()
                self._qvel[ids, v + 3 : v + 6] = to_body_frame(self._qpos[ids, q + 3 : q + 7], ang)
            self._qpos[np.ix_(ids, self._joint_qs[name])] = state.joint_pos.numpy()
            self._qvel[np.ix_(ids, self._joint_dofs[name])] = state.joint_vel.numpy()

    def free_joint(self, name: str) -> tuple[int, int]:
        """Return the first column in qpos and in qvel of an object's free joint."""
        require_object(name, self._free)
        return self._free[name]


def to_body_frame(quat: np.ndarray, ang_vel_w: np.ndarray) -> np.ndarray:
    """Express world angular velocities (E, 3) in frames ``quat (E, 4)``, as free joints hold them."""
    w, u = quat[:, :1], -quat[:, 1:4]
    t = 2.0 * np.cross(u, ang_vel_w)
    return ang_vel_w + w * t + np.cross(u, t)


def tensor(array: np.ndarray) -> Tensor:
    """Return a float32 copy."""
    return torch.from_numpy(array.astype(np.float32))  # always a copy


def _floor(index: int) -> str:
    return f"{FLOOR}/{index}"


def _sensed(
    name: str, body: Embodiment, models: Sequence[ObjectModel], floor: int | None
) -> tuple[mujoco.mjtObj, str]:
    """Return kind and name in MuJoCo of one of a contact pair; ``floor`` is that of the other's object."""
    if name == FLOOR:
        return mujoco.mjtObj.mjOBJ_GEOM, FLOOR if floor is None else _floor(floor)
    if name in body.body_names:
        return mujoco.mjtObj.mjOBJ_BODY, name
    root = next((model.body_names[0] for model in models if model.name == name), None)
    if root is None:
        return mujoco.mjtObj.mjOBJ_BODY, name
    return mujoco.mjtObj.mjOBJ_XBODY, f"{name}/{root}"
