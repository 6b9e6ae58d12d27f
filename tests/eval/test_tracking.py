"""Evaluation of a tracker: what is measured, and that nothing helps the body along."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from humanoid.core import ConfigError, InputError, MismatchError
from humanoid.envs import TrackingCfg, TrackingEnv
from humanoid.eval import EvalCfg, Setup, evaluate, make_setup
from humanoid.eval.rollout import play_clips
from humanoid.eval.setup import in_each
from humanoid.eval.tracking import CALM, SEEDED_STARTS, error_curves, evaluation, in_waves, waves
from humanoid.motion import MotionLibrary
from humanoid.nn import Checkpoint, read_torch
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.sim import SimCfg
from humanoid.sim.mujoco_backend import MujocoSimulator

KEYS = {
    "success", "success_strict", "survived", "mpjpe_g_mm", "mpjpe_l_mm", "mpjpe_l_success_mm",
    "vel_mm", "acc_mm",
}  # fmt: skip


@pytest.fixture
def cfg(tiny_run: Path) -> EvalCfg:
    return EvalCfg(checkpoint=str(tiny_run / CHECKPOINT), starts=2)


def test_report_has_exactly_the_promised_keys(cfg: EvalCfg) -> None:
    seen: list[tuple[int, int]] = []
    found = json.loads(json.dumps(evaluate(cfg, lambda step, total: seen.append((step, total)))))
    assert set(found) == KEYS | {
        "sim", "checkpoint", "starts", "seed", "conditions", "seconds", "tags", "splits", "clips",
    }  # fmt: skip
    assert (found["seconds"], found["conditions"], found["tags"]) == (2.8, {}, {})
    assert found["splits"] == {"train": {"clips": 2, **{key: found[key] for key in KEYS}}}
    assert (found["sim"], found["checkpoint"], found["starts"], found["seed"]) == (
        "mujoco", cfg.checkpoint, 2, 0,
    )  # fmt: skip
    assert set(found["clips"]) == {"squat", "dip"}
    for clip in found["clips"].values():
        assert set(clip) == KEYS | {"seconds"}
    assert found["clips"]["squat"]["seconds"] == 2.0
    assert found["clips"]["dip"]["seconds"] == 0.8
    assert seen[-1] == (100, 100)
    for tree in (found, *found["clips"].values()):
        assert 0 <= tree["success_strict"] <= tree["success"] <= 1
        assert all(tree[key] is None or tree[key] >= 0 for key in KEYS)


def test_totals_are_means_over_all_runs(cfg: EvalCfg) -> None:
    found = evaluate(cfg)
    for key in ("success", "success_strict", "mpjpe_g_mm", "mpjpe_l_mm", "vel_mm"):
        clips = [clip[key] for clip in found["clips"].values()]
        assert found[key] == pytest.approx(sum(clips) / 2), key


def test_seed_decides_the_starts(cfg: EvalCfg) -> None:
    one = evaluate(cfg)
    assert evaluate(cfg) == one
    assert evaluate(replace(cfg, seed=1))["mpjpe_g_mm"] != one["mpjpe_g_mm"]


def test_task_of_the_evaluation_is_calm(cfg: EvalCfg) -> None:
    env = make_setup(cfg).env
    assert env.cfg.observation.noise_scale == 0.0
    assert env.cfg.event == SEEDED_STARTS
    assert not env.cfg.event.varies_physics
    assert env.cfg.event.push_seconds == (0.0, 0.0)
    assert not env.joint_offset.any()
    assert torch.equal(env.observe()["actor"], env.observe()["actor"])


class Watched(MujocoSimulator):
    """MuJoCo that looks for forces from outside in every step."""

    def __init__(self, library: MotionLibrary, num_envs: int) -> None:
        """Bind what a force could be written to."""
        super().__init__(SimCfg(threads=1), library.body, num_envs)
        self.steps = 0
        self.forces = [self.batch.bind(name) for name in ("xfrc_applied", "qfrc_applied")]

    def step(self) -> None:
        """Step, with no force before or after."""
        assert not any(np.any(force) for force in self.forces)
        super().step()
        assert not any(np.any(force) for force in self.forces)
        self.steps += 1

    def push(self, lin_vel_w: Tensor, ang_vel_w: Tensor) -> None:
        """Fail: nobody pushes in an evaluation."""
        raise AssertionError("pushed")

    def randomize(self, change: Any) -> None:
        """Fail: nobody changes physics in an evaluation."""
        raise AssertionError("randomised")


def test_no_external_force_touches_the_body(
    cfg: EvalCfg, make_env: Callable[..., TrackingEnv], library: MotionLibrary
) -> None:
    policy = Checkpoint.load(cfg.checkpoint, KIND).policy()
    for event in (SEEDED_STARTS, CALM):
        sim = Watched(library, 2)
        env = make_env(sim=sim, event=event, observation=make_setup(cfg).env.cfg.observation)
        play_clips(env, policy, library.start)
        assert sim.steps == 100
    model = sim.model
    assert model.nu == library.body.num_joints
    driven = model.actuator_trnid[:, 0]
    assert (model.jnt_type[driven] == mujoco.mjtJoint.mjJNT_HINGE).all()  # none at the root's free joint
    assert (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT).all()
    assert not model.dof_damping[:6].any()
    assert not model.jnt_stiffness[0]
    assert model.neq == 0
    assert not model.body_gravcomp.any()
    assert model.opt.gravity.tolist() == [0.0, 0.0, -9.81]


def test_pushing_would_be_noticed(make_env: Callable[..., TrackingEnv], library: MotionLibrary) -> None:
    env = make_env(sim=Watched(library, 1))
    env.start(torch.tensor([0]))
    with pytest.raises(AssertionError, match="pushed"):
        env.sim.push(torch.ones(1, 3), torch.zeros(1, 3))
    env.sim.forces[0][0, 1, 2] = 5.0  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        env.play(torch.zeros(1, env.num_actions))


def test_curves_are_of_the_first_run_of_each_clip(cfg: EvalCfg) -> None:
    setup = make_setup(cfg)
    rollout = setup.play()
    curves = error_curves(setup, rollout)
    assert setup.env.library.names == ("dip", "squat")
    assert [len(curve["time_s"]) for curve in curves.values()] == [40, 100]
    assert curves["dip"]["time_s"][0] == pytest.approx(0.02)
    assert curves["dip"]["time_s"][-1] == pytest.approx(0.8)
    pos, ref = rollout.state.body_pos_w[7, 2].numpy(), rollout.ref.body_pos_w[7, 2].numpy()
    expected = 1000 * np.linalg.norm(pos - ref, axis=-1).mean()
    assert curves["squat"]["global_mm"][7] == pytest.approx(expected, rel=1e-5)


def still(observation: Tensor) -> Tensor:
    """Act on nothing, on the default body."""
    return torch.zeros(len(observation), 39)


def test_a_simulator_that_plays_the_reference_has_no_error(
    cfg: EvalCfg, make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any
) -> None:
    setup = Setup(make_env(sim=playback), still, Checkpoint.load(cfg.checkpoint, KIND), 2)
    found = evaluation(cfg, setup, setup.play())
    assert (found["success"], found["success_strict"]) == (1.0, 1.0)
    for key in ("mpjpe_g_mm", "mpjpe_l_mm", "mpjpe_l_success_mm", "vel_mm", "acc_mm"):
        assert found[key] == 0.0, key


def test_totals_by_tag_and_split(
    cfg: EvalCfg, make_env: Callable[..., TrackingEnv], library: MotionLibrary, playback: Any
) -> None:
    tags = {"squat": ("bend", "deep"), "dip": ("bend",)}
    splits = {"squat": "test", "dip": "train"}
    setup = Setup(make_env(sim=playback), still, Checkpoint.load(cfg.checkpoint, KIND), 2, tags, splits)
    rollout = setup.play()
    rollout.state.body_pos_w[50, 0, :, 2] += 1.0  # the first run of the squat fails half-way
    found = evaluation(cfg, setup, rollout)
    assert {tag: (of["clips"], of["success"], of["survived"]) for tag, of in found["tags"].items()} == {
        "bend": (2, 0.75, 0.875),
        "deep": (1, 0.5, 0.75),
    }
    assert {split: of["success"] for split, of in found["splits"].items()} == {"test": 0.5, "train": 1.0}
    assert (found["success"], found["survived"]) == (0.75, 0.875)


def test_waves_hold_every_run_once_and_cost_no_more_than_one() -> None:
    steps = [1650, 200, 150, 400, 90, 300] * 8
    plan = waves(steps, cost=16)
    assert sorted(run for wave in plan for run in wave) == list(range(48))
    assert len({len(wave) for wave in plan[:-1]}) == 1 and len(plan[-1]) <= len(plan[0])
    longest = [max(steps[run] for run in wave) for wave in plan]
    assert [steps[wave[0]] for wave in plan] == longest == sorted(longest, reverse=True)
    assert sum(longest) * (len(plan[0]) + 16) < 0.65 * 1650 * (48 + 16)
    assert len(waves(steps, cost=1e6)) == 1  # where environments cost nothing, time is the longest run's
    assert len(waves([100] * 30, cost=1)) == 1
    assert waves([], cost=16) == [] and waves([7], cost=16) == [[0]]


def test_runs_in_waves_are_those_of_one_wave(
    cfg: EvalCfg, make_env: Callable[..., TrackingEnv], library: MotionLibrary
) -> None:
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    together = Setup(make_env(num_envs=4), still, checkpoint, 2)
    apart = Setup(make_env(num_envs=3), still, checkpoint, 2)
    seen: list[tuple[int, int]] = []
    found = in_waves(apart, [[0, 1, 2], [3]], lambda step, total: seen.append((step, total)))
    assert seen == [(step + 1, 140) for step in range(140)]
    expected = in_waves(together, [[0, 1, 2, 3]])
    for one, other in zip(found, expected, strict=True):
        assert one.success == other.success
        assert one.mpjpe_g_mm == pytest.approx(other.mpjpe_g_mm, rel=1e-3)


def test_conditions_reach_task_and_physics(cfg: EvalCfg) -> None:
    harsh = replace(cfg, friction=0.4, latency=0.02, noise=2.0)
    assert harsh.conditions == {"friction": 0.4, "latency": 0.02, "noise": 2.0}
    setup = make_setup(harsh)
    assert setup.env.cfg.observation.noise_scale == 2.0
    assert setup.env.cfg.observation.terms == TrackingCfg().observation.terms
    assert isinstance(setup.env.sim, MujocoSimulator)
    assert (setup.env.sim.model.geom_friction[:, 0] == 0.4).all()
    assert torch.equal(setup.env.delay.periods, torch.ones(4))
    assert not torch.equal(setup.env.observe()["actor"], setup.env.observe()["actor"])


def test_physics_can_vary_as_in_training(cfg: EvalCfg, tmp_path: Path) -> None:
    content = read_torch(cfg.checkpoint)
    event = {**content["header"]["config"]["task"]["event"], "mass": [0.8, 1.2], "push_seconds": [1.0, 2.0]}
    content["header"]["config"]["task"]["event"] = event
    torch.save(content, tmp_path / "varied.pt")
    varied = replace(cfg, checkpoint=str(tmp_path / "varied.pt"))
    assert make_setup(varied).env.cfg.event == SEEDED_STARTS
    found = make_setup(replace(varied, randomized=True)).env.cfg.event
    assert (found.mass, found.push_seconds, found.start_joints) == ((0.8, 1.2), (0.0, 0.0), 0.05)


def test_results_of_several_simulators_stand_side_by_side(cfg: EvalCfg) -> None:
    both = replace(cfg, sim=("mujoco", "genesis"), device="cuda")
    asked: list[tuple[str, str]] = []

    def run(one: EvalCfg) -> dict[str, Any]:
        asked.append((one.sims[0], one.device))
        return {"success": 0.5 + 0.25 * len(asked), "starts": 2, "noise": 0.0, "nothing": None}

    found = in_each(both, run)
    assert asked == [("mujoco", "cpu"), ("genesis", "cuda")]
    assert list(found["sims"]) == ["mujoco", "genesis"] and found["spread"] == {"success": 0.25}
    assert in_each(replace(cfg, sim=("genesis",)), run)["success"] == 1.25


def test_other_motions_can_be_performed(cfg: EvalCfg, motion_folder: Path) -> None:
    found = evaluate(replace(cfg, motions=str(motion_folder / "dip.npz"), starts=1))
    assert set(found["clips"]) == {"dip"}


def test_what_cannot_be_evaluated_is_refused(cfg: EvalCfg, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="starts is 0"):
        evaluate(replace(cfg, starts=0))
    for change, message in (
        ({"split": "held"}, "'held'"),
        ({"sim": ()}, "sim"),
        ({"friction": -1.0}, "friction is -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(cfg, **change)
    with pytest.raises(InputError, match="no such checkpoint"):
        evaluate(replace(cfg, checkpoint=str(tmp_path / "none.pt")))
    with pytest.raises(ConfigError, match="'cpu'"):
        evaluate(replace(cfg, device="meta"))
    path = tmp_path / "other.pt"
    content = read_torch(cfg.checkpoint)
    header = content["header"]
    for change, error, message in (
        ({"control_dt": 0.01}, MismatchError, "0.01"),
        ({"observation": header["observation"][:-1]}, MismatchError, "observation term 9"),
        ({"body": {**header["body"], "kp": [1.0] * 39}}, MismatchError, "kp"),
        ({"kind": "planner"}, MismatchError, "'planner'"),
        ({"config": {**header["config"], "task": {"reward": {"weigth": {}}}}}, ConfigError, "weigth"),
    ):
        torch.save({**content, "header": {**header, **change}}, path)
        with pytest.raises(error, match=message) as caught:
            evaluate(replace(cfg, checkpoint=str(path)))
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
