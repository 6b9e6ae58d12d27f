"""A synthetic SMPL, SMPL-H or SMPL-X file: the real ones are licensed.

Its skin wraps the parametric body's own geoms, so what a fit should find is known.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from humanoid.bodies import smpl
from humanoid.bodies.smpl_file import LAYOUTS
from humanoid.bodies.smpl_model import SMPL_JOINTS

RINGS, AROUND = 13, 20
GROWTH = 0.1
"""Relative size that one unit of the first shape coefficient adds."""
Arrays = dict[str, np.ndarray]
ModelMaker = Callable[[str], tuple[Arrays, float]]


def _sphere() -> tuple[np.ndarray, np.ndarray]:
    """Return unit directions and outward triangles of a sphere grid that mirrors in x, y and z."""
    tilt = np.pi * (np.arange(RINGS) + 1) / (RINGS + 1)
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    flat, height = np.sin(tilt)[:, None], np.cos(tilt)[:, None]
    rings = np.stack(np.broadcast_arrays(flat * np.cos(turn), flat * np.sin(turn), height), -1)
    points = np.vstack((rings.reshape(-1, 3), (0, 0, 1), (0, 0, -1)))
    top, bottom = RINGS * AROUND, RINGS * AROUND + 1
    faces = []
    for j in range(AROUND):
        k = (j + 1) % AROUND
        faces.append((top, j, k))
        faces.append((bottom, bottom - 1 - AROUND + k, bottom - 1 - AROUND + j))
        for i in range(RINGS - 1):
            a, b, c, d = i * AROUND + j, i * AROUND + k, (i + 1) * AROUND + j, (i + 1) * AROUND + k
            faces += [(a, c, b), (b, c, d)]
    return points, np.array(faces)


def _surface(model: mujoco.MjModel, geom: int, sphere: np.ndarray) -> np.ndarray:
    """Map sphere directions to the surface of a capsule or box, in the frame of its body."""
    size = model.geom_size[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE:
        local = size[0] * sphere + np.sign(np.round(sphere[:, 2:], 9)) * (0, 0, size[1])
    else:
        local = size * sphere / np.abs(sphere).max(1, keepdims=True)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return local @ rotation.reshape(3, 3).T + model.geom_pos[geom]


def make_arrays(model_type: str) -> tuple[Arrays, float]:
    """Return the arrays of a synthetic model file and the volume of its skin [m^3]."""
    layout, body = LAYOUTS[model_type], smpl.build()
    model = mujoco.MjModel.from_xml_string(body.mjcf)
    sphere, triangles = _sphere()
    joints = np.zeros((layout.joints, 3))
    vertices = np.zeros((layout.vertices, 3))
    weights = np.zeros((layout.vertices, layout.joints))
    regressor = np.zeros((layout.joints, layout.vertices))
    faces, next_vertex, volume = [], 0, 0.0
    fold, place = (*range(22), *layout.fold), (*range(22), *layout.hands)
    for part, name in enumerate(SMPL_JOINTS):
        origin = body.rest_pos[body.body_id(name)]
        owners = [joint for joint, owner in enumerate(fold) if owner == part]
        joints[owners] = origin + np.array((0.0, 0.0, 0.002))
        joints[place[part]] = origin
        source = name.replace("R_", "L_")
        surface = _surface(model, model.geom(source).id, sphere) * (1, -1 if name != source else 1, 1)
        rows = next_vertex + np.arange(len(sphere))
        vertices[rows] = surface + origin
        weights[rows, np.resize(owners, len(rows))] = 0.9
        weights[rows, 0] += 0.1
        faces.append((triangles if name == source else triangles[:, ::-1]) + next_vertex)
        next_vertex += len(sphere)
        size = model.geom(name).size
        boxed = model.geom(name).type[0] == mujoco.mjtGeom.mjGEOM_BOX
        volume += 8 * size.prod() if boxed else np.pi * size[0] ** 2 * (2 * size[1] + 4 / 3 * size[0])
    for joint, position in enumerate(joints):  # two vertices about each joint regress it exactly
        rows = next_vertex + np.arange(2)
        vertices[rows] = position + np.array([[0, 0, 0.004], [0, 0, -0.004]])
        weights[rows, joint], regressor[joint, rows] = 1.0, 0.5
        next_vertex += 2
    spare = np.arange(layout.vertices - next_vertex) % (24 * len(sphere))
    vertices[next_vertex:], weights[next_vertex:] = vertices[spare], weights[spare]
    vertices = vertices[:, (1, 2, 0)] + (0.01, -0.2, 0.03)  # SMPL's axes and an origin of its own
    columns = 20 if model_type == "smplx" else 10
    shapedirs = np.zeros((layout.vertices, 3, columns), np.float32)
    shapedirs[..., 0] = GROWTH * vertices
    table = np.array([(2**32 - 1, *layout.parents), range(layout.joints)], dtype=np.int64)
    return {
        "v_template": vertices, "shapedirs": shapedirs, "J_regressor": regressor, "weights": weights,
        "posedirs": np.zeros((layout.vertices, 3, 9 * (layout.joints - 1)), np.float32),
        "kintree_table": table, "f": np.vstack(faces).astype(np.uint32),
        # smplx asks for these, we do not
        "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45), "hands_meanl": np.zeros(45),
        "hands_meanr": np.zeros(45),
        "lmk_faces_idx": np.zeros(51, np.int64), "lmk_bary_coords": np.ones((51, 3)) / 3,
    }, float(volume)  # fmt: skip
