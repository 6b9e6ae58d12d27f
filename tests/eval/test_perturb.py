"""The sweep of pushes: what is pushed, how hard, and what counts as upright."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError
from humanoid.eval import PerturbCfg
from humanoid.eval.perturb import half_size, lengthened, perturb, push_twists, table
from humanoid.motion import Motion
from humanoid.nn import read_torch
from humanoid.rl.checkpoints import CHECKPOINT
from tests.conftest import bend


@pytest.fixture(scope="module")
def cfg(tiny_run: Path, body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> PerturbCfg:
    """A tracker that does nothing beyond its servos, and a walk on the spot without a step."""
    folder = tmp_path_factory.mktemp("gaits")
    for name, frames in (("walk_still", 60), ("jump", 200)):
        bend(body, name, frames=frames, depth=0.0).save(folder / f"{name}.npz")
    bend(body, "run_down", frames=30, depth=0.6).save(folder / "run_down.npz")
    content = read_torch(tiny_run / CHECKPOINT)
    last = max(key for key in content["weights"] if key.startswith("mlp.") and key.endswith(".bias"))
    for key in (last, last.replace("bias", "weight")):
        content["weights"][key].zero_()
    torch.save(content, folder / "still.pt")
    return PerturbCfg(
        checkpoint=str(folder / "still.pt"), motions=str(folder), starts=2, sizes=(5.0, 0.0), seconds=1.6
    )


def test_huge_pushes_fell_a_body_that_stands_without_them(cfg: PerturbCfg) -> None:
    seen: list[tuple[int, int]] = []
    found = json.loads(json.dumps(perturb(cfg, lambda step, total: seen.append((step, total)))))
    assert seen[-1] == (80, 80)
    assert list(found["clips"]) == ["walk_still"] and found["left_out"] == ["run_down"]
    calm, harsh = found["sizes"]
    assert (calm["size_mps"], harsh["size_mps"]) == (0.0, 5.0)
    assert (calm["upright"], calm["not_fallen"], calm["success"]) == (1.0, 1.0, 1.0)
    assert (harsh["upright"], harsh["success"]) == (0.0, 0.0)
    assert harsh["upright"] <= harsh["not_fallen"]
    assert calm["mpjpe_l_mm"] < 60 and harsh["mpjpe_l_mm"] > calm["mpjpe_l_mm"]
    assert found["half_fail_mps"] == 2.5 and found["upright_0_5_mps"] is None
    assert found["clips"]["walk_still"] == {"upright": [1.0, 0.0], "half_fail_mps": 2.5}
    lines = table(found).splitlines()
    assert lines[2].split("|")[1:3] == [" 0        ", "       100 "]
    assert "left out, too short and not repeatable: run_down" in lines[-1]


def test_pushes_are_horizontal_of_their_size_and_the_same_for_all_sizes() -> None:
    sizes = torch.tensor((0.0, 0.5, 2.0))
    twists = push_twists(sizes, 4, 5, 15, torch.Generator().manual_seed(0))
    assert twists.shape == (15, 4 * 3 * 5, 6)
    assert not twists[..., 2:].any()
    apart = twists[..., :2].reshape(15, 4, 3, 5, 2)
    torch.testing.assert_close(apart.norm(dim=-1), sizes[:, None].expand(15, 4, 3, 5))
    torch.testing.assert_close(4 * apart[:, :, 1], apart[:, :, 2])
    angle = torch.atan2(apart[:, :, 1, :, 1], apart[:, :, 1, :, 0]).flatten()
    assert len(angle.unique()) > 290  # of 300: every run and push has its own
    counts = torch.histc(angle, 4, -math.pi, math.pi)
    assert counts.min() > 50


@pytest.mark.parametrize(
    ("failed", "size"),
    [
        ((0.0, 0.2, 0.4, 0.8), 1.25),
        ((0.0, 0.0, 0.5, 0.9), 1.0),
        ((0.6, 0.7, 0.9, 1.0), 0.0),
        ((0.0, 0.1, 0.2, 0.49), None),
        ((0.0, 0.75, 0.25, 1.0), 1 / 3),  # the first time that half fail
    ],
)
def test_size_at_which_half_fail(failed: tuple[float, ...], size: float | None) -> None:
    sizes = (0.0, 0.5, 1.0, 2.0)
    assert half_size(sizes, failed) == (None if size is None else pytest.approx(size))
    assert half_size(sizes[::-1], failed[::-1]) == half_size(sizes, failed)


def walk(body: Embodiment, frames: int = 51) -> Motion:
    """Return a stand that glides at 1 m/s; it ends as it begins, elsewhere."""
    motion = bend(body, "walk", frames=frames, depth=0.0)
    states = motion.states
    way = torch.arange(frames)[:, None, None] / motion.fps * torch.tensor((1.0, 0.0, 0.0))
    states.body_pos_w.add_(way)
    states.body_lin_vel_w[..., 0] = 1.0
    return motion


def test_a_motion_that_ends_as_it_begins_goes_on_where_it_ends(body: Embodiment) -> None:
    long = lengthened(walk(body), body, 3.5)
    assert long is not None and long.name == "walk"
    assert lengthened(long, body, 3.5) is long
    assert 3.5 <= long.duration < 4.5
    place = long.states.root_pos_w[:, 0]
    expected = torch.arange(long.num_frames) / long.fps
    torch.testing.assert_close(place, expected, atol=2e-3, rtol=0)


def test_a_motion_that_ends_otherwise_is_left_out(body: Embodiment, squat: Motion) -> None:
    assert lengthened(squat, body, 2.0) is squat
    assert lengthened(squat, body, 2.5) is None
    faster = walk(body)
    faster.states.body_lin_vel_w[-1, :, 0] = 2.0
    assert lengthened(faster, body, 2.5) is None


def test_what_cannot_be_swept_is_refused(cfg: PerturbCfg, motion_folder: Path) -> None:
    checks: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: replace(cfg, sizes=()), ConfigError, "sizes"),
        (lambda: replace(cfg, sizes=(-1.0,)), ConfigError, "sizes"),
        (lambda: replace(cfg, every=3.0), ConfigError, "every"),
        (lambda: replace(cfg, starts=0), ConfigError, "starts is 0"),
        (lambda: perturb(replace(cfg, motions=str(motion_folder))), InputError, "no walking or running clip"),
        (
            lambda: perturb(replace(cfg, motions=str(motion_folder), clips=("squat",), seconds=9.0)),
            InputError,
            "no clip goes on for 9 s; too short and not repeatable: squat",
        ),
    ]
    for call, error, message in checks:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
