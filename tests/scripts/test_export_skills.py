"""``humanoid export`` of skills and diffusion models: which is which is seen from the checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.export import OnnxPlanner, OnnxSkills
from humanoid.nn import digest
from humanoid.scripts import export
from humanoid.scripts.verbs import ExportCfg
from tests.export.skill_samples import LATENT, diffusion_model, latent_content

COSTS = ("joystick", "obstacles")


@pytest.fixture
def latent(body: Embodiment, tmp_path: Path) -> Path:
    """A checkpoint of untrained skills."""
    torch.save(latent_content(body), tmp_path / "latent.pt")
    return tmp_path / "latent.pt"


@pytest.fixture
def diffusion(body: Embodiment, latent: Path, tmp_path: Path) -> Path:
    """A checkpoint of an untrained diffusion model of their latents."""
    diffusion_model(body, digest(latent)).save(tmp_path / "diffusion.pt")
    return tmp_path / "diffusion.pt"


def test_both_become_files_that_fit_each_other(latent: Path, diffusion: Path, body: Embodiment) -> None:
    results = []
    for path in (latent, diffusion):
        out = str(path.with_suffix(".onnx"))
        results.append(
            export.main(ExportCfg(checkpoint=str(path), out=out, steps=1, obstacles=3, costs=COSTS))
        )
        assert max(results[-1]["difference"].values()) <= 1e-4
        assert results[-1]["file"] == out and results[-1]["bytes"] == Path(out).stat().st_size
    assert [(result["format"], result["body"]) for result in results] == [
        ("latent", body.name),
        ("diffusion", body.name),
    ]
    assert results[0]["inputs"]["latent"] == LATENT
    assert results[1]["inputs"]["obstacles.capsules.radius"] == 3
    skills = OnnxSkills(results[0]["file"]).metadata
    planner = OnnxPlanner(results[1]["file"])
    planner.require(skills)
    assert planner.metadata.steps == 1 and tuple(planner.metadata.costs) == COSTS
    assert skills.run_path == latent.as_posix()
    first, second = (export.table(result).splitlines() for result in results)
    assert "outputs      actions, targets, prior_mean, prior_log_var" in first
    assert "joystick.velocity 2" in second[1]
    assert "between onnxruntime and torch" in first[-2] and "ms a plan" in second[-1]


def test_forms_and_motions_are_a_trackers(latent: Path) -> None:
    out = latent.with_suffix(".onnx")
    cfg = ExportCfg(checkpoint=str(latent), out=str(out))
    for wrong in (replace(cfg, format="beyondmimic"), replace(cfg, motion="squat")):
        with pytest.raises(ConfigError, match="'latent'"):
            export.main(wrong)
    assert not out.exists()


def test_an_unknown_cost_is_refused_by_name(diffusion: Path, tmp_path: Path) -> None:
    cfg = ExportCfg(checkpoint=str(diffusion), out=str(tmp_path / "x.onnx"), costs=("joystik",))
    with pytest.raises(ConfigError, match="joystick"):
        export.main(cfg)


def test_what_is_damaged_or_foreign_leaves_no_file(latent: Path, tmp_path: Path) -> None:
    content = torch.load(latent, weights_only=True)
    content["weights"]["decoder.0.bias"][0] = float("nan")
    torch.save(content, tmp_path / "broken.pt")
    torch.save({"kind": "cake"}, tmp_path / "cake.pt")
    torch.save(
        {**content, "header": {**content["header"], "kind": "cake"}, "weights": {}}, tmp_path / "other.pt"
    )
    for name, error, message in (
        ("broken.pt", InputError, "finite"),
        ("cake.pt", InputError, "cake.pt"),
        ("other.pt", MismatchError, "'cake'.*'tracker'"),
    ):
        with pytest.raises(error, match=message):
            export.main(ExportCfg(checkpoint=str(tmp_path / name), out=str(tmp_path / "x.onnx")))
    assert not list(tmp_path.glob("*.onnx"))
