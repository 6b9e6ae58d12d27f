"""The parametric body: names, proportions, limits and servos."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest

from humanoid.bodies import Embodiment, smpl
from humanoid.core import ConfigError, InputError, MismatchError

SMPL_NAMES = {
    "Pelvis", "L_Hip", "R_Hip", "Torso", "L_Knee", "R_Knee", "Spine", "L_Ankle", "R_Ankle", "Chest",
    "L_Toe", "R_Toe", "Neck", "L_Thorax", "R_Thorax", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow",
    "R_Elbow", "L_Wrist", "R_Wrist", "L_Hand", "R_Hand",
}  # fmt: skip


@pytest.fixture(scope="module", params=["anatomical", "ball"])
def any_body(request: pytest.FixtureRequest) -> Embodiment:
    """The body with either choice of hinges."""
    return smpl.build(smpl.SmplCfg(dofs=request.param))


def twin(name: str) -> str:
    """Return the name on the other side."""
    return {"L_": "R_", "R_": "L_"}.get(name[:2], name[:2]) + name[2:]


def model_of(body: Embodiment) -> mujoco.MjModel:
    """Compile the body."""
    return mujoco.MjModel.from_xml_string(body.mjcf)


def test_names_and_counts(any_body: Embodiment) -> None:
    assert set(any_body.body_names) == SMPL_NAMES
    assert any_body.num_bodies == 24
    assert any_body.num_joints == {"smpl": 39, "smpl_ball": 69}[any_body.name]
    assert len(set(any_body.joint_names)) == any_body.num_joints


def test_anatomical_hinges_are_where_people_have_them(body: Embodiment) -> None:
    count = {name: 0 for name in body.body_names}
    for owner in body.joint_body:
        count[body.body_names[owner]] += 1
    three = {"L_Hip", "L_Ankle", "Torso", "Chest", "Neck", "L_Shoulder", "L_Wrist"}
    one = {"L_Knee", "L_Elbow", "L_Toe"}
    for name, hinges in count.items():
        left = twin(name) if name.startswith("R_") else name
        assert hinges == (3 if left in three else 1 if left in one else 0), name


def test_parents_come_first_and_only_the_root_has_none(any_body: Embodiment) -> None:
    assert any_body.parents[0] == -1
    assert all(0 <= parent < i for i, parent in enumerate(any_body.parents) if i)


def test_names_of_roles_are_bodies(any_body: Embodiment) -> None:
    for group in (any_body.tracked, any_body.end_effectors, any_body.feet, (any_body.anchor,)):
        assert set(group) <= set(any_body.body_names)


@pytest.mark.parametrize(("height", "mass"), [(0.5, 10.0), (1.2, 25.0), (1.7, 70.0), (2.1, 130.0)])
def test_height_and_mass_are_what_was_asked_for(height: float, mass: float) -> None:
    body = smpl.build(smpl.SmplCfg(height=height, mass=mass))
    model = model_of(body)
    assert model.body_mass.sum() == pytest.approx(mass, rel=1e-6)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    low, high = math.inf, -math.inf
    for geom in range(model.ngeom):
        bounds = model.geom_aabb[geom]
        corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * bounds[3:] + bounds[:3]
        z = data.geom_xpos[geom][2] + corners @ data.geom_xmat[geom].reshape(3, 3)[2]
        low, high = min(low, z.min()), max(high, z.max())
    assert high - low == pytest.approx(height, rel=0.015)


def test_lengths_scale_with_height() -> None:
    small, tall = (smpl.build(smpl.SmplCfg(height=h)) for h in (1.0, 2.0))
    np.testing.assert_allclose(tall.body_pos, 2 * small.body_pos, atol=1e-6)


def test_inertia_is_physical(any_body: Embodiment) -> None:
    model = model_of(any_body)
    inertia = np.sort(model.body_inertia[1:], axis=1)
    assert (inertia > 0).all()
    assert (inertia[:, 0] + inertia[:, 1] >= inertia[:, 2] * (1 - 1e-9)).all()


def test_left_mirrors_right(any_body: Embodiment) -> None:
    model = model_of(any_body)
    for i, name in enumerate(any_body.body_names):
        j = any_body.body_id(twin(name))
        np.testing.assert_allclose(any_body.rest_pos[i], any_body.rest_pos[j] * (1, -1, 1), atol=1e-9)
        assert any_body.body_mass[i] == any_body.body_mass[j]
        np.testing.assert_allclose(model.body_ipos[i + 1], model.body_ipos[j + 1] * (1, -1, 1), atol=1e-9)
    for i, name in enumerate(any_body.joint_names):
        j = any_body.joint_ids([twin(name)])[0]
        low, high = any_body.joint_range[j]
        np.testing.assert_array_equal(any_body.joint_axis[i], any_body.joint_axis[j])
        mirrored = (low, high) if name.endswith("_y") else (-high, -low)
        if not name.startswith(("L_", "R_")):
            mirrored = any_body.joint_range[i] if name.endswith("_y") else mirrored
        np.testing.assert_allclose(any_body.joint_range[i], mirrored, atol=1e-9)
        sign = 1 if name.endswith("_y") else -1
        assert any_body.default_joint_pos[i] == pytest.approx(sign * any_body.default_joint_pos[j])
        for values in (any_body.kp, any_body.kd, any_body.effort, any_body.joint_armature):
            assert values[i] == values[j]


def test_limits_contain_the_default_pose_and_zero(any_body: Embodiment) -> None:
    low, high = any_body.joint_range.T
    assert (low < high).all()
    assert ((low < any_body.default_joint_pos) & (any_body.default_joint_pos < high)).all()
    assert ((low <= 0) & (high >= 0)).all()


def test_the_default_pose_stands_with_hanging_arms(body: Embodiment) -> None:
    model = model_of(body)
    data = mujoco.MjData(model)
    data.qpos[7:] = body.default_joint_pos
    mujoco.mj_forward(model, data)
    height = {name: data.body(name).xpos[2] for name in body.body_names}
    assert height["Head"] > height["Chest"] > height["Pelvis"] > height["L_Knee"] > height["L_Ankle"]
    assert height["L_Hand"] < height["L_Elbow"] < height["L_Shoulder"]
    assert data.body("L_Hand").xpos[1] > 0 > data.body("R_Hand").xpos[1]


def test_gains_follow_the_formulae(any_body: Embodiment) -> None:
    w, zeta, printed = 2 * math.pi * 10, 2.0, 1e-5  # MJCF text has six digits
    kp = smpl.STIFFNESS_FACTOR * any_body.joint_armature * w**2
    np.testing.assert_allclose(any_body.kp, kp, rtol=printed)
    kd = 2 * zeta * np.sqrt(any_body.joint_armature * kp)
    np.testing.assert_allclose(any_body.kd, kd, rtol=printed)
    np.testing.assert_allclose(any_body.action_scale, 0.25 * any_body.effort / any_body.kp, rtol=1e-6)


def test_the_servo_is_a_clipped_pd_law(body: Embodiment) -> None:
    model = model_of(body)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    data.qpos[7:] = rng.normal(size=39) * 0.2
    data.qvel[6:] = rng.normal(size=39)
    data.ctrl[:] = rng.normal(size=39)
    mujoco.mj_forward(model, data)
    torque = body.kp * (data.ctrl - data.qpos[7:]) - body.kd * data.qvel[6:]
    clipped = np.clip(torque, -body.effort, body.effort)
    np.testing.assert_allclose(data.actuator_force, clipped, rtol=1e-6)
    assert (clipped != torque).any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 0.0), ("height", -1.7), ("height", 170.0), ("height", math.nan), ("mass", 0.0),
        ("mass", math.inf), ("mass", math.nan), ("dofs", "balls"),
    ],
)  # fmt: skip
def test_absurd_bodies_are_errors(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        smpl.SmplCfg(**{field: value})


def test_unknown_names_list_the_known(body: Embodiment) -> None:
    with pytest.raises(InputError, match="'L_Kne'"):
        body.body_id("L_Kne")
    with pytest.raises(InputError, match="'L_Knee'"):
        body.joint_ids(["L_Knee"])


def test_the_same_body_has_the_same_signature(body: Embodiment) -> None:
    body.require_signature(smpl.build().signature(), "policy.pt")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (smpl.SmplCfg(dofs="ball"), "name is 'smpl_ball'"),
        (smpl.SmplCfg(height=1.8), r"body_pos\[1\]"),
    ],
)
def test_another_body_is_named_by_its_first_difference(
    body: Embodiment, other: smpl.SmplCfg, message: str
) -> None:
    with pytest.raises(MismatchError, match=f"^policy.pt: .*{message}") as caught:
        body.require_signature(smpl.build(other).signature(), "policy.pt")
    assert "\n" not in str(caught.value)


def test_other_lengths_and_missing_entries_are_named(body: Embodiment) -> None:
    signature = body.signature()
    with pytest.raises(MismatchError, match="joint_names"):
        body.require_signature({**signature, "joint_names": signature["joint_names"][:-1]}, "policy.pt")
    with pytest.raises(MismatchError, match="policy.pt: .*name is None"):
        body.require_signature({}, "policy.pt")
    stiffer = replace(body, kp=body.kp * 2).signature()
    with pytest.raises(MismatchError, match=r"kp\[0\] is"):
        body.require_signature(stiffer, "policy.pt")


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<body", "MuJoCo"),
        ('<body name="a"><geom size="1"/></body>', "free joint"),
        (
            '<body name="a"><freejoint/><geom size="1"/><body name="b"><joint type="ball"/>'
            '<geom size="1"/></body></body>',
            "hinge",
        ),
        (
            '<body name="a"><freejoint/><geom size="1"/><body name="b"><joint name="j"/>'
            '<geom size="1"/></body></body>',
            "actuator",
        ),
    ],
)
def test_models_of_another_kind_are_refused(inside: str, message: str) -> None:
    mjcf = f"<mujoco><worldbody>{inside}</worldbody></mujoco>"
    with pytest.raises(InputError, match=message) as caught:
        Embodiment.from_mjcf(
            mjcf, name="odd", anchor="a", tracked=(), end_effectors=(), feet=(), default_joint_pos={}
        )
    assert "\n" not in str(caught.value)


def test_the_written_file_compiles(body: Embodiment, tmp_path) -> None:  # noqa: ANN001
    model = mujoco.MjModel.from_xml_path(str(body.write_mjcf(tmp_path)))
    assert (model.nq, model.nv, model.nu) == (46, 45, 39)


def test_roles_must_name_bodies(body: Embodiment) -> None:
    with pytest.raises(InputError, match="'Chst'"):
        Embodiment.from_mjcf(
            body.mjcf,
            name="smpl",
            anchor="Chst",
            tracked=(),
            end_effectors=(),
            feet=(),
            default_joint_pos={},
        )


def test_pickles_fit_into_a_pipe(any_body: Embodiment) -> None:
    """A compiled model inside had made every start of a process wait for the process to read."""
    assert any_body.model.nq > 0
    sent = pickle.dumps(any_body)
    assert len(sent) < 2**16
    assert pickle.loads(sent).model.nq == any_body.model.nq
