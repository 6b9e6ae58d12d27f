"""Triangles of shapes: closed, outward, of the right size."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from humanoid.bodies import Embodiment
from humanoid.bodies.geoms import Triangles, box, capsule, cylinder, ellipsoid, joined, meshes, sphere, stick


def volume(shape: Triangles) -> float:
    """Volume [m^3] by the divergence theorem; positive where all triangles face outwards."""
    points, faces = shape
    a, b, c = (points[faces[:, i]] for i in range(3))
    return float(np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("shape", "expected", "rough"),
    [
        (box(np.array((0.1, 0.2, 0.3))), 8 * 0.006, 1e-9),
        (sphere(0.5), 4 / 3 * math.pi * 0.125, 0.06),
        (ellipsoid(np.array((0.1, 0.2, 0.3))), 4 / 3 * math.pi * 0.006, 0.06),
        (cylinder(0.2, 0.3), math.pi * 0.04 * 0.6, 0.04),
        (capsule(0.2, 0.3), math.pi * 0.04 * 0.6 + 4 / 3 * math.pi * 0.008, 0.06),
    ],
    ids=["box", "sphere", "ellipsoid", "cylinder", "capsule"],
)
def test_shapes_are_closed_and_face_outwards(shape: Triangles, expected: float, rough: float) -> None:
    assert volume(shape) == pytest.approx(expected, rel=rough)
    points, faces = shape
    moved = points + np.array((3.0, -2.0, 1.0))  # of a closed surface the volume does not depend on place
    assert volume((moved, faces)) == pytest.approx(volume(shape), abs=1e-9)


@pytest.mark.parametrize("end", [(0.3, 0.0, 0.0), (0.0, 0.0, -0.2), (0.1, -0.2, 0.3), (0.0, 0.0, 0.0)])
def test_a_stick_goes_from_the_origin_to_its_end(end: tuple[float, float, float]) -> None:
    points, _ = shape = stick(np.array(end), 0.01)
    low, high = np.minimum(end, 0), np.maximum(end, 0)
    assert (points.min(0) >= low - 0.0101).all() and (points.max(0) <= high + 0.0101).all()
    assert np.ptp(points @ end) == pytest.approx(np.dot(end, end) + 0.02 * np.linalg.norm(end), abs=2e-3)
    assert volume(shape) > 0


def test_joined_shapes_keep_their_volumes() -> None:
    one, two = box(np.full(3, 0.1)), sphere(0.2)
    assert volume(joined([one, two])) == pytest.approx(volume(one) + volume(two))
    assert len(joined([])[1]) == 0


def test_meshes_reach_as_far_down_as_the_surface_points(body: Embodiment) -> None:
    owner, points, radius = body.surface_points
    found = meshes(body)
    assert list(found) == list(body.body_names)
    for index, name in enumerate(body.body_names):
        mine = owner == index
        lowest = (points[mine, 2] - radius[mine]).min()
        assert found[name][0][:, 2].min() == pytest.approx(lowest, abs=3e-3)
        assert found[name][1].max() < len(found[name][0])


def test_shapes_for_collisions_are_left_out_where_there_are_others() -> None:
    mjcf = """<mujoco><asset><mesh name="tetra" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/></asset><worldbody>
      <body name="root"><freejoint/>
        <geom type="mesh" mesh="tetra" group="1" pos="0 0 2"/><geom type="box" size="5 5 5" group="3"/>
        <body name="arm"><joint name="j" axis="0 1 0" range="-1 1"/>
          <geom type="capsule" size=".1 .2" group="3"/></body>
      </body></worldbody>
      <actuator><position joint="j" kp="1" forcerange="-1 1"/></actuator></mujoco>"""
    body = Embodiment.from_mjcf(
        mjcf, name="made", anchor="root", tracked=["root"], end_effectors=[], feet=[], default_joint_pos={}
    )
    root, arm = meshes(body).values()
    assert volume((root[0] - (0, 0, 2), root[1])) == pytest.approx(1 / 6, abs=1e-6)
    assert root[0].max(0) == pytest.approx((1, 1, 3), abs=1e-6)
    assert arm[0][:, 2].max() == pytest.approx(0.3)
    assert mujoco.MjModel.from_xml_string(mjcf).ngeom == 3
