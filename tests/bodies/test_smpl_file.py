"""Malformed, damaged and malicious body model files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanoid.bodies import Embodiment, SmplModelCfg, build_from_model
from humanoid.core import ConfigError, HumanoidError, InputError

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model_body(smpl_path: Path) -> Embodiment:
    """The body built with defaults."""
    return build_from_model(SmplModelCfg(path=str(smpl_path)))


def test_folder_picks_the_published_name(smpl_path: Path, model_body: Embodiment) -> None:
    assert build_from_model(SmplModelCfg(path=str(smpl_path.parent))).mjcf == model_body.mjcf
    with pytest.raises(InputError, match=r"SMPL_FEMALE\.npz"):
        build_from_model(SmplModelCfg(path=str(smpl_path.parent), gender="female"))


def test_pickle_needs_trust(published_pickle: Path, model_body: Embodiment) -> None:
    with pytest.raises(InputError, match="trust_pickle=True") as caught:
        build_from_model(SmplModelCfg(path=str(published_pickle)))
    assert str(published_pickle) in str(caught.value)
    trusting = SmplModelCfg(path=str(published_pickle), trust_pickle=True)
    assert build_from_model(trusting).mjcf == model_body.mjcf


class _Bomb:
    """Leaves a folder behind when it is unpickled the ordinary way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["npz", "pkl"])
@pytest.mark.parametrize("key", ["weights", "part2num"])
def test_nothing_in_a_file_is_executed(
    smpl_arrays: tuple[Arrays, float], model_body: Embodiment, tmp_path: Path, kind: str, key: str
) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"model.{kind}"
    arrays: dict[str, object] = smpl_arrays[0] | {key: np.array([_Bomb(mark)], dtype=object)}
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        path.write_bytes(pickle.dumps(arrays | {"extra": _Bomb(mark)}))
    cfg = SmplModelCfg(path=str(path), trust_pickle=True)
    if key == "weights":
        with pytest.raises(InputError, match="weights"):
            build_from_model(cfg)
    else:  # SMPL-X files carry pickled tables that nobody needs
        assert build_from_model(cfg).mjcf == model_body.mjcf
    assert not mark.exists()


def _with(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: arrays | {key: change(arrays[key].copy())}


def _put(place: tuple[int, ...], value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return change


BAD: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "missing key": (lambda a: {k: v for k, v in a.items() if k != "weights"}, "lacks weights"),
    "no body at all": (lambda a: {"poses": a["weights"]}, "lacks v_template"),
    "vertices": (_with("v_template", lambda v: v[:-1]), "v_template"),
    "posedirs": (_with("posedirs", lambda v: v[..., :-1]), "6890"),
    "shapedirs": (_with("shapedirs", lambda v: v[..., 0]), "6890"),
    "no shape": (_with("shapedirs", lambda v: v[..., :0]), "6890"),
    "weights": (_with("weights", lambda v: v.T), "24"),
    "regressor": (_with("J_regressor", lambda v: v[:23]), "23"),
    "regressor axes": (_with("J_regressor", lambda v: v[0]), "6890"),
    "tree shape": (_with("kintree_table", lambda v: v[:, :20]), "kintree_table"),
    "tree": (_with("kintree_table", _put((0, 5), 1)), "kintree_table"),
    "faces": (_with("f", lambda v: v[:, :2]), r"f: shape \(\d+, 2\)"),
    "face id": (_with("f", _put((7, 1), 6890)), r"f\[7, 1\]: vertex 6890"),
    "face type": (_with("f", lambda v: v.astype(float)), "f: type float64"),
    "text": (_with("v_template", lambda v: v.astype(str)), "v_template"),
    "nan": (_with("shapedirs", _put((3, 2, 1), np.nan)), r"shapedirs\[3, 2, 1\]: not a finite"),
    "infinity": (_with("v_template", _put((3, 2), np.inf)), "v_template"),
    "weight sum": (_with("weights", _put((9, 0), 0.7)), r"weights\[9\]: must be positive and sum to 1"),
    "bare part": (_with("weights", lambda v: np.eye(24)[np.zeros(len(v), int)]), "no vertex .* to L_Hip"),
    "flat part": (
        lambda a: a | {"v_template": np.where(a["weights"][:, 15:16] > 0.5, 0.1, a["v_template"])},
        "'Head'",
    ),
    "millimetres": (_with("v_template", lambda v: 1000 * v), "m tall"),
    "coinciding joints": (_with("J_regressor", lambda v: v[[0, 0, *range(2, 24)]]), "'L_Hip' coincides"),
    "open skin": (_with("f", lambda v: v[:1]), "give the mass yourself"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_named(smpl_arrays: tuple[Arrays, float], tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **change(smpl_arrays[0]))
    _fails(path, message)


def _fails(path: Path, message: str, kind: type[HumanoidError] = InputError, **changes: Any) -> None:
    with pytest.raises(kind, match=message) as caught:
        build_from_model(SmplModelCfg(**{"path": str(path), "trust_pickle": True, **changes}))
    assert "\n" not in str(caught.value)
    if kind is InputError:
        assert str(path) in str(caught.value)


def test_damaged_files_are_named(smpl_path: Path, published_pickle: Path, tmp_path: Path) -> None:
    whole, pickled = smpl_path.read_bytes(), published_pickle.read_bytes()
    files = {
        "empty.npz": b"", "cut.npz": whole[: len(whole) // 2], "text.npz": b"hello", "text.pkl": b"hello",
        "empty.pkl": b"", "cut.pkl": pickled[: len(pickled) // 2], "list.pkl": pickle.dumps([1, 2]),
        "flipped.npz": whole[:5000] + bytes(100) + whole[5100:], "one.npz": pickle.dumps({}),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        _fails(tmp_path / name, name)
    _fails(tmp_path / "none.npz", "none.npz")


@pytest.mark.parametrize(
    ("changes", "message", "kind"),
    [
        ({"betas": (0.0,) * 11}, "betas", InputError),
        ({"betas": (float("nan"),)}, "betas", InputError),
        ({"betas": (-8.0,)}, "v_template", InputError),
        ({"model_type": "smplx"}, "J_regressor", InputError),
        ({"model_type": "smlp"}, "model_type.*smpl", ConfigError),
        ({"shapes": "sphere"}, "shapes.*capsule, hull", ConfigError),
        ({"dofs": "all"}, "dofs.*anatomical, ball", ConfigError),
        ({"gender": "x"}, "gender.*female, male, neutral", ConfigError),
        ({"mass": 3.0}, "mass", ConfigError),
    ],
)
def test_bad_choices_are_named(
    smpl_path: Path, changes: dict[str, Any], message: str, kind: type[HumanoidError]
) -> None:
    _fails(smpl_path, message, kind, **changes)
