"""Off-reference starts: pools, the distribution of draws, grace steps and loss masks in the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from humanoid.bodies import BodyState, Embodiment
from humanoid.core import ConfigError
from humanoid.envs import StartCfg, TrackingEnv, starts
from humanoid.envs.starts import PoolTable, Starts
from humanoid.motion import Motion, MotionLibrary, SamplerCfg, similarity

LONG = 1000.0
CLIPS = ("squat", "dip")


def limits(library: MotionLibrary) -> torch.Tensor:
    return torch.tensor(library.body.joint_range).float()


def test_off_reference_starts_are_near_their_frame_with_grace_by_distance(
    library: MotionLibrary, generator: torch.Generator
) -> None:
    cfg = StartCfg(off_reference=0.1, pool=256)
    pool = starts.off_reference(cfg, library, limits(library), generator)
    ref = library.rows(pool.row)
    assert pool.masked and len(pool.row) > 200
    assert float((pool.state.root_pos_w - ref.root_pos_w).abs().max()) < 0.3
    assert float((pool.state.joint_pos - ref.joint_pos).abs().max()) < 0.5
    assert int(pool.grace.min()) >= 1 and int(pool.grace.max()) <= cfg.max_grace
    wild = replace(cfg, noise_joints=1.5)
    assert (
        starts.off_reference(wild, library, limits(library), generator).grace.float().mean()
        > pool.grace.float().mean()
    )


def test_off_reference_starts_are_joined_where_they_are_though_other_frames_look_alike(
    body: Embodiment, squat: Motion, generator: torch.Generator
) -> None:
    states = squat.states[[0] * squat.num_frames]
    way = torch.arange(squat.num_frames)[:, None, None] * torch.tensor([0.1, 0.0, 0.0])
    slide = replace(squat, states=replace(states, body_pos_w=states.body_pos_w + way))
    sliding = MotionLibrary([slide], body)
    pool = starts.off_reference(StartCfg(off_reference=0.1, pool=128), sliding, limits(sliding), generator)
    gap = (pool.state.root_pos_w - sliding.rows(pool.row).root_pos_w)[..., :2].norm(dim=-1)
    assert len(gap) > 100 and float(gap.max()) < 0.3


def test_one_clip_has_no_cross_clip_starts(
    body: Embodiment, squat: Motion, generator: torch.Generator
) -> None:
    alone = MotionLibrary([squat], body)
    bins = torch.arange(alone.num_frames) // 50
    with pytest.raises(ConfigError, match=r"cross_clip"):
        PoolTable(
            StartCfg(cross_clip=0.1), alone, bins, limits(alone), lambda: alone.rows(bins[:0]), generator
        )


def test_cross_clip_starts_come_from_the_other_clip(
    library: MotionLibrary, generator: torch.Generator
) -> None:
    pool = starts.cross_clip(StartCfg(cross_clip=0.1, pool=200), library, generator)
    frames = library.rows(torch.arange(library.num_frames))
    gap = (pool.state.joint_pos[:, None] - frames.joint_pos).abs().amax(-1)
    same_clip = library.clip[pool.row][:, None] == library.clip
    # the joints are those of a frame of the other clip, exactly
    assert float(gap.masked_fill(same_clip, 1.0).amin(-1).max()) == 0.0
    # and it was put where the clip is: the dip lies at x = 1, the squat at 0
    ref = library.rows(pool.row)
    assert float((pool.state.root_pos_w - ref.root_pos_w)[:, :2].norm(dim=-1).max()) < 0.1


def test_fallen_bodies_lie_still_with_a_second_of_grace(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(num_envs=4)
    state = starts.drop(env.sim, env.parts.limits, env.generator)
    assert 1 <= len(state.joint_pos) <= 4
    head = env.body.body_id("Head")
    assert float(state.body_pos_w[:, head, 2].max()) < 0.7
    assert float(state.root_pos_w[:, 2].max()) < 0.6
    pool = starts.fallen(StartCfg(fallen=0.1, fallen_clips=("dip",)), env.library, state)
    assert set(env.library.clip[pool.row].tolist()) == {1}
    assert pool.grace.tolist() == [50] * len(pool.row) and not pool.masked
    planar_gap = pool.state.root_pos_w[:, 0] - env.library.rows(pool.row).root_pos_w[:, 0]
    assert float(planar_gap.abs().max()) < 1.0  # it was dropped at x = 0 and lies at the dip's x = 1


def test_getting_up_needs_somebody_who_fell(library: MotionLibrary) -> None:
    nobody = library.rows(torch.tensor([], dtype=torch.long))
    with pytest.raises(ConfigError, match="dropped"):
        starts.fallen(StartCfg(fallen=0.1, fallen_clips=("dip",)), library, nobody)


def test_getting_up_needs_a_clip_for_it(library: MotionLibrary) -> None:
    with pytest.raises(ConfigError, match="clip"):
        starts.fallen(StartCfg(fallen=0.1), library, library.rows(torch.tensor([0])))


@pytest.mark.parametrize("shares", [{"off_reference": -0.1}, {"off_reference": 0.6, "cross_clip": 0.6}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="off_reference"):
        StartCfg(**shares)  # type: ignore[arg-type]


def test_shares_are_drawn_as_configured(library: MotionLibrary, generator: torch.Generator) -> None:
    def drop() -> BodyState:
        return library.rows(torch.tensor([20, 30]))

    cfg = StartCfg(off_reference=0.2, cross_clip=0.1, fallen=0.3, pool=512, fallen_clips=("dip",))
    bins = torch.arange(library.num_frames) // 50
    drawer = PoolTable(cfg, library, bins, limits(library), drop, generator)
    asked = torch.zeros(4000, dtype=torch.long)
    off, row, _, grace, masked = drawer.draw(asked)
    fallen = off & ~masked
    assert abs(float(off.float().mean()) - 0.6) < 0.03
    assert abs(float(fallen.float().mean()) - 0.3) < 0.03
    assert (grace[~off] == 0).all() and (grace[fallen] == 50).all()
    assert (bins[row[off & masked]] == 0).all()  # joined starts stay in the bin that was asked for
    assert (library.clip[row[fallen]] == 1).all()  # who has fallen gets up, whatever was asked for


def test_in_grace_the_reference_stands_and_nothing_fails(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(episode_seconds=LONG, start=StartCfg(cross_clip=1.0, pool=64))
    rows = torch.tensor([10, 20, 30, 40])
    ref = env.library.rows(rows)
    lifted = ref.body_pos_w + torch.tensor([0.0, 0.0, 2.0])
    away = BodyState(ref.joint_pos, ref.joint_vel, lifted, *list(vars(ref).values())[3:])
    env.start(rows, away, torch.tensor([3, 3, 3, 0]))
    result = env.step(torch.zeros(4, env.num_actions))
    assert env.cursor.row[:3].tolist() == [10, 20, 30]
    assert result.done.tolist() == [False, False, False, True]  # two metres up: without grace that fails


def test_masked_starts_earn_the_mean_of_the_others_while_in_grace(library: MotionLibrary) -> None:
    cfg, device = StartCfg(cross_clip=0.5, pool=64), torch.device("cpu")
    bins, draw = torch.zeros(library.num_frames, dtype=torch.long), torch.Generator().manual_seed(0)
    made = Starts(64, device)
    made.fill(PoolTable(cfg, library, bins, limits(library), lambda: library.rows(bins[:0]), draw))
    everyone, rows = torch.ones(64, dtype=torch.bool), torch.zeros(64, dtype=torch.long)
    made.draw(everyone, rows, rows, library.roots(rows))
    assert 0 < int(made.off.sum()) < 64 and torch.equal(made.grace > 0, made.off)
    off = made.advance()
    groups = torch.where(off, 100.0, torch.arange(64.0))[:, None]
    failed, earned = made.excuse(everyone, groups)
    assert torch.equal(failed, ~off)
    torch.testing.assert_close(earned[off], groups[~off].mean().expand(int(off.sum()), 1))
    assert torch.equal(earned[~off], groups[~off])
    for _ in range(cfg.max_grace):
        made.advance()
    failed, earned = made.excuse(everyone, groups)
    assert failed.all() and torch.equal(earned, groups)  # grace is over


def test_pairs_are_moved_onto_each_other(library: MotionLibrary) -> None:
    frames = library.rows(torch.arange(101))
    pairing = similarity.pair(library.rows(torch.arange(101, 142)), frames)
    moved = similarity.moved(library.rows(torch.arange(101, 142)), pairing)
    assert float((moved.root_pos_w - frames[pairing.index].root_pos_w)[:, :2].abs().max()) < 0.05


def test_a_start_that_fails_early_is_credited_for_the_whole_clip(
    make_env: Callable[..., TrackingEnv],
) -> None:
    env = make_env(episode_seconds=LONG, sampler=SamplerCfg(by="reward", memory=1.0))
    env.start(torch.tensor([0, 101, 101, 101]))
    lost, never = torch.tensor([True, False, False, False]), torch.zeros(4, dtype=torch.bool)
    best = torch.full((4,), env.kernels.rewards.best)
    for step in range(10):
        env.source.advance()
        failed = lost & (step == 9)
        env.source.learn(best, failed, failed | never)
    first = env.sampler.bin_of_row[0]
    # ten perfect steps of the hundred to the end of the clip
    assert float(env.sampler.rewards[first] / env.sampler.episodes[first]) == pytest.approx(0.1, abs=0.02)


def test_off_reference_starts_do_not_update_the_sampler(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(episode_seconds=LONG, start=StartCfg(cross_clip=1.0, pool=64))
    on = ~env.source.starts.off
    before = env.sampler.visits.clone()
    env.step(torch.zeros(4, env.num_actions))
    gained = env.sampler.visits - before * env.cfg.sampler.memory
    assert float(gained.sum()) == pytest.approx(float(on.sum()), abs=1e-4)
    assert int(on.sum()) < 4


def test_a_reference_in_grace_gives_no_lead(make_env: Callable[..., TrackingEnv], playback: Any) -> None:
    env = make_env(sim=playback)
    env.start(torch.tensor([20, 20, 20, 20]), grace=torch.tensor([0, 0, 2, 2]))
    env.play(torch.zeros(4, env.num_actions))
    now, after = env.library.rows(torch.tensor([20, 21]))[0], env.library.rows(torch.tensor([20, 21]))[1]
    torch.testing.assert_close(playback.targets[2], now.joint_pos)
    torch.testing.assert_close(playback.targets[0], after.joint_pos + env.parts.lead * after.joint_vel)
