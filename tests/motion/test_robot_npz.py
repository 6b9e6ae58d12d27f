"""Robot npz: with names, without names and a declared order, holosoma's root columns, ours."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment, Kinematics
from humanoid.core import InputError, LoadCfg
from humanoid.motion import Motion, is_robot_file, load_robot
from humanoid.motion.robot_npz import breadth_first
from tests.motion.robot_takes import table

KEEP = LoadCfg()


@pytest.fixture
def arrays(g1_like: Embodiment) -> dict[str, Any]:
    """Arrays of a file with names, in the MJCF's order."""
    rows = torch.from_numpy(table(g1_like))
    pos, quat = Kinematics(g1_like, dtype=torch.float64).poses(rows[:, :3], rows[:, 3:7], rows[:, 7:])
    return {
        "fps": np.array([30]),
        "joint_pos": rows[:, 7:].numpy(),
        "body_pos_w": pos.numpy(),
        "body_quat_w": quat.numpy(),
        "joint_names": np.array(g1_like.joint_names),
        "body_names": np.array(g1_like.body_names),
    }


def save(path: Path, arrays: dict[str, Any]) -> Path:
    """Write an npz."""
    np.savez(path, **arrays)
    return path


def test_with_names_in_any_order(tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    joints, bodies = rng.permutation(29), rng.permutation(30)
    arrays["joint_pos"], arrays["joint_names"] = arrays["joint_pos"][:, joints], arrays["joint_names"][joints]
    for key in ("body_pos_w", "body_quat_w"):
        arrays[key] = arrays[key][:, bodies]
    arrays["body_names"] = arrays["body_names"][bodies]
    motion = load_robot(save(tmp_path / "a.npz", arrays), g1_like, KEEP, 30.0)
    np.testing.assert_allclose(motion.qpos.numpy(), table(g1_like), atol=1e-5)
    assert motion.provenance["body_error_m"] < 1e-4


def test_holosoma_puts_the_root_first(tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]) -> None:
    arrays["joint_pos"] = table(g1_like)
    arrays["object_pos_w"] = np.zeros((len(table(g1_like)), 3))
    world = np.zeros_like(arrays["body_pos_w"][:, :1])
    arrays["body_pos_w"] = np.concatenate((world, arrays["body_pos_w"]), 1)
    arrays["body_quat_w"] = np.concatenate(
        (np.ones_like(arrays["body_quat_w"][:, :1]), arrays["body_quat_w"]), 1
    )
    arrays["body_names"] = np.array(["world", *g1_like.body_names])
    motion = load_robot(save(tmp_path / "a.npz", arrays), g1_like, KEEP, 30.0)
    np.testing.assert_allclose(motion.qpos.numpy(), table(g1_like), atol=1e-5)
    assert motion.provenance["left_out"] == ["object"]


def test_breadth_first_is_isaac_labs_order(g1_like: Embodiment) -> None:
    joints, bodies = breadth_first(g1_like)
    assert joints[:9] == (
        "left_hip_pitch_joint", "right_hip_pitch_joint", "waist_yaw_joint",
        "left_hip_roll_joint", "right_hip_roll_joint", "waist_roll_joint",
        "left_hip_yaw_joint", "right_hip_yaw_joint", "waist_pitch_joint",
    )  # fmt: skip
    assert bodies[0] == "pelvis"
    assert sorted(joints) == sorted(g1_like.joint_names)


@pytest.mark.parametrize("source", ["mjcf", "isaaclab"])
def test_without_names_the_order_has_to_be_declared(
    tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any], source: Any
) -> None:
    del arrays["joint_names"], arrays["body_names"]
    if source == "isaaclab":
        joints, bodies = breadth_first(g1_like)
        arrays["joint_pos"] = arrays["joint_pos"][:, g1_like.joint_ids(joints)]
        for key in ("body_pos_w", "body_quat_w"):
            arrays[key] = arrays[key][:, g1_like.body_ids(bodies)]
    path = save(tmp_path / "a.npz", arrays)
    with pytest.raises(InputError, match="names_from"):
        load_robot(path, g1_like, KEEP, 30.0)
    motion = load_robot(path, g1_like, LoadCfg(names_from=source), 30.0)
    np.testing.assert_allclose(motion.qpos.numpy(), table(g1_like), atol=1e-5)
    other = {"mjcf": "isaaclab", "isaaclab": "mjcf"}[source]
    with pytest.raises(InputError, match="order of joints"):
        load_robot(path, g1_like, LoadCfg(names_from=other), 30.0)  # type: ignore[arg-type]


