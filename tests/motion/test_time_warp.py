"""Time warping of walks: both directions, stops in double support."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError
from humanoid.motion import Motion, mirror, played
from humanoid.motion.augment import TimeWarpCfg, double_support, is_walk, warped_walks
from humanoid.spatial.frames import yaw
from humanoid.spatial.signals import derivative

CFG = TimeWarpCfg(count=3, seconds=12.0, stay=(0.6, 1.2), stand=(0.3, 0.6), ramp=0.4)


@pytest.fixture(scope="module")
def walk(motions: list[Motion]) -> Motion:
    """Three seconds on a straight line, each foot on the floor a little longer than the other is off."""
    contact = motions[0].contact
    for _ in range(2):
        held = torch.nn.functional.pad(contact, (0, 0, 1, 1))
        contact = held[:-2] | held[1:-1] | held[2:]
    return replace(motions[0], contact=contact)


def pace(motion: Motion) -> torch.Tensor:
    """Return the root's speed (T,) [m/s] to where it faces."""
    s = motion.states
    facing = yaw(s.root_quat_w)
    return (s.root_lin_vel_w[:, :2] * torch.stack((facing.cos(), facing.sin()), -1)).sum(-1)


def test_a_warped_walk_goes_both_ways_and_stands(walk: Motion, body: Embodiment) -> None:
    found = warped_walks([walk], body, CFG, seed=1)
    assert [motion.name for motion in found] == ["stroll0", "stroll1", "stroll2"]
    for motion in found:
        assert motion.duration == pytest.approx(12.0)
        assert motion.provenance == {"stroll_of": walk.name}
        forward = pace(motion)
        assert float((forward > 0.3).float().mean()) > 0.1 and float((forward < -0.3).float().mean()) > 0.1
        assert float((motion.states.joint_vel.abs().amax(-1) < 1e-3).float().mean()) > 0.1


def test_it_shows_nothing_but_poses_of_the_walk(walk: Motion, body: Embodiment) -> None:
    s, w = warped_walks([walk], body, CFG, seed=2)[0].states, walk.states
    ways = torch.cdist(torch.cat((s.joint_pos, s.root_pos_w), -1), torch.cat((w.joint_pos, w.root_pos_w), -1))
    step = torch.cat((w.joint_pos, w.root_pos_w), -1).diff(dim=0).norm(dim=-1).max()
    assert float(ways.amin(-1).max()) <= 0.51 * float(step)


def test_velocities_are_those_of_the_path(walk: Motion, body: Embodiment) -> None:
    motion = warped_walks([walk], body, CFG, seed=3)[0]
    moved, given = derivative(motion.states.root_pos_w, motion.fps), motion.states.root_lin_vel_w
    assert float((moved - given).abs().mean()) < 0.02 * float(given.abs().max())
    # the way to a stop is ramped: no jerk of the playback, 1.9 / ramp at most
    brake = derivative(motion.states.root_lin_vel_w, motion.fps)[:, 0].abs().max()
    own = derivative(walk.states.root_lin_vel_w, walk.fps)[:, 0].abs().max()
    top = float(walk.states.root_lin_vel_w[:, 0].max())
    assert float(brake) < 1.21 * float(own) + 1.1 * top * 1.9 / CFG.ramp


def test_it_rests_on_both_feet_between_them(walk: Motion, body: Embodiment) -> None:
    stops = double_support(walk, body)
    assert len(stops) > 3 and torch.equal(stops, stops.sort().values)
    left, right = (
        walk.contact[:, [walk.contact_names.index(f"{side}_{part}") for part in ("Ankle", "Toe")]].any(1)
        for side in "LR"
    )
    assert bool((left & right)[stops].all())
    # the mirror image rests when the motion does
    assert torch.equal(double_support(mirror(walk, body), body), stops)
    feet = walk.states.body_pos_w[:, body.body_ids(["L_Ankle", "R_Ankle", "L_Toe", "R_Toe"]), :2]
    off = (walk.states.root_pos_w[:, :2] - feet.mean(1)).norm(dim=-1)
    assert float(off[stops].mean()) < 0.6 * float(off.mean())


def test_one_seed_gives_one_warped_walk(walk: Motion, body: Embodiment) -> None:
    first, again, other = (warped_walks([walk], body, CFG, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first.states.joint_pos, again.states.joint_pos)
    assert not torch.equal(first.states.joint_pos, other.states.joint_pos)


def test_a_walk_goes_somewhere_on_its_feet(walk: Motion, squat: Motion, body: Embodiment) -> None:
    assert is_walk(walk, body) and is_walk(mirror(walk, body), body)
    assert not is_walk(squat, body), "stays where it is"
    flight = walk.contact.clone()
    flight[: walk.num_frames // 2] = False
    assert not is_walk(replace(walk, contact=flight), body), "runs"
    hand = walk.contact.clone()
    hand[7, walk.contact_names.index("L_Wrist")] = True
    assert not is_walk(replace(walk, contact=hand), body), "crawls"


def test_motions_take_turns_and_what_is_no_walk_is_passed_over(
    walk: Motion, squat: Motion, body: Embodiment
) -> None:
    found = warped_walks([walk, squat, mirror(walk, body)], body, CFG)
    of = [motion.provenance["stroll_of"] for motion in found]
    assert of == [walk.name, f"{walk.name}_mirrored", walk.name]
    assert warped_walks([squat], body, CFG) == [] and warped_walks([walk], body, TimeWarpCfg()) == []


def test_reversed_playback_is_the_walk_backwards(walk: Motion, body: Embodiment) -> None:
    frames = torch.arange(walk.num_frames - 1, -1, -1, dtype=torch.float64)
    back = played(walk, frames, -torch.ones_like(frames), body)
    torch.testing.assert_close(back.states.joint_pos, walk.states.joint_pos.flip(0))
    torch.testing.assert_close(
        back.states.body_ang_vel_w, -walk.states.body_ang_vel_w.flip(0), atol=1e-4, rtol=0
    )
    assert torch.equal(back.contact, walk.contact.flip(0))


def test_a_ramp_within_one_frame_is_a_jump_and_no_division_by_zero(walk: Motion, body: Embodiment) -> None:
    (sudden,) = warped_walks([walk], body, replace(CFG, count=1, ramp=0.5 / walk.fps / 2))
    assert all(bool(value.isfinite().all()) for value in vars(sudden.states).values())


def test_bad_fields_are_errors() -> None:
    for wrong in ({"count": -1}, {"seconds": 0.0}, {"ramp": float("nan")}):
        with pytest.raises(ConfigError, match="count"):
            TimeWarpCfg(**wrong)  # type: ignore[arg-type]
    for name in ("stay", "stand", "forward", "backward"):
        with pytest.raises(ConfigError, match=f"stroll.{name} is"):
            TimeWarpCfg(**{name: (2.0, 1.0)})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="turn_back"):
        TimeWarpCfg(turn_back=1.5)
