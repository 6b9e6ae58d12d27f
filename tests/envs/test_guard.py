"""Physics that goes wrong: noticed in the step, kept without waiting, written and counted after it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from humanoid.bodies import BodyState
from humanoid.core import ConfigError, InputError
from humanoid.core.errors import TrainingError
from humanoid.envs import GuardCfg
from humanoid.envs.dump import Dump
from humanoid.envs.guard import Guard, diagnose
from humanoid.envs.terms import Errors, tracking_errors
from humanoid.motion import MotionLibrary
from humanoid.sim import PhysicsChange

ENVS, DT = 4, 0.02
ROWS = torch.tensor([0, 60, 101, 130])  # the last two are of the second clip, at 0 and 0.58 s
LENIENT = GuardCfg(max_rate=1.0, dumps=3)


def _guard(cfg: GuardCfg, library: MotionLibrary) -> Guard:
    return Guard(cfg, library.body, ENVS, DT, library.device, library)


def _errors(library: MotionLibrary, state: BodyState) -> Errors:
    body = library.body
    tracked = torch.tensor(body.body_ids(body.tracked))
    return tracking_errors(state, library.rows(ROWS), body.body_id(body.anchor), tracked)


def _bad(guard: Guard, state: BodyState, action: Tensor | None = None) -> list[bool]:
    action = torch.zeros_like(state.joint_pos) if action is None else action
    return (~guard.healthy(state, _errors(guard.library, state), action)).tolist()


def _step(guard: Guard, wrong: list[int], steps: int = 7) -> tuple[BodyState, BodyState]:
    """Record one step in which the joints of some environments have been as fast as their index + 300."""
    before = guard.library.rows(ROWS)
    after = before.map(torch.clone)
    for env in wrong:
        after.joint_vel[env, 3] = 300.0 + env
    action = torch.arange(4.0)[:, None].expand_as(before.joint_pos)
    bad = ~guard.healthy(after, _errors(guard.library, after), action)
    assert bad.nonzero().flatten().tolist() == wrong
    guard.record(before, action, 2 * action, ROWS, torch.full((ENVS,), steps), bad, after)
    return before, after


@pytest.mark.parametrize(
    ("field", "place", "below", "above", "said"),
    [
        ("joint_vel", (3,), -199.0, -201.0, "joint L_Knee_y turns at 201 rad/s > 200"),
        ("body_ang_vel_w", (0, 1), 199.0, 201.0, "root turns at 201 rad/s > 200"),
        ("body_lin_vel_w", (0, 0), -29.0, -31.0, "root moves at 31 m/s > 30"),
        ("body_pos_w", (0, 2), -9.0, -11.0, "root height is 11 m > 10"),
        ("joint_pos", (5,), 1e3, math.nan, "not finite"),
        ("joint_pos", (5,), -1e3, math.inf, "not finite"),
        ("body_quat_w", (2, 0), 1.0, math.nan, "not finite"),
    ],
)
def test_limits(
    library: MotionLibrary, field: str, place: tuple[int, ...], below: float, above: float, said: str
) -> None:
    guard, names = _guard(LENIENT, library), library.body.joint_names
    for value, wrong in ((below, False), (above, True)):
        state = library.rows(ROWS)
        getattr(state, field)[(1, *place)] = value
        assert _bad(guard, state) == [False, wrong, False, False]
        assert diagnose(state[1], LENIENT, names) == (said if wrong else "")
        assert diagnose(state[0], LENIENT, names) == ""


def test_actions_that_are_no_numbers(library: MotionLibrary) -> None:
    guard, state = _guard(LENIENT, library), library.rows(ROWS)
    action = torch.full_like(state.joint_pos, 1e6)
    action[0, 4], action[2, 0] = math.nan, -math.inf
    assert _bad(guard, state, action) == [True, False, True, False]


def test_the_first_offender_of_each_step_is_kept_until_the_slots_are_full(
    library: MotionLibrary, tmp_path: Path
) -> None:
    friction = torch.tensor([0.5, 0.6, 0.7, 0.8])
    offset = torch.arange(12.0).reshape(4, 3) / 100
    physics = PhysicsChange(friction=friction, com_offset=offset, com_body="Chest")
    guard = _guard(LENIENT, library)
    guard.physics = physics
    with torch.inference_mode():
        for wrong in ([], [1, 2], [], [3], [0], [2]):
            before, _ = _step(guard, wrong)
    config = {"body": {"height": 1.7}, "seed": 1}
    log = guard.flush(tmp_path, config)
    assert log == {"guard/bad_steps": 5.0, "guard/rate": pytest.approx(5 / 24)}
    names = sorted(path.name for path in (tmp_path / "dumps").iterdir())
    assert names == ["001_squat_1.20s.npz", "002_dip_0.58s.npz", "003_squat_0.00s.npz"]
    for name, env in zip(names, (1, 3, 0), strict=True):
        clip, seconds = ("dip", 0.58) if env == 3 else ("squat", 1.2 * env)
        dump = Dump.load(tmp_path / "dumps" / name)
        incident = dump.incident
        assert (incident.env, incident.clip, incident.row) == (env, clip, int(ROWS[env]))
        assert incident.seconds == pytest.approx(seconds) and incident.episode_seconds == pytest.approx(0.14)
        assert incident.reason == f"joint L_Knee_y turns at {300 + env} rad/s > 200"
        assert incident.config == config and incident.control_dt == DT
        assert incident.physics["friction"] == pytest.approx(float(friction[env]))
        assert incident.physics["com_offset"] == pytest.approx(offset[env].tolist())
        assert set(incident.physics) == {"friction", "com_offset", "com_body"}
        library.body.require_signature(incident.body, name)
        assert dump.after.joint_vel[3] == 300 + env
        for got, wanted in ((dump.before, before), (dump.ref, library.rows(ROWS))):
            assert torch.equal(got.joint_pos, wanted.joint_pos[env]) and got.body_pos_w.shape == (1, 3)
            assert torch.equal(got.joint_vel, wanted.joint_vel[env])
            assert torch.equal(got.root_pos_w, wanted.root_pos_w[env])
            assert torch.equal(got.root_quat_w, wanted.root_quat_w[env])
            assert torch.equal(got.root_ang_vel_w, wanted.root_ang_vel_w[env])
        assert torch.equal(dump.action, torch.full((39,), float(env))) and dump.targets[0] == 2 * env


def test_a_run_writes_so_many_and_no_more(library: MotionLibrary, tmp_path: Path) -> None:
    guard = _guard(LENIENT, library)
    for _ in range(3):
        for _ in range(2):
            _step(guard, [1])
        assert guard.flush(tmp_path)["guard/bad_steps"] == 2.0
    assert guard.flush(tmp_path)["guard/bad_steps"] == 0.0
    assert len(list((tmp_path / "dumps").iterdir())) == 3
    none = _guard(GuardCfg(max_rate=1.0, dumps=0), library)
    _step(none, [1])
    assert none.flush(tmp_path / "none")["guard/bad_steps"] == 1.0
    assert not (tmp_path / "none").exists()


def test_numbers_that_are_not_finite_survive_the_file(library: MotionLibrary, tmp_path: Path) -> None:
    guard = _guard(LENIENT, library)
    before = library.rows(ROWS)
    after = before.map(torch.clone)
    after.joint_pos[2], after.body_pos_w[2] = math.nan, math.nan
    zero = torch.zeros_like(before.joint_pos)
    bad = ~guard.healthy(after, _errors(library, after), zero)
    guard.record(before, zero, zero, ROWS, ROWS, bad, after)
    guard.flush(tmp_path)
    (path,) = (tmp_path / "dumps").iterdir()
    dump = Dump.load(path)
    assert dump.incident.reason == "not finite" and dump.incident.env == 2
    assert dump.after.joint_pos.isnan().all() and dump.before.joint_pos.isfinite().all()


def test_too_many_stop_the_run(library: MotionLibrary, tmp_path: Path) -> None:
    guard = _guard(GuardCfg(max_rate=0.1, window=40, dumps=1), library)
    for _ in range(2):  # 4 of 40 are not more than a tenth, however few steps there have been
        _step(guard, [0, 1])
    assert guard.flush(tmp_path)["guard/rate"] == 0.5
    _step(guard, [3])
    with pytest.raises(TrainingError, match=r"41\.67%.*max_rate") as error:
        guard.flush(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path / "dumps") in str(error.value)
    assert "humanoid replay" in str(error.value)


def test_what_was_long_ago_is_forgotten(library: MotionLibrary, tmp_path: Path) -> None:
    guard = _guard(GuardCfg(max_rate=0.1, window=40, dumps=0), library)
    for _ in range(5):  # 4 bad ones every 48 steps
        _step(guard, [0, 1, 2, 3])
        guard.flush(tmp_path)
        for _ in range(11):
            _step(guard, [])
        assert guard.flush(tmp_path)["guard/rate"] <= 0.1


class _Operations(TorchDispatchMode):
    """Keeps the names of the operations that run, and whether a mask of booleans selects."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith("index") and isinstance(args[1], (list, tuple)):
            masks = [index for index in args[1] if index is not None and index.dtype == torch.bool]
            name += "_by_mask" * bool(masks)
        self.names.add(name)
        return func(*args, **(kwargs or {}))


