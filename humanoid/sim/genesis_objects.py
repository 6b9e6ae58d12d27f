"""Objects and pair contacts of a scene in Genesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import genesis as gs
import torch
from torch import Tensor

from humanoid.bodies.state import ObjectState
from humanoid.sim.scene import BODY_BIT, FLOOR, SLIPPERY, ObjectModel, SceneCfg, floors, require_object
from humanoid.spatial import rotation as rot

PAIRS_PER_OBJECT = 20
"""Pairs of shapes that an object adds to those that may touch at once in one environment."""


class GenesisObjects:
    """Adds the objects to a scene before it is built, then reads and writes them.

    The masks of an MJCF hold within its entity only, and two entities always meet; here they
    hold between entities too, as in MuJoCo, or the body would stand on the objects' floors.
    """

    def __init__(
        self,
        scene: Any,  # noqa: ANN401 - gs.Scene without stubs
        floor: Any,  # noqa: ANN401
        body: Any,  # noqa: ANN401
        cfg: SceneCfg,
        models: Sequence[ObjectModel],
        folder: str,
        substep: float,
    ) -> None:
        """Add the objects' floors and MJCF, which is written to ``folder``."""
        self._pairs, self._body = cfg.contact_pairs, body
        self._models = {model.name: model for model in models}
        self._floors, self._entities = [floor], {}
        if not models:
            return
        _mask(floor, contype=BODY_BIT, conaffinity=0)
        body._is_local_collision_mask = False
        for geom in body.geoms:
            geom.desc.conaffinity |= BODY_BIT
        for plane in floors(cfg, substep):
            material = gs.materials.Rigid(friction=SLIPPERY)
            entity = scene.add_entity(gs.morphs.Plane(visualization=False), material=material)
            _mask(entity, contype=plane.contype, conaffinity=0)
            for geom in entity.geoms:
                geom.desc.sol_params[:2] = plane.solref
            self._floors.append(entity)
        for name, model in self._models.items():
            path = Path(folder) / f"{name}.xml"
            path.write_text(model.spec.to_xml())
            morph = gs.morphs.MJCF(file=str(path), default_armature=None)
            entity = scene.add_entity(morph, material=gs.materials.Rigid())
            entity._is_local_collision_mask = False
            self._entities[name] = entity

    def bind(self, solver: Any, device: torch.device) -> None:  # noqa: ANN401
        """Find links, coordinates and degrees of freedom by name in the built scene."""
        self._solver = solver
        self._joint_qs, self._joint_dofs, self._from_qs, self._from_dofs = {}, {}, {}, {}
        roots = []
        for name, entity in self._entities.items():
            model = self._models[name]
            root = entity.get_link(model.body_names[0])
            free = [] if model.cfg.fixed else root.joints
            joints = [entity.get_joint(joint) for joint in model.joint_names]
            qs, dofs = (
                [q for j in joints for q in j.qs_idx_local],
                [d for j in joints for d in j.dofs_idx_local],
            )
            self._joint_qs[name] = selector(qs, device)
            self._joint_dofs[name] = selector(dofs, device)
            self._from_qs[name] = inverse([*(q for j in free for q in j.qs_idx_local), *qs], device)
            self._from_dofs[name] = inverse([*(d for j in free for d in j.dofs_idx_local), *dofs], device)
            roots.append(root.idx)
        self._roots = selector(roots, device)
        self._first = torch.zeros(len(self._pairs), solver.n_links, device=device)
        self._second = torch.zeros_like(self._first)
        for row, (one, two) in enumerate(self._pairs):
            self._first[row, self._links(one)] = self._second[row, self._links(two)] = 1.0

    def state(self, diverged: Tensor) -> dict[str, ObjectState]:
        """Return the objects, NaN positions where ``diverged (B,)``."""
        if not self._entities:
            return {}
        solver, roots = self._solver, self._roots
        pos = solver.get_links_pos(roots).masked_fill_(diverged[:, None, None], torch.nan)
        quat, ang = solver.get_links_quat(roots), solver.get_links_ang(roots)
        lin = solver.get_links_vel(roots, ref=gs.link_ref_frame.link_origin)
        states = {}
        for index, (name, entity) in enumerate(self._entities.items()):
            joint_pos = joint_vel = pos.new_zeros(len(pos), 0)
            if self._models[name].joint_names:
                joint_pos = entity.get_qpos(self._joint_qs[name]).masked_fill_(diverged[:, None], torch.nan)
                joint_vel = entity.get_dofs_velocity(self._joint_dofs[name])
            states[name] = ObjectState(
                pos[:, index], quat[:, index], lin[:, index], ang[:, index], joint_pos, joint_vel
            )
        return states

    def contacts(self) -> dict[tuple[str, str], Tensor]:
        """Return pair -> (B, 3) [N] force on the first, world."""
        if not self._pairs:
            return {}
        found = self._solver.collider.get_contacts(as_tensor=True, to_torch=True, is_padded=True)
        slots = torch.arange(found["force"].shape[1], device=found["force"].device)
        valid = slots < found["n_contacts"][:, None]
        a, b = (found[key].masked_fill(~valid, 0).long() for key in ("link_a", "link_b"))
        # the force is that on the second link of a contact
        sign = self._first[:, b] * self._second[:, a] - self._first[:, a] * self._second[:, b]
        force = found["force"].masked_fill(~valid[..., None], 0.0)
        return dict(zip(self._pairs, torch.einsum("pbc,bci->pbi", sign, force), strict=True))

    def set_positions(self, mask: Tensor, objects: Mapping[str, ObjectState]) -> None:
        """Write poses and joints (B, ...) where ``mask``; link poses wait for the body's own."""
        for name, state in objects.items():
            require_object(name, self._entities)
            parts = (state.joint_pos,) if self._fixed(name) else (state.pos_w, state.quat_w, state.joint_pos)
            qpos = torch.cat(parts, dim=-1)
            if qpos.shape[-1]:
                self._entities[name].set_qpos(
                    qpos[:, self._from_qs[name]], envs_idx=mask, zero_velocity=False, skip_forward=True
                )

    def set_velocities(self, mask: Tensor, objects: Mapping[str, ObjectState]) -> None:
        """Write twists and joint velocities (B, ...) where ``mask``."""
        for name, state in objects.items():
            ang = rot.rotate_inverse(state.quat_w, state.ang_vel_w)
            parts = (state.joint_vel,) if self._fixed(name) else (state.lin_vel_w, ang, state.joint_vel)
            qvel = torch.cat(parts, dim=-1)
            if qvel.shape[-1]:
                self._entities[name].set_dofs_velocity(
                    qvel[:, self._from_dofs[name]], envs_idx=mask, skip_forward=True
                )

    def free(self, name: str) -> tuple[Any, slice, slice]:
        """Return an object's entity, and its root and free joint's velocities there."""
        require_object(name, [other for other in self._entities if not self._fixed(other)])
        return self._entities[name], slice(0, 1), slice(0, 6)

    def _fixed(self, name: str) -> bool:
        return self._models[name].cfg.fixed

    def _links(self, name: str) -> list[int]:
        """Return the links that a name of a contact pair means, in the whole scene."""
        if name == FLOOR:
            return [link.idx for entity in self._floors for link in entity.links]
        if name in self._entities:
            return [link.idx for link in self._entities[name].links]
        owner, _, part = name.partition("/")
        entity = self._entities[owner] if part else self._body
        return [entity.get_link(part or name).idx]


def selector(indices: Sequence[int], device: torch.device) -> slice | Tensor:
    """Return indices as a slice where they are consecutive: views instead of copies."""
    first, count = (indices[0] if indices else 0), len(indices)
    if list(indices) == list(range(first, first + count)):
        return slice(first, first + count)
    return torch.tensor(indices, device=device)


def inverse(indices: Sequence[int], device: torch.device) -> slice | Tensor:
    """Return where each of Genesis' coordinates comes from in the protocol's order."""
    order = [0] * len(indices)
    for position, index in enumerate(indices):
        order[index] = position
    return selector(order, device)


def _mask(entity: Any, contype: int, conaffinity: int) -> None:  # noqa: ANN401
    for geom in entity.geoms:
        geom.desc.contype, geom.desc.conaffinity = contype, conaffinity
