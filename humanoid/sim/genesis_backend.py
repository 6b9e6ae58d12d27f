"""Genesis on the GPU or the CPU: one scene, a floor, one batched body and objects.

What Genesis does differently from the protocol is settled here and nowhere else:
its free joint holds the angular velocity in the root's own frame, setting positions
also clears contacts and warm starts, a pair's friction is the larger of the two, and
one environment in error stops all of them.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import genesis as gs
import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState, ContactState, ObjectState, SceneState
from humanoid.core.errors import ConfigError
from humanoid.sim.genesis_objects import PAIRS_PER_OBJECT, GenesisObjects, inverse, selector
from humanoid.sim.protocol import CONSTRAINT_TIME_CONSTANT, PhysicsChange, SimCfg, require_device
from humanoid.sim.scene import SceneCfg, object_models
from humanoid.spatial import rotation as rot

MAX_COLLISION_PAIRS = 60
"""Pairs of shapes in contact at once in one environment; with more it has diverged."""


class GenesisSimulator:
    """See :class:`humanoid.sim.protocol.Simulator`."""

    def __init__(
        self, cfg: SimCfg, body: Embodiment, num_envs: int, seed: int = 0, scene: SceneCfg | None = None
    ) -> None:
        """Build the scene, which compiles kernels for up to a minute the first time.

        Args:
            cfg: physics settings.
            body: the embodiment in every environment.
            num_envs: number B of environments.
            seed: seeds Genesis and, through it, torch and numpy. Only the first simulator
                of a process uses it and ``cfg.performance_mode``: Genesis starts once.
            scene: objects and contact pairs.

        Raises:
            ConfigError: the device is absent, Genesis already runs on another one, or a name
                in the scene is unknown.
            InputError: the MJCF of an object is not usable.
        """
        scene, substep = scene or SceneCfg(), cfg.dt / cfg.substeps
        models = object_models(scene, body, substep)
        self.cfg, self.body, self.num_envs, self.dt = cfg, body, num_envs, cfg.dt
        self.device = _start_genesis(cfg, seed)
        self._scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=cfg.dt, substeps=cfg.substeps),
            rigid_options=_rigid_options(cfg, MAX_COLLISION_PAIRS + PAIRS_PER_OBJECT * len(models)),
            show_viewer=False,
            profiling_options=gs.options.ProfilingOptions(show_FPS=False),
        )
        material = gs.materials.Rigid(friction=cfg.friction)
        self._floor: Any = self._scene.add_entity(gs.morphs.Plane(), material=material)
        with tempfile.TemporaryDirectory(prefix="humanoid-") as folder:
            # A default armature would weigh the light joints down; the body states its own.
            morph = gs.morphs.MJCF(file=str(body.write_mjcf(folder)), default_armature=None)
            self.entity: Any = self._scene.add_entity(morph, material=material)
            self._objects = GenesisObjects(
                self._scene, self._floor, self.entity, scene, models, folder, substep
            )
            self._scene.build(n_envs=num_envs)
        self._solver: Any = self._scene.rigid_solver
        self._objects.bind(self._solver, self.device)
        # Its own check waits for the device every few steps and raises for one bad environment; the
        # error codes that it reads are per environment, stay until a reset, and go into state().
        self._solver.check_errno = _let_pass
        self._match_names()
        self._set_servos()
        self._targets = self._tensor(body.default_joint_pos).repeat(num_envs, 1)
        self._send_targets()

    def state(self) -> BodyState:
        """Return the current state; see the protocol."""
        entity, diverged = self.entity, self._solver.get_error_envs_mask()
        return BodyState(
            joint_pos=entity.get_qpos(self._joint_qs).masked_fill(diverged[:, None], torch.nan),
            joint_vel=entity.get_dofs_velocity(self._joint_dofs),
            body_pos_w=entity.get_links_pos(self._links).masked_fill(diverged[:, None, None], torch.nan),
            body_quat_w=entity.get_links_quat(self._links),
            body_lin_vel_w=entity.get_links_vel(self._links, ref=gs.link_ref_frame.link_origin),
            body_ang_vel_w=entity.get_links_ang(self._links),
        )

    def contacts(self) -> ContactState:
        """Return net contact forces; see the protocol."""
        if not self.cfg.contacts:
            raise ConfigError("contact forces need SimCfg(contacts=True)")
        return ContactState(self.entity.get_links_net_contact_force()[:, self._links])

    def scene_state(self) -> SceneState:
        """Return body, objects and pair contacts; see the protocol."""
        objects = self._objects.state(self._solver.get_error_envs_mask())
        return SceneState(self.state(), objects, self._objects.contacts())

    def set_targets(self, joint_pos: Tensor) -> None:
        """Set servo targets; see the protocol."""
        self._targets = joint_pos.clone()
        self._send_targets()

    def step(self) -> None:
        """Advance one control period; see the protocol."""
        self._scene.step(update_visualizer=False, refresh_visualizer=False)

    def reset(self, mask: Tensor, state: BodyState, objects: Mapping[str, ObjectState] | None = None) -> None:
        """Put masked environments into a state; see the protocol.

        A boolean mask with full-size values is the one form of these setters that neither
        waits for the device nor touches the other environments: Genesis then selects with
        ``torch.where`` and runs kernels that skip unmasked environments. Positions go first
        and with their forward pass, or the velocity pass would start from stale poses.
        """
        qpos = torch.cat((state.root_pos_w, state.root_quat_w, state.joint_pos), dim=-1)
        ang_vel_b = rot.rotate_inverse(state.root_quat_w, state.root_ang_vel_w)
        qvel = torch.cat((state.root_lin_vel_w, ang_vel_b, state.joint_vel), dim=-1)
        self._objects.set_positions(mask, objects or {})
        self.entity.set_qpos(qpos[:, self._from_qs], envs_idx=mask, zero_velocity=False, skip_forward=False)
        self._objects.set_velocities(mask, objects or {})
        self.entity.set_dofs_velocity(qvel[:, self._from_dofs], envs_idx=mask)
        self._targets = torch.where(mask.unsqueeze(-1), state.joint_pos, self._targets)
        self._send_targets()

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor, name: str | None = None) -> None:
        """Add to the twist of the root or of an object; see the protocol."""
        entity, root, dofs = self.entity, self._root, self._root_dofs
        if name is not None:
            entity, root, dofs = self._objects.free(name)
        quat = entity.get_links_quat(root)[:, 0]
        twist = torch.cat((lin_vel_w, rot.rotate_inverse(quat, ang_vel_w)), dim=-1)
        twist = twist + entity.get_dofs_velocity(dofs)
        entity.set_dofs_velocity(twist, dofs)

    def randomize(self, change: PhysicsChange) -> None:
        """Set per-environment physics; see the protocol."""
        if not self.cfg.randomizable:
            raise ConfigError("randomisation needs SimCfg(randomizable=True)")
        entity, joints = self.entity, self._joint_dofs
        if change.friction is not None:
            # The floor's ratio changes too: of two coefficients Genesis takes the larger one.
            ratio = (change.friction / self.cfg.friction).unsqueeze(-1)
            count = self._floor.n_geoms + entity.n_geoms  # the first two entities
            self._solver.set_geoms_friction_ratio(ratio.expand(-1, count).contiguous(), range(count))
        if change.mass_scale is not None:
            factor = change.mass_scale.unsqueeze(-1)
            entity.set_links_mass(self._mass * factor, self._links)
            entity.set_links_inertia(self._inertia * factor[..., None, None], self._links)
        if change.com_offset is not None:
            link = self.body.body_id(change.com_body)
            com = self._com[:, link : link + 1] + change.com_offset.unsqueeze(1)
            entity.set_links_COM(com, [entity.get_link(change.com_body).idx_local])
        if change.kp_scale is not None or change.kd_scale is not None:
            ones = torch.ones(self.num_envs, device=self.device)
            kp = ones if change.kp_scale is None else change.kp_scale
            kd = ones if change.kd_scale is None else change.kd_scale
            entity.set_dofs_kp(kp.unsqueeze(-1) * self._tensor(self.body.kp), joints)
            entity.set_dofs_kv(kd.unsqueeze(-1) * self._tensor(self.body.kd), joints)

    def self_collision_pairs(self) -> set[frozenset[str]]:
        """Return the pairs of bodies that may touch, from the table the collider reads."""
        table = self._solver.collider.collider_info.collision_pair_idx.to_numpy()
        geoms = self._solver.geoms
        return {
            frozenset((geoms[a].link.name, geoms[b].link.name))
            for a in range(len(geoms))
            for b in range(len(geoms))
            if table[a, b] >= 0 and geoms[a].entity is geoms[b].entity is self.entity
        }

    def close(self) -> None:
        """Destroy the scene and free its memory; Genesis itself stays started."""
        self._scene.destroy()

    def _match_names(self) -> None:
        """Find links, coordinates and degrees of freedom by name, once."""
        entity, body = self.entity, self.body
        links = [entity.get_link(name).idx_local for name in body.body_names]
        joints = [entity.get_joint(name) for name in body.joint_names]
        free = next(j for j in entity.get_link(body.body_names[0]).joints if j.type == gs.JOINT_TYPE.FREE)
        dofs = [index for joint in joints for index in joint.dofs_idx_local]
        qs = [index for joint in joints for index in joint.qs_idx_local]
        self._links, self._root = selector(links, self.device), selector(links[:1], self.device)
        self._joint_dofs, self._joint_qs = selector(dofs, self.device), selector(qs, self.device)
        self._root_dofs = selector(list(free.dofs_idx_local), self.device)
        self._from_dofs = inverse([*free.dofs_idx_local, *dofs], self.device)
        self._from_qs = inverse([*free.qs_idx_local, *qs], self.device)

    def _set_servos(self) -> None:
        """Give the joints the gains, torque limits and rotor inertia of the embodiment."""
        entity, body, joints = self.entity, self.body, self._joint_dofs
        entity.set_dofs_kp(self._tensor(body.kp), joints)
        entity.set_dofs_kv(self._tensor(body.kd), joints)
        effort = self._tensor(body.effort)
        entity.set_dofs_force_range(-effort, effort, joints)
        entity.set_dofs_armature(self._tensor(body.joint_armature), joints)
        self._mass = entity.get_links_mass(self._links)
        self._inertia = entity.get_links_inertia(self._links)
        self._com = entity.get_links_COM(self._links)

    def _send_targets(self) -> None:
        self.entity.control_dofs_position(self._targets, self._joint_dofs)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)


def _let_pass() -> None:
    """Check nothing."""


def _rigid_options(cfg: SimCfg, max_pairs: int) -> gs.options.RigidOptions:
    return gs.options.RigidOptions(
        enable_self_collision=True,
        # The body's collision classes alone decide which pairs meet, as in MuJoCo.
        enable_neutral_collision=True,
        max_collision_pairs=max_pairs,
        # Genesis' default, approximate_implicitfast, also damps the response of contacts: a landing
        # then differs from MuJoCo's by centimetres, with this one by fractions of a millimetre.
        integrator=gs.integrator.implicitfast,
        iterations=cfg.solver_iterations,
        constraint_timeconst=CONSTRAINT_TIME_CONSTANT,
        batch_links_info=cfg.randomizable,
        batch_dofs_info=cfg.randomizable,
    )


def _start_genesis(cfg: SimCfg, seed: int) -> torch.device:
    """Start Genesis on the device of ``cfg`` or check that it already runs there."""
    wanted = require_device(cfg.device)
    if gs.backend is None:
        if wanted.index is not None:
            torch.cuda.set_device(wanted)
        # Genesis logs to whatever standard output is while it starts; results own that stream.
        with contextlib.redirect_stdout(sys.__stderr__ or sys.stderr):
            gs.init(
                backend=gs.cpu if wanted.type == "cpu" else gs.cuda,
                precision="32",
                seed=seed,
                logging_level="error",
                performance_mode=cfg.performance_mode,
            )
    running: torch.device | None = gs.device
    if running is None or running.type != wanted.type or wanted.index not in (None, running.index):
        raise ConfigError(
            f"Genesis already runs on '{running}' in this process, not on '{cfg.device}'; start a new process"
        )
    return running
