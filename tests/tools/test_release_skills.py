"""Releasing skills, rollouts and the planner, each made with what ships of the one before; tiny ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.diffusion import DiffusionModel, TrajectoryCfg
from humanoid.diffusion.train import CHECKPOINT as PLANNER
from humanoid.nn import digest, read_torch
from humanoid.rl.checkpoints import CHECKPOINT
from humanoid.skills import Skills
from humanoid.tasks.starts import few_starts
from tests.tasks.guided import gliding
from tools import release
from tools.release_skills import DiffusionStage, LatentStage, RolloutStage
from tools.release_stage import ReleaseCfg
from tools.release_stages import STAGES

SMALL = ("num_envs=4", "torch_threads=1", "sim.threads=1", "perform.medley.count=0")
DISTILLED = (
    *SMALL, "samples=48", "latent.width=6", "latent.encoder_hidden=[32]", "latent.prior_hidden=[16]",
    "latent.decoder_hidden=[32]", "distill.frames=3", "distill.keep=2", "distill.minibatch=4",
    "distill.updates=2",
)  # fmt: skip
RECORDED = (*SMALL, "collect.cover=4", "collect.record=0.6", "collect.survive=0.6", "collect.noise=0.0")
LEARNED = (
    "steps=2", "torch_threads=1", "optim.batch=4", "optim.validation_windows=4", "trajectory.horizon=8",
    "trajectory.latent_horizon=8",
)  # fmt: skip
FACTS: dict[str, Any] = {"gate": {"passed": True, "missed": []}, "metrics": {}}


def cpu_stage(name: str, overrides: tuple[str, ...]) -> Any:
    """Return a stage of the release with a smaller piece."""
    stage = next(stage for stage in STAGES if stage.name == name)
    return replace(stage, cpu=tuple(replace(one, overrides=overrides) for one in stage.cpu))


@dataclass(frozen=True)
class Shop:
    """A package, a folder of runs, and what is made of it."""

    package: Path
    cfg: ReleaseCfg
    latent: LatentStage
    rollout: RolloutStage
    diffusion: DiffusionStage

    def config(self, stage: Any) -> Any:
        """Return the configuration of a stage's piece."""
        return stage.configure(1, stage.cpu[0], "", self.cfg)


@pytest.fixture
def shop(package: Path, tiny_run: Path, motion_folder: Path, tmp_path: Path) -> Shop:
    """A package that ships a tracker."""
    shutil.copy(tiny_run / CHECKPOINT, package / "walker.pt")
    cfg = ReleaseCfg(
        runs=str(tmp_path / "runs"), recipe="cpu", motions=(str(motion_folder),), starts=1, episodes=1,
        sims=("mujoco",), below_gate=True,
    )  # fmt: skip
    rollout = cpu_stage("rollout", RECORDED)
    return Shop(
        package,
        cfg,
        cpu_stage("latent", DISTILLED),
        rollout,
        replace(cpu_stage("diffusion", LEARNED), rollouts=rollout),
    )


def test_skills_ship_with_motions_that_everybody_has(shop: Shop) -> None:
    assert shop.latent.train(shop.config(shop.latent), shop.cfg.runs).finished
    product = shop.latent.finish(shop.latent.folder(shop.cfg.runs))
    body = Skills.load(product).body
    walks = few_starts((gliding(body, 4.0),), body, TrajectoryCfg().past, 2)
    torch.save({**read_torch(product), "tables": {"starts": vars(walks)}}, product)  # nobody walks in a squat
    release.ship(shop.latent, product, FACTS, shop.cfg, on_gpu=False)
    shipped = shop.package / "latent.pt"
    skills = Skills.load(shipped)
    assert skills.starts is not None and skills.starts.root_pos_w.shape == (2, 5, 3)
    perform = skills.header.config["perform"]
    assert (perform["motions"], perform["clips"]) == ("humanoid3d", ["clip:walk"])
    assert perform["medley"]["count"] == 0 and not perform["mirror"] and perform["min_seconds"] == 10.0
    assert digest(shipped) == digest(product) and skills.width == 6
    assert shop.package.parent.as_posix() not in str(read_torch(shipped)["header"])
    card = json.loads((shop.package / "latent.json").read_text())
    assert card["made_with"] == {"walker.pt": digest(shop.package / "walker.pt")}
    assert card["samples"] == 48 and card["command"].endswith(" latent --episodes 1 --sims mujoco")
    assert card["learned"] == {
        "motions": [Path(shop.cfg.motions[0]).name], "clips": [], "split": "", "mirror": False, "tempos": [],
        "medleys": 0, "strolls": 0,
    }  # fmt: skip
    release.ship(shop.latent, product, FACTS, shop.cfg, on_gpu=True)
    assert Skills.load(shipped).header.config["perform"]["clips"] == []


