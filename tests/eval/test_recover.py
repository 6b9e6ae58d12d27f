"""Getting up: when a body is up to stay, and who gets up at all."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from humanoid.bodies import BodyState, Embodiment, Posture
from humanoid.core import ConfigError, InputError
from humanoid.envs import TrackingCfg, TrackingEnv
from humanoid.envs.starts import Pool
from humanoid.eval import RecoverCfg, Setup
from humanoid.eval.recover import HEAD_SHARE, perform_from, recover, table, time_up
from humanoid.eval.setup import CALM
from humanoid.motion import MotionLibrary
from humanoid.nn import Checkpoint
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.spatial import rotation as rot
from tests.conftest import Playback, bend


def still(observation: Tensor) -> Tensor:
    """Act on nothing, on the default body."""
    return torch.zeros(len(observation), 39)


def test_up_to_stay() -> None:
    table = torch.tensor(
        [
            [1, 0, 0, 1, 0],
            [1, 0, 1, 0, 0],
            [1, 1, 0, 1, 0],
            [1, 1, 1, 1, 0],
            [1, 1, 1, 1, 1],
            [1, 1, 1, 0, 1],
        ],
        dtype=torch.bool,
    )
    assert time_up(table, hold=2).tolist() == [0, 2, 3, 2, 6]
    assert time_up(table, hold=0).tolist() == [0, 2, 1, 0, 4]
    assert time_up(table, hold=6).tolist() == [6] * 5


def test_a_body_on_the_floor_stays_there_without_a_tracker(
    make_env: Callable[..., TrackingEnv], tiny_run: Path
) -> None:
    env = make_env(num_envs=3)
    ref = env.library.rows(torch.tensor([101, 101]))
    lying = rot.exp(torch.tensor((0.0, -math.pi / 2, 0.0)))  # on the back
    root = ref.root_pos_w.clone()
    root[1, 2] = 0.15
    quat = torch.stack((ref.root_quat_w[0], lying))
    zero = torch.zeros(2, 1, 3)
    state = BodyState(ref.joint_pos, ref.joint_vel, root[:, None], quat[:, None], zero, zero)
    pool = Pool(torch.tensor([101, 101]), state, torch.tensor([3, 3]), masked=False)
    setup = Setup(env, still, Checkpoint.load(tiny_run / CHECKPOINT, KIND), 1)
    when = perform_from(setup, pool, seconds=0.3)
    assert when.tolist() == [pytest.approx(0.02), math.inf]
    assert env.cursor.row.tolist() == [101 + 40 - 3] * 3  # 0.3 s and half a second, less the waiting


def test_rising_is_timed_from_the_fall(body: Embodiment, tiny_run: Path) -> None:
    rise = bend(body, "getup", frames=101, depth=2.0)
    backwards = rise.states.map(lambda tensor: tensor.flip(0))
    library = MotionLibrary([replace(rise, states=backwards)], body)
    sim = Playback(library, 2)
    env = TrackingEnv(TrackingCfg(event=CALM), sim, library)
    start = library.rows(torch.tensor([0, 20]))
    pool = Pool(torch.tensor([0, 20]), start, torch.zeros(2, dtype=torch.long), masked=False)
    setup = Setup(env, still, Checkpoint.load(tiny_run / CHECKPOINT, KIND), 1)
    when = perform_from(setup, pool, seconds=2.5)
    posture = Posture(body)
    head = library.rows(torch.arange(101)).body_pos_w[:, body.body_id("Head"), 2]
    first = int((head >= HEAD_SHARE * posture.standing).nonzero()[0])
    assert 20 < first < 100
    assert when.tolist() == [pytest.approx(first / 50), pytest.approx((first - 20) / 50)]
    assert perform_from(setup, pool, seconds=(first - 10) / 50)[0] == math.inf


def test_falls_are_counted_by_clip(body: Embodiment, tiny_run: Path, tmp_path: Path) -> None:
    for name in ("getup_a", "getup_b", "walk"):
        bend(body, name, frames=20, depth=0.3 if name == "getup_a" else 0.1).save(tmp_path / f"{name}.npz")
    cfg = RecoverCfg(
        checkpoint=str(tiny_run / CHECKPOINT), motions=str(tmp_path), falls=4, seconds=0.1, seed=2
    )
    found = json.loads(json.dumps(recover(cfg)))
    assert list(found["clips"]) == ["getup_a", "getup_b"]
    assert 1 <= found["falls"] <= 4
    assert sum(clip["falls"] for clip in found["clips"].values()) == found["falls"]
    assert (found["up"], found["median_s"]) == (0.0, None)  # nobody gets up in a tenth of a second
    lines = table(found).splitlines()
    assert lines[0].split("|")[1:4] == [" clip    ", " falls ", " up in 0.1 s % "]
    assert lines[-1].startswith("| all ")


def test_what_cannot_be_done_is_refused(tiny_run: Path, motion_folder: Path) -> None:
    cfg = RecoverCfg(checkpoint=str(tiny_run / CHECKPOINT), motions=str(motion_folder))
    with pytest.raises(InputError, match="getup"):
        recover(cfg)
    with pytest.raises(ConfigError, match="falls is 0"):
        replace(cfg, falls=0)
    with pytest.raises(ConfigError, match="seconds is 0"):
        replace(cfg, seconds=0.0)
