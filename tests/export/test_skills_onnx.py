"""Exported skills and denoisers: names and shapes that controllers rely on, the numbers of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.core.errors import InputError, MismatchError
from humanoid.diffusion.model import DiffusionModel
from humanoid.diffusion.trajectory import Layout
from humanoid.export.metadata import fingerprint
from humanoid.export.runtime import OnnxPolicy
from humanoid.export.skills_onnx import write_denoiser, write_skills
from humanoid.export.skills_runtime import OnnxDenoiser, OnnxSkills
from humanoid.planning.costs.obstacles import default_radius
from humanoid.skills.model import PROPRIOCEPTION
from humanoid.skills.skills import Skills
from tests.export.skill_samples import CFG, LATENT, diffusion_model, latent_content


@pytest.fixture(scope="module")
def skills(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Skills:
    """Untrained skills of the default body."""
    path = tmp_path_factory.mktemp("latent") / "latent.pt"
    torch.save(latent_content(body), path)
    return Skills.load(path)


@pytest.fixture(scope="module")
def model(body: Embodiment) -> DiffusionModel:
    """An untrained diffusion model of the default body."""
    return diffusion_model(body, "0123456789abcdef")


@pytest.fixture(scope="module")
def exported(
    skills: Skills, model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The files of both."""
    folder = tmp_path_factory.mktemp("exported")
    differences = write_skills(skills, folder / "latent.onnx", "runs/latent", "0123456789abcdef")
    differences |= write_denoiser(model, folder / "diffusion.onnx", "runs/diffusion")
    assert max(differences.values()) < 1e-5
    return folder / "latent.onnx", folder / "diffusion.onnx"


def _shapes(values: Any) -> dict[str, list[int | str]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values
    }


def test_inputs_and_outputs_have_their_names(
    exported: tuple[Path, Path], body: Embodiment, model: DiffusionModel
) -> None:
    joints, width = body.num_joints, model.layout.width
    graph = onnx.load(str(exported[0])).graph
    assert _shapes(graph.input) == {
        "proprioception": ["batch", 9 + 3 * joints],
        "latent": ["batch", LATENT],
    }
    outputs = _shapes(graph.output)
    assert list(outputs) == ["actions", "targets", "prior_mean", "prior_log_var"]
    assert list(outputs.values())[:2] == [["batch", joints]] * 2
    graph = onnx.load(str(exported[1])).graph
    states, latents = CFG.num_states, CFG.num_latents
    assert _shapes(graph.input) == {
        "states": ["batch", states, width + 5],
        "latents": ["batch", latents, LATENT],
        "state_level": ["batch", states],
        "latent_level": ["batch", latents],
    }
    assert _shapes(graph.output) == {
        "clean_states": ["batch", states, width],
        "clean_latents": ["batch", latents, LATENT],
    }


def test_metadata_of_skills_are_those_of_the_body(exported: tuple[Path, Path], body: Embodiment) -> None:
    meta = OnnxSkills(exported[0]).metadata
    assert (meta.joint_names, meta.observation_names) == (body.joint_names, PROPRIOCEPTION)
    assert sum(meta.observation_widths) == 9 + 3 * body.num_joints
    for found, wanted in (
        (meta.joint_stiffness, body.kp), (meta.joint_damping, body.kd),
        (meta.default_joint_pos, body.default_joint_pos), (meta.action_scale, body.action_scale),
    ):  # fmt: skip
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-6)
    assert (meta.control_dt, meta.latent_hold, meta.latent_width, meta.kind) == (0.02, 2, LATENT, "latent")
    assert (meta.body, meta.body_fingerprint) == (body.name, fingerprint(body.signature()))


def test_metadata_of_a_denoiser_are_those_of_the_model(
    exported: tuple[Path, Path], model: DiffusionModel, body: Embodiment
) -> None:
    opened, layout = OnnxDenoiser(exported[1]), model.layout
    meta = opened.metadata
    assert (meta.root_body_name, meta.body_names) == (layout.root, layout.bodies)
    assert meta.state_names == tuple(layout.names())
    assert (meta.history, meta.horizon, meta.latent_horizon, meta.frame_dt) == (2, 6, 3, 0.04)
    np.testing.assert_array_equal(opened.alpha_bar, model.schedule.alpha_bar.numpy())
    np.testing.assert_allclose(meta.body_radius, [default_radius(name) for name in ("root", *layout.bodies)])
    assert (meta.body_fingerprint, meta.latent_digest) == (fingerprint(body.signature()), "0123456789abcdef")
    tokens, latents = torch.randn(2, 3, layout.width), torch.randn(2, 3, LATENT)
    found = opened.states_to_model(tokens.numpy())
    np.testing.assert_allclose(found, model.denoiser.states_to_model(tokens).numpy(), rtol=1e-4, atol=1e-4)
    found = opened.latents_to_model(latents.numpy())
    np.testing.assert_allclose(found, model.denoiser.latents_to_model(latents).numpy(), rtol=1e-5, atol=1e-6)


