"""Robot tables: by place with a declared order, by name, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanoid.bodies import Embodiment, g1
from humanoid.core import InputError, LoadCfg
from humanoid.motion import load_robot
from tests.motion.robot_takes import FRAMES, table

WXYZ = LoadCfg(quat="wxyz")
Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write rows as CSV and return the path."""

    def writer(rows: np.ndarray, header: list[str] | None = None, separator: str = ",") -> Path:
        path = tmp_path / "walk.csv"
        lines = [separator.join(f"{value:.9g}" for value in row) for row in rows]
        path.write_text("\n".join([*([separator.join(header)] if header else []), *lines]) + "\n")
        return path

    return writer


HEADER = [
    *("root_pos_x", "root_pos_y", "root_pos_z", "root_quat_w", "root_quat_x", "root_quat_y", "root_quat_z"),
    *g1.JOINTS,
]


def test_by_place(write: Writer, g1_like: Embodiment) -> None:
    rows = table(g1_like)
    motion = load_robot(write(rows), g1_like, WXYZ, 30.0)
    assert motion.joint_names == g1_like.joint_names
    assert motion.name == "walk"
    np.testing.assert_allclose(motion.qpos.numpy(), rows, atol=1e-5)
    assert motion.provenance["quat"] == "wxyz"


def test_bodies_are_where_mujoco_has_them(write: Writer, g1_like: Embodiment) -> None:
    rows = table(g1_like)
    motion = load_robot(write(rows), g1_like, WXYZ, 30.0)
    model = mujoco.MjModel.from_xml_string(g1_like.mjcf)
    data = mujoco.MjData(model)
    for frame in range(0, FRAMES, 7):
        data.qpos[:] = rows[frame]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(motion.states.body_pos_w[frame], data.xpos[1:], atol=1e-4)


def test_xyzw_is_the_same_motion(write: Writer, g1_like: Embodiment) -> None:
    rows = table(g1_like)
    one = load_robot(write(rows), g1_like, WXYZ)
    turned = rows[:, [0, 1, 2, 4, 5, 6, 3, *range(7, 36)]]
    two = load_robot(write(turned), g1_like, LoadCfg(quat="xyzw"))
    np.testing.assert_allclose(one.qpos, two.qpos, atol=1e-6)


def test_rate_and_velocities(write: Writer, g1_like: Embodiment) -> None:
    motion = load_robot(write(table(g1_like)), g1_like, WXYZ)
    assert motion.fps == 50.0
    assert motion.num_frames == int((FRAMES - 1) / 30 * 50) + 1
    forward = motion.states.root_lin_vel_w[1:-1, 0].numpy()
    np.testing.assert_allclose(forward, 0.9, atol=1e-3)  # the take walks at 0.9 m/s
    np.testing.assert_allclose(motion.states.body_lin_vel_w[5, 0], motion.states.root_lin_vel_w[5])


def test_by_name_in_any_order(write: Writer, g1_like: Embodiment) -> None:
    rows, rng = table(g1_like), np.random.default_rng(0)
    order = rng.permutation(36)
    shuffled = write(rows[:, order], [HEADER[i] for i in order], ";")
    motion = load_robot(shuffled, g1_like, LoadCfg(), 30.0)
    np.testing.assert_allclose(motion.qpos.numpy(), rows, atol=1e-5)


def test_names_as_others_write_them(write: Writer, g1_like: Embodiment) -> None:
    rows = table(g1_like)
    time = np.arange(FRAMES)[:, None] / 120
    joints = [f"{name}_dof" for name in g1.JOINTS]
    header = [
        "Frame",
        "time",
        "root_translateX",
        "root_translateY",
        "root_translateZ",
        "qw",
        "qx",
        "qy",
        "qz",
    ]
    rows = np.hstack((np.arange(FRAMES)[:, None], time, rows, rows[:, :1]))
    path = write(rows, [*header, *joints, "left_knee_joint_vel"])
    motion = load_robot(path, g1_like, LoadCfg(), 120.0)
    assert motion.provenance["source_fps"] == pytest.approx(120.0, rel=1e-6)
    np.testing.assert_allclose(motion.qpos.numpy(), rows[:, 2:-1], atol=1e-5)


@pytest.mark.parametrize("layout", ["g1_23", "g1_23_waist"])
def test_23_joints_are_told_apart_by_the_user(write: Writer, g1_like: Embodiment, layout: str) -> None:
    joints = {"g1_23": g1.JOINTS_23, "g1_23_waist": g1.JOINTS_23_WAIST}[layout]
    columns = [*range(7), *(7 + g1.JOINTS.index(name) for name in joints)]
    rows = table(g1_like)
    path = write(rows[:, columns])
    with pytest.raises(InputError, match="'layout'"):
        load_robot(path, g1_like, WXYZ)
    motion = load_robot(path, g1_like, replace(WXYZ, layout=layout), 30.0)
    missing = motion.provenance["joints_set_to_zero"]
    assert set(missing) == set(g1.JOINTS) - set(joints)
    assert not motion.states.joint_pos[:, g1_like.joint_ids(missing)].any()
    known = g1_like.joint_ids(joints)
    np.testing.assert_allclose(motion.states.joint_pos[:, known], rows[:, columns[7:]], atol=1e-5)