def test_nothing_waits_for_the_device(library: MotionLibrary) -> None:
    guard = _guard(LENIENT, library)
    state, zero = library.rows(ROWS), torch.zeros(ENVS, library.body.num_joints)
    errors = _errors(library, state)
    with _Operations() as seen:
        bad = ~guard.healthy(state, errors, zero)
        guard.record(state, zero, zero, ROWS, ROWS, bad, state)
    assert {"amax", "index_select", "where"} <= seen.names  # the counter counts
    waiting = {"_local_scalar_dense", "nonzero", "masked_select", "item", "is_nonzero", "equal"}
    assert not waiting & seen.names and not any(name.endswith("_by_mask") for name in seen.names)
    with _Operations() as seen:
        assert state.joint_pos[bad].numel() == 0 and not bool(bad.any())
    assert {"_local_scalar_dense", "index_by_mask"} <= seen.names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_joint_speed", 0.0), ("max_root_speed", -1.0), ("max_height", math.nan), ("max_rate", 1.5),
        ("max_rate", -0.1), ("window", 0), ("dumps", -1),
    ],
)  # fmt: skip
def test_limits_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"GuardCfg.{name}"):
        GuardCfg(**{name: value})


@pytest.fixture(scope="module")
def written(library: MotionLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One dump."""
    folder = tmp_path_factory.mktemp("run")
    guard = _guard(LENIENT, library)
    _step(guard, [1])
    guard.flush(folder)
    (path,) = (folder / "dumps").iterdir()
    return path


def _changed(written: Path, path: Path, text: Any = None, **arrays: np.ndarray) -> Path:
    """Copy a dump with some of its text or arrays replaced."""
    with np.load(written, allow_pickle=False) as file:
        content = {name: file[name] for name in file.files} | arrays
    if text is not None:
        content["incident"] = np.array(json.dumps({**json.loads(str(content["incident"])), **text}))
    np.savez(path, **content)  # pyright: ignore[reportArgumentType]
    return path


@pytest.mark.parametrize(
    ("text", "arrays", "message"),
    [
        ({"kind": "policy"}, {}, "not a dump"),
        ({"version": 99}, {}, "version 99"),
        ({"clip": 3}, {}, "'clip'"),
        ({"body": []}, {}, "'body' is"),
        ({"body": {}}, {}, "joints"),
        (None, {"incident": np.array("[1, 2")}, "not a dump"),
        (None, {"incident": np.array('"text"')}, "not a dump"),
        (None, {"incident": np.zeros(3)}, "not a dump"),
        (None, {"incident": np.array("[" * 100_000)}, "not a dump"),
        (None, {"before_joint_pos": np.zeros(3, np.float32)}, "'before_joint_pos'"),
        (None, {"targets": np.zeros(39, np.int64)}, "'targets'"),
        (None, {"after_root_quat_w": np.array("1 0 0 0")}, "'after_root_quat_w'"),
    ],
)
def test_foreign_files_are_refused_in_one_line(
    written: Path, tmp_path: Path, text: Any, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = _changed(written, tmp_path / "dump.npz", text, **arrays)
    with pytest.raises(InputError, match=message) as error:
        Dump.load(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_files_that_hold_no_arrays_or_objects(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(InputError, match="no such file"):
        Dump.load(path)
    path.write_bytes(written.read_bytes()[:500])
    with pytest.raises(InputError, match="not a readable npz"):
        Dump.load(path)
    with pytest.raises(InputError, match="incident"):
        Dump.load(_changed(written, path, incident=np.array({"kind": "dump"}, dtype=object)))
    np.savez(path, joint_pos=np.zeros(3))
    with pytest.raises(InputError, match="not a dump"):
        Dump.load(path)