@pytest.mark.slow
def test_skills_are_measured_beside_their_teacher(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.run(shop.latent, shop.cfg) == 0
    assert '"student": {' in capsys.readouterr().out.partition("student, mujoco:")[2]
    card = json.loads((shop.package / "latent.json").read_text())
    found = card["metrics"]["student"]["mujoco"]
    assert found["prior"]["n"] == 1 and found["checkpoint"] == "humanoid/pretrained/latent.pt"
    assert shop.package.parent.parent.as_posix() not in json.dumps(card["metrics"])
    assert set(found["student"]["clips"]) == set(found["teacher"]["clips"]) == {"dip", "squat"}
    assert card["gate"]["passed"] == (not card["gate"]["missed"])


def test_skills_of_another_tracker_are_not_gone_on_with(shop: Shop) -> None:
    config = replace(shop.config(shop.latent), samples=24)
    assert shop.latent.train(config, shop.cfg.runs).finished
    content = read_torch(shop.package / "walker.pt")
    name = next(iter(content["weights"]))
    content["weights"][name] = content["weights"][name] + 1.0
    torch.save(content, shop.package / "walker.pt")
    with pytest.raises(MismatchError, match="folder"):
        shop.latent.train(replace(config, samples=48), shop.cfg.runs)


def test_skills_go_on_after_a_limit(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    endless = cpu_stage("latent", (*DISTILLED, "samples=1e9"))
    for _ in range(2):
        assert release.run(endless, replace(shop.cfg, minutes=0.002)) == 0
        assert "of 1000.00 M samples of piece 1, of 1; run again" in capsys.readouterr().out
    assert not (shop.package / "latent.pt").exists()


@pytest.fixture
def recorded(shop: Shop) -> Shop:
    """A shop that ships skills and has their rollouts."""
    shop.latent.train(shop.config(shop.latent), shop.cfg.runs)
    release.ship(shop.latent, shop.latent.folder(shop.cfg.runs) / CHECKPOINT, FACTS, shop.cfg, on_gpu=False)
    assert release.run(shop.rollout, shop.cfg) == 0
    return shop


def test_rollouts_are_recorded_and_nothing_ships(recorded: Shop) -> None:
    folder = recorded.rollout.folder(recorded.cfg.runs)
    assert sorted(path.name for path in recorded.package.iterdir()) == [
        "latent.json",
        "latent.pt",
        "walker.pt",
    ]
    card = json.loads((folder / "card.json").read_text())
    found = card["metrics"]["rollouts"]["mujoco"]
    assert 0.0 < found["kept"] <= 1.0 and found["rollouts"] == found["kept"] * 4 * found["shards"]
    assert card["samples"] == 15 * found["rollouts"] and found["hours"] == pytest.approx(
        card["samples"] * 0.04 / 3600, abs=1e-3
    )
    assert card["gate"]["missed"][-1].startswith("rollouts, mujoco: hours")
    assert set(card["made_with"]) == {"walker.pt", "latent.pt"}
    assert release.describe(recorded.rollout, recorded.cfg.runs)["output"] == str(folder)


def test_a_planner_learns_from_the_rollouts_and_ships_in_half_precision(recorded: Shop) -> None:
    stage, runs = recorded.diffusion, recorded.cfg.runs
    progress = stage.train(recorded.config(stage), runs)
    assert progress.finished and progress.text == "2 of 2 steps, 0.0 of 89 minutes"
    product = stage.finish(stage.folder(runs))
    release.ship(stage, product, FACTS, recorded.cfg, on_gpu=False)
    shipped = DiffusionModel.load(recorded.package / "diffusion-small.pt")
    shipped.require(Skills.load(recorded.package / "latent.pt").body, digest(recorded.package / "latent.pt"))
    assert shipped.header.config["data"] == "release_rollout"
    whole = DiffusionModel.load(stage.folder(runs) / PLANNER).denoiser.state_dict()
    for name, weight in shipped.denoiser.state_dict().items():
        torch.testing.assert_close(weight, whole[name], atol=1e-4, rtol=1e-3)
    assert (recorded.package / "diffusion-small.pt").stat().st_size < 9 * 2**20
    card = json.loads((recorded.package / "diffusion-small.json").read_text())
    assert card["learned"] == {
        "rollouts": "release_rollout", "clips": ["dip", "squat"], "medleys": 0, "strolls": 0,
        "preset": "small",
    }  # fmt: skip
    assert card["samples"] == 8 and release.passed(stage, runs)


def test_a_planner_needs_rollouts_of_the_skills_that_ship(recorded: Shop) -> None:
    stage, runs = recorded.diffusion, recorded.cfg.runs
    content = read_torch(recorded.package / "latent.pt")
    name = next(name for name in content["weights"] if name.startswith("decoder"))
    content["weights"][name] = content["weights"][name] + 1.0
    torch.save(content, recorded.package / "latent.pt")
    with pytest.raises(MismatchError, match="folder"):
        stage.train(recorded.config(stage), runs)
    recorded.rollout.card(runs).unlink()
    with pytest.raises(InputError, match="'rollout'"):
        stage.train(recorded.config(stage), runs)


@pytest.mark.slow
def test_a_planner_is_measured_as_it_ships(recorded: Shop, body: Embodiment, tmp_path: Path) -> None:
    stage, runs = recorded.diffusion, recorded.cfg.runs
    stage.train(recorded.config(stage), runs)
    gliding(body, 12.0).save(tmp_path / "walk.npz")
    cfg = replace(recorded.cfg, motions=(str(tmp_path / "walk.npz"),))
    found = stage.measure("waypoint", "mujoco", stage.finish(stage.folder(runs)), cfg)
    assert found["n"] == 1 and {"success", "falls", "error"} <= set(found) & set(found["unguided"])
    assert found["diffusion"] == found["unguided"]["diffusion"] == "humanoid/pretrained/diffusion-small.pt"
    assert str(tmp_path) not in json.dumps(found)


def test_folders_stand_in_for_manifests(shop: Shop) -> None:
    for stage in (shop.latent, shop.rollout):
        perform = shop.config(stage).perform
        assert perform.motions == shop.cfg.motions and perform.clips == () and not perform.mirror


def test_rollouts_lie_where_the_planner_looks(shop: Shop) -> None:
    assert shop.config(shop.rollout).name == "release_rollout"
    assert shop.config(shop.diffusion).data == f"{shop.cfg.runs}/release_rollout"
