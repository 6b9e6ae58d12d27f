"""The guided loop with bodies that do as planned, and whole runs with networks that learned nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.control import GuidedAgent, LoopCfg, metrics, perform
from humanoid.core import ConfigError, MismatchError
from humanoid.diffusion import Layout
from humanoid.eval import GuideCfg, guide
from humanoid.eval.tasks import table
from humanoid.tasks import TASKS, Task, TaskContext, make
from humanoid.tasks.scores import EpisodeRecord
from tests.tasks.guided import Floor, context, gliding, guided_agent, write_models


def run(
    place: TaskContext, task: Task, guided: bool = True, **loop: Any
) -> tuple[EpisodeRecord, Floor, GuidedAgent]:
    """Do a task with gliding bodies."""
    sim = Floor(place.body, place.count)
    agent = guided_agent(place.body, Layout.of(place.body), LoopCfg(**loop))
    record = perform(agent, sim, task, place.starts.history, guided)  # type: ignore[arg-type]
    return record, sim, agent


def test_a_body_that_does_as_planned_follows_the_stick_and_without_guidance_stands(body: Embodiment) -> None:
    place = context(body, 2)
    task = make("switch", place)
    done, _, agent = run(place, task)
    assert len(done.yaw) == 450 and len(agent.plan_seconds) == 45
    found = metrics(task, done)
    assert found["success"] == 1.0 and found["error"] == pytest.approx(0.0, abs=2e-2)
    assert found["yaw_error_rad_s"] == pytest.approx(0.0, abs=2e-2)
    off, _, _ = run(place, task, guided=False)
    assert metrics(task, off)["errors"] == {"forward": 1.0, "turn": 1.0, "stop": 0.0}


def test_a_late_plan_is_followed_late(body: Embodiment) -> None:
    place = context(body, 1)
    task = make("perturb", place)
    begun = []
    for latency in (0, 3):
        done, sim, _ = run(place, task, latency=latency, replan=0.4)
        speed = done.root_lin_vel_w[:, 0, :2].norm(dim=-1)
        begun.append(int((speed > 0.5).int().argmax()))
        assert len(sim.pushed) == 15
    assert begun == [0, 6]


def test_who_goes_straight_arrives_and_the_loop_ends_when_all_are_there(body: Embodiment) -> None:
    place = context(body, 3)
    task = make("waypoint", place)
    done, _, _ = run(place, task)
    found = metrics(task, done)
    assert found["success"] == 1.0 and found["error"] <= 0.3 and 1.5 < found["seconds"] < 5.0
    assert len(done.yaw) < 300


def test_keyframes_are_met_by_going_from_one_to_the_next(body: Embodiment) -> None:
    place = context(body, 2, ahead=9.0)
    task = make("inbetween", place)
    done, _, _ = run(place, task)
    found = metrics(task, done)
    assert found["success"] == 1.0 and found["mpjpe_g_mm"] < 40.0 and found["mpjpe_l_mm"] < 10.0


@pytest.fixture(scope="module")
def models(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints that learned nothing, and a walk to start from."""
    folder = tmp_path_factory.mktemp("models")
    latent, diffusion = write_models(folder, body)
    gliding(body, 11.0).save(folder / "walk.npz")
    return {"latent": str(latent), "diffusion": str(diffusion), "motions": str(folder / "walk.npz")}


def test_a_task_is_run_with_and_without_guidance_in_physics(models: dict[str, str]) -> None:
    cfg = GuideCfg(**models, task="joystick+forest", n=2, timed_plans=2, clips=())
    seen: list[tuple[int, int]] = []
    found = json.loads(json.dumps(guide(cfg, lambda step, total: seen.append((step, total)))))
    assert seen[0] == (1, 1000)
    for key in ("task", "sim", "n", "success", "falls", "error", "seconds", "plan_ms_median", "plan_ms_p99"):
        assert key in found and key in found["unguided"], key
    assert found["guided"] and not found["unguided"]["guided"]
    # bodies that hold their default pose at 0.9 m/s fall on their faces
    assert found["falls"] == 1.0 and found["success"] == 0.0 and found["error"] > 0.1
    assert 0 < found["plan_ms_median"] <= found["plan_ms_p99"]
    lines = table(found).splitlines()
    assert lines[0].startswith("| joystick+forest |") and [line[:9] for line in lines[2:4]] == [
        "| guided ",
        "| unguide",
    ]


def test_the_same_seed_gives_the_same_metrics(models: dict[str, str]) -> None:
    cfg = GuideCfg(**models, task="waypoint", n=2, timed_plans=1, guidance="on")
    one, two = guide(cfg), guide(cfg)
    times = {"plan_ms_median", "plan_ms_p99", "plan_batch_ms_median", "wall_seconds"}
    assert {k: v for k, v in one.items() if k not in times} == {
        k: v for k, v in two.items() if k not in times
    }


def test_checkpoints_that_do_not_belong_together_are_refused(models: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "latent.pt"
    content = torch.load(models["latent"], weights_only=True)
    content["weights"]["prior_net.0.bias"] += 1.0
    torch.save(content, other)
    with pytest.raises(MismatchError, match="latent"):
        guide(GuideCfg(**{**models, "latent": str(other)}, n=1))


def test_names_and_numbers_that_mean_nothing_are_refused() -> None:
    for wrong in ({"task": "joystik"}, {"guidance": "maybe"}, {"n": 0}, {"sim": ()}):
        with pytest.raises(ConfigError):
            GuideCfg(latent="a", diffusion="b", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'joystick'"):
        GuideCfg(latent="a", diffusion="b", task="joystik")
    with pytest.raises(ConfigError, match="replan"):
        LoopCfg(replan=0.0)
    with pytest.raises(ConfigError, match="'obstacle'"):
        LoopCfg(weights={"obstacle": 2.0})


def test_every_task_can_be_set_up_and_asks_for_something(body: Embodiment) -> None:
    place = context(body, 2, ahead=9.0)
    for name in TASKS:
        task = make(name, place)
        assert task.command(0.0), name
        assert task.seconds > 0 and task.unit in ("", "m")
