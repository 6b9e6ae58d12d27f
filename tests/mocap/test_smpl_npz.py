"""SMPL motion against smplx on a synthetic body model, and files that are no motion."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from humanoid import mocap
from humanoid.bodies import smpl
from humanoid.core import InputError
from humanoid.mocap import LoadCfg, smpl_npz
from tests.core.test_io_npz import npy_bytes
from tests.mocap.array_samples import FRAMES, Arrays, save_npz, smpl_arrays
from tests.synthetic_smpl import ModelMaker

ModelPath = Callable[[str], Path]
COLUMNS = {"smpl": 72, "smplh": 156, "smplx": 165}


@pytest.fixture(scope="module")
def model_path(
    make_smpl_arrays: ModelMaker, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """What writes a synthetic body model of a type."""
    folder, made = tmp_path_factory.mktemp("models"), dict[str, Path]()

    def write(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_npz(folder / f"{kind.upper()}_NEUTRAL.npz", make_smpl_arrays(kind)[0])
        return made[kind]

    return write


def _joints_of_smplx(model: Path, kind: str, arrays: Arrays) -> np.ndarray:
    """Return joints (T, K, 3) [m] that the package smplx poses."""
    smplx = pytest.importorskip("smplx")
    poses = torch.from_numpy(arrays["poses"]).float()
    frames = len(poses)
    parts = {"global_orient": poses[:, :3], "body_pose": poses[:, 3 : 72 if kind == "smpl" else 66]}
    if kind == "smplh":
        parts |= {"left_hand_pose": poses[:, 66:111], "right_hand_pose": poses[:, 111:156]}
    if kind == "smplx":
        parts |= {
            "jaw_pose": poses[:, 66:69], "leye_pose": poses[:, 69:72], "reye_pose": poses[:, 72:75],
            "left_hand_pose": poses[:, 75:120], "right_hand_pose": poses[:, 120:165],
            "expression": torch.zeros(frames, 10),
        }  # fmt: skip
    ext = "npz"
    if kind == "smpl":  # which smplx reads from a pickle only
        ext, model = "pkl", model.with_suffix(".pkl")
        model.write_bytes(pickle.dumps(dict(np.load(model.with_suffix(".npz")))))
    extra = {"use_pca": False, "flat_hand_mean": True} if kind != "smpl" else {}
    body = smplx.create(
        str(model), kind, ext=ext, batch_size=frames, num_betas=10, use_face_contour=False, **extra
    )
    betas = torch.from_numpy(arrays["betas"]).float().expand(frames, -1)
    with torch.no_grad():
        return body(betas=betas, transl=torch.from_numpy(arrays["trans"]).float(), **parts).joints.numpy()


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.filterwarnings("ignore")
def test_joints_are_those_of_smplx(model_path: ModelPath, tmp_path: Path, kind: str) -> None:
    arrays = smpl_arrays(COLUMNS[kind])
    arrays["poses"][:, :3] += (1.3, 0.4, -0.9)
    model = model_path(kind)
    clip = mocap.load(save_npz(tmp_path / "take.npz", arrays), LoadCfg(smpl_model=str(model)))
    joints = 24 if kind == "smpl" else 22
    assert clip.joint_names == smpl_npz.NAMES[:joints]
    assert clip.fps == 120.0 and clip.num_frames == FRAMES
    expected = _joints_of_smplx(model, kind, arrays)[:, :joints]
    np.testing.assert_allclose(clip.global_poses()[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("up", ["x", "y"])
def test_up_turns_the_whole_take(tmp_path: Path, up: str) -> None:
    arrays = smpl_arrays()
    as_is = mocap.load(save_npz(tmp_path / "take.npz", arrays))
    to_up = {"y": [1, 2, 0], "x": [2, 0, 1]}[up]  # the same take told in axes of which `up` points up
    change = Rotation.from_matrix(np.eye(3)[to_up])
    pelvis = np.array(smpl_npz.PELVIS["smplh"])
    told = arrays | {
        "trans": change.apply(arrays["trans"] + pelvis) - pelvis,
        "poses": np.hstack((
            (change * Rotation.from_rotvec(arrays["poses"][:, :3])).as_rotvec(), arrays["poses"][:, 3:]
        )),
    }  # fmt: skip
    path = save_npz(tmp_path / "told.npz", told)
    turned = mocap.load(path, replace(LoadCfg(), up=up))  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(turned.global_poses()[0], as_is.global_poses()[0], atol=1e-5, rtol=0)


def test_zero_pose_stands_upright_facing_forward(tmp_path: Path) -> None:
    arrays = smpl_arrays() | {"poses": np.zeros((FRAMES, 156)), "trans": np.zeros((FRAMES, 3))}
    clip = mocap.load(save_npz(tmp_path / "take.npz", arrays), LoadCfg(up="y"))
    pos = clip.global_poses()[0][0]
    up, left = (
        pos[clip.joint_id(a)] - pos[clip.joint_id(b)]
        for a, b in (("head", "pelvis"), ("left_hip", "right_hip"))
    )
    toe = pos[clip.joint_id("left_foot")] - pos[clip.joint_id("left_ankle")]
    assert up[2] > 0.4 and left[1] > 0.1 and toe[0] > 0.1


def test_bones_without_a_model_are_the_parametric_body(tmp_path: Path) -> None:
    arrays = smpl_arrays(72)
    clip = mocap.load(save_npz(tmp_path / "take.npz", arrays))
    body = smpl.build()
    pos = clip.global_poses()[0]
    for name, ours in (("left_knee", "L_Knee"), ("head", "Head"), ("right_hand", "R_Hand")):
        joint = clip.joint_id(name)
        index = body.body_id(ours)
        length = np.linalg.norm(body.rest_pos[index] - body.rest_pos[body.parents[index]])
        found = (pos[:, joint] - pos[:, clip.parents[joint]]).norm(dim=-1)
        np.testing.assert_allclose(found.numpy(), length, atol=1e-5)


def test_other_ways_to_write_the_same(tmp_path: Path) -> None:
    arrays = smpl_arrays(165)
    clip = mocap.load(save_npz(tmp_path / "take.npz", arrays))
    rest = {key: value for key, value in arrays.items() if key not in ("poses", "mocap_framerate")}
    parts = rest | {
        "root_orient": arrays["poses"][:, :3], "pose_body": arrays["poses"][:, 3:66],
        "mocap_frame_rate": np.array([120]), "surface_model_type": np.array("smplx"),
    }  # fmt: skip
    again = mocap.load(save_npz(tmp_path / "parts.npz", parts))
    torch.testing.assert_close(again.local_quat, clip.local_quat)
    cubes = arrays | {"poses": arrays["poses"].reshape(FRAMES, -1, 3)}
    torch.testing.assert_close(mocap.load(save_npz(tmp_path / "c.npz", cubes)).local_quat, clip.local_quat)


def test_rate_can_be_given_where_the_file_has_none(tmp_path: Path) -> None:
    arrays = smpl_arrays()
    del arrays["mocap_framerate"]
    path = save_npz(tmp_path / "take.npz", arrays)
    with pytest.raises(InputError, match="frame rate"):
        mocap.load(path)
    assert mocap.load(path, LoadCfg(fps=30.0)).fps == 30.0


def test_robot_files_are_not_taken(tmp_path: Path) -> None:
    path = save_npz(
        tmp_path / "robot.npz", {"joint_pos": np.zeros((5, 2)), "body_pos_w": np.zeros((5, 3, 3))}
    )
    with pytest.raises(InputError, match="format"):
        mocap.load(path)


def test_a_model_of_another_kind_is_refused(model_path: ModelPath, tmp_path: Path) -> None:
    path = save_npz(tmp_path / "take.npz", smpl_arrays(165))
    with pytest.raises(InputError, match="smplx"):
        mocap.load(path, LoadCfg(smpl_model=str(model_path("smpl"))))


def _put(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


BAD: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "nan": (lambda a: a | {"poses": _put(a["poses"], (3, 7), np.nan)}, "'poses'"),
    "infinity": (lambda a: a | {"trans": _put(a["trans"], (2, 1), np.inf)}, r"'trans'\[2, 1\]"),
    "huge": (lambda a: a | {"trans": _put(a["trans"], (2, 1), 1e9)}, r"'trans'\[2, 1\]"),
    "no frames": (lambda a: a | {k: a[k][:0] for k in ("poses", "trans")}, "0 frames"),
    "one frame": (lambda a: a | {k: a[k][:1] for k in ("poses", "trans")}, "1 frames"),
    "columns": (lambda a: a | {"poses": a["poses"][:, :100]}, "100"),
    "lengths": (lambda a: a | {"trans": a["trans"][:5]}, "'trans'"),
    "flat": (lambda a: a | {"poses": a["poses"][0]}, "'poses'"),
    "no trans": (lambda a: {k: v for k, v in a.items() if k != "trans"}, "no 'trans'"),
    "half": (lambda a: {"pose_body": a["poses"][:, 3:66], "trans": a["trans"]}, "no poses"),
    "negative rate": (lambda a: a | {"mocap_framerate": np.array(-30.0)}, "30"),
    "zero rate": (lambda a: a | {"mocap_framerate": np.array(0)}, "0 frames per second"),
    "rates": (lambda a: a | {"mocap_framerate": np.ones(3)}, "expected one number"),
    "text": (lambda a: a | {"poses": a["poses"].astype(str)}, "expected real numbers"),
    "objects": (lambda a: a | {"poses": np.array([{}], dtype=object)}, "poses"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    path = save_npz(tmp_path / "bad.npz", change(smpl_arrays()))
    with pytest.raises(InputError, match=message) as caught:
        mocap.load(path)
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_a_header_of_a_thousand_million_frames(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "bad.npz", {"trans": np.zeros((5, 3))})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("poses.npy", npy_bytes("(1000000000, 156)"))
    with pytest.raises(InputError, match="the header claims"):
        mocap.load(path)


def test_truncated(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "bad.npz", smpl_arrays())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated"):
        mocap.load(path)
