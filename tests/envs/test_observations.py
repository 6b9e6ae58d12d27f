"""Observation terms against scipy and numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid.bodies import BodyState
from humanoid.core import ConfigError
from humanoid.envs import ObservationCfg, ObservationTerm, TrackingEnv
from humanoid.envs.observations import TRACKING_OBSERVATIONS, History, Observer, proprioception
from humanoid.eval.tracking import CALM
from humanoid.spatial import rotation as rot
from tests.envs.steps import actor_terms, critic_terms, observed

ANCHOR = 2
B, S, N, D = 5, 3, 4, 6


def _random_state(seed: int, *axes: int, joints: int = D, bodies: int = N) -> BodyState:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*axes, *shape, generator=draw, dtype=torch.float64)

    return BodyState(
        normal(joints),
        normal(joints),
        normal(bodies, 3),
        rot.normalize(normal(bodies, 4)),
        normal(bodies, 3),
        normal(bodies, 3),
    )


def _rotation(quat: torch.Tensor) -> Rotation:
    return Rotation.from_quat(quat.numpy(), scalar_first=True)


@pytest.fixture
def state() -> BodyState:
    return _random_state(0, B)


@pytest.fixture
def ahead() -> BodyState:
    return _random_state(1, B, S)


@pytest.fixture
def terms(state: BodyState, ahead: BodyState) -> dict[str, torch.Tensor]:
    action, default = torch.arange(B * D).reshape(B, D).double(), torch.full((D,), 0.25).double()
    return actor_terms(state, ahead, action, default, ANCHOR)


def test_layout(terms: dict[str, torch.Tensor]) -> None:
    assert Observer(ObservationCfg()).layout(terms) == [
        ("joint_pos_ref", S * D), ("joint_vel_ref", S * D), ("anchor_pos_b", S * 3), ("anchor_rot_b", S * 6),
        ("root_lin_vel_b", 3), ("root_ang_vel_b", 3), ("gravity_b", 3),
        ("joint_pos", D), ("joint_vel", D), ("last_action", D),
    ]  # fmt: skip


def test_gravity_points_down_in_the_frame_of_the_root(
    state: BodyState, terms: dict[str, torch.Tensor]
) -> None:
    expected = _rotation(state.root_quat_w).inv().apply([0.0, 0.0, -1.0])
    np.testing.assert_allclose(terms["gravity_b"], expected, atol=1e-12)


def test_root_velocities_in_the_frame_of_the_root(state: BodyState, terms: dict[str, torch.Tensor]) -> None:
    inverse = _rotation(state.root_quat_w).inv()
    np.testing.assert_allclose(terms["root_lin_vel_b"], inverse.apply(state.root_lin_vel_w), atol=1e-12)
    np.testing.assert_allclose(terms["root_ang_vel_b"], inverse.apply(state.root_ang_vel_w), atol=1e-12)


def test_anchor_of_the_reference_in_the_frame_of_the_anchor(
    state: BodyState, ahead: BodyState, terms: dict[str, torch.Tensor]
) -> None:
    def matrices(pose: BodyState) -> np.ndarray:
        quat = pose.body_quat_w[..., ANCHOR, :]
        homogeneous = np.zeros((*quat.shape[:-1], 4, 4))
        homogeneous[..., :3, :3] = _rotation(quat.reshape(-1, 4)).as_matrix().reshape(*quat.shape[:-1], 3, 3)
        homogeneous[..., :3, 3], homogeneous[..., 3, 3] = pose.body_pos_w[..., ANCHOR, :], 1.0
        return homogeneous

    relative = np.linalg.inv(matrices(state))[:, None] @ matrices(ahead)
    np.testing.assert_allclose(terms["anchor_pos_b"].reshape(B, S, 3), relative[..., :3, 3], atol=1e-12)
    columns = np.concatenate((relative[..., :3, 0], relative[..., :3, 1]), axis=-1)
    np.testing.assert_allclose(terms["anchor_rot_b"].reshape(B, S, 6), columns, atol=1e-12)


def test_joints_and_action_are_passed_on(
    state: BodyState, ahead: BodyState, terms: dict[str, torch.Tensor]
) -> None:
    assert torch.equal(terms["joint_pos"], state.joint_pos - 0.25)
    assert torch.equal(terms["joint_vel"], state.joint_vel)
    assert torch.equal(terms["last_action"], torch.arange(B * D).reshape(B, D).double())
    assert torch.equal(terms["joint_pos_ref"][:, D : 2 * D], ahead.joint_pos[:, 1])
    assert torch.equal(terms["joint_vel_ref"][:, 2 * D :], ahead.joint_vel[:, 2])


def test_nothing_depends_on_where_in_the_plane_it_happens(state: BodyState, ahead: BodyState) -> None:
    turn = rot.exp(torch.tensor((0.0, 0.0, 1.1), dtype=torch.float64))
    shift = torch.tensor((3.0, -2.0, 0.0), dtype=torch.float64)

    def moved(s: BodyState) -> BodyState:
        return BodyState(
            s.joint_pos,
            s.joint_vel,
            rot.rotate(turn, s.body_pos_w) + shift,
            rot.mul(turn.expand_as(s.body_quat_w), s.body_quat_w),
            rot.rotate(turn, s.body_lin_vel_w),
            rot.rotate(turn, s.body_ang_vel_w),
        )

    zero, bodies = torch.zeros(B, D, dtype=torch.float64), torch.arange(N)
    before = actor_terms(state, ahead, zero, zero[0], ANCHOR) | critic_terms(state, ANCHOR, bodies)
    after = actor_terms(moved(state), moved(ahead), zero, zero[0], ANCHOR)
    after |= critic_terms(moved(state), ANCHOR, bodies)
    for name, term in before.items():
        torch.testing.assert_close(after[name], term, msg=name)


def test_critic_sees_bodies_in_the_frame_of_the_anchor(state: BodyState) -> None:
    bodies = torch.tensor([3, 0])
    terms = critic_terms(state, ANCHOR, bodies)
    anchor = _rotation(state.body_quat_w[:, ANCHOR])
    for column, index in enumerate(bodies.tolist()):
        offset = state.body_pos_w[:, index] - state.body_pos_w[:, ANCHOR]
        pos = terms["body_pos_b"].reshape(B, 2, 3)[:, column]
        np.testing.assert_allclose(pos, anchor.inv().apply(offset), atol=1e-12)
        matrix = (anchor.inv() * _rotation(state.body_quat_w[:, index])).as_matrix()
        columns = np.concatenate((matrix[..., 0], matrix[..., 1]), axis=-1)
        np.testing.assert_allclose(terms["body_rot_b"].reshape(B, 2, 6)[:, column], columns, atol=1e-12)


def test_noise_is_uniform_of_the_given_half_width(generator: torch.Generator) -> None:
    state, ahead = _random_state(0, 20_000), _random_state(1, 20_000, 1)
    zero = torch.zeros(20_000, D, dtype=torch.float64)
    _, step = observed(state, ahead, zero, zero, ANCHOR)
    terms = {"last_action": ObservationTerm(noise=0.5), "joint_pos": ObservationTerm()}
    observer = Observer(ObservationCfg(terms=terms))
    clean = observer.terms(step)
    assert observer.noise_width(clean) == D
    actor, critic = observer(step, torch.rand(20_000, D, generator=generator))
    error = (actor - critic)[:, :D]
    assert error.abs().max() <= 0.5
    assert error.max() > 0.499
    assert error.min() < -0.499
    # of a uniform distribution of half-width h the standard deviation is h / sqrt(3)
    assert error.std() == pytest.approx(0.5 / math.sqrt(3), rel=0.02)
    assert torch.equal(actor[:, D:], clean["joint_pos"])


def test_default_noise_is_of_beyondmimic() -> None:
    # arXiv 2508.08241, table of observations; the anchor's position and both velocities, joints
    noise = {name: term.noise for name, term in ObservationCfg().terms.items()}
    assert (noise["anchor_pos_b"], noise["anchor_rot_b"]) == (0.25, 0.05)
    assert (noise["root_lin_vel_b"], noise["root_ang_vel_b"]) == (0.5, 0.2)
    assert (noise["joint_pos"], noise["joint_vel"]) == (0.01, 0.5)


def _with_noise(**widths: float) -> dict[str, ObservationTerm]:
    """Return the tracking terms with noise on the named ones only."""
    return {name: replace(term, noise=widths.get(name, 0.0)) for name, term in TRACKING_OBSERVATIONS.items()}


def test_noise_is_on_the_actor_and_never_on_the_critic(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(observation=ObservationCfg(terms=_with_noise(joint_pos=0.1, gravity_b=0.05)))
    one, two = env.observe(), env.observe()
    assert torch.equal(one["critic"], two["critic"])
    terms = env.terms()
    clean = torch.cat(tuple(terms.values()), dim=-1)
    width = clean.shape[-1]
    assert torch.equal(one["critic"][:, :width], clean)
    start = 0
    for name, size in env.observation_layout():
        error = (one["actor"] - clean)[:, start : start + size].abs().amax()
        limit = {"joint_pos": 0.1, "gravity_b": 0.05}.get(name, 0.0)
        assert error <= limit + 1e-6, name
        assert error > 0.5 * limit or limit == 0.0, name
        start += size
    assert start == width


def test_observation_has_names_for_every_column(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(observation=ObservationCfg(future_steps=(1, 5), noise_scale=0.0))
    assert sum(size for _, size in env.observation_layout()) == env.observe()["actor"].shape[-1]
    extra = critic_terms(env.state, 0, torch.arange(len(env.body.tracked)))
    assert env.observe()["critic"].shape[-1] == env.observe()["actor"].shape[-1] + sum(
        term.shape[-1] for term in extra.values()
    )


def test_the_layout_of_beyondmimic(state: BodyState, ahead: BodyState) -> None:
    """Its 160 numbers on 29 joints, term by term from numpy and scipy (arXiv 2508.08241, section S1)."""
    state, ahead = _random_state(2, B, joints=29), _random_state(3, B, 1, joints=29)
    draw = torch.Generator().manual_seed(4)
    action, default = torch.randn(B, 29, generator=draw), torch.randn(29, generator=draw)
    terms = actor_terms(state, ahead, action, default, ANCHOR, "beyondmimic")
    assert Observer(ObservationCfg(layout="beyondmimic")).layout(terms) == [
        ("command", 58), ("motion_anchor_pos_b", 3), ("motion_anchor_ori_b", 6), ("base_lin_vel", 3),
        ("base_ang_vel", 3), ("joint_pos", 29), ("joint_vel", 29), ("actions", 29),
    ]  # fmt: skip
    anchor, root = _rotation(state.body_quat_w[:, ANCHOR]), _rotation(state.root_quat_w)
    target = _rotation(ahead.body_quat_w[:, 0, ANCHOR])
    matrix = (anchor.inv() * target).as_matrix()
    wanted = np.concatenate(
        (
            ahead.joint_pos[:, 0],
            ahead.joint_vel[:, 0],
            anchor.inv().apply(ahead.body_pos_w[:, 0, ANCHOR] - state.body_pos_w[:, ANCHOR]),
            np.stack([matrix[:, row, column] for row in range(3) for column in range(2)], axis=-1),
            root.inv().apply(state.root_lin_vel_w),
            root.inv().apply(state.root_ang_vel_w),
            state.joint_pos - default,
            state.joint_vel,
            action,
        ),
        axis=-1,
    )
    assert wanted.shape == (B, 160)
    np.testing.assert_allclose(torch.cat(tuple(terms.values()), dim=-1), wanted, atol=1e-12)


def test_without_state_estimation_the_critic_still_has_it() -> None:
    state, ahead = _random_state(2, B, joints=29, bodies=30), _random_state(3, B, 1, joints=29, bodies=30)
    zero = torch.zeros(B, 29)
    terms = actor_terms(state, ahead, zero, zero, ANCHOR, "beyondmimic_blind")
    observer = Observer(ObservationCfg(layout="beyondmimic_blind"))
    names = [name for name, _ in observer.layout(terms)]
    assert names == ["command", "motion_anchor_ori_b", "base_ang_vel", "joint_pos", "joint_vel", "actions"]
    assert sum(term.shape[-1] for term in observer.actor(terms).values()) == 154
    private = critic_terms(state, ANCHOR, torch.arange(14), "beyondmimic_blind")
    assert sum(term.shape[-1] for term in (*terms.values(), *private.values())) == 286


def test_the_critic_of_beyondmimic_reads_rotations_along_rows(state: BodyState) -> None:
    bodies = torch.tensor([3, 0])
    rows = critic_terms(state, ANCHOR, bodies, "beyondmimic")["body_rot_b"].reshape(B, 2, 3, 2)
    columns = critic_terms(state, ANCHOR, bodies)["body_rot_b"].reshape(B, 2, 2, 3)
    assert torch.equal(rows, columns.transpose(-1, -2))


@pytest.mark.parametrize("form", ["beyondmimic", "beyondmimic_blind"])
def test_the_environment_of_a_layout(make_env: Callable[..., TrackingEnv], form: str) -> None:
    terms = _with_noise(joint_pos=0.1, gravity_b=0.5, anchor_pos_b=0.2)
    cfg = ObservationCfg(layout=form, terms=terms)  # type: ignore[arg-type]
    env = make_env(observation=cfg)
    one, two = env.observe(), env.observe()
    names, widths = zip(*env.observation_layout(), strict=True)
    parts = zip(one["actor"].split(widths, -1), two["actor"].split(widths, -1), strict=True)
    noisy = {name for name, (a, b) in zip(names, parts, strict=True) if not torch.equal(a, b)}
    assert noisy == {"joint_pos", "motion_anchor_pos_b"} & set(names)
    assert one["actor"].shape[-1] == sum(widths) == 5 * 39 + (15 if form == "beyondmimic" else 9)
    assert torch.equal(one["critic"], two["critic"])
    assert one["critic"].shape[-1] == 5 * 39 + 15 + 9 * len(env.body.tracked)


def test_a_layout_has_room_for_the_next_frame_only() -> None:
    with pytest.raises(ConfigError, match="future_steps.*'beyondmimic'"):
        ObservationCfg(layout="beyondmimic", future_steps=(1, 5))


def test_frames_move_up_and_a_fresh_one_fills_all() -> None:
    history = History(3, 2, 2, torch.device("cpu"))
    everyone, first = torch.tensor([True, True]), torch.tensor([True, False])
    history.push(torch.zeros(2, 2), everyone)
    history.push(torch.ones(2, 2), ~everyone)
    history.push(torch.full((2, 2), 2.0), first)
    assert history.flat().tolist() == [[2.0] * 6, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]]


def test_the_environment_shows_its_own_past(make_env: Callable[..., TrackingEnv]) -> None:
    cfg = ObservationCfg(noise_scale=0.0, history_steps=4)
    env = make_env(observation=cfg, episode_seconds=1000.0)
    env.start(torch.tensor([0, 20, 40, 60]))
    seen = [proprioception(env.state, env.parts.default)]
    for _ in range(4):
        env.step(torch.zeros(4, env.num_actions))
        seen.append(proprioception(env.state, env.parts.default))
    assert env.history_shape == (4, seen[0].shape[-1])
    assert env.observation_layout()[-1] == ("history", 4 * seen[0].shape[-1])
    tail = env.observe()["actor"][:, -4 * seen[0].shape[-1] :]
    torch.testing.assert_close(tail, torch.cat(seen[1:], dim=-1))


def test_the_past_has_the_same_wrong_zeros_as_the_present(make_env: Callable[..., TrackingEnv]) -> None:
    cfg = ObservationCfg(noise_scale=0.0, history_steps=2)
    env = make_env(observation=cfg, event=replace(CALM, joint_offset=0.05))
    env.start(torch.tensor([0, 20, 40, 60]))
    width, joints = env.history_shape[1], env.num_actions
    actor = env.observe()["actor"]
    history, present = actor[:, -width:], actor[:, : -2 * width]
    # joint angles stand before joint velocities and the last action
    torch.testing.assert_close(history[:, -joints:], present[:, -3 * joints : -2 * joints])
    assert float(env.joint_offset.abs().max()) > 0.03


def test_upright_gravity_points_down(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env()
    env.start(torch.tensor([0, 0, 0, 0]))
    frame = proprioception(env.state, env.parts.default)
    torch.testing.assert_close(frame[:, 1:4], torch.tensor([0.0, 0.0, -1.0]).expand(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(frame[:, 0], env.state.root_pos_w[:, 2])
