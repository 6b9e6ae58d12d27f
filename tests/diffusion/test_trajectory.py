"""Tokens: there and back, what a frame of now changes, mirror images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid.bodies import BodyState, Embodiment, Mirror
from humanoid.core import ConfigError, MismatchError
from humanoid.diffusion import Frame, Layout, TrajectoryCfg
from humanoid.diffusion.trajectory import ANG, POS, ROOT, ROT, VEL
from humanoid.motion import MotionLibrary
from humanoid.spatial import rotation as rot


@pytest.fixture
def layout(body: Embodiment) -> Layout:
    return Layout.of(body)


@pytest.fixture
def states(library: MotionLibrary) -> BodyState:
    """(3, 7) states of a squat, turned and moved, so that no direction is special."""
    state = library.rows(torch.arange(21).reshape(3, 7) * 4)
    turn = rot.about_axis(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(1.1))
    shift = torch.tensor([2.0, -3.0, 0.0])
    return BodyState(
        state.joint_pos,
        state.joint_vel,
        rot.rotate(turn, state.body_pos_w) + shift,
        rot.mul(turn.expand_as(state.body_quat_w), state.body_quat_w),
        rot.rotate(turn, state.body_lin_vel_w) + torch.tensor([0.3, 0.1, 0.0]),
        rot.rotate(turn, state.body_ang_vel_w) + torch.tensor([0.0, 0.0, 0.2]),
    )


def test_width_is_that_of_the_paper(body: Embodiment) -> None:
    """14 bodies besides the root have 99 numbers (BeyondMimic: 99 with 14 bodies)."""
    assert Layout(TrajectoryCfg(), "a", tuple("bcdefghijklmno")).width == 99
    assert len(Layout.of(body).names()) == Layout.of(body).width


def test_tokens_are_the_formula_of_the_paper(layout: Layout, body: Embodiment, states: BodyState) -> None:
    """One frame written out with scipy's rotations."""
    frame = Frame.of(states[:, 2])
    tokens = layout.localized(layout.features(states, body), frame).numpy()
    yaw = Rotation.from_euler("z", float(frame.yaw[1]))
    origin = np.array([*frame.pos_w[1].numpy(), 0.0])
    root = states.root_quat_w[1, 5].numpy()
    turned = Rotation.from_quat(root[[1, 2, 3, 0]])
    np.testing.assert_allclose(
        tokens[1, 5, POS], yaw.inv().apply(states.root_pos_w[1, 5].numpy() - origin), atol=1e-5
    )
    local = (yaw.inv() * turned).as_matrix()
    np.testing.assert_allclose(tokens[1, 5, ROT], local[:, :2].T.ravel(), atol=1e-5)
    np.testing.assert_allclose(tokens[1, 5, VEL], yaw.inv().apply(states.root_lin_vel_w[1, 5]), atol=1e-5)
    np.testing.assert_allclose(tokens[1, 5, ANG], yaw.inv().apply(states.root_ang_vel_w[1, 5]), atol=1e-5)
    x = turned.apply([1.0, 0.0, 0.0])
    own = Rotation.from_euler("z", math.atan2(x[1], x[0]))
    wrist = body.body_id("L_Wrist")
    away = states.body_pos_w[1, 5, wrist] - states.root_pos_w[1, 5]
    at = ROOT + 3 * layout.bodies.index("L_Wrist")
    np.testing.assert_allclose(tokens[1, 5, at : at + 3], own.inv().apply(away), atol=1e-5)
    speed = states.body_lin_vel_w[1, 5, wrist] - states.root_lin_vel_w[1, 5]
    at += 3 * layout.num_bodies
    np.testing.assert_allclose(tokens[1, 5, at : at + 3], own.inv().apply(speed), atol=1e-5)


def test_decoding_gives_the_world_back(layout: Layout, body: Embodiment, states: BodyState) -> None:
    frame = Frame.of(states[:, 0])
    found = layout.decode(layout.localized(layout.features(states, body), frame), frame)
    index = body.body_ids(layout.bodies)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(found.root_pos_w, states.root_pos_w, **close)
    torch.testing.assert_close(found.root_rot_w, rot.to_6d(states.root_quat_w), **close)
    torch.testing.assert_close(found.root_lin_vel_w, states.root_lin_vel_w, **close)
    torch.testing.assert_close(found.body_pos_w, states.body_pos_w[:, :, index], **close)
    torch.testing.assert_close(found.body_lin_vel_w, states.body_lin_vel_w[:, :, index], **close)
    torch.testing.assert_close(found.yaw[:, 0], frame.yaw, **close)
    assert found.points_w().shape == (3, 7, 1 + layout.num_bodies, 3)


def test_a_motion_elsewhere_has_the_same_tokens(layout: Layout, body: Embodiment, states: BodyState) -> None:
    here = layout.features(states, body)
    moved = layout.globalized(here, Frame(torch.full((3, 2), 5.0), torch.full((3,), 2.5)))
    tokens = [layout.localized(f, Frame.of_features(f[:, 1])) for f in (here, moved)]
    torch.testing.assert_close(tokens[0], tokens[1], atol=2e-5, rtol=0)
    assert not tokens[0][:, 1, :2].any()


def test_the_mirror_image_is_that_of_the_state(layout: Layout, body: Embodiment, states: BodyState) -> None:
    features = layout.features(states, body)
    expected = layout.features(Mirror.of(body).state(states), body)
    torch.testing.assert_close(layout.mirrored(features), expected, atol=1e-5, rtol=0)
    assert torch.equal(layout.mirrored(layout.mirrored(features)), features)


@pytest.mark.parametrize(
    "frames", [{"latent_horizon": 34}, {"latent_horizon": 0}, {"horizon": 8}, {"history": -1}, {"dt": 0.0}]
)
def test_frames_that_no_window_has_are_refused(frames: dict[str, Any]) -> None:
    assert TrajectoryCfg(horizon=15).num_latents == 20
    with pytest.raises(ConfigError, match=f"trajectory: .*{next(iter(frames))}"):
        TrajectoryCfg(**frames)


def test_a_body_without_the_bodies_is_refused(body: Embodiment, states: BodyState) -> None:
    with pytest.raises(MismatchError, match="no 'tail'"):
        Layout(TrajectoryCfg(), "Pelvis", ("tail",)).features(states, body)
