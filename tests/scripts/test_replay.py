"""Doing a step again that went wrong, from real explosions and from files that are none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import torch

from humanoid.bodies import Embodiment, smpl
from humanoid.core import ConfigError, HumanoidError, InputError, MismatchError, MissingExtraError, to_dict
from humanoid.envs import GuardCfg
from humanoid.envs.dump import Dump
from humanoid.envs.guard import Guard
from humanoid.envs.terms import tracking_errors
from humanoid.motion import MotionLibrary
from humanoid.scripts.replay import main, table
from humanoid.scripts.verbs import ReplayCfg
from humanoid.sim import PhysicsChange, SimCfg, make_sim

ENVS = 8


@pytest.fixture(scope="module")
def explosions(
    body: Embodiment, library: MotionLibrary, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Dumps of bodies that actions of thirty times the usual size tear apart in MuJoCo."""
    cfg = SimCfg(threads=1, randomizable=True)
    sim = make_sim(cfg, body, ENVS)
    heavy = PhysicsChange(mass_scale=torch.full((ENVS,), 1.1), friction=torch.full((ENVS,), 0.7))
    sim.randomize(heavy)
    guard = Guard(GuardCfg(max_rate=1.0, dumps=3), library.body, ENVS, sim.dt, library.device, library)
    guard.physics = heavy
    rows = torch.full((ENVS,), 10)
    ref = library.rows(rows)
    sim.reset(torch.ones(ENVS, dtype=torch.bool), ref)
    draw = torch.Generator().manual_seed(0)
    scale = torch.tensor(body.action_scale, dtype=torch.float32)
    tracked = torch.tensor(body.body_ids(body.tracked))
    for step in range(40):
        before = sim.state()
        action = 30.0 * torch.randn(ENVS, body.num_joints, generator=draw)
        targets = ref.joint_pos + scale * action
        sim.set_targets(targets)
        sim.step()
        state = sim.state()
        bad = ~guard.healthy(state, tracking_errors(state, ref, body.body_id(body.anchor), tracked), action)
        guard.record(before, action, targets, rows, rows + step, bad, state)
        sim.reset(bad, ref)
    folder = tmp_path_factory.mktemp("run")
    guard.flush(folder, {"body": to_dict(smpl.SmplCfg()), "sim": to_dict(cfg)})
    return sorted((folder / "dumps").iterdir())


@pytest.fixture
def dump(explosions: list[Path]) -> Dump:
    """The first of them."""
    return Dump.load(explosions[0])


def test_an_explosion_happens_again(explosions: list[Path]) -> None:
    assert len(explosions) == 3
    for path in explosions:
        result = main(ReplayCfg(dump=str(path)))
        first, last = result["rows"][0], result["rows"][-1]
        assert result["reproduced"] and not first["wrong"] and last["wrong"]
        assert result["clip"] == "squat" and result["seconds"] == 0.2
        recorded = Dump.load(path).after
        if recorded.joint_vel.isfinite().all() and last["joint_speed"] is not None:
            assert last["joint_speed"] == pytest.approx(float(recorded.joint_vel.abs().max()), rel=0.05)
        assert json.loads(json.dumps(result)) == result


def test_the_table_says_what_happens(explosions: list[Path], dump: Dump) -> None:
    text = table(main(ReplayCfg(dump=str(explosions[0]))))
    lines = text.splitlines()
    assert lines[0] == f"{explosions[0]}: 'squat' at 0.20 s: {dump.incident.reason}"
    assert lines[-1] == "it goes wrong again in mujoco" and "> 200" in lines[-2]


@pytest.mark.slow
@pytest.mark.genesis
def test_the_other_simulator_takes_it_too(explosions: list[Path]) -> None:
    """For one environment with physics of its own Genesis compiles other kernels, for a minute."""
    result = main(ReplayCfg(dump=str(explosions[0]), sim="genesis"))
    assert result["sim"] == "genesis" and len(result["rows"]) >= 2
    assert "in genesis" in table(result)