def test_targets_and_prior_are_those_of_the_controller_in_torch(
    exported: tuple[Path, Path], skills: Skills, body: Embodiment
) -> None:
    joints, generator = body.num_joints, torch.Generator().manual_seed(1)
    pos, quat, vel, pose = (torch.randn(5, n, generator=generator) for n in (3, 4, 3, joints))
    state = Kinematics(body).state(pos, quat / quat.norm(dim=-1, keepdim=True), pose, vel, vel, 0.5 * pose)
    last, latent = torch.randn(5, joints, generator=generator), torch.randn(5, LATENT, generator=generator)
    opened, felt = OnnxSkills(exported[0]), skills.feel(state, last).numpy()
    for found, wanted in (
        *zip(opened.targets(felt, latent.numpy()), skills.targets(state, last, latent), strict=True),
        *zip(opened.prior(felt), skills.prior(state, last), strict=True),
    ):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_a_file_of_another_kind_is_refused(exported: tuple[Path, Path]) -> None:
    with pytest.raises(MismatchError, match="latent.onnx: holds a 'latent', a 'diffusion' is needed"):
        OnnxDenoiser(exported[0])
    with pytest.raises(MismatchError, match="holds a 'diffusion', a 'latent' is needed"):
        OnnxSkills(exported[1])
    with pytest.raises(MismatchError, match="holds a 'latent', a 'tracker' is needed"):
        OnnxPolicy(exported[0])


def test_shapes_that_do_not_fit_are_refused(exported: tuple[Path, Path]) -> None:
    with pytest.raises(MismatchError, match=r"latent of shape \(2, 3\), expected \(2, 4\)"):
        OnnxSkills(exported[0]).targets(np.zeros((2, 126)), np.zeros((2, 3)))


def test_skills_of_other_latents_are_refused(
    exported: tuple[Path, Path], skills: Skills, g1_like: Embodiment, tmp_path: Path
) -> None:
    planner = OnnxDenoiser(exported[1])
    planner.require(OnnxSkills(exported[0]).metadata)
    write_skills(skills, tmp_path / "other.onnx", "runs/other", "ffff")
    with pytest.raises(MismatchError, match="latents of the skills 0123456789abcdef, runs/other holds ffff"):
        planner.require(OnnxSkills(tmp_path / "other.onnx").metadata)
    write_denoiser(diffusion_model(g1_like, "ffff"), tmp_path / "g1.onnx", "")
    with pytest.raises(MismatchError, match="plans for another body than the skills of runs/latent"):
        OnnxDenoiser(tmp_path / "g1.onnx").require(OnnxSkills(exported[0]).metadata)


def test_tampered_metadata_are_noticed(exported: tuple[Path, Path], tmp_path: Path) -> None:
    for key, value in (("state_names", "a,b"), ("projection", "1,2,3"), ("body_names", "Head")):
        model = onnx.load(str(exported[1]))
        for entry in model.metadata_props:
            if entry.key == key:
                entry.value = value
        onnx.save(model, str(tmp_path / "bad.onnx"))
        with pytest.raises(InputError, match=r"bad.onnx: metadata '.*'") as error:
            OnnxDenoiser(tmp_path / "bad.onnx")
        assert "\n" not in str(error.value)


class Different(nn.Module):
    """A network that is exported as another one."""

    def __init__(self, inner: nn.Module) -> None:
        """Wrap a network."""
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what it returns, and a little more in the file."""
        return self.inner(x) + (1e-3 if torch.onnx.is_in_onnx_export() else 0.0)


def test_another_network_is_noticed(body: Embodiment, tmp_path: Path) -> None:
    torch.save(latent_content(body), tmp_path / "latent.pt")
    skills = Skills.load(tmp_path / "latent.pt")
    skills.model.decoder = Different(skills.model.decoder)
    with pytest.raises(MismatchError, match="'actions' differs by .* from torch"):
        write_skills(skills, tmp_path / "latent.onnx", "", "")


def test_layout_of_another_body(g1_like: Embodiment, tmp_path: Path) -> None:
    write_denoiser(diffusion_model(g1_like, "ffff"), tmp_path / "g1.onnx", "")
    assert OnnxDenoiser(tmp_path / "g1.onnx").layout.bodies == Layout.of(g1_like).bodies
