"""What the page is given: takes beside their motions, frame by frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import InputError
from humanoid.datasets import SourceFile, perform
from humanoid.mocap import PropTrack
from humanoid.motion import Motion
from humanoid.scripts.verbs import ViewCfg
from humanoid.scripts.view_motion import open_page, recording_of
from tests import synth


def test_a_capture_comes_with_its_take(body: Embodiment, tmp_path: Path) -> None:
    synth.write(synth.walk(), tmp_path / "walk.json")
    motion, clip = perform(SourceFile(file=tmp_path / "walk.json", name="gait"), body)
    assert motion.name == "gait"
    assert clip is not None and clip.num_frames == motion.num_frames and clip.fps == motion.fps
    shown = recording_of(motion, clip, body)
    assert shown.source is not None and shown.source.pos.shape[:2] == (motion.num_frames, 15)
    body_way, source_way = (p[-1, 0, :2] - p[0, 0, :2] for p in (shown.pos, shown.source.pos))
    cosine = body_way @ source_way / np.linalg.norm(body_way) / np.linalg.norm(source_way)
    assert cosine > 0.99  # both walk the same way
    assert {label for label, _, _ in shown.notes} >= {"skate mm", "float mm", "frames"}


def test_a_motion_file_has_none(squat: Motion, body: Embodiment) -> None:
    shown = recording_of(squat, None, body)
    assert shown.name == "squat" and shown.source is None and shown.frames == squat.num_frames
    assert shown.contacts(0) == set(body.feet)


def test_props_are_shown(squat: Motion, body: Embodiment) -> None:
    frames = squat.num_frames
    quat = torch.tensor((1.0, 0, 0, 0)).repeat(frames, 1)
    track = PropTrack(name="ball", pos_w=torch.ones(frames, 3), quat_w=quat,
                      touched=torch.ones(frames, dtype=torch.bool), size=(0.12, 0.12, 0.12))  # fmt: skip
    clip = replace(synth.walk(), props=(track, replace(track, size=(0.1, 0.2, 0.3))))
    assert recording_of(squat, clip, body).objects is clip.props


def test_a_page_of_a_folder(motion_folder: Path, body: Embodiment, tmp_path: Path) -> None:
    pytest.importorskip("viser")
    page = open_page(ViewCfg(source=str(motion_folder), port=0), body)
    try:
        assert [take.name for take in page.player.recordings] == ["dip", "squat"]
    finally:
        page.close()
    with pytest.raises(InputError, match=str(tmp_path)):
        open_page(ViewCfg(source=str(tmp_path), port=0), body)


def test_what_cannot_be_shown_is_left_out(
    squat: Motion, body: Embodiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("viser")
    squat.save(tmp_path / "squat.npz")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    page = open_page(ViewCfg(source=str(tmp_path), port=0), body)
    try:
        assert [take.name for take in page.player.recordings] == ["squat"]
        assert "left out" in capsys.readouterr().err
    finally:
        page.close()
    (tmp_path / "squat.npz").unlink()
    with pytest.raises(InputError, match=r"bad\.npz"):
        open_page(ViewCfg(source=str(tmp_path), port=0), body)
