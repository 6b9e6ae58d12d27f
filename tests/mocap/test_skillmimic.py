"""SkillMimic tensors: the ball player's real clips, the frames of the joints, and bad files."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.core import InputError
from humanoid.mocap import skillmimic
from tests.mocap.array_samples import FRAMES, save_pt, skillmimic_table


def _positions(table: np.ndarray) -> np.ndarray:
    """Return joint positions (T, 53, 3) [m] by forward kinematics in the file's own axes."""
    names = [bone[0] for bone in skillmimic.BONES]
    pos, turn = [table[:, :3].astype(float)], [Rotation.from_rotvec(table[:, 3:6])]
    for joint, (_, parent, offset) in enumerate(skillmimic.BONES[1:]):
        above = names.index(parent)
        pos.append(pos[above] + turn[above].apply(np.array(offset)))
        turn.append(turn[above] * Rotation.from_rotvec(table[:, 9 + 3 * joint : 12 + 3 * joint]))
    return np.stack(pos, axis=1)


def test_joints_are_where_the_file_puts_them(tmp_path: Path) -> None:
    table = skillmimic_table()
    clip = mocap.load(save_pt(tmp_path / "003_take.pt", table))
    np.testing.assert_allclose(clip.global_poses()[0].numpy(), _positions(table), atol=1e-5)
    assert clip.fps == 60.0 and len(clip.joint_names) == 53 and clip.name == "003_take"
    assert clip.source == "skillmimic:003 catch"


def test_upright_at_zero_rotation(tmp_path: Path) -> None:
    clip = mocap.load(save_pt(tmp_path / "003_take.pt", skillmimic_table()))
    rest = torch.zeros_like(clip.offsets)
    for joint, parent in enumerate(clip.parents):
        rest[joint] = clip.offsets[joint] + (rest[parent] if parent >= 0 else 0)
    assert rest[clip.joint_id("Head"), 2] > 0.5 and rest[clip.joint_id("L_Toe"), 2] < -0.8
    assert rest[clip.joint_id("L_Wrist"), 1] > 0.6


def test_ball(tmp_path: Path) -> None:
    table = skillmimic_table()
    clip = mocap.load(save_pt(tmp_path / "003_take.pt", table))
    (ball,) = clip.props
    assert ball.name == "ball" and ball.size == (0.12, 0.12, 0.12)
    np.testing.assert_allclose(ball.pos_w.numpy(), table[:, 324:327], atol=1e-6)
    assert ball.touched.tolist() == [False] * (FRAMES // 2) + [True] * (FRAMES - FRAMES // 2)
    assert mocap.load(save_pt(tmp_path / "000_getup.pt", table)).props == ()


def test_real_clips_agree_with_their_logged_positions(mocap_data: Path) -> None:
    paths = sorted((mocap_data / "ballplay").glob("*.pt"))
    assert paths
    errors, legs = [], []
    for path in paths:
        clip = mocap.load(path)
        table = torch.load(path, weights_only=True, map_location="cpu")
        logged = table[:, skillmimic.BODY_POS].reshape(-1, 53, 3)
        miss = (clip.global_poses()[0] - logged).norm(dim=-1)
        errors.append(float(miss.mean()))
        legs.append(float(miss[:, 1:9].mean()))
        for joint, parent in enumerate(clip.parents[1:], start=1):  # bones to a tenth of a millimetre
            bone = (logged[:, joint] - logged[:, parent]).norm(dim=-1)
            torch.testing.assert_close(bone, clip.offsets[joint].norm().expand_as(bone), atol=1e-4, rtol=0)
    assert max(errors) < 0.042 and max(legs) < 0.032  # logged from a replay that lags behind
    assert np.mean(errors) < 0.036 and np.mean(legs) < 0.022


def test_a_slice_of_a_longer_tensor(tmp_path: Path) -> None:
    table = torch.from_numpy(skillmimic_table(20))
    torch.save(table[5:15], tmp_path / "003_a.pt")
    clip = mocap.load(tmp_path / "003_a.pt")
    torch.testing.assert_close(clip.root_pos_w, table[5:15, :3], atol=0, rtol=0)


TENSORS: dict[str, tuple[Callable[[torch.Tensor], object], str]] = {
    "columns": (lambda t: t[:, :331].clone(), "12"),
    "shape": (lambda t: t[0].clone(), r"shape \(337,\)"),
    "double": (lambda t: t.double(), "float64"),
    "half": (lambda t: t.half(), "float16"),
    "expanded": (lambda t: t[:1].expand(10**9, -1), "strides"),
    "transposed": (lambda t: t.T.contiguous().T, "strides"),
    "sparse": (lambda t: t.to_sparse(), "tensor"),
    "parameter": (lambda t: torch.nn.Parameter(t), "Parameter|tensor"),
    "dictionary": (lambda t: {"a": t}, "dict"),
    "list": (lambda t: [t], "list"),
    "number": (lambda t: 5, "int"),
    "nan": (lambda t: t.masked_fill(t == 1, torch.nan), "frame 6, column 336"),
    "huge": (lambda t: t * 1e9, "absurdly large"),
    "no frames": (lambda t: t[:0].clone(), "0 frames"),
    "one frame": (lambda t: t[:1].clone(), "1 frames"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORS)
def test_other_tensors_are_refused(tmp_path: Path, case: str) -> None:
    change, message = TENSORS[case]
    path = tmp_path / "003_bad.pt"
    torch.save(change(torch.from_numpy(skillmimic_table())), path)
    _refused(path, message)


def _refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        mocap.load(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def _rewritten(path: Path, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Write a torch file with some members changed."""
    buffer = io.BytesIO()
    torch.save(torch.from_numpy(skillmimic_table()), buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, change(name.rpartition("/")[2], old.read(name)))
    return path


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = pickle.dumps(_Bomb(mark), 2)
    path = _rewritten(tmp_path / "003_bad.pt", lambda name, data: code if name == "data.pkl" else data)
    _refused(path, "003_bad")
    path.write_bytes(code)
    _refused(path, "no readable torch file")
    assert not mark.exists()


def test_claims_beyond_the_storage(tmp_path: Path) -> None:
    def long_tensor(name: str, data: bytes) -> bytes:
        numel, rows = FRAMES * 337, FRAMES
        if name != "data.pkl":
            return data
        data = data.replace(b"M" + numel.to_bytes(2, "little"), b"\x8a\x06" + (10**12).to_bytes(6, "little"))
        return data.replace(b"K" + bytes([rows]), b"\x8a\x05" + (10**9).to_bytes(5, "little"))

    _refused(_rewritten(tmp_path / "003_bad.pt", long_tensor), "003_bad")
    short = _rewritten(tmp_path / "003_b.pt", lambda name, data: data[:-4] if name == "0" else data)
    _refused(short, "003_b")
    packed = _rewritten(tmp_path / "003_c.pt", lambda _, data: data, zipfile.ZIP_DEFLATED)
    _refused(packed, "003_c")


@pytest.mark.parametrize("cut", [0, 1, 100, -30])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = save_pt(tmp_path / "003_bad.pt", skillmimic_table())
    path.write_bytes(path.read_bytes()[:cut])
    _refused(path, "empty|torch file")
