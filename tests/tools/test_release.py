"""Releasing: stages that stop and go on, the card, the size of what ships. No network is trained here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.core import InputError
from humanoid.nn import Checkpoint
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from tools import release, release_skills
from tools.release import machine_name
from tools.release_gates import TrackerGate
from tools.release_stage import ReleaseCfg, Stage
from tools.release_stages import STAGES

STAGE = STAGES[0]
GATE = TrackerGate(success=0.8, mpjpe_l_success_mm=40.0)
FACTS: dict[str, Any] = {
    "machine": "one abacus",
    "note": "",
    "gate": {**vars(GATE), "passed": True, "missed": []},
    "metrics": {"train": {"mujoco": {"success": 0.9, "mpjpe_l_success_mm": 30.0}}},
}


def test_the_same_weights_make_the_same_file(package: Path, tiny_run: Path) -> None:
    found = set()
    for _ in range(2):
        release.ship(STAGE, tiny_run / CHECKPOINT, FACTS)
        found.add((package / "tracker.pt").read_bytes())
    assert len(found) == 1


def test_the_card_says_how_it_was_made(package: Path, tiny_run: Path) -> None:
    release.ship(STAGE, tiny_run / CHECKPOINT, FACTS)
    assert sorted(path.name for path in package.iterdir()) == ["tracker.json", "tracker.pt"]
    card = json.loads((package / "tracker.json").read_text())
    assert card["command"] == "python tools/release.py tracker"
    assert card["data"][0] == "motions/humanoid3d.yaml" and card["machine"] == "one abacus"
    assert card["samples"] == 48 and card["learned"]["clips"] == []
    assert card["gate"]["passed"] is True and card["metrics"]["train"]["mujoco"]["success"] == 0.9
    assert "torch" in card["versions"]


def test_below_the_gate_the_command_says_so(package: Path, tiny_run: Path) -> None:
    gate = {**FACTS["gate"], "passed": False, "missed": ["mujoco: success 0.500 < 0.8"]}
    release.ship(STAGE, tiny_run / CHECKPOINT, {**FACTS, "gate": gate})
    card = json.loads((package / "tracker.json").read_text())
    assert card["command"].endswith("--below-gate") and card["gate"]["missed"] == gate["missed"]
    assert not release.passed(STAGE)


def test_what_ships_names_the_manifest_and_not_a_folder_of_ours(package: Path, tiny_run: Path) -> None:
    """A tracker that learned from ``--motions FOLDER`` once made the demo look for that folder."""
    before = Checkpoint.load(tiny_run / CHECKPOINT, KIND)
    release.ship(STAGE, tiny_run / CHECKPOINT, FACTS, on_gpu=False)
    shipped = Checkpoint.load(package / "tracker.pt", KIND)
    assert shipped.header.config["clips"] == ["walk", "turn", "crawl", "getup"]
    assert before.header.config["motions"] != "humanoid3d" == shipped.header.config["motions"]
    assert all(torch.equal(shipped.weights[name], weight) for name, weight in before.weights.items())
    assert shipped.header.body == before.header.body
    release.ship(STAGE, tiny_run / CHECKPOINT, FACTS, on_gpu=True)
    assert Checkpoint.load(package / "tracker.pt", KIND).header.config["clips"] == []


def test_too_large_a_checkpoint_does_not_ship(package: Path, tiny_run: Path, tmp_path: Path) -> None:
    content = torch.load(tiny_run / CHECKPOINT, weights_only=True)
    content["header"]["config"]["name"] = "x" * release.SIZE_LIMIT
    torch.save(content, tmp_path / "large.pt")
    with pytest.raises(InputError, match=r"large\.pt.* 15 MiB"):
        release.ship(STAGE, tmp_path / "large.pt", FACTS)
    assert list(package.iterdir()) == []


def test_others_count_against_the_folder(package: Path, tiny_run: Path) -> None:
    (package / "other.pt").write_bytes(bytes(release.TOTAL_LIMIT))
    with pytest.raises(InputError, match="24 MiB"):
        release.ship(STAGE, tiny_run / CHECKPOINT, FACTS)
    assert [path.name for path in package.iterdir()] == ["other.pt"]


def test_a_stage_has_passed_when_its_card_says_so(package: Path, tiny_run: Path) -> None:
    assert not release.passed(STAGE)
    release.ship(STAGE, tiny_run / CHECKPOINT, FACTS)
    assert release.passed(STAGE) and release.describe(STAGE)["passed"]
    (package / "tracker.json").write_text("{}")
    with pytest.raises(InputError, match=r"tracker\.json"):
        release.passed(STAGE)


def test_stages_are_made_in_turn_and_rollouts_only_for_what_is_to_come(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = str(tmp_path / "runs")
    shipping = [stage for stage in STAGES if stage.output]
    for stage in shipping:
        todo = release.first_unfinished(runs)
        assert todo is not None and todo.name in (stage.name, "rollout")
        if todo.name == "rollout":
            assert stage.name == "diffusion"
        stage.card(runs).write_text(json.dumps({"gate": {"passed": True}}))
    assert release.main(cfg=ReleaseCfg(runs=runs)) == 0
    assert "every stage has passed" in capsys.readouterr().err
    assert [stage.name for stage in STAGES if stage not in shipping] == ["rollout"]


def test_an_unknown_stage_names_the_known() -> None:
    with pytest.raises(InputError, match="'trackr'.*'tracker'"):
        release.main("trackr", cfg=ReleaseCfg())


def test_the_machine_is_never_guessed() -> None:
    assert machine_name(True, "one H100") == "one H100"
    assert machine_name(False, "").startswith("CPU, ")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="--machine TEXT"):
            machine_name(True, "")


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.name.startswith("tracker")])
@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_every_piece_is_a_configuration_that_goes_on_from_the_one_before(kind: str, stage: Stage) -> None:
    before, samples = "", 0.0
    for index, piece in enumerate(getattr(stage, kind), 1):
        cfg = stage.configure(index, piece, before, ReleaseCfg())
        assert cfg.start_from == before and cfg.samples > samples
        before, samples = f"runs/{cfg.name}", cfg.samples


def test_folders_stand_in_for_manifests() -> None:
    folders = ReleaseCfg(motions=("a/humanoid3d", "a/amp"))
    cfg = STAGE.configure(1, STAGE.gpu[0], "", folders)
    assert cfg.motions == ("a/humanoid3d", "a/amp") and cfg.split == "" and not cfg.mirror


def test_a_stage_that_needs_a_gpu_says_so() -> None:
    with pytest.raises(InputError, match="no recipe for a CPU"):
        release.main("tracker-g1", cfg=ReleaseCfg(recipe="cpu"))


def test_a_planner_is_measured_on_all_clips_that_it_learned() -> None:
    """The shipped skills name one clip, and bodies that all start in it say little."""
    learned = ["one/walk", "one/walk_mirrored", "two/turn", "two/turn_mirrored"]
    own, given = (
        release_skills.guide_cfg("forest", "mujoco", Path("half.pt"), learned, ReleaseCfg(motions=motions))
        for motions in ((), ("folder/one",))
    )
    assert (own.motions, own.clips) == (("one", "two"), ("one/walk", "two/turn"))
    assert (given.motions, given.clips) == (("folder/one",), ())
