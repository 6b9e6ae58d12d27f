"""The training command: one call starts, the same call goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from humanoid.bodies import Embodiment
from humanoid.core import (
    ConfigError,
    InputError,
    MismatchError,
    claim_run,
    data_dir,
    from_dict,
    load_config,
    to_dict,
)
from humanoid.envs import EventCfg, ObservationCfg, RewardTerm
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.eval import EvalCfg, make_setup
from humanoid.motion.augment import TimeWarpCfg
from humanoid.nn import Checkpoint
from humanoid.rl import Progress
from humanoid.rl.checkpoints import CHECKPOINT, KIND
from humanoid.scripts import train_tracker as train
from humanoid.scripts.train_tracker import Reporter, TrainCfg, load_library
from humanoid.sim import SimCfg
from tests.g1_samples import squat


def test_run_folder_says_how_it_was_made(tiny_run: Path, tiny_cfg: TrainCfg) -> None:
    names = {path.name.split(".")[0] for path in tiny_run.iterdir()}
    assert names == {"config", "checkpoint", "training_000002", "moments_000002", "events", "metrics"}
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert metrics["samples"] == tiny_cfg.samples and metrics["error/body_pos"] > 0.0
    assert load_config(TrainCfg, tiny_run / "config.yaml") == tiny_cfg
    text = (tiny_run / "config.yaml").read_text()
    for word in ("provenance", "seed", "rsl-rl-lib", "mujoco", "torch"):
        assert word in text
    assert Checkpoint.load(tiny_run / CHECKPOINT, KIND).header.config["motions"] == tiny_cfg.motions


def test_the_same_command_goes_on(
    tiny_cfg: TrainCfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main(tiny_cfg, str(tmp_path))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2 clips" in captured.err
    assert "resumed" not in captured.err
    train.main(replace(tiny_cfg, samples=4 * 24), str(tmp_path))
    assert f"resumed {tmp_path / 'tiny'} at 0.00 M samples" in capsys.readouterr().err
    header = Checkpoint.load(tmp_path / "tiny" / CHECKPOINT, KIND).header
    assert (header.samples, header.iteration) == (96, 4)


def test_mistakes_leave_nothing_behind(tiny_cfg: TrainCfg, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(InputError, match="nowhere"):
        train.main(replace(tiny_cfg, motions=str(tmp_path / "nowhere.npz")), str(runs))
    assert not runs.exists()


def test_a_mismatch_leaves_the_run_as_it_was(tiny_cfg: TrainCfg, tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in tiny_run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    task = replace(tiny_cfg.task, observation=ObservationCfg(future_steps=(1, 9)))
    with pytest.raises(MismatchError, match="observation term 0"):
        train.main(replace(tiny_cfg, task=task), str(tmp_path))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_interrupt_saves(
    tiny_cfg: TrainCfg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Impatient(Reporter):
        def __call__(self, progress: Progress) -> None:
            if progress.iteration == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(train, "Reporter", Impatient)
    train.main(replace(tiny_cfg, samples=1e9), str(tmp_path))
    assert "interrupted; run the same command again" in capsys.readouterr().err
    assert Checkpoint.load(tmp_path / "tiny" / CHECKPOINT, KIND).header.iteration == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["ppo.learning_rat=1"], "'ppo.learning_rat'.*'learning_rate'"),
        (["num_envs=many"], "'num_envs'.*'many'"),
        (["task.action.around=nothing"], "'task.action.around' is 'nothing'"),
        (["ppo.schedule=fast"], "'ppo.schedule' is 'fast'"),
        (["task.event.start_pose=[1, 2]"], "'task.event.start_pose'"),
        (["samples"], "key=value"),
    ],
)
def test_bad_configuration_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_config(TrainCfg, None, overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"num_envs": -3}, "num_envs is -3"),
        ({"torch_threads": -1}, "torch_threads is -1"),
        ({"sim": SimCfg(device="gpu")}, "'gpu'"),
    ],
)
def test_numbers_that_make_no_sense(
    tiny_cfg: TrainCfg, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train.main(replace(tiny_cfg, **change), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(data_dir("cfg").glob("track*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_whole(path: Path) -> None:
    cfg = load_config(TrainCfg, path)
    assert cfg.ppo.minibatches <= cfg.num_envs * cfg.ppo.num_steps
    assert cfg.task.reward.keys() == TRACKING_REWARDS.keys()


def test_randomised_physics_and_contacts_are_switched_on_where_needed(tiny_cfg: TrainCfg, body: Any) -> None:
    library = train.load_library(tiny_cfg, body)
    assert not train.build_env(tiny_cfg, library).sim.cfg.randomizable  # type: ignore[attr-defined]
    reward = TRACKING_REWARDS | {"undesired_contact": RewardTerm(weight=-0.1)}
    task = replace(tiny_cfg.task, event=EventCfg(), reward=reward)
    sim = train.build_env(replace(tiny_cfg, task=task), library).sim
    assert sim.cfg.randomizable  # type: ignore[attr-defined]
    assert sim.cfg.contacts  # type: ignore[attr-defined]


def test_reporter_writes_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    scalars = {
        "episode/length": 123.4, "episode/reward": 0.0567, "error/body_pos": 0.045, "error/anchor_pos": 0.12,
        "ppo/action_std": 0.3, "ppo/learning_rate": 1e-3,
    }  # fmt: skip
    report = Reporter(every_s=1000.0)
    for iteration in range(3):
        report(Progress(iteration, 2_500_000, 3200.0, 90.0, scalars))
    report(Progress(3, 2_500_000, 3200.0, 0.0, scalars))  # the last one always
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for part in ("2.50 M", "3200 steps/s", "left    1.5 min", "45 mm", "120 mm"):
        assert part in lines[0]


def test_the_recipe_of_the_g1_trains_and_says_what_it_trained(g1_run: Path, g1_like: Embodiment) -> None:
    header = Checkpoint.load(g1_run / CHECKPOINT, KIND).header
    assert header.samples == 2 * 16 * 24 and header.control_dt == 0.02
    assert sum(width for _, width in header.observation) == 160
    g1_like.require_signature(header.body, "here")
    setup = make_setup(EvalCfg(checkpoint=str(g1_run / CHECKPOINT), starts=1))
    assert setup.env.body.name == "g1" and setup.env.observe()["critic"].shape == (1, 286)
    assert setup.play().steps.tolist() == [60]
    setup.env.sim.close()


def test_the_recipe_of_the_g1_is_beyondmimics() -> None:
    cfg = load_config(TrainCfg, data_dir("cfg") / "track_g1.yaml")
    task, ppo = cfg.task, cfg.ppo
    assert (task.observation.layout, task.action.around, cfg.embodiment) == ("beyondmimic", "default", "g1")
    weights = {"action_rate": -0.1, "joint_limit": -10.0, "undesired_contact": -0.1}
    assert all(task.reward[name].weight == weight for name, weight in weights.items())
    assert "body_distance" not in task.termination
    assert (ppo.init_std, ppo.entropy, ppo.num_steps, ppo.desired_kl) == (1.0, 0.005, 24, 0.01)
    assert cfg.sim.dt == 0.02 and cfg.retarget.fps == 50.0


def test_a_g1_learns_files_that_were_made_for_it(
    g1_cfg: TrainCfg, g1_like: Embodiment, tmp_path: Path
) -> None:
    motion = squat(g1_like)
    header = ["root_pos_x", "root_pos_y", "root_pos_z", *(f"root_quat_{part}" for part in "wxyz")]
    rows = ",".join(["time", *header, *g1_like.joint_names])
    times = torch.arange(motion.num_frames)[:, None] / motion.fps
    table = torch.cat((times, motion.qpos), dim=-1).tolist()
    text = "\n".join([rows, *(",".join(f"{value:.7f}" for value in row) for row in table)])
    (tmp_path / "bend.csv").write_text(text)
    for source in (tmp_path / "bend.csv", tmp_path):
        library = train.load_library(replace(g1_cfg, motions=str(source)), g1_like)
        assert library.names == ("bend",) and abs(library.num_frames - motion.num_frames) <= 1
        found = library.rows(torch.tensor([30]))
        torch.testing.assert_close(found.joint_pos[0], motion.states.joint_pos[30], atol=1e-4, rtol=0)
        torch.testing.assert_close(found.body_pos_w[0], motion.states.body_pos_w[30], atol=1e-3, rtol=0)


def test_a_run_that_another_process_trains_is_refused_before_anything_is_built(
    tiny_cfg: TrainCfg, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claim_run(tmp_path / "tiny"), pytest.raises(InputError, match="process"):
        train.main(tiny_cfg, str(tmp_path))
    assert capsys.readouterr().err == ""


def test_motions_may_be_one_source_or_several(
    motion_folder: Path, tiny_cfg: TrainCfg, body: Embodiment
) -> None:
    one = load_config(TrainCfg, None, [f"motions={motion_folder}"])
    assert one.motions == str(motion_folder)
    words = [f"motions=[{motion_folder},{motion_folder / 'dip.npz'}]", "weights={squat: 3}", "split=train"]
    several = load_config(TrainCfg, None, words)
    assert several.motions == (str(motion_folder), str(motion_folder / "dip.npz"))
    assert from_dict(TrainCfg, to_dict(several)) == several
    cfg = replace(tiny_cfg, motions=several.motions, weights=several.weights, split="train")
    library = load_library(cfg, body)
    assert [name.rpartition("/")[2] for name in library.names] == ["dip", "squat", "dip"]
    assert library.weight.tolist() == [1.0, 3.0, 1.0]


def test_strolls_are_learned_beside_the_clips_they_are_made_of(tiny_cfg: TrainCfg, body: Embodiment) -> None:
    pytest.importorskip("pybullet_data", reason="the captured clips come with the extra 'mocap'")
    stroll = TimeWarpCfg(count=2, seconds=3.0)
    cfg = replace(tiny_cfg, motions="humanoid3d", clips=("clip:walk",), weights={}, stroll=stroll)
    said: list[str] = []
    library = load_library(cfg, body, said.append)
    assert library.names == ("walk", "stroll0", "stroll1") and library.weight.tolist() == [1.0, 1.0, 1.0]
    assert said == [f"3 clips, {library.num_frames / library.fps:.1f} s"]
