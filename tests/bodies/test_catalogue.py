"""Embodiments by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from humanoid.bodies import SmplCfg, configured, embodiment
from humanoid.bodies.catalogue import trained
from humanoid.core import InputError, MismatchError


def test_names_of_bodies(g1_like_path: Path) -> None:
    assert embodiment("smpl").num_joints == 39
    assert embodiment("smpl_ball").num_joints == 69
    assert embodiment(f"g1:{g1_like_path}").num_joints == 29


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smlp", "'smpl'"),
        ("atlas", "smpl_ball"),
        ("g1:", "'g1'"),
        ("h1:/nowhere/h1.xml", "/nowhere/h1.xml"),
        ("smpl:/nowhere/SMPL.npz", "/nowhere/SMPL.npz"),
    ],
)
def test_what_is_wrong_is_said(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embodiment(name)


def test_shape_counts_for_smpl_bodies(g1_like_path: Path) -> None:
    tall = SmplCfg(height=1.9)
    assert configured("smpl", tall).rest_pos[:, 2].min() < configured("smpl", SmplCfg()).rest_pos[:, 2].min()
    assert configured("smpl_ball", tall).num_joints == 69
    assert configured(f"g1:{g1_like_path}", tall).name == "g1"


def test_a_body_is_built_from_the_configuration_it_was_trained_with(
    g1_like_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, tall = configured("smpl", SmplCfg()), configured("smpl", SmplCfg(height=1.9))
    assert trained({}, default.signature(), "old.pt").name == "smpl"
    shape = {"embodiment": "smpl", "body": {"height": 1.9}}
    trained(shape, tall.signature(), "policy.pt").require_signature(tall.signature(), "policy.pt")
    with pytest.raises(MismatchError, match="policy.pt"):
        trained(shape, default.signature(), "policy.pt")
    monkeypatch.setenv("HUMANOID_G1", str(g1_like_path))
    elsewhere = {"embodiment": f"g1:{tmp_path / 'on_another_machine.xml'}"}
    assert trained(elsewhere, embodiment(f"g1:{g1_like_path}").signature(), "policy.pt").num_joints == 29