def test_the_order_of_the_quaternion_is_never_guessed(write: Writer, g1_like: Embodiment) -> None:
    path = write(table(g1_like))
    with pytest.raises(InputError, match="wxyz .*100%.* xyzw .* 0%"):
        load_robot(path, g1_like, LoadCfg())
    with pytest.raises(InputError, match="quat=xyzw"):
        load_robot(path, g1_like, LoadCfg(quat="xyzw"))
    insisted = load_robot(path, g1_like, LoadCfg(quat="xyzw", check_quat=False))
    assert insisted.provenance["quat"] == "xyzw"


@settings(max_examples=15)
@given(st.floats(-3.2, 3.2), st.floats(-0.6, 0.6))
def test_an_upright_robot_of_any_heading_passes_as_declared(
    tmp_path_factory: pytest.TempPathFactory, g1_like: Embodiment, yaw: float, pitch: float
) -> None:
    rows = table(g1_like)
    spin, lean = (
        np.array((np.cos(yaw / 2), np.sin(yaw / 2))),
        np.array((np.cos(pitch / 2), np.sin(pitch / 2))),
    )
    rows[:, 3:7] = (spin[0] * lean[0], -spin[1] * lean[1], spin[0] * lean[1], spin[1] * lean[0])
    path = tmp_path_factory.mktemp("heading") / "a.csv"
    np.savetxt(path, rows, delimiter=",")
    motion = load_robot(path, g1_like, WXYZ)
    np.testing.assert_allclose(
        np.abs(motion.states.root_quat_w[0].numpy() @ rows[0, 3:7].astype(np.float32)), 1, atol=1e-5
    )


def spoiled(kind: str, rows: np.ndarray) -> np.ndarray:
    """Return rows with one thing wrong."""
    rows = rows.copy()
    match kind:
        case "nan":
            rows[3, 20] = np.nan
        case "huge":
            rows[3, 1] = 1e30
        case "zero":
            rows[4, 3:7] = 0
        case "degrees":
            rows[:, 7:] *= 57.3
        case "centimetres":
            rows[:, :3] *= 100
        case "one":
            rows = rows[:1]
        case "fewer":
            rows = rows[:, :-1]
        case "more":
            rows = np.hstack((rows, rows[:, :1]))
        case "few":
            rows = rows[:, :6]
    return rows


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "'waist_roll_joint'"),
        ("huge", "frame 3"),
        ("zero", "frame 4"),
        ("degrees", "degrees"),
        ("centimetres", "centimetres"),
        ("one", "1 frame"),
        ("fewer", "'g1'"),
        ("more", "30"),
        ("few", "6 columns"),
    ],
)
def test_bad_numbers_are_refused(write: Writer, g1_like: Embodiment, kind: str, message: str) -> None:
    path = write(spoiled(kind, table(g1_like)))
    with pytest.raises(InputError, match=message) as caught:
        load_robot(path, g1_like, WXYZ)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n  \n", "the file is empty"),
        ("1,2,3\n4,5\n", "table"),
        ("hello world\n", "header"),
        ("a,b\n1,2\n", "'a'"),
        ("x,y,z,left_knee_joint\n1,2,3,4\n1,2,3,4\n", "quaternion"),
        ("x,y,z,qw,qx,qy,qz\n0,0,1,1,0,0,0\n", "'g1'"),
        ("x,x,z,qw,qx,qy,qz\n0,0,1,1,0,0,0\n", "'x'"),
        ("x,y,z,qw,qx,qy,qz,left_nee_joint\n0,0,1,1,0,0,0,0\n", "'left_knee_joint'"),
        ("time,x,y,z,qw,qx,qy,qz,left_knee_joint\n0,0,0,1,1,0,0,0,0\n0,0,0,1,1,0,0,0,0\n", "steps"),
        (",".join("1" for _ in range(2_000)), "2000"),
        ("\0\x01\x02", "table|header|root"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, g1_like: Embodiment, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_robot(path, g1_like, WXYZ)
    assert "\n" not in str(caught.value)


def test_a_slow_file_does_not_become_endless(write: Writer, g1_like: Embodiment) -> None:
    path = write(np.repeat(table(g1_like), 40, axis=0))
    with pytest.raises(InputError, match="500000"):
        load_robot(path, g1_like, replace(WXYZ, fps=0.1), 10_000.0)


@pytest.mark.parametrize("name", ["g1_walk", "g1_dance", "g1_wave"])
def test_real_files(mocap_data: Path, g1_like: Embodiment, name: str) -> None:
    motion = load_robot(mocap_data / "g1" / f"{name}.csv", g1_like, WXYZ)
    assert motion.duration == pytest.approx(149 / 30, abs=0.03)
    with pytest.raises(InputError, match="declare wxyz"):
        load_robot(mocap_data / "g1" / f"{name}.csv", g1_like, LoadCfg(quat="xyzw"))
