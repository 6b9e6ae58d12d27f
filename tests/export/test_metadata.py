"""Metadata: what a checkpoint says comes back from text, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanoid.bodies import Embodiment
from humanoid.core import InputError
from humanoid.export import PolicyMetadata
from humanoid.export.metadata import JSON, fingerprint, of_checkpoint
from humanoid.nn import Checkpoint, Header

PUBLISHED = {
    "run_path", "joint_names", "joint_stiffness", "joint_damping", "default_joint_pos", "action_scale",
    "command_names", "observation_names", "observation_history_lengths", "anchor_body_name", "body_names",
}  # fmt: skip
"""Keys that BeyondMimic's exporter writes."""


@pytest.fixture(scope="module")
def header(g1_run: Path) -> Header:
    """Header of a checkpoint of the body like the G1."""
    return Checkpoint.load(g1_run / "checkpoint.pt", "tracker").header


@pytest.fixture
def metadata(header: Header) -> PolicyMetadata:
    return of_checkpoint(header, "runs/track_g1")


def test_every_key_of_beyondmimic_is_there(metadata: PolicyMetadata) -> None:
    assert metadata.to_text().keys() >= PUBLISHED
    assert all(text for text in metadata.to_text().values())


def test_it_is_the_robots(metadata: PolicyMetadata, g1_like: Embodiment) -> None:
    assert metadata.joint_names == g1_like.joint_names
    b = g1_like
    for found, wanted in (
        (metadata.joint_stiffness, b.kp), (metadata.joint_damping, b.kd),
        (metadata.default_joint_pos, b.default_joint_pos), (metadata.action_scale, b.action_scale),
    ):  # fmt: skip
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (metadata.anchor_body_name, metadata.body_names) == ("torso_link", g1_like.tracked)
    assert (metadata.control_dt, metadata.kind, metadata.body) == (0.02, "tracker", "g1")
    assert metadata.observation_names == (
        "command", "motion_anchor_pos_b", "motion_anchor_ori_b", "base_lin_vel", "base_ang_vel",
        "joint_pos", "joint_vel", "actions",
    )  # fmt: skip
    assert metadata.observation_widths == (58, 3, 6, 3, 3, 29, 29, 29)
    assert metadata.observation_history_lengths == (1,) * 8
    assert (metadata.action_around, metadata.velocity_lead, metadata.reference_steps) == (
        "default",
        False,
        (1,),
    )


def test_text_comes_back(metadata: PolicyMetadata) -> None:
    again = PolicyMetadata.from_text({**metadata.to_text(), "somebody": "else's"}, "policy.onnx")
    for field in fields(PolicyMetadata):
        one, two = getattr(metadata, field.name), getattr(again, field.name)
        if isinstance(one, tuple) and isinstance(one[0], float):
            np.testing.assert_array_equal(np.array(one, np.float32), np.array(two, np.float32))
        else:
            assert one == two, field.name


def test_frames_of_a_history_are_told(header: Header) -> None:
    config = {**header.config}
    config["task"] = {**config["task"], "observation": {"history_steps": 5, "future_steps": [1, 4]}}
    told = of_checkpoint(replace(header, config=config, observation=(("gravity_b", 3), ("history", 50))), "")
    assert (told.observation_history_lengths, told.reference_steps) == ((1, 5), (1, 4))


def test_fingerprint_is_of_everything_a_policy_depends_on(header: Header) -> None:
    body = header.body
    assert fingerprint(body) == fingerprint(dict(reversed(body.items())))
    assert fingerprint(body) != fingerprint({**body, "kp": [value + 1e-4 for value in body["kp"]]})


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"joint_names": None}, "joint_names"),
        ({"action_scale": "fast"}, "action_scale"),
        ({"action_scale": "0.1,0.2"}, "action_scale"),
        ({JSON: None}, JSON),
        ({JSON: "[1"}, JSON),
        ({"control_dt": "fast"}, "control_dt"),
        ({"velocity_lead": "1"}, "velocity_lead"),
        ({"observation_widths": [3]}, "observation_widths"),
    ],
)
def test_foreign_text_is_one_line(metadata: PolicyMetadata, change: dict[str, Any], name: str) -> None:
    texts = metadata.to_text()
    rest = {**json.loads(texts[JSON]), **{key: v for key, v in change.items() if key not in texts}}
    texts = {**texts, JSON: json.dumps(rest), **{key: v for key, v in change.items() if key in texts}}
    with pytest.raises(InputError, match=name) as error:
        PolicyMetadata.from_text({key: v for key, v in texts.items() if v is not None}, "policy.onnx")
    assert str(error.value).startswith("policy.onnx: ") and "\n" not in str(error.value)


def test_a_name_with_a_comma_is_refused(metadata: PolicyMetadata) -> None:
    with pytest.raises(InputError, match="a,b"):
        replace(metadata, body_names=("a,b",)).to_text()
