"""A body built from a model file, tested on a synthetic one; smplx's classes are the oracle for joints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import mujoco
import numpy as np
import pytest
import scipy.spatial
import smplx
import smplx.joint_names
import torch

from humanoid.bodies import Embodiment, SmplModelCfg, build_from_model, smpl
from humanoid.bodies.smpl_file import LAYOUTS, load_file
from humanoid.bodies.smpl_model import SMPL_JOINTS, fit_capsule, fit_hull, rest_body

GROWTH = 0.1
"""What the file's first shape coefficient adds to every length."""
Arrays = dict[str, np.ndarray]
Dofs = Literal["anatomical", "ball"]
Shapes = Literal["capsule", "hull"]


@pytest.fixture(scope="module")
def model_body(smpl_path: Path) -> Embodiment:
    """The body built with defaults."""
    return build_from_model(SmplModelCfg(path=str(smpl_path)))


def _compiled(body: Embodiment) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(body.mjcf)


def _to_ours(points: torch.Tensor) -> np.ndarray:
    return points.detach().numpy()[:, (2, 0, 1)]


def _rest_joints(body: Embodiment) -> np.ndarray:
    return np.stack([body.rest_pos[body.body_id(name)] for name in SMPL_JOINTS])


def test_joints_are_those_of_smplx(smpl_arrays: tuple[Arrays, float], smpl_path: Path) -> None:
    betas = (0.7, 0.0, -1.0)
    oracle = smplx.SMPL("", data_struct=smplx.utils.Struct(**smpl_arrays[0]))
    out = oracle(betas=torch.tensor([[*betas, *[0.0] * 7]]))
    expected = _to_ours(out.joints[0, :24])
    built = build_from_model(SmplModelCfg(path=str(smpl_path), betas=betas))
    np.testing.assert_allclose(_rest_joints(built), expected - expected[0], atol=1e-5)


@pytest.mark.parametrize("model_type", ["smplh", "smplx"])
def test_hands_and_face_fold_into_our_parts(
    make_smpl_arrays: Callable[[str], tuple[Arrays, float]], model_type: str, tmp_path: Path
) -> None:
    arrays, _ = make_smpl_arrays(model_type)
    path = tmp_path / "model.npz"
    np.savez(path, **arrays)
    built = build_from_model(SmplModelCfg(path=str(path), betas=(0.5,)))
    layout = LAYOUTS[model_type]
    if model_type == "smplx":
        oracle = smplx.SMPLX(str(path), flat_hand_mean=True)
    else:
        oracle = smplx.SMPLH("", data_struct=smplx.utils.Struct(**arrays), flat_hand_mean=True)
    joints = _to_ours(oracle(betas=torch.tensor([[0.5] + [0.0] * 9])).joints[0])
    expected = joints[[*range(22), *layout.hands]]
    np.testing.assert_allclose(_rest_joints(built), expected - expected[0], atol=1e-5)
    assert [smplx.joint_names.JOINT_NAMES[i + 3 * (model_type == "smplh")] for i in layout.hands] == [
        "left_middle1", "right_middle1",
    ]  # fmt: skip
    rest = rest_body(load_file(path))
    mostly = arrays["weights"].argmax(1)
    fingers = 22 + np.flatnonzero(np.array(layout.fold) == SMPL_JOINTS.index("L_Hand"))
    face = [15, *(22 + np.flatnonzero(np.array(layout.fold) == 15))]
    assert len(fingers) == 15 and len(face) == (4 if model_type == "smplx" else 1)
    for part, owners in (("L_Hand", fingers), ("Head", face)):
        expected = arrays["v_template"][np.isin(mostly, owners)][:, (2, 0, 1)]
        np.testing.assert_allclose(rest.vertices[part], expected)


@pytest.mark.parametrize(("dofs", "count"), [("anatomical", 39), ("ball", 69)])
def test_tree_is_that_of_the_parametric_body(smpl_path: Path, dofs: Dofs, count: int) -> None:
    built = build_from_model(SmplModelCfg(path=str(smpl_path), dofs=dofs))
    model = smpl.build(smpl.SmplCfg(dofs=dofs))
    assert built.num_joints == count
    assert built.body_names == model.body_names == tuple(smpl.PARTS)
    assert built.joint_names == model.joint_names
    np.testing.assert_allclose(built.kp, model.kp)
    np.testing.assert_allclose(built.body_pos, model.body_pos, atol=1e-5)
    for field in ("geom_contype", "geom_conaffinity"):
        assert (getattr(_compiled(built), field) == getattr(_compiled(model), field)).all()


def test_first_beta_scales_the_legs(smpl_path: Path, model_body: Embodiment) -> None:
    taller = build_from_model(SmplModelCfg(path=str(smpl_path), betas=(1.0,)))
    for name in ("L_Knee", "R_Ankle"):
        i = model_body.body_id(name)
        ratio = np.linalg.norm(taller.body_pos[i]) / np.linalg.norm(model_body.body_pos[i])
        assert ratio == pytest.approx(1 + GROWTH, rel=1e-5)
    assert taller.body_mass.sum() / model_body.body_mass.sum() == pytest.approx((1 + GROWTH) ** 3, rel=1e-4)


def test_mass_is_given_or_water(
    smpl_path: Path, model_body: Embodiment, smpl_arrays: tuple[Arrays, float]
) -> None:
    mass = model_body.body_mass
    # the triangulated skin lies inside the smooth one
    assert 0.93 < mass.sum() / (1000 * smpl_arrays[1]) < 1.0
    given = build_from_model(SmplModelCfg(path=str(smpl_path), mass=81.5))
    assert given.body_mass.sum() == pytest.approx(81.5, rel=1e-5)
    np.testing.assert_allclose(given.body_mass / 81.5, mass / mass.sum(), rtol=1e-4)


