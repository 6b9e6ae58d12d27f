"""Filling in motions: what is known of a file, a body that glides through keyframes, whole runs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.control.inpaint import InpaintTask, inpaint, simulated
from humanoid.core import ConfigError, InputError
from humanoid.diffusion import Layout
from humanoid.envs import Velocity
from humanoid.motion import Motion
from humanoid.planning import Keyframes, key_distances, keys_of_rows
from humanoid.planning.costs import Keyframe
from humanoid.planning.keyframes import KeyFile, KeyRow, clamped, loose_costs
from humanoid.scripts.inpaint import key_errors, main, problem_of, table
from humanoid.scripts.verbs import InpaintCfg
from humanoid.tasks.starts import standing
from tests.tasks.guided import FPS, Floor, gliding, guided_agent, write_models


@pytest.fixture(scope="module")
def layout(body: Embodiment) -> Layout:
    """Tokens of the default body."""
    return Layout.of(body)


@pytest.fixture(scope="module")
def walk(body: Embodiment) -> Motion:
    """A glide of 4 s."""
    return gliding(body, 4.0)


@pytest.fixture(scope="module")
def cfg(body: Embodiment, walk: Motion, tmp_path_factory: pytest.TempPathFactory) -> InpaintCfg:
    """Checkpoints that learned nothing and the glide."""
    folder = tmp_path_factory.mktemp("inpaint")
    latent, diffusion = write_models(folder, body)
    walk.save(folder / "walk.npz")
    (folder / "keys.yaml").write_text("keyframes: [{time: 2.0, body: Pelvis, pos: [1.0, 0.0, 0.9]}]")
    return InpaintCfg(
        keyframes=str(folder / "walk.npz"), latent=str(latent), diffusion=str(diffusion), tries=2, every=1.0
    )


def test_a_clip_is_known_outside_its_holes_or_now_and_then(
    cfg: InpaintCfg, layout: Layout, body: Embodiment, walk: Motion
) -> None:
    now_and_then = problem_of(cfg, layout, body)
    assert now_and_then.keys.times.tolist() == [1.0, 2.0, 3.0, 4.0] and now_and_then.begin == pytest.approx(
        0.16
    )
    assert now_and_then.start is not None
    start = walk.at(torch.arange(5) * 0.04)
    torch.testing.assert_close(now_and_then.start[0].body_pos_w, start.body_pos_w)
    holes = problem_of(replace(cfg, every=0.0, holes=((1.0, 2.0), (3.0, 3.5))), layout, body)
    times = holes.keys.times
    assert not ((times > 0.99) & (times < 2.01)).any() and not ((times > 2.99) & (times < 3.51)).any()
    assert len(times) == 96 - 26 - 13 and float(times[0]) == pytest.approx(0.2)
    torch.testing.assert_close(holes.keys.features, layout.features(walk.at(times), body))


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "nothing": ({"every": 0.0}, InputError, "nothing to fill in"),
    "long": ({"every": 9.0}, InputError, "nothing to fill in"),
    "start": ({"every": 0.0, "holes": ((0.0, 1.0),)}, InputError, "to start from"),
    "outside": ({"every": 0.0, "holes": ((3.0, 9.0),)}, InputError, "hole from 3 to 9 s"),
    "backward": ({"every": 0.0, "holes": ((2.0, 1.0),)}, InputError, "hole from 2 to 1 s"),
    "everything": ({"every": 0.0, "holes": ((0.16, 4.0),)}, InputError, "nothing of it is left"),
    "both": ({"holes": ((1.0, 2.0),)}, ConfigError, "both holes and every"),
    "no tries": ({"tries": 0}, ConfigError, "tries is 0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_filled_in_is_refused(
    kind: str, cfg: InpaintCfg, layout: Layout, body: Embodiment
) -> None:
    change, error, message = WRONG[kind]
    with pytest.raises(error) as caught:
        problem_of(replace(cfg, **change), layout, body)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_holes_are_for_motions(cfg: InpaintCfg, layout: Layout, body: Embodiment) -> None:
    keys = str(Path(cfg.keyframes).with_name("keys.yaml"))
    assert problem_of(replace(cfg, keyframes=keys, every=0.0), layout, body).clip is None
    with pytest.raises(InputError, match="holes and every"):
        problem_of(replace(cfg, keyframes=keys), layout, body)


def planner(layout: Layout, body: Embodiment) -> Any:
    """Return a planner whose bodies glide to the keyframes."""
    return SimpleNamespace(layout=layout, agent=lambda sim, cfg, seed: guided_agent(body, layout, cfg))


def test_a_body_that_glides_from_key_to_key_meets_them(
    cfg: InpaintCfg, layout: Layout, body: Embodiment, walk: Motion
) -> None:
    problem = problem_of(cfg, layout, body)
    motion = inpaint(problem.keys, planner(layout, body), Floor(body, 2), problem.start, problem.begin)  # type: ignore[arg-type]
    assert motion.duration == pytest.approx(4.0 - 0.16, abs=0.03) and motion.contact.all()
    assert motion.provenance["fell_at"] is None and motion.provenance["tries"] == 2
    whole = replace(walk, states=walk.states)
    assert [row["mean_mm"] for row in key_errors(problem.keys, whole)] == [pytest.approx(0.0, abs=0.1)] * 4
    moved = walk.at(0.16 + torch.arange(motion.num_frames) / FPS)
    assert float((motion.states.body_pos_w - moved.body_pos_w).norm(dim=-1).max()) < 0.05


def row(time: float, pos: tuple[float, float, float], name: str = "Pelvis", turned: bool = True) -> KeyRow:
    """Return a row of a keyframe file."""
    quat = (math.cos(0.25), 0.0, 0.0, math.sin(0.25)) if turned and name == "Pelvis" else None
    return KeyRow(time=time, body=name, pos=pos, quat=quat)


def test_without_a_start_the_body_stands_where_the_first_key_has_it(layout: Layout, body: Embodiment) -> None:
    rows = (row(0.0, (5.0, 1.0, 0.9)), row(1.0, (5.5, 1.0, 0.9)))
    keys = keys_of_rows(KeyFile(keyframes=rows), layout, body)
    motion = inpaint(keys, planner(layout, body), Floor(body, 1))  # type: ignore[arg-type]
    first = motion.states[0]
    torch.testing.assert_close(first.root_pos_w[:2], torch.tensor((5.0, 1.0)))
    torch.testing.assert_close(first.root_quat_w, torch.tensor(rows[0].quat))
    assert key_errors(keys, motion)[1]["mean_mm"] < 100.0
    with pytest.raises(InputError, match="'Pelvis' at 1 s .* 30"):
        far = keys_of_rows(KeyFile(keyframes=(row(1.0, (30.0, 0.0, 0.9)),)), layout, body)
        inpaint(far, planner(layout, body), Floor(body, 1))  # type: ignore[arg-type]


def test_a_key_beyond_the_horizon_asks_for_the_velocity_that_takes_there_in_time(
    layout: Layout, body: Embodiment
) -> None:
    keys = keys_of_rows(
        KeyFile(keyframes=(row(4.0, (0.0, 3.2, 0.9)), row(5.0, (0.0, 3.2, 0.9)))), layout, body
    )
    start = standing(body, 1)[:, 0]
    task = InpaintTask(keys, body, layout.cfg, start, 0.0, 0.02)
    _, velocity = task.command(0.0)
    assert isinstance(velocity, Velocity) and velocity.frame == "world" and not velocity.face
    torch.testing.assert_close(velocity.velocity, torch.tensor(((0.0, 0.8),)))
    (keyframes,) = task.command(3.0)
    assert isinstance(keyframes, Keyframes) and task.seconds == 5.0
    assert keyframes.frame.tolist() == [[25.0, 50.0]]


def test_loose_bodies_are_drawn_to_their_places_by_a_cost(layout: Layout, body: Embodiment) -> None:
    rows = (
        row(1.0, (0.5, 0.0, 0.9), turned=False),
        row(1.0, (0.6, 0.3, 1.2), "L_Wrist"),
        row(2.0, (0.9, 0.0, 0.9)),
    )
    keys = keys_of_rows(KeyFile(keyframes=rows), layout, body)
    (cost,) = loose_costs(keys, 0.2, 0.04)
    assert isinstance(cost, Keyframe) and cost.bodies == layout.bodies
    torch.testing.assert_close(torch.as_tensor(cost.frames), torch.tensor((20.0, 45.0)))
    counted = torch.as_tensor(cost.mask)
    assert int(counted.sum()) == 1 and counted[0, layout.bodies.index("L_Wrist")] == 1
    assert clamped(keys, 0.2, 0.04, 3).mask.sum(-1).tolist() == [[3, 9]] * 3
    assert not loose_costs(keys_of_rows(KeyFile(keyframes=rows[2:]), layout, body), 0.0, 0.04)
    pos = keys.pos_w.clone()
    pos[0, 0, 0] += 0.4
    mean, farthest = key_distances(keys, pos)
    torch.testing.assert_close(mean, torch.tensor((0.2, 0.0)))
    torch.testing.assert_close(farthest, torch.tensor((0.4, 0.0)))


def test_a_motion_ends_before_the_first_state_that_is_no_number(body: Embodiment, walk: Motion) -> None:
    pos = walk.states.body_pos_w.clone()
    pos[100:, 3] = math.nan
    motion = simulated(replace(walk.states, body_pos_w=pos), body, FPS, "x", {"fell_at": 1.0})
    assert motion.num_frames == 100 and motion.states.body_pos_w.isfinite().all()


def check_results(result: dict[str, Any], out: Path) -> None:
    """Compare what main returned with what it wrote, for the untrained model."""
    assert json.loads((out / "metrics.json").read_text()) == json.loads(json.dumps(result))
    assert [found["time"] for found in result["rows"]] == [1.0, 2.0, 3.0, 4.0]
    # a body that holds its default pose at 0.9 m/s falls
    assert 0.5 < result["fell_at"] < 3.0 and result["rows"][-1]["mean_mm"] is None
    assert "falls at" in (out / "report.md").read_text() == table(result) + "\n"
    motion = Motion.load(out / "inpaint.npz")
    assert motion.duration == pytest.approx(result["lasted"], abs=1e-3) and motion.name == "walk_inpainted"


def test_a_run_leaves_motion_report_and_metrics(cfg: InpaintCfg, walk: Motion, tmp_path: Path) -> None:
    result = main(replace(cfg, out=str(tmp_path), video=False))
    check_results(result, tmp_path)
    motion = Motion.load(tmp_path / "inpaint.npz")
    # the first frames are the clip's own
    torch.testing.assert_close(motion.states.body_pos_w[:9], walk.states.body_pos_w[:9], atol=1e-4, rtol=0)
    assert not (tmp_path / "inpaint.mp4").exists()


@pytest.mark.slow
def test_a_run_is_filmed(cfg: InpaintCfg, tmp_path: Path) -> None:
    main(replace(cfg, out=str(tmp_path)))
    assert (tmp_path / "inpaint.mp4").stat().st_size > 5000
