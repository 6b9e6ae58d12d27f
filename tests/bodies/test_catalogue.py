"""Embodiments by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from humanoid.bodies.catalogue import embodiment
from humanoid.core.errors import InputError


def test_names_of_bodies(g1_like_path: Path) -> None:
    assert embodiment("smpl").num_joints == 39
    assert embodiment("smpl_ball").num_joints == 69
    assert embodiment(f"g1:{g1_like_path}").num_joints == 29


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smlp", "did you mean 'smpl'"),
        ("atlas", "allowed: g1, h1, smpl, smpl_ball"),
        ("g1:", "names no file; write 'g1' or 'g1:PATH'"),
        ("h1:/nowhere/h1.xml", "/nowhere/h1.xml: no such file"),
        ("smpl:/nowhere/SMPL.npz", "/nowhere/SMPL.npz: no such body model file"),
    ],
)
def test_what_is_wrong_is_said(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embodiment(name)
