"""Unusual starts: pools, what is drawn of them, and what the environment does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from humanoid.bodies.state import BodyState
from humanoid.core.errors import ConfigError
from humanoid.envs import falling, planar, starts
from humanoid.envs.starts import StartCfg, Starts
from humanoid.envs.terminations import TerminationCfg
from humanoid.envs.tracking import TrackingEnv
from humanoid.motion.library import MotionLibrary

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


def test_getting_up_needs_a_clip_for_it(library: MotionLibrary) -> None:
    with pytest.raises(ConfigError, match="no clip's name has any of"):
        starts.fallen(StartCfg(fallen=0.1), library, library.rows(torch.tensor([0])))


@pytest.mark.parametrize("shares", [{"neighbour": -0.1}, {"neighbour": 0.6, "stitched": 0.6}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares"):
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