@pytest.mark.parametrize("shapes", ["capsule", "hull"])
def test_symmetric_model_gives_a_symmetric_body(smpl_path: Path, shapes: Shapes) -> None:
    built = build_from_model(SmplModelCfg(path=str(smpl_path), shapes=shapes))
    model = _compiled(built)
    for name in (n for n in built.body_names if n.startswith("L_")):
        left, right = model.body(name), model.body(name.replace("L_", "R_"))
        assert left.mass[0] == pytest.approx(right.mass[0], rel=1e-4)
        np.testing.assert_allclose(left.ipos * (1, -1, 1), right.ipos, atol=2e-5)
        np.testing.assert_allclose(left.inertia, right.inertia, rtol=1e-3)


def _inside(model: mujoco.MjModel, name: str, points: np.ndarray, slack: float) -> np.ndarray:
    """Return which points, in the frame of the body, lie in its geom grown by ``slack``."""
    geom = model.geom(name)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, geom.quat)
    local, size = (points - geom.pos) @ rotation.reshape(3, 3), geom.size
    if geom.type[0] == mujoco.mjtGeom.mjGEOM_CAPSULE:
        local[:, 2] -= np.clip(local[:, 2], -size[1], size[1])
        return np.linalg.norm(local, axis=1) <= size[0] + slack
    if geom.type[0] == mujoco.mjtGeom.mjGEOM_BOX:
        return (np.abs(local) <= size + slack).all(1)
    mesh = model.mesh(name)
    start, count = int(mesh.vertadr[0]), int(mesh.vertnum[0])
    hull = scipy.spatial.ConvexHull(model.mesh_vert[start : start + count])
    return (local @ hull.equations[:, :3].T + hull.equations[:, 3] <= slack).all(1)


@pytest.mark.parametrize(("shapes", "share"), [("capsule", 0.95), ("hull", 1.0)])
def test_geoms_enclose_the_skin_of_their_part(smpl_path: Path, shapes: Shapes, share: float) -> None:
    model = _compiled(build_from_model(SmplModelCfg(path=str(smpl_path), shapes=shapes)))
    rest = rest_body(load_file(smpl_path))
    for name, points in rest.vertices.items():
        inside = _inside(model, name, points - rest.joints[name], 0.01)
        assert inside.mean() >= share, name


def test_capsules_are_found_again(model_body: Embodiment) -> None:
    """The skin was wrapped around the parametric body's geoms; the fit must return to them."""
    fitted, original = _compiled(model_body), _compiled(smpl.build())
    for name in smpl.PARTS:
        assert fitted.geom(name).type == original.geom(name).type
    for name in ("Pelvis", "Chest", "L_Hip", "R_Knee", "L_Elbow", "R_Shoulder"):
        np.testing.assert_allclose(fitted.geom(name).size[:2], original.geom(name).size[:2], atol=0.006)
        np.testing.assert_allclose(fitted.geom(name).pos, original.geom(name).pos, atol=0.006)


@pytest.mark.parametrize(("radius", "direction"), [(0.02, -2.0), (0.2, 1.0)])
def test_capsule_keeps_volume_and_length(radius: float, direction: float) -> None:
    """A limb's skin is a tube open at both ends."""
    turn, along = np.meshgrid(np.linspace(0, 2 * np.pi, 60, endpoint=False), np.linspace(-0.3, 0.0, 5) ** 2)
    tube = np.stack((radius * np.cos(turn), radius * np.sin(turn), along), -1).reshape(-1, 3)
    hull = fit_hull(tube + np.array((0.1, 0, 0)), "tube")
    start, end, fitted = fit_capsule(hull, np.array((0.0, 0.0, direction)))
    bone = np.linalg.norm(end - start)
    volume = np.pi * fitted**2 * (bone + 4 / 3 * fitted)
    assert volume == pytest.approx(hull.volume, rel=0.05)
    assert volume == pytest.approx(np.pi * radius**2 * 0.09, rel=0.05)
    np.testing.assert_allclose((start + end) / 2, (0.1, 0, 0.045), atol=1e-6)
    if radius == 0.02:
        assert bone + 2 * fitted == pytest.approx(0.09, rel=1e-6)


@pytest.mark.parametrize("shapes", ["capsule", "hull"])
def test_body_is_sound_in_mujoco(smpl_path: Path, shapes: Shapes) -> None:
    built = build_from_model(SmplModelCfg(path=str(smpl_path), shapes=shapes))
    model = _compiled(built)
    assert (model.body_inertia[1:] > 0).all() and (built.body_mass > 0.01).all()
    x, y, z = model.body_inertia[1:].T
    assert ((x + y > z) & (y + z > x) & (z + x > y)).all()
    data = mujoco.MjData(model)
    data.qpos[2], data.qpos[7:] = 1.0, built.default_joint_pos
    data.ctrl[:] = built.default_joint_pos
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    assert np.linalg.eigvalsh(full).min() > 0
    assert data.ncon == 0  # nothing touches itself while standing
    mujoco.mj_step(model, data, 100)
    assert np.isfinite(data.qpos).all() and np.abs(data.qvel[6:]).max() < 10


def test_hull_mjcf_is_self_contained(smpl_path: Path) -> None:
    built = build_from_model(SmplModelCfg(path=str(smpl_path), shapes="hull"))
    assert "file=" not in built.mjcf and built.mjcf.count("<mesh ") == 24
    soles = [_compiled(built).geom(name).type[0] for name in ("L_Toe", "R_Ankle")]
    assert soles == [mujoco.mjtGeom.mjGEOM_MESH] * 2
