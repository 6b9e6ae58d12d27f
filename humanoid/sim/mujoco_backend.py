"""MuJoCo on the CPU through ``mujoco.batch.Batch``: one model, many states, threads."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState, ContactState, ObjectState, SceneState
from humanoid.core.errors import ConfigError
from humanoid.sim.mujoco_objects import NET_FORCE, MujocoObjects, add_objects, tensor, to_body_frame
from humanoid.sim.protocol import CONSTRAINT_TIME_CONSTANT, PhysicsChange, SimCfg
from humanoid.sim.scene import FLOOR, SceneCfg, object_models


def scene_spec(body: Embodiment, cfg: SimCfg) -> mujoco.MjSpec:
    """Return the body on a floor with the physics options of ``cfg``."""
    spec = mujoco.MjSpec.from_string(body.mjcf)
    spec.option.timestep = cfg.dt / cfg.substeps
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.iterations = cfg.solver_iterations
    spec.worldbody.add_geom(
        name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=1, conaffinity=0
    )
    for geom in spec.geoms:
        geom.friction = [cfg.friction, 0.005, 0.0001]
        geom.solref = [CONSTRAINT_TIME_CONSTANT, 1.0]
    for joint in spec.joints:
        joint.solref_limit = [CONSTRAINT_TIME_CONSTANT, 1.0]
    if cfg.contacts:
        for name in body.body_names:
            spec.add_sensor(
                name=f"contact_{name}",
                type=mujoco.mjtSensor.mjSENS_CONTACT,
                objtype=mujoco.mjtObj.mjOBJ_BODY,
                objname=name,
                intprm=NET_FORCE,
            )
    return spec


class MujocoSimulator:
    """See :class:`humanoid.sim.protocol.Simulator`.

    A body that diverges MuJoCo puts back to its zero pose by itself, and says so in a
    counter of warnings; here that environment stands still and shows NaN until it is reset.
    """

    def __init__(self, cfg: SimCfg, body: Embodiment, num_envs: int, scene: SceneCfg | None = None) -> None:
        """Compile the scene and allocate one state an environment.

        Raises:
            ConfigError: a device other than the CPU, or an unknown name in the scene.
            InputError: the MJCF of an object is not usable.
        """
        if cfg.device.partition(":")[0] != "cpu":
            raise ConfigError(f"the mujoco backend runs on device 'cpu', not '{cfg.device}'")
        self.cfg, self.body, self.num_envs, self.dt = cfg, body, num_envs, cfg.dt
        self.device = torch.device("cpu")
        _warn_on_standard_error_only()
        spec, scene = scene_spec(body, cfg), scene or SceneCfg()
        models = object_models(scene, body, cfg.dt / cfg.substeps)
        add_objects(spec, body, scene, models, cfg.dt / cfg.substeps)
        self.model = spec.compile()
        # A persistent batch goes on from the velocity stage of the last call, so fields
        # that are current after step() cost nothing extra.
        self.batch = Batch(self.model, num_envs, cfg.threads, persistent=True)
        self._qpos, self._qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self._ctrl, self._warmstart = self.batch.bind("ctrl"), self.batch.bind("qacc_warmstart")
        self._xpos, self._xquat = self.batch.bind("xpos"), self.batch.bind("xquat")
        self._cvel, self._com = self.batch.bind("cvel"), self.batch.bind("subtree_com")
        self._sensors = self.batch.bind("sensordata") if cfg.contacts else None
        self._objects = MujocoObjects(self.model, self.batch, scene, models)
        links, joints = body.num_bodies, body.num_joints
        self._links, self._joint_qs = slice(1, 1 + links), slice(7, 7 + joints)
        self._joint_dofs = slice(6, 6 + joints)
        self._ctrl[:] = body.default_joint_pos
        self._diverged = np.zeros(num_envs, dtype=bool)
        self._forward()

    def state(self) -> BodyState:
        """Return the current state; see the protocol."""
        links = self._links
        pos = tensor(self._xpos[:, links])
        diverged = torch.from_numpy(self._diverged)
        ang = tensor(self._cvel[:, links, :3])
        # cvel is the twist at the centre of mass of the whole tree; move it to the origins
        arm = pos - tensor(self._com[:, 1:2])
        return BodyState(
            joint_pos=tensor(self._qpos[:, self._joint_qs]).masked_fill_(diverged[:, None], torch.nan),
            joint_vel=tensor(self._qvel[:, self._joint_dofs]),
            body_pos_w=pos.masked_fill_(diverged[:, None, None], torch.nan),
            body_quat_w=tensor(self._xquat[:, links]),
            body_lin_vel_w=tensor(self._cvel[:, links, 3:]) + torch.linalg.cross(ang, arm),
            body_ang_vel_w=ang,
        )

    def contacts(self) -> ContactState:
        """Return net contact forces; see the protocol."""
        if self._sensors is None:
            raise ConfigError("contact forces need SimCfg(contacts=True)")
        # the sensor reports the force that its body exerts on the others
        count = self.body.num_bodies
        return ContactState(-tensor(self._sensors[:, : 3 * count]).unflatten(-1, (count, 3)))

    def scene_state(self) -> SceneState:
        """Return body, objects and pair contacts; see the protocol."""
        objects = self._objects.state(torch.from_numpy(self._diverged))
        return SceneState(self.state(), objects, self._objects.contacts())

    def set_targets(self, joint_pos: Tensor) -> None:
        """Set servo targets; see the protocol."""
        self._ctrl[:] = joint_pos.numpy()

    def step(self) -> None:
        """Advance one control period; see the protocol."""
        ids = np.flatnonzero(~self._diverged) if self._diverged.any() else None
        self.batch.step(ids=ids, nstep=self.cfg.substeps, stage=mujoco.mjtStage.mjSTAGE_VEL.value)
        self._notice()

    def reset(self, mask: Tensor, state: BodyState, objects: Mapping[str, ObjectState] | None = None) -> None:
        """Put masked environments into a state; see the protocol."""
        ids = np.flatnonzero(mask.numpy())
        if not len(ids):
            return
        picked = state[torch.from_numpy(ids)]
        self._qpos[ids, :3] = picked.root_pos_w.numpy()
        self._qpos[ids, 3:7] = picked.root_quat_w.numpy()
        self._qpos[ids, self._joint_qs] = picked.joint_pos.numpy()
        self._qvel[ids, :3] = picked.root_lin_vel_w.numpy()
        ang = picked.root_ang_vel_w.double().numpy()
        self._qvel[ids, 3:6] = to_body_frame(self._qpos[ids, 3:7], ang)
        self._qvel[ids, self._joint_dofs] = picked.joint_vel.numpy()
        self._objects.reset(ids, objects or {})
        self._ctrl[ids] = picked.joint_pos.numpy()
        self._warmstart[ids] = 0.0
        self._diverged[ids] = False
        self._forward(ids)

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor, name: str | None = None) -> None:
        """Add to the twist of the root or of an object; see the protocol."""
        q, v = (0, 0) if name is None else self._objects.free_joint(name)
        lin, ang = lin_vel_w.double().numpy(), ang_vel_w.double().numpy()
        ids = np.flatnonzero(lin.any(-1) | ang.any(-1))
        if not len(ids):
            return
        self._qvel[ids, v : v + 3] += lin[ids]
        self._qvel[ids, v + 3 : v + 6] += to_body_frame(self._qpos[ids, q + 3 : q + 7], ang[ids])
        self._forward(ids)

    def randomize(self, change: PhysicsChange) -> None:
        """Set per-environment physics; see the protocol."""
        if not self.cfg.randomizable:
            raise ConfigError("randomisation needs SimCfg(randomizable=True)")
        model, batch = self.model, self.batch
        if change.friction is not None:
            owner = model.geom_bodyid
            geoms = (owner > 0) & (owner <= self.body.num_bodies)
            geoms[model.geom(FLOOR).id] = True
            batch.expand("geom_friction")[:, geoms, 0] = change.friction.numpy()[:, None]
        if change.mass_scale is not None:
            factor, links = change.mass_scale.double().numpy(), self._links
            batch.expand("body_mass")[:, links] = model.body_mass[links] * factor[:, None]
            batch.expand("body_inertia")[:, links] = model.body_inertia[links] * factor[:, None, None]
        if change.com_offset is not None:
            link = model.body(change.com_body).id
            batch.expand("body_ipos")[:, link] = model.body_ipos[link] + change.com_offset.numpy()
        if change.kp_scale is not None or change.kd_scale is not None:
            ones = torch.ones(self.num_envs)
            kp = (ones if change.kp_scale is None else change.kp_scale).numpy()[:, None]
            kd = (ones if change.kd_scale is None else change.kd_scale).numpy()[:, None]
            batch.expand("actuator_gainprm")[:, :, 0] = self.body.kp * kp
            bias = batch.expand("actuator_biasprm")
            bias[:, :, 1], bias[:, :, 2] = -self.body.kp * kp, -self.body.kd * kd
        if change.mass_scale is not None or change.com_offset is not None:
            batch.set_const()
        self._forward()

    def self_collision_pairs(self) -> set[frozenset[str]]:
        """Return the pairs of bodies that may touch; see the protocol."""
        model = self.model
        pairs = set()
        weld = model.body_weldid
        for a in range(model.ngeom):
            for b in range(a + 1, model.ngeom):
                one, two = weld[model.geom_bodyid[a]], weld[model.geom_bodyid[b]]
                if one == 0 or two == 0 or one == two or max(one, two) > self.body.num_bodies:
                    continue
                if weld[model.body_parentid[one]] == two or weld[model.body_parentid[two]] == one:
                    continue
                meets = model.geom_contype[a] & model.geom_conaffinity[b]
                meets |= model.geom_contype[b] & model.geom_conaffinity[a]
                if meets:
                    names = (model.body(model.geom_bodyid[g]).name for g in (a, b))
                    pairs.add(frozenset(names))
        return pairs

    def close(self) -> None:
        """Nothing is held beyond memory."""

    def _forward(self, ids: np.ndarray | None = None) -> None:
        """Bring what follows from positions and velocities up to date."""
        self.batch.forward(ids=ids, stage=mujoco.mjtStage.mjSTAGE_VEL.value)
        self._notice()

    def _notice(self) -> None:
        """Remember who raised a warning in the last call: numbers too large, contacts too many."""
        warning = self.batch.warning
        if warning.any():
            self._diverged |= warning[:, :, 1].any(-1)  # of each kind: latest detail, count
            warning[:] = 0  # a reset by MuJoCo clears the counts too, so only zero is a safe base


def _warn_on_standard_error_only() -> None:
    """Keep MuJoCo from leaving MUJOCO_LOG.TXT in the current folder when a body diverges."""
    log = mujoco.MjLogConfig.get()
    log.logto_file = False
    log.set()