def test_a_step_that_is_harmless_goes_to_the_end(dump: Dump, library: MotionLibrary, tmp_path: Path) -> None:
    ref = library.rows(torch.tensor([10]))[0]
    calm = replace(dump, before=ref, targets=ref.joint_pos)
    calm.save(tmp_path / "calm.npz")
    result = main(ReplayCfg(dump=str(tmp_path / "calm.npz"), steps=3))
    assert not result["reproduced"] and [row["step"] for row in result["rows"]] == [0, 1, 2, 3]
    start = result["rows"][0]
    assert start["root_height"] == pytest.approx(float(ref.root_pos_w[2]), abs=1e-5)
    assert start["lowest"] == pytest.approx(0.0, abs=1e-3) and start["joint_speed"] > 0.1
    assert "it does not go wrong in mujoco" in table(result)


def test_targets_that_are_no_numbers_go_wrong_again(dump: Dump, tmp_path: Path) -> None:
    targets = dump.targets.clone()
    targets[0] = math.nan
    replace(dump, targets=targets).save(tmp_path / "nan.npz")
    result = main(ReplayCfg(dump=str(tmp_path / "nan.npz")))
    assert result["reproduced"] and result["rows"][-1]["wrong"] == "not finite"
    assert result["rows"][-1]["joint"] is None and "   1  not finite" in table(result)


def test_a_film(explosions: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    try:
        result = main(ReplayCfg(dump=str(explosions[0]), video=str(path)))
    except MissingExtraError as error:
        pytest.skip(str(error))
    frames = imageio_ffmpeg.count_frames_and_secs(str(path))[0]
    assert frames is not None and 1 <= frames <= len(result["rows"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"config": {"body": {"height": 1.9}}}, MismatchError, "body_pos"),
        ({"config": {"body": {"wings": 2}}}, ConfigError, "'wings'"),
        ({"config": {"body": 3}}, InputError, "config.body"),
        ({"config": {"sim": []}}, InputError, "config.sim"),
        ({"config": {"sim": {"rate": 1}}}, ConfigError, "'rate'"),
        ({"config": {"embodiment": "octopus"}}, InputError, "'octopus'"),
        ({"physics": {"friction": "slippery"}}, InputError, "physics.friction .*'slippery'"),
        ({"physics": {"friction": -1.0}}, InputError, "physics.friction is -1.0"),
        ({"physics": {"gravity": 1.0}}, InputError, "physics.gravity is 1.0"),
        ({"physics": {"com_offset": [0.0, 0.0]}}, InputError, "physics.com_offset is"),
        (
            {"physics": {"com_offset": [0.0, 0.0, 0.0], "com_body": "Tail"}},
            InputError,
            "'Tail'",
        ),
        ({"limits": {"max_joint_speed": -1.0}}, ConfigError, "max_joint_speed"),
        ({"control_dt": math.nan}, ConfigError, "sim.dt is nan"),
    ],
)
def test_dumps_that_fit_no_body_or_physics(
    dump: Dump, tmp_path: Path, change: dict[str, Any], error: type[HumanoidError], message: str
) -> None:
    path = tmp_path / "dump.npz"
    replace(dump, incident=replace(dump.incident, **change)).save(path)
    with pytest.raises(error, match=message) as raised:
        main(ReplayCfg(dump=str(path)))
    assert "\n" not in str(raised.value)


def test_nothing_to_start_from(dump: Dump, tmp_path: Path) -> None:
    path = tmp_path / "dump.npz"
    replace(dump, before=dump.before.map(lambda tensor: tensor * math.nan)).save(path)
    with pytest.raises(InputError, match="before"):
        main(ReplayCfg(dump=str(path)))
    with pytest.raises(ConfigError, match="steps is 0"):
        ReplayCfg(dump=str(path), steps=0)
    with pytest.raises(ConfigError, match="'bullet'"):
        main(ReplayCfg(dump=str(_saved(dump, path)), sim="bullet"))  # type: ignore[arg-type]


def _saved(dump: Dump, path: Path) -> Path:
    dump.save(path)
    return path
