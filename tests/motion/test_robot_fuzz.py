"""Two thousand damaged files of each robot format: a clean error or a motion, nothing else."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from humanoid.bodies import Embodiment, Kinematics, g1
from humanoid.core import InputError, LoadCfg
from humanoid.motion import load_robot
from tests.motion.robot_takes import joblib_bytes, table

MUTANTS, SHARE = 2_000, 0.2
CFG = LoadCfg(quat="wxyz", trust_pickle=True)
Mutator = Callable[[np.random.Generator], bytes]


def _damaged(
    content: bytes, rng: np.random.Generator, letters: bytes = bytes(range(256)), most: int = 3
) -> bytes:
    """Return content with a few bytes changed, left out or doubled, or cut short."""
    out = bytearray(content)
    for _ in range(rng.integers(1, most + 1)):
        place = int(rng.integers(len(out)))
        match rng.integers(10):
            case 0:
                del out[place : place + int(rng.integers(1, 9))]
            case 1:
                out[place:place] = out[place : place + int(rng.integers(1, 9))]
            case 2 if rng.random() < 0.3:
                del out[place:]
            case _:
                out[place] = letters[int(rng.integers(len(letters)))]
        out = out or bytearray(b"0")
    return bytes(out)


def _csv(body: Embodiment, named: bool) -> Mutator:
    names = ["x", "y", "z", "qw", "qx", "qy", "qz", *body.joint_names]
    lines = [",".join(f"{value:.4f}" for value in row) for row in table(body)[:8]]
    content = "\n".join(([",".join(names)] if named else []) + lines).encode()
    return lambda rng: _damaged(content, rng, b"0123456789012345678901234567890123456789.-e, \n\0n\xff", 2)


def _npz(body: Embodiment) -> Mutator:
    rows = torch.from_numpy(table(body)[:8])
    pos, quat = Kinematics(body, dtype=torch.float64).poses(rows[:, :3], rows[:, 3:7], rows[:, 7:])
    arrays = {
        "fps": np.array([30.0]), "joint_pos": rows[:, 7:].numpy(), "body_pos_w": pos.numpy(),
        "body_quat_w": quat.numpy(), "joint_names": np.array(body.joint_names),
        "body_names": np.array(body.body_names), "body_lin_vel_w": pos.numpy(),
    }  # fmt: skip
    members = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        members[name] = buffer.getvalue()

    def mutate(rng: np.random.Generator) -> bytes:
        chosen = list(members)[int(rng.integers(len(members)))]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:  # inside: the zip's checksums stay right
            for name, content in members.items():
                archive.writestr(f"{name}.npy", _damaged(content, rng) if name == chosen else content)
        content = buffer.getvalue()
        return _damaged(content, rng) if rng.random() < 0.1 else content

    return mutate


def _pickle(body: Embodiment, joblib: bool) -> Mutator:
    rows = table(body)[:8]
    clip = {
        "root_trans_offset": rows[:, :3], "root_rot": rows[:, 3:7], "fps": 30,
        "dof": rows[:, 7:][:, [g1.JOINTS.index(name) for name in g1.JOINTS_23_WAIST]],
    }  # fmt: skip
    content = joblib_bytes({"walk": clip}) if joblib else pickle.dumps({"walk": clip}, 4)
    return lambda rng: _damaged(content, rng)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "csv with names", "npz", "pickle", "joblib"])
def test_mutants(tmp_path: Path, g1_like: Embodiment, kind: str) -> None:
    mutate, ending = {
        "csv": (_csv(g1_like, False), "csv"),
        "csv with names": (_csv(g1_like, True), "csv"),
        "npz": (_npz(g1_like), "npz"),
        "pickle": (_pickle(g1_like, False), "pkl"),
        "joblib": (_pickle(g1_like, True), "pkl"),
    }[kind]
    path, rng, read = tmp_path / f"a.{ending}", np.random.default_rng(0), 0
    for _ in range(MUTANTS):
        path.write_bytes(mutate(rng))
        try:
            motion = load_robot(path, g1_like, CFG, 30.0)
        except InputError as error:
            assert "\n" not in str(error)
            assert str(path) in str(error)
        else:
            assert motion.qpos.isfinite().all()
            read += 1
    assert read >= SHARE * MUTANTS, f"{read} of {MUTANTS} mutants could be read"