def test_ours_comes_back_as_it_was(tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]) -> None:
    first = load_robot(save(tmp_path / "a.npz", arrays), g1_like, KEEP, 30.0)
    labelled = Motion(**{**vars(first), "contact": torch.ones(first.num_frames, 2, dtype=torch.bool),
                         "contact_names": g1_like.feet})  # fmt: skip
    labelled.save(tmp_path / "ours.npz")
    again = load_robot(tmp_path / "ours.npz", g1_like, KEEP, 30.0)
    assert again.contact_names == g1_like.feet
    torch.testing.assert_close(again.qpos, labelled.qpos)
    assert load_robot(tmp_path / "ours.npz", g1_like, LoadCfg(), 50.0).fps == 50.0


def test_is_told_from_other_npz(tmp_path: Path, arrays: dict[str, Any]) -> None:
    assert is_robot_file(save(tmp_path / "a.npz", arrays))
    assert not is_robot_file(
        save(tmp_path / "b.npz", {"poses": np.zeros((3, 72)), "trans": np.zeros((3, 3))})
    )
    (tmp_path / "c.npz").write_text("no zip")
    assert not is_robot_file(tmp_path / "c.npz")
    assert is_robot_file("a.CSV")
    assert is_robot_file("a.pkl")
    assert not is_robot_file("a.bvh")


def _drop(key: str) -> Any:
    return lambda a: a.pop(key)


def _put(key: str, value: Any) -> Any:
    return lambda a: a.update({key: value(a[key]) if callable(value) else value})


def _nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[5] = np.nan
    return array


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_drop("joint_pos"), "no 'joint_pos'"),
        (_drop("fps"), "'fps'"),
        (_put("fps", np.array([0])), "0 frames per second"),
        (_put("fps", np.array([np.nan])), "nan frames per second"),
        (_put("joint_pos", _nan), "'joint_pos'"),
        (_put("joint_pos", lambda a: a[:, :-1]), "28"),
        (_put("joint_pos", lambda a: a[:1]), "1 frames.* 61 "),
        (_put("joint_pos", lambda a: a[:, ::-1]), "order of joints"),
        (_put("joint_pos", lambda a: a.astype(str)), "'joint_pos'"),
        (_put("body_quat_w", lambda a: a * 0), "quaternion"),
        (_put("body_quat_w", lambda a: a[..., :3]), "3 and 4"),
        (
            _put("joint_names", lambda a: np.repeat(a[:1], 29)),
            "'joint_names'",
        ),
        (_put("body_names", lambda a: np.char.add(a, "_x")), "'pelvis'"),
        (_put("body_names", np.arange(30)), "texts"),
        (_put("joint_pos", np.zeros((0, 29))), "2 axes"),
    ],
)
def test_bad_files_are_refused(
    tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any], spoil: Any, message: str
) -> None:
    spoil(arrays)
    with pytest.raises(InputError, match=message) as caught:
        load_robot(save(tmp_path / "a.npz", arrays), g1_like, KEEP, 30.0)
    assert "\n" not in str(caught.value)


def test_objects_are_never_unpickled(tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    arrays["joint_names"] = np.array([Trap()], dtype=object)
    assert pickle.dumps(arrays["joint_names"])
    with pytest.raises(InputError):
        load_robot(save(tmp_path / "a.npz", arrays), g1_like, KEEP, 30.0)
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_claims_too_much_is_refused(
    tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]
) -> None:
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 29)}
    )
    rest = {key: value for key, value in arrays.items() if key != "joint_pos"}
    save(path, rest)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("joint_pos.npy", header.getvalue() + bytes(64))
    with pytest.raises(InputError, match="claims"):
        load_robot(path, g1_like, KEEP, 30.0)


def test_a_zip_bomb_is_refused(tmp_path: Path, g1_like: Embodiment, arrays: dict[str, Any]) -> None:
    arrays["joint_pos"] = np.zeros((400_000, 29))
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **arrays)
    with pytest.raises(InputError, match="bomb"):
        load_robot(path, g1_like, KEEP, 30.0)


def test_real_file(mocap_data: Path, g1_mjcf: Path) -> None:
    from humanoid.bodies import g1

    body = g1.build(g1_mjcf)
    path = mocap_data / "g1" / "motion_crawl_slope.npz"
    assert is_robot_file(path)
    motion = load_robot(path, body)
    with np.load(path) as stored:
        rows = [list(stored["body_names"]).index(name) for name in body.body_names]
        np.testing.assert_allclose(motion.states.body_pos_w, stored["body_pos_w"][:, rows], atol=0.012)
        np.testing.assert_allclose(motion.states.joint_pos, stored["joint_pos"][:, 7:], atol=1e-5)
