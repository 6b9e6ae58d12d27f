"""Exported policies: names and shapes that controllers rely on, and the numbers of torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from humanoid.bodies import Embodiment
from humanoid.core import InputError, MismatchError
from humanoid.export import OnnxPolicy, PolicyMetadata, write_policy
from humanoid.export.metadata import of_checkpoint
from humanoid.export.onnx import MOTION, OPSET, MotionPolicy, require_parity, write_motion_policy
from humanoid.motion import Motion
from humanoid.nn import Checkpoint
from tests.g1_samples import squat


@pytest.fixture(scope="module")
def checkpoint(g1_run: Path) -> Checkpoint:
    """The tracker of the body like the G1."""
    return Checkpoint.load(g1_run / "checkpoint.pt", "tracker")


@pytest.fixture(scope="module")
def metadata(checkpoint: Checkpoint) -> PolicyMetadata:
    return of_checkpoint(checkpoint.header, "runs/track_g1")


@pytest.fixture(scope="module")
def motion(g1_like: Embodiment) -> Motion:
    return squat(g1_like)


@pytest.fixture(scope="module")
def bound(checkpoint: Checkpoint, metadata: PolicyMetadata, motion: Motion) -> MotionPolicy:
    """Policy and motion."""
    return MotionPolicy(checkpoint.policy(), motion, metadata.joint_names, metadata.body_names)


@pytest.fixture(scope="module")
def exported(bound: MotionPolicy, metadata: PolicyMetadata, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of both."""
    path = tmp_path_factory.mktemp("onnx") / "policy.onnx"
    write_motion_policy(bound, path, metadata)
    return path


def _shapes(values: object) -> dict[str, list[int | str]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values  # type: ignore[attr-defined]
    }


def test_form_is_that_of_beyondmimic(exported: Path) -> None:
    model = onnx.load(str(exported))
    assert [entry.version for entry in model.opset_import] == [OPSET]
    assert _shapes(model.graph.input) == {"obs": [1, 160], "time_step": [1, 1]}
    outputs = _shapes(model.graph.output)
    assert list(outputs) == [
        "actions", "joint_pos", "joint_vel", "body_pos_w", "body_quat_w", "body_lin_vel_w", "body_ang_vel_w",
    ]  # fmt: skip
    assert list(outputs.values()) == [[1, 29]] * 3 + [[1, 14, 3], [1, 14, 4], [1, 14, 3], [1, 14, 3]]


def test_actions_are_those_of_torch(exported: Path, bound: MotionPolicy) -> None:
    found = require_parity(exported, bound)
    assert found.keys() == {"actions", *MOTION}
    assert max(found.values()) < 1e-5


@pytest.mark.parametrize("step", [0, 1, 30, 60, 61, 100_000, -1])
def test_frames_are_the_motions_and_stay_at_its_ends(
    exported: Path, motion: Motion, metadata: PolicyMetadata, step: int
) -> None:
    frame = OnnxPolicy(exported).run(np.zeros(160), step)
    at = min(max(step, 0), motion.num_frames - 1)
    rows = [motion.body_names.index(name) for name in metadata.body_names]
    assert np.array_equal(frame["joint_pos"], motion.states.joint_pos[at])
    assert np.array_equal(frame["joint_vel"], motion.states.joint_vel[at])
    for name in MOTION[2:]:
        assert np.array_equal(frame[name], getattr(motion.states, name)[at, rows]), name


def test_columns_are_matched_by_name(
    checkpoint: Checkpoint, metadata: PolicyMetadata, motion: Motion
) -> None:
    shuffled = replace(
        motion,
        joint_names=motion.joint_names[::-1],
        states=replace(motion.states, joint_pos=motion.states.joint_pos.flip(1)),
    )
    found = MotionPolicy(checkpoint.policy(), shuffled, metadata.joint_names, metadata.body_names)
    assert torch.equal(found.joint_pos, motion.states.joint_pos)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match="'squat'.*'tail'"):
        MotionPolicy(checkpoint.policy(), motion, metadata.joint_names, ("pelvis", "tail"))


def test_without_a_motion_batches_go_in(
    checkpoint: Checkpoint, metadata: PolicyMetadata, tmp_path: Path
) -> None:
    policy, path = checkpoint.policy(), tmp_path / "policy.onnx"
    write_policy(policy, path, metadata)
    opened = OnnxPolicy(path)
    assert (opened.inputs, opened.outputs, opened.has_motion) == (("obs",), ("actions",), False)
    observations = torch.randn(7, 160)
    with torch.no_grad():
        wanted = policy(observations).numpy()
    np.testing.assert_allclose(opened.run(observations.numpy())["actions"], wanted, atol=1e-5)
    assert list(require_parity(path, policy)) == ["actions"]


def test_another_network_is_noticed(exported: Path, bound: MotionPolicy, motion: Motion) -> None:
    last = [module for module in bound.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias[3] += 1e-3
    try:
        with pytest.raises(MismatchError, match="'actions'"):
            require_parity(exported, bound)
    finally:
        with torch.no_grad():
            last.bias[3] -= 1e-3
    moved = MotionPolicy(bound.policy, motion, motion.joint_names, [motion.body_names[0]] * 14)
    with pytest.raises(MismatchError, match="'body_.*' differs"):
        require_parity(exported, moved)


def test_a_history_encoder_is_exported(metadata: PolicyMetadata, tmp_path: Path) -> None:
    from humanoid.nn import HistoryEncoder, HistoryMlp

    torch.manual_seed(0)
    head, encoder = nn.Linear(10 + 3, 29), HistoryEncoder((5, 7), (8, 4), 3)
    network = HistoryMlp(encoder, head)
    told = replace(
        metadata, observation_names=("gravity_b", "history"), observation_widths=(10, 35),
        observation_history_lengths=(1, 5),
    )  # fmt: skip
    write_policy(network, tmp_path / "p.onnx", told)
    assert max(require_parity(tmp_path / "p.onnx", network).values()) < 1e-5


def test_what_cannot_be_written_is_one_line(metadata: PolicyMetadata, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.onnx") as error:
        write_policy(nn.Linear(3, 29), tmp_path / "p.onnx", metadata)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_reading_needs_no_torch() -> None:
    code = "import sys; from humanoid.export.runtime import OnnxPolicy; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
