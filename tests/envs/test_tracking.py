"""The environment: order of a step, resets, time-outs and failures, determinism."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from humanoid.bodies import BodyState
from humanoid.core import MismatchError
from humanoid.envs import ActionCfg, EventCfg, ObservationCfg, RewardTerm, TrackingCfg, TrackingEnv
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.terminations import TRACKING_TERMINATIONS
from humanoid.eval.tracking import CALM
from humanoid.motion import MotionLibrary
from humanoid.sim import SimCfg, make_sim

EnvMaker = Callable[..., TrackingEnv]
LONG = 1000.0
WILD = EventCfg(push_seconds=(0.1, 0.3), friction=(0.5, 1.0), joint_offset=0.02)


def _zero(env: TrackingEnv) -> torch.Tensor:
    return torch.zeros(env.num_envs, env.num_actions)


def _equal(a: BodyState, b: BodyState) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def test_perfect_tracking_earns_the_sum_of_the_weights(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    env.start(torch.tensor([0, 10, 60, 110]))
    for _ in range(5):
        result = env.step(_zero(env))
        # (0.5 + 0.5 + 1 + 1 + 1 + 1) per second * 0.02 s; nothing is penalised
        assert result.reward.tolist() == pytest.approx([0.1] * 4, abs=1e-6)
        assert not result.done.any()
        assert result.log["error/body_pos"] < 1e-6


def test_reference_is_that_of_the_instant_after_the_step(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    env.start(torch.tensor([50, 50, 50, 50]))
    playback.frame = torch.tensor([50, 49, 51, 50])  # the second is a frame late, the third one early
    reward = env.step(_zero(env)).reward
    assert reward[0] == pytest.approx(0.1, abs=1e-6)
    assert reward[1] < reward[0] - 1e-7
    assert reward[2] < reward[0] - 1e-7


def test_penalties_use_the_previous_action(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    env.start(torch.tensor([0, 10, 60, 110]))
    action = _zero(env)
    action[:, 0] = 1.0
    # 0.02 s * (5 - 0.05 * 1^2), then 0.02 s * (5 - 0.05 * 0)
    assert env.step(action).reward.tolist() == pytest.approx([0.099] * 4, abs=1e-6)
    assert env.step(action).reward.tolist() == pytest.approx([0.1] * 4, abs=1e-6)


def test_targets_lead_the_next_reference(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    rows = torch.tensor([0, 30, 60, 110])
    env.start(rows)
    action = torch.randn(4, env.num_actions, generator=torch.Generator().manual_seed(0))
    env.play(action)
    body, ref = env.body, env.library.rows(rows + 1)
    lead = torch.tensor(body.kd / body.kp).float() * ref.joint_vel
    expected = ref.joint_pos + lead + torch.tensor(body.action_scale).float() * action
    torch.testing.assert_close(playback.targets, expected)


@pytest.mark.parametrize("around", ["reference", "default"])
def test_targets_without_lead_and_around_the_default(make_env: EnvMaker, playback: Any, around: str) -> None:
    env = make_env(sim=playback, action=ActionCfg(around=around, velocity_lead=False))  # type: ignore[arg-type]
    env.start(torch.tensor([0, 30, 60, 110]))
    env.play(_zero(env))
    default = torch.tensor(env.body.default_joint_pos).float().expand(4, -1)
    centre = default if around == "default" else env.cursor.now().joint_pos
    torch.testing.assert_close(playback.targets, centre)


def test_joint_offset_is_in_what_is_measured_and_taken_off_what_is_sent(
    make_env: EnvMaker, playback: Any
) -> None:
    event = replace(CALM, joint_offset=0.05)
    cfg = ObservationCfg(noise_scale=0.0)
    env = make_env(sim=playback, event=event, observation=cfg)
    env.start(torch.tensor([0, 30, 60, 110]))
    offset = env.joint_offset
    assert 0.03 < offset.abs().max() <= 0.05
    clean = torch.cat(tuple(env.terms().values()), dim=-1)
    seen = env.observe()["actor"] - clean
    columns = slice(
        -2 * env.num_actions - env.num_actions, -2 * env.num_actions
    )  # before velocity and action
    torch.testing.assert_close(seen[:, columns], offset, atol=1e-6, rtol=0)
    assert seen.abs().sum(-1).tolist() == pytest.approx(offset.abs().sum(-1).tolist(), abs=1e-4)
    calm = make_env(sim=type(playback)(env.library, 4))
    calm.start(torch.tensor([0, 30, 60, 110]))
    env.play(_zero(env))
    calm.play(_zero(calm))
    torch.testing.assert_close(playback.targets, calm.sim.targets - offset)  # type: ignore[attr-defined]


def test_zero_action_follows_the_reference_for_a_while(make_env: EnvMaker) -> None:
    env = make_env(num_envs=2, episode_seconds=LONG)
    env.start(torch.tensor([0, 101]))
    for _ in range(20):
        result = env.step(_zero(env))
        assert not result.done.any()
        assert (result.reward > 0.08).all()


def test_end_of_clip_is_a_time_out_and_starts_anew(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    env.start(torch.tensor([98, 50, 139, 140]))
    result = env.step(_zero(env))
    assert result.done.tolist() == result.time_out.tolist() == [False, False, False, True]
    result = env.step(_zero(env))
    assert result.done.tolist()[:3] == result.time_out.tolist()[:3] == [True, False, True]
    assert env.episode_length.tolist()[:3] == [0, 2, 0]


def test_long_episode_is_cut_without_failing(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=0.06)
    env.start(torch.tensor([0, 0, 0, 0]))
    assert [env.step(_zero(env)).time_out.tolist() for _ in range(3)] == [[False] * 4] * 2 + [[True] * 4]
    assert env.episode_length.tolist() == [0] * 4


def test_failure_is_no_time_out_and_teaches_the_sampler(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(
        sim=playback, episode_seconds=LONG, termination=TRACKING_TERMINATIONS | {"anchor_height": 0.05}
    )
    env.start(torch.tensor([0, 0, 0, 0]))
    playback.frame[2] = 100  # squats while the reference stands
    before = env.sampler.failures.clone()
    result = env.step(_zero(env))
    assert result.done.tolist() == [False, False, True, False]
    assert not result.time_out.any()
    assert result.log["episode/failed"] == 0.25
    gained = env.sampler.failures - before * env.cfg.sampler.memory
    assert gained[env.sampler.bin_of_row[1]] == pytest.approx(1.0)
    assert gained.sum() == pytest.approx(1.0)


def test_failure_on_the_last_frame_is_a_failure(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, termination=TRACKING_TERMINATIONS | {"anchor_height": 0.05})
    env.start(torch.tensor([99, 0, 0, 0]))
    playback.frame[0] = 0
    result = env.step(_zero(env))
    assert result.done[0]
    assert not result.time_out[0]


def test_masked_reset_leaves_the_others_alone(make_env: EnvMaker) -> None:
    env = make_env(num_envs=4, episode_seconds=LONG)
    env.start(torch.tensor([0, 20, 40, 110]))
    env.play(_zero(env))
    before, rows = env.sim.state(), env.cursor.row.clone()
    env.reset(torch.tensor([True, False, True, False]))
    kept = torch.tensor([1, 3])
    assert _equal(env.state[kept], before[kept])
    assert torch.equal(env.cursor.row[kept], rows[kept])
    assert env.episode_length.tolist() == [0, 1, 0, 1]


def test_observation_after_a_reset_is_of_the_new_state(make_env: EnvMaker) -> None:
    env = make_env(num_envs=3, episode_seconds=LONG, observation=ObservationCfg(noise_scale=0.0))
    env.start(torch.tensor([99, 30, 140]))
    result = env.step(torch.ones(3, env.num_actions))
    assert result.done.tolist() == [True, False, True]
    assert _equal(env.state, env.sim.state())
    terms = env.terms()
    assert torch.equal(env.observe()["actor"], torch.cat(tuple(terms.values()), dim=-1))
    # where it started anew it stands on its reference and has not acted yet
    ended = torch.tensor([0, 2])
    assert env.last_action.abs().sum(-1).tolist() == [0.0, env.num_actions, 0.0]
    torch.testing.assert_close(env.state.joint_pos[ended], env.cursor.now().joint_pos[ended])
    torch.testing.assert_close(terms["joint_pos_ref"][ended], env.cursor.ahead().joint_pos[ended, 0])


def test_pushes_spare_environments_that_just_started(make_env: EnvMaker) -> None:
    event = replace(CALM, push_seconds=(0.01, 0.01))  # due in every step
    env = make_env(num_envs=2, event=event, episode_seconds=LONG)
    env.start(torch.tensor([0, 0]))
    env.reset(torch.tensor([True, False]))
    twist = torch.cat((env.state.root_lin_vel_w, env.state.root_ang_vel_w), dim=-1)
    ref = env.cursor.now()
    calm = torch.cat((ref.root_lin_vel_w, ref.root_ang_vel_w), dim=-1)
    torch.testing.assert_close(twist[0], calm[0], atol=1e-6, rtol=0)
    difference = (twist[1] - calm[1]).abs()
    assert (difference > 0).all()
    assert (difference <= torch.tensor(event.push_twist) + 1e-5).all()


def test_pushes_never_come_when_switched_off(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback)
    for _ in range(10):
        env.step(_zero(env))
    assert playback.pushes == 0


def test_numbers_that_are_not_finite_cost_one_episode(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback, episode_seconds=LONG)
    env.start(torch.tensor([0, 10, 60, 110]))
    playback.broken[1] = True
    result = env.step(_zero(env))
    assert result.done.tolist() == [False, True, False, False]
    assert not result.time_out.any()
    assert result.reward.tolist() == pytest.approx([0.1, 0.0, 0.1, 0.1], abs=1e-6)
    assert result.log["episode/nonfinite"] == 0.25
    assert all(torch.isfinite(value) for value in result.log.values())
    assert all(group.isfinite().all() for group in env.observe().values())
    result = env.step(_zero(env))
    assert result.log["episode/nonfinite"] == 0.0
    assert result.reward.tolist() == pytest.approx([0.1] * 4, abs=1e-6)


def test_wild_actions_give_finite_numbers(make_env: EnvMaker) -> None:
    env = make_env(num_envs=4, event=WILD)
    draw = torch.Generator().manual_seed(0)
    failures = 0.0
    for _ in range(60):
        result = env.step(30 * torch.randn(4, env.num_actions, generator=draw))
        assert result.reward.isfinite().all()
        assert all(group.isfinite().all() for group in env.observe().values())
        failures += result.log["episode/failed"].item()
    assert failures > 0


def _history(env: TrackingEnv, steps: int = 15) -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    rows = []
    for _ in range(steps):
        result = env.step(2.0 * torch.randn(env.num_envs, env.num_actions, generator=draw))
        rows.append(torch.cat((env.observe()["actor"], result.reward[:, None], result.done[:, None]), dim=-1))
    return torch.stack(rows)


def test_one_seed_gives_one_history(make_env: EnvMaker) -> None:
    one = _history(make_env(num_envs=3, seed=7, event=WILD))
    assert torch.equal(one, _history(make_env(num_envs=3, seed=7, event=WILD)))
    assert not torch.equal(one, _history(make_env(num_envs=3, seed=8, event=WILD)))


def test_state_of_sampler_and_generator_survives(make_env: EnvMaker, playback: Any) -> None:
    one = make_env(sim=playback, seed=1)
    for _ in range(5):
        one.step(_zero(one))
    one.sampler.failures[0] = 3.0
    saved = one.state_dict()
    two = make_env(sim=type(playback)(one.library, 4), seed=2)
    two.load_state_dict(saved)
    assert torch.equal(two.sampler.failures, one.sampler.failures)
    assert torch.equal(two.sampler.visits, one.sampler.visits)
    assert torch.equal(two.generator.get_state(), one.generator.get_state())
    assert torch.equal(two.sampler.sample(50), one.sampler.sample(50))
    assert (two.episode_length > 0).any()  # clocks are apart again


def test_state_of_other_motions_is_refused(make_env: EnvMaker, playback: Any) -> None:
    env = make_env(sim=playback)
    state = env.state_dict()
    state["source"] = {"failures": torch.ones(99), "visits": torch.ones(99)}
    with pytest.raises(MismatchError, match="99 bins"):
        env.load_state_dict(state)


def test_clocks_start_apart_within_an_episode(
    make_env: EnvMaker, library: MotionLibrary, playback: Any
) -> None:
    env = make_env(sim=type(playback)(library, 64))
    assert env.max_episode_length == 500
    assert env.episode_length.unique().numel() > 32
    assert 0 <= env.episode_length.min() <= env.episode_length.max() < 500


def test_rate_of_motions_must_be_that_of_control(library: MotionLibrary) -> None:
    sim = make_sim(SimCfg(threads=1, dt=0.01, substeps=2), library.body, 1)
    with pytest.raises(MismatchError, match="50 fps.*100 Hz"):
        TrackingEnv(TrackingCfg(), sim, library)


def test_undesired_contacts_are_counted_from_the_simulator(
    make_env: EnvMaker, library: MotionLibrary
) -> None:
    reward = TRACKING_REWARDS | {"undesired_contact": RewardTerm(weight=-0.1)}
    sim = make_sim(SimCfg(threads=1, contacts=True), library.body, 2)
    env = make_env(sim=sim, reward=reward, episode_seconds=LONG)
    env.start(torch.tensor([0, 0]))
    for _ in range(3):
        result = env.step(_zero(env))
    assert result.log["reward/undesired_contact"] == 0.0  # stands on its feet
    env.play(_zero(env))
    lying = env.cursor.now().map(torch.clone)
    lying.body_pos_w[:, 0, 2] = 0.12
    lying.body_quat_w[:, 0] = torch.tensor((math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0))
    sim.reset(torch.tensor([True, True]), lying)
    for _ in range(10):
        sim.step()
    assert env.step(_zero(env)).log["reward/undesired_contact"] > 0.0
