"""Makers' files are brought to one form: self-contained, without extras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from humanoid.bodies import Embodiment, g1
from humanoid.core import InputError
from tests.synthetic_robots import g1_links, mjcf

Writer = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write an MJCF and return its path."""

    def writer(text: str) -> Path:
        path = tmp_path / "robot.xml"
        path.write_text(text)
        return path

    return writer


def test_nothing_but_the_robot_is_left(g1_like: Embodiment) -> None:
    model = mujoco.MjModel.from_xml_string(g1_like.mjcf)
    assert (model.nq, model.nv, model.nu) == (36, 35, 29)
    assert (model.nlight, model.nsensor, model.nkey, model.nmesh, model.nmat) == (0, 0, 0, 0, 0)
    assert (model.geom_bodyid > 0).all()
    assert "table" not in g1_like.body_names
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert not model.dof_damping.any()


def test_inertia_is_that_of_the_file(g1_like: Embodiment, g1_like_path: Path) -> None:
    theirs = mujoco.MjModel.from_xml_path(str(g1_like_path))
    ours = mujoco.MjModel.from_xml_string(g1_like.mjcf)
    for name in g1_like.body_names:
        a, b = theirs.body(name), ours.body(name)
        np.testing.assert_allclose(a.mass, b.mass)
        np.testing.assert_allclose(a.inertia, b.inertia)
        np.testing.assert_allclose(a.ipos, b.ipos, atol=1e-9)


def test_a_free_joint_is_added_where_there_is_none(write: Writer) -> None:
    body = g1.build(write(mjcf(g1_links(), free=False)))
    assert body.joint_names == g1.JOINTS


def test_fingers_are_welded(write: Writer) -> None:
    text = mjcf(g1_links())
    finger = (
        '<body name="left_finger"><joint name="left_finger_joint" axis="0 0 1" range="-1 1"/>'
        '<inertial pos="0 0 0" mass="0.1" diaginertia="1e-5 1e-5 1e-5"/></body>'
    )
    place = text.index("</body>", text.index('name="left_wrist_yaw_link"'))
    body = g1.build(write(text[:place] + finger + text[place:]))
    assert body.joint_names == g1.JOINTS
    assert "left_finger" in body.body_names


def test_missing_meshes_do_not_matter(write: Writer) -> None:
    text = mjcf(g1_links()).replace("<asset>", '<asset><mesh name="skin" file="nowhere.stl"/>')
    skin = '<geom type="mesh" mesh="skin" contype="0" conaffinity="0"/>'
    place = text.index("<inertial")
    body = g1.build(write(text[:place] + skin + text[place:]))
    assert body.num_bodies == 30


def _foot_of_mesh(text: str, name: str, mesh: str) -> str:
    """Replace the shapes of a foot by a mesh."""
    start = text.index("/>", text.index("<inertial", text.index(f'body name="{name}"'))) + 2
    stop = text.index("</body>", start)
    return text[:start] + f'<geom type="mesh" mesh="{mesh}"/>' + text[stop:]


def test_a_foot_of_a_mesh_gets_a_sole(write: Writer) -> None:
    corners = "-0.05 -0.03 -0.035  0.12 -0.03 -0.035  0.12 0.03 -0.035  -0.05 0.03 -0.035  0 0 0.05"
    text = mjcf(g1_links()).replace("<asset>", f'<asset><mesh name="shoe" vertex="{corners}"/>')
    for side in ("left", "right"):
        text = _foot_of_mesh(text, f"{side}_ankle_roll_link", "shoe")
    body = g1.build(write(text))
    owner, points, radius = body.surface_points
    foot = points[owner == body.body_id("left_ankle_roll_link")]
    assert not radius[owner == body.body_id("left_ankle_roll_link")].any()
    np.testing.assert_allclose(foot.min(0), (-0.05, -0.03, -0.035), atol=1e-6)
    np.testing.assert_allclose(foot.max(0), (0.12, 0.03, -0.005), atol=1e-6)


def test_a_foot_without_any_shape_is_refused(write: Writer) -> None:
    text = _foot_of_mesh(mjcf(g1_links()), "left_ankle_roll_link", "none").replace(
        '<geom type="mesh" mesh="none"/>', ""
    )
    with pytest.raises(InputError, match="'left_ankle_roll_link'"):
        g1.build(write(text))


def test_a_foot_whose_mesh_is_missing_is_refused(write: Writer) -> None:
    text = mjcf(g1_links()).replace("<asset>", '<asset><mesh name="shoe" file="nowhere.stl"/>')
    with pytest.raises(InputError, match=r"robot\.xml"):
        g1.build(write(_foot_of_mesh(text, "left_ankle_roll_link", "shoe")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no xml at all", "MJCF"),
        ("<mujoco><worldbody/></mujoco>", "29"),
        (
            mjcf(g1_links()).replace('name="pelvis"', 'name="hips"'),
            "'pelvis'",
        ),
        (mjcf(g1_links()).replace('damping="0.5"', 'damping="0.5" pos="0 0 0.1"', 1), "'pos'"),
        (mjcf(g1_links()).replace('damping="0.5"', 'damping="0.5" ref="0.1"', 1), "'pos'"),
    ],
)
def test_other_files_are_refused(write: Writer, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        g1.build(write(text))
    assert "\n" not in str(caught.value)
