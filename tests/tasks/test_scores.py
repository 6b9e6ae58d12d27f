"""Scores of guided tasks on hand-made courses: ideal, standing, falling, touching."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Kinematics, Posture, stack
from humanoid.spatial import rotation as rot
from humanoid.spatial.frames import turned
from humanoid.tasks.scores import (
    EpisodeRecord,
    Silhouette,
    first_step,
    keyframe_errors,
    rounded_mean,
    velocity_error,
)


def standing(body: Embodiment, pos: Tensor, quat: Tensor | None = None) -> BodyState:
    """Return bodies (B) in the default pose with the root at ``pos (B, 3)``."""
    zero = torch.zeros_like(pos)
    turn = torch.tensor((1.0, 0.0, 0.0, 0.0)).repeat(len(pos), 1) if quat is None else quat
    joints = torch.tensor(body.default_joint_pos, dtype=torch.float32).repeat(len(pos), 1)
    return Kinematics(body).state(pos, turn, joints, zero, zero, torch.zeros_like(joints))


def test_an_ideal_velocity_scores_0_and_standing_scores_1() -> None:
    command = torch.tensor(((0.9, 0.0), (0.0, -0.7), (-0.5, 0.0)))
    assert not velocity_error(command, command).any()
    torch.testing.assert_close(velocity_error(torch.zeros(3, 2), command), torch.ones(3))
    torch.testing.assert_close(velocity_error(-command, command), 2 * torch.ones(3))


def test_a_slow_command_is_divided_by_half_a_metre_a_second_and_no_number_scores_1() -> None:
    moving = velocity_error(torch.tensor((0.1, 0.0)), torch.zeros(2))
    assert float(moving) == pytest.approx(0.2)
    assert float(velocity_error(torch.tensor((math.nan, 0.0)), torch.ones(2))) == 1.0


def test_planar_turns_agree_with_complex_numbers(generator: torch.Generator) -> None:
    vector, angle = torch.randn(50, 2, generator=generator), torch.randn(50, generator=generator)
    expected = torch.view_as_complex(vector) * torch.exp(1j * angle)
    torch.testing.assert_close(turned(vector, angle), torch.view_as_real(expected))


def test_a_lying_body_has_fallen_a_bowed_one_lost_its_stand_and_a_broken_one_both(body: Embodiment) -> None:
    posture = Posture(body)
    height = torch.tensor((0.0, 0.0, 0.95))
    lying = rot.exp(torch.tensor((0.0, 0.5 * math.pi, 0.0)))[None]
    bowed = rot.exp(torch.tensor((0.0, math.radians(65.0), 0.0)))[None]
    states = stack(
        [
            standing(body, height[None]),
            standing(body, torch.tensor(((0.0, 0.0, 0.1),)), lying),
            standing(body, height[None], bowed),
            standing(body, torch.full((1, 3), math.nan)),
        ]
    )
    record = EpisodeRecord.of(states, posture, 0.02)
    assert record.fallen[:, 0].tolist() == [False, True, False, True]
    assert record.lost[:, 0].tolist() == [False, True, True, True]


def test_the_first_time_is_found() -> None:
    flags = torch.tensor(((0, 0), (1, 0), (0, 0), (1, 0))).bool()
    assert first_step(flags).tolist() == [1, 4]


def test_clearance_of_a_capsule_is_that_of_its_axis_also_in_the_middle(body: Embodiment) -> None:
    """Against points spread densely along the axes of all capsules and over the boxes."""
    state = standing(body, torch.tensor(((0.3, -0.2, 0.9),)), rot.exp(torch.tensor(((0.3, 0.9, -0.7),))))
    pillar, radius = torch.tensor((((0.9, 0.1), (-1.0, 2.0)),)), torch.tensor(((0.2, 0.15),))
    owner, points, radii = body.surface_points
    gaps = []
    for index in range(body.num_bodies):
        own = points[owner == index]
        thick = radii[owner == index][0]
        shares = np.random.default_rng(0).dirichlet(np.full(len(own), 0.3), 4000)
        spread = torch.tensor(np.concatenate((own, shares @ own)), dtype=torch.float32)
        quat = state.body_quat_w[0, index].expand(len(spread), 4)
        world = state.body_pos_w[0, index] + rot.rotate(quat, spread)
        gap = (world[:, None, :2] - pillar[0]).norm(dim=-1) - radius[0] - float(thick)
        gaps.append(float(gap.min()))
    found = float(Silhouette(body).clearance(state, pillar, radius))
    assert found == pytest.approx(min(gaps), abs=4e-3)
    assert found <= min(gaps) + 1e-6


def test_a_body_that_walks_through_a_pillar_touches_it_and_one_beside_does_not(body: Embodiment) -> None:
    silhouette = Silhouette(body)
    places = torch.tensor(((0.0, 0.0, 0.95), (0.0, 2.0, 0.95)))
    pillar, radius = torch.zeros(2, 1, 2), torch.full((2, 1), 0.2)
    gap = silhouette.clearance(standing(body, places), pillar, radius)
    assert gap[0] < -0.2 and 1.0 < gap[1] < 2.0


def test_keyframe_errors_are_in_the_world_and_about_the_root(generator: torch.Generator) -> None:
    ref = torch.randn(3, 2, 5, 3, generator=generator)
    moved = ref + torch.tensor((0.3, 0.0, 0.4))
    counted = torch.ones(3, 2, dtype=torch.bool)
    found = keyframe_errors(moved, ref, counted)
    assert found["mpjpe_g_mm"] == pytest.approx(500.0, rel=1e-5)
    assert found["mpjpe_l_mm"] == pytest.approx(0.0, abs=1e-3)
    assert keyframe_errors(moved, ref, ~counted) == {"mpjpe_g_mm": None, "mpjpe_l_mm": None}


def test_a_keyframe_that_does_not_count_or_is_no_number_is_left_out() -> None:
    ref = torch.zeros(2, 2, 1, 3)
    pos = torch.ones(2, 2, 1, 3)
    pos[0, 0] = math.nan
    counted = torch.tensor(((True, True), (False, True)))
    pos[1, 0] = 100.0
    assert keyframe_errors(pos, ref, counted)["mpjpe_g_mm"] == pytest.approx(1000 * math.sqrt(3))


def test_a_mean_of_nothing_is_nothing() -> None:
    assert rounded_mean(torch.tensor((math.nan, math.inf))) is None
    assert rounded_mean(torch.tensor((1.0, math.nan, 2.0))) == 1.5
