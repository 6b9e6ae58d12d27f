"""Heading and anchor frames: hand-computed numbers and symmetries."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from humanoid.spatial import frames
from humanoid.spatial import rotation as rot


def z_turn(angle: float, count: int = 1) -> Tensor:
    """Return (count, 4) rotations about world z, float64."""
    half = torch.tensor([math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)], dtype=torch.float64)
    return half.expand(count, 4)


def scene(count: int = 50, bodies: int = 4) -> dict[str, Tensor]:
    """Return random arguments of ``anchored_targets``."""
    rng = np.random.default_rng(0)

    def rotations(*shape: int) -> Tensor:
        q = Rotation.random(math.prod(shape), rng=rng).as_quat(scalar_first=True)
        return torch.tensor(q.reshape(*shape, 4))

    return {
        "anchor_pos_w": torch.tensor(rng.normal(size=(count, 3))),
        "anchor_quat_w": rotations(count),
        "anchor_pos_w_ref": torch.tensor(rng.normal(size=(count, 3))),
        "anchor_quat_w_ref": rotations(count),
        "body_pos_w_ref": torch.tensor(rng.normal(size=(count, bodies, 3))),
        "body_quat_w_ref": rotations(count, bodies),
    }


def test_yaw_against_scipy() -> None:
    rotation = Rotation.random(500, rng=np.random.default_rng(1))
    q = torch.tensor(rotation.as_quat(scalar_first=True))
    expected = rotation.as_euler("ZYX")[:, 0]
    np.testing.assert_allclose(frames.yaw(q), expected, atol=1e-9)
    np.testing.assert_allclose(frames.yaw(-q), expected, atol=1e-9)
    np.testing.assert_allclose(
        rot.to_matrix(frames.yaw_quat(q)), Rotation.from_euler("z", expected[:, None]).as_matrix(), atol=1e-9
    )


def test_a_turn_about_world_z_adds_to_the_yaw() -> None:
    q = scene()["anchor_quat_w"]
    turned = frames.yaw(rot.mul(z_turn(0.7, len(q)), q))
    torch.testing.assert_close(
        torch.cos(turned - frames.yaw(q)), torch.full((len(q),), math.cos(0.7)).double()
    )


def test_relative_pose_by_hand() -> None:
    # The anchor stands at (1, 2, 3) and looks along +y; a body one metre ahead of it is at (1, 3, 3).
    pos, quat = frames.relative_pose(
        torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64), z_turn(math.pi / 2),
        torch.tensor([[1.0, 3.0, 3.0]], dtype=torch.float64), z_turn(math.pi),
    )  # fmt: skip
    torch.testing.assert_close(pos, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(quat, z_turn(math.pi / 2))


def test_relative_pose_is_undone_by_composing() -> None:
    s = scene()
    pos, quat = frames.relative_pose(
        s["anchor_pos_w"], s["anchor_quat_w"], s["anchor_pos_w_ref"], s["anchor_quat_w_ref"]
    )
    torch.testing.assert_close(s["anchor_pos_w"] + rot.rotate(s["anchor_quat_w"], pos), s["anchor_pos_w_ref"])
    torch.testing.assert_close(rot.mul(s["anchor_quat_w"], quat), s["anchor_quat_w_ref"])


def test_anchored_targets_by_hand() -> None:
    # Reference anchor at (5, 5, 1), looking along +x, a body 0.3 m ahead and 0.2 m above it.
    # The robot's anchor stands at (1, 2, 0.8) and looks along +y: the target stands at the
    # robot's x and y, at the reference's height, and its body lies ahead along +y.
    pos, quat = frames.anchored_targets(
        anchor_pos_w=torch.tensor([[1.0, 2.0, 0.8]], dtype=torch.float64),
        anchor_quat_w=z_turn(math.pi / 2),
        anchor_pos_w_ref=torch.tensor([[5.0, 5.0, 1.0]], dtype=torch.float64),
        anchor_quat_w_ref=z_turn(0.0),
        body_pos_w_ref=torch.tensor([[[5.3, 5.0, 1.2], [5.0, 5.0, 1.0]]], dtype=torch.float64),
        body_quat_w_ref=torch.stack((z_turn(0.0), z_turn(math.pi / 2)), dim=1),
    )
    expected = torch.tensor([[[1.0, 2.3, 1.2], [1.0, 2.0, 1.0]]], dtype=torch.float64)
    torch.testing.assert_close(pos, expected)
    torch.testing.assert_close(quat, torch.stack((z_turn(math.pi / 2), z_turn(math.pi)), dim=1))


def test_a_robot_on_its_reference_has_the_reference_as_target() -> None:
    s = scene()
    s |= {"anchor_pos_w": s["anchor_pos_w_ref"], "anchor_quat_w": s["anchor_quat_w_ref"]}
    pos, quat = frames.anchored_targets(**s)
    torch.testing.assert_close(pos, s["body_pos_w_ref"])
    assert rot.angle_between(quat, s["body_quat_w_ref"]).max() < 1e-7


def test_targets_do_not_depend_on_where_the_reference_stands_and_looks() -> None:
    s = scene()
    # exact where robot and reference lean alike; the yaw of a leaning difference is a convention
    s["anchor_quat_w"] = rot.mul(z_turn(0.4, 50), s["anchor_quat_w_ref"])
    before = frames.anchored_targets(**s)
    turn, shift = z_turn(2.1), torch.tensor([3.0, -4.0, 0.0], dtype=torch.float64)
    for name in ("anchor", "body"):
        s[f"{name}_pos_w_ref"] = rot.rotate(turn, s[f"{name}_pos_w_ref"]) + shift
        s[f"{name}_quat_w_ref"] = rot.mul(turn.expand_as(s[f"{name}_quat_w_ref"]), s[f"{name}_quat_w_ref"])
    after = frames.anchored_targets(**s)
    torch.testing.assert_close(after[0], before[0])
    assert rot.angle_between(after[1], before[1]).max() < 1e-7


def test_targets_follow_the_robot_in_the_plane() -> None:
    s = scene()
    before = frames.anchored_targets(**s)
    turn, shift = z_turn(-1.2), torch.tensor([0.5, 0.25, 9.0], dtype=torch.float64)
    s["anchor_pos_w"] = rot.rotate(turn, s["anchor_pos_w"]) + shift
    s["anchor_quat_w"] = rot.mul(turn.expand_as(s["anchor_quat_w"]), s["anchor_quat_w"])
    after = frames.anchored_targets(**s)
    shift[2] = 0.0  # the height stays the reference's
    torch.testing.assert_close(after[0], rot.rotate(turn, before[0]) + shift)


def test_gravity_is_the_world_s_down_seen_from_the_frame() -> None:
    q = rot.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    down = torch.tensor([0.0, 0.0, -1.0]).expand(50, 3)
    torch.testing.assert_close(frames.projected_gravity(q), rot.rotate_inverse(q, down), atol=1e-6, rtol=0)
