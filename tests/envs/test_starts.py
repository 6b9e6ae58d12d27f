"""Unusual starts: pools, what is drawn of them, and what the environment does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.envs import falling, planar, starts
from humanoid.envs.starts import StartCfg, Starts
from humanoid.envs.terminations import TerminationCfg
from humanoid.envs.tracking import TrackingEnv
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.motion.sampler import SamplerCfg

LONG = TerminationCfg(episode_seconds=1000.0)
CLIPS = ("squat", "dip")


def limits(library: MotionLibrary) -> torch.Tensor:
    return torch.tensor(library.body.joint_range).float()


def test_neighbours_are_near_their_frame_and_wait_for_their_distance(
    library: MotionLibrary, generator: torch.Generator
) -> None:
    cfg = StartCfg(neighbour=0.1, pool=256)
    pool = starts.neighbours(cfg, library, limits(library), generator)
    ref = library.rows(pool.row)
    assert pool.masked and len(pool.row) > 200
    assert float((pool.state.root_pos_w - ref.root_pos_w).abs().max()) < 0.3
    assert float((pool.state.joint_pos - ref.joint_pos).abs().max()) < 0.5
    assert int(pool.wait.min()) >= 1 and int(pool.wait.max()) <= cfg.longest_wait
    wild = replace(cfg, noise_joints=1.5)
    assert (
        starts.neighbours(wild, library, limits(library), generator).wait.float().mean()
        > pool.wait.float().mean()
    )


def test_neighbours_are_joined_where_they_are_though_other_frames_look_alike(
    body: Embodiment, squat: Motion, generator: torch.Generator
) -> None:
    states = squat.states[[0] * squat.num_frames]
    way = torch.arange(squat.num_frames)[:, None, None] * torch.tensor([0.1, 0.0, 0.0])
    slide = replace(squat, states=replace(states, body_pos_w=states.body_pos_w + way))
    sliding = MotionLibrary([slide], body)
    pool = starts.neighbours(StartCfg(neighbour=0.1, pool=128), sliding, limits(sliding), generator)
    gap = (pool.state.root_pos_w - sliding.rows(pool.row).root_pos_w)[..., :2].norm(dim=-1)
    assert len(gap) > 100 and float(gap.max()) < 0.3


def test_one_clip_has_nothing_to_be_stitched_to(
    body: Embodiment, squat: Motion, generator: torch.Generator
) -> None:
    alone = MotionLibrary([squat], body)
    bins = torch.arange(alone.num_frames) // 50
    with pytest.raises(ConfigError, match=r"start\.stitched is 0\.1"):
        Starts(StartCfg(stitched=0.1), alone, bins, limits(alone), lambda: alone.rows(bins[:0]), generator)


def test_stitched_starts_come_from_the_other_clip(library: MotionLibrary, generator: torch.Generator) -> None:
    pool = starts.stitched(StartCfg(stitched=0.1, pool=200), library, generator)
    frames = library.rows(torch.arange(library.num_frames))
    gap = (pool.state.joint_pos[:, None] - frames.joint_pos).abs().amax(-1)
    same_clip = library.clip[pool.row][:, None] == library.clip
    # the joints are those of a frame of the other clip, exactly
    assert float(gap.masked_fill(same_clip, 1.0).amin(-1).max()) == 0.0
    # and it was put where the clip is: the dip lies at x = 1, the squat at 0
    ref = library.rows(pool.row)
    assert float((pool.state.root_pos_w - ref.root_pos_w)[:, :2].norm(dim=-1).max()) < 0.1


def test_fallen_bodies_lie_still_and_wait_for_a_second(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(num_envs=4)
    state = falling.drop(env.sim, env.parts.limits, env.generator)
    assert 1 <= len(state.joint_pos) <= 4
    head = env.body.body_id("Head")
    assert float(state.body_pos_w[:, head, 2].max()) < 0.7
    assert float(state.root_pos_w[:, 2].max()) < 0.6
    pool = starts.fallen(StartCfg(fallen=0.1, fallen_clips=("dip",)), env.library, state)
    assert set(env.library.clip[pool.row].tolist()) == {1}
    assert pool.wait.tolist() == [50] * len(pool.row) and not pool.masked
    planar_gap = pool.state.root_pos_w[:, 0] - env.library.rows(pool.row).root_pos_w[:, 0]
    assert float(planar_gap.abs().max()) < 1.0  # it was dropped at x = 0 and lies at the dip's x = 1


def test_getting_up_needs_somebody_who_fell(library: MotionLibrary) -> None:
    nobody = library.rows(torch.tensor([], dtype=torch.long))
    with pytest.raises(ConfigError, match="no body that was dropped came to rest"):
        starts.fallen(StartCfg(fallen=0.1, fallen_clips=("dip",)), library, nobody)


def test_getting_up_needs_a_clip_for_it(library: MotionLibrary) -> None:
    with pytest.raises(ConfigError, match="no clip's name has any of"):
        starts.fallen(StartCfg(fallen=0.1), library, library.rows(torch.tensor([0])))


@pytest.mark.parametrize("shares", [{"neighbour": -0.1}, {"neighbour": 0.6, "stitched": 0.6}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="neighbour"):
        StartCfg(**shares)  # type: ignore[arg-type]


def test_shares_are_drawn_as_configured(library: MotionLibrary, generator: torch.Generator) -> None:
    def drop() -> BodyState:
        return library.rows(torch.tensor([20, 30]))

    cfg = StartCfg(neighbour=0.2, stitched=0.1, fallen=0.3, pool=512, fallen_clips=("dip",))
    bins = torch.arange(library.num_frames) // 50
    drawer = Starts(cfg, library, bins, limits(library), drop, generator)
    asked = torch.zeros(4000, dtype=torch.long)
    unusual, row, _, wait, masked = drawer.draw(asked)
    fallen = unusual & ~masked
    assert abs(float(unusual.float().mean()) - 0.6) < 0.03
    assert abs(float(fallen.float().mean()) - 0.3) < 0.03
    assert (wait[~unusual] == 0).all() and (wait[fallen] == 50).all()
    assert (bins[row[unusual & masked]] == 0).all()  # joined starts stay in the bin that was asked for
    assert (library.clip[row[fallen]] == 1).all()  # who has fallen gets up, whatever was asked for


def test_the_reference_waits_nothing_fails_and_masked_steps_earn_the_mean(
    make_env: Callable[..., TrackingEnv],
) -> None:
    env = make_env(termination=LONG, start=StartCfg(stitched=1.0, pool=64))
    rows = torch.tensor([10, 20, 30, 40])
    ref = env.library.rows(rows)
    lifted = ref.body_pos_w + torch.tensor([0.0, 0.0, 2.0])
    away = BodyState(ref.joint_pos, ref.joint_vel, lifted, *list(vars(ref).values())[3:])
    env.start(rows, away, torch.tensor([3, 3, 3, 0]))
    env.masked = torch.tensor([True, True, False, False])
    result = env.step(torch.zeros(4, env.num_actions))
    assert env.cursor.row[:3].tolist() == [10, 20, 30]
    assert result.done.tolist() == [False, False, False, True]  # two metres up: who does not wait has failed
    mean = result.reward[2:].mean()
    torch.testing.assert_close(result.reward[:2], mean.expand(2))


def test_pairs_are_moved_onto_each_other(library: MotionLibrary) -> None:
    frames = library.rows(torch.arange(101))
    pairing = planar.pair(library.rows(torch.arange(101, 142)), frames)
    moved = planar.moved(library.rows(torch.arange(101, 142)), pairing)
    assert float((moved.root_pos_w - frames[pairing.index].root_pos_w)[:, :2].abs().max()) < 0.05


def test_a_start_that_fails_early_is_credited_for_what_it_did_not_earn(
    make_env: Callable[..., TrackingEnv],
) -> None:
    env = make_env(termination=LONG, sampler=SamplerCfg(by="reward", memory=1.0))
    env.start(torch.tensor([0, 0, 0, 0]))
    lost = torch.tensor([True, False, False, False])
    for step in range(100):
        failed = lost & (step == 9)
        done = failed | (env.cursor.row + 1 >= 100)
        env.started = torch.tensor([0, 101, 101, 101])
        env._teach_sampler(torch.full((4,), env.scorer.best), failed, done)
        env.cursor.row = torch.where(done, 0, env.cursor.row + 1)
    first = env.sampler.bin_of_row[0]
    # ten perfect steps of the hundred that there would have been
    assert float(env.sampler.rewards[first] / env.sampler.episodes[first]) == pytest.approx(0.1, abs=0.02)


def test_unusual_starts_do_not_teach_the_sampler(make_env: Callable[..., TrackingEnv]) -> None:
    env = make_env(termination=LONG, start=StartCfg(stitched=1.0, pool=64))
    env.restart()
    env.unusual = torch.ones(4, dtype=torch.bool)
    before = env.sampler.visits.clone()
    env.step(torch.zeros(4, env.num_actions))
    torch.testing.assert_close(env.sampler.visits, before * env.cfg.sampler.memory)


def test_a_reference_that_waits_gives_no_lead(make_env: Callable[..., TrackingEnv], playback: Any) -> None:
    env = make_env(sim=playback)
    env.start(torch.tensor([20, 20, 20, 20]), wait=torch.tensor([0, 0, 2, 2]))
    env.play(torch.zeros(4, env.num_actions))
    now, after = env.library.rows(torch.tensor([20, 21]))[0], env.library.rows(torch.tensor([20, 21]))[1]
    torch.testing.assert_close(playback.targets[2], now.joint_pos)
    torch.testing.assert_close(playback.targets[0], after.joint_pos + env.parts.lead * after.joint_vel)
