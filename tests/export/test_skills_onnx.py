"""Exported skills: names and shapes that controllers rely on, the numbers of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from humanoid.bodies import Embodiment, Kinematics
from humanoid.core import MismatchError
from humanoid.export import OnnxPlanner, OnnxPolicy, OnnxSkills, write_skills
from humanoid.export.metadata import fingerprint
from humanoid.skills import Skills
from humanoid.skills.model import PROPRIOCEPTION
from tests.export.skill_samples import LATENT, latent_content


@pytest.fixture(scope="module")
def skills(body: Embodiment, tmp_path_factory: pytest.TempPathFactory) -> Skills:
    """Untrained skills of the default body."""
    path = tmp_path_factory.mktemp("latent") / "latent.pt"
    torch.save(latent_content(body), path)
    return Skills.load(path)


@pytest.fixture(scope="module")
def exported(skills: Skills, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "latent.onnx"
    assert max(write_skills(skills, path, "runs/latent", "0123456789abcdef").values()) < 1e-5
    return path


def _shapes(values: Any) -> dict[str, list[int | str]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values
    }


def test_inputs_and_outputs_have_their_names(exported: Path, body: Embodiment) -> None:
    joints = body.num_joints
    graph = onnx.load(str(exported)).graph
    assert _shapes(graph.input) == {
        "proprioception": ["batch", 9 + 3 * joints],
        "latent": ["batch", LATENT],
    }
    outputs = _shapes(graph.output)
    assert list(outputs) == ["actions", "targets", "prior_mean", "prior_log_var"]
    assert list(outputs.values())[:2] == [["batch", joints]] * 2


def test_metadata_of_skills_are_those_of_the_body(exported: Path, body: Embodiment) -> None:
    meta = OnnxSkills(exported).metadata
    assert (meta.joint_names, meta.observation_names) == (body.joint_names, PROPRIOCEPTION)
    assert sum(meta.observation_widths) == 9 + 3 * body.num_joints
    for found, wanted in (
        (meta.joint_stiffness, body.kp), (meta.joint_damping, body.kd),
        (meta.default_joint_pos, body.default_joint_pos), (meta.action_scale, body.action_scale),
    ):  # fmt: skip
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-6)
    assert (meta.control_dt, meta.latent_hold, meta.latent_width, meta.kind) == (0.02, 2, LATENT, "latent")
    assert (meta.body, meta.body_fingerprint) == (body.name, fingerprint(body.signature()))


def test_targets_and_prior_are_those_of_the_controller_in_torch(
    exported: Path, skills: Skills, body: Embodiment
) -> None:
    joints, generator = body.num_joints, torch.Generator().manual_seed(1)
    pos, quat, vel, pose = (torch.randn(5, n, generator=generator) for n in (3, 4, 3, joints))
    state = Kinematics(body).state(pos, quat / quat.norm(dim=-1, keepdim=True), pose, vel, vel, 0.5 * pose)
    last, latent = torch.randn(5, joints, generator=generator), torch.randn(5, LATENT, generator=generator)
    opened, felt = OnnxSkills(exported), skills.feel(state, last).numpy()
    for found, wanted in (
        *zip(opened.targets(felt, latent.numpy()), skills.targets(state, last, latent), strict=True),
        *zip(opened.prior(felt), skills.prior(state, last), strict=True),
    ):
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_a_file_of_another_kind_is_refused(exported: Path) -> None:
    for opened in (OnnxPlanner, OnnxPolicy):
        with pytest.raises(MismatchError, match="latent"):
            opened(exported)


def test_shapes_that_do_not_fit_are_refused(exported: Path) -> None:
    with pytest.raises(MismatchError, match=r"latent.*\(2, 3\).*\(2, 4\)"):
        OnnxSkills(exported).targets(np.zeros((2, 126)), np.zeros((2, 3)))


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
    with pytest.raises(MismatchError, match="'actions'"):
        write_skills(skills, tmp_path / "latent.onnx", "", "")
