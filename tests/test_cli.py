"""The command line: results on standard output, one-line errors with exit code 2."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from humanoid.core import paths
from humanoid.scripts.main import THREADS, VERBS, main
from tests import synth

TINY = """
name: tiny
motions: {motions}
num_envs: 4
samples: 32
torch_threads: 1
sim: {{backend: mujoco, device: cpu, threads: 1}}
task:
  observation: {{noise_scale: 0}}
  event: {{push_seconds: [0, 0], friction: [1, 1], com_offset: [0, 0, 0]}}
ppo: {{actor_hidden: [8], critic_hidden: [8], num_steps: 4, epochs: 1, minibatches: 1}}
"""
COMMANDS = {
    "demo": "--out o --checkpoint c --motions m --clips a b --sim genesis --no-video --no-guided",
    "teleop": "--host h --port 1 --latent l --diffusion d --sim genesis --device cuda --styles a b --clips c "
    "--replan 0.1 --frame world --out o --seconds 1 --headless --json",
    "inpaint": "k --holes 1.0:2.4 3:4 --out o --latent l --diffusion d --sim genesis --device cuda "
    "--tries 2 --seed 1 --no-video --json",
    "train": "latent c a=1 b=2 --runs r",
    "collect": "c a=1 b=2 --runs r --json",
    "eval track": "--checkpoint c --motions a b --clips c --split test --sim mujoco genesis --device cuda "
    "--starts 2 --seed 1 --friction 1 --latency 1 --noise 1 --randomized --perturb --sizes 0 1 --seconds 9 "
    "--json",
    "eval recover": "--checkpoint c --motions a b --clips c --split train --sim genesis --device cuda "
    "--falls 2 --seconds 1 --seed 1 --json",
    "eval latent": "--checkpoint c --teacher t --motions a --clips c --sim mujoco genesis --device cuda "
    "--starts 2 --falls 1 --seconds 1 --seed 1 --json",
    "eval guide": "--task forest --n 2 --latent l --diffusion d --motions a b --clips c --sim genesis "
    "--device cuda --guidance on --frame heading --no-ways --replan 0.1 --latency 1 --steps 2 "
    "--weights joystick=2 obstacles=0.5 --seed 1 --json",
    "export": "c --out o --format policy --motion m --motions s --steps 2 --obstacles 3 --costs a b --json",
    "replay": "d --sim genesis --device cuda --steps 2 --video v --json",
    "bench sim": "--backends mujoco --num-envs 1 2 --device cuda --config c --seconds 1 --json",
    "motions list": "s --clips a b --split test --json",
    "motions convert": "a b --out o --embodiment g1 --clips c --split train --units cm --up y --fps 1 "
    "--quat xyzw --layout g1_29 --names-from mjcf --made-for h1 --map m --skeleton s --smpl-model f --rate 1 "
    "--trust-pickle --workers 2 --force --json",
    "motions check": "a b --embodiment g1 --clips c --plot p --skate-mm 9 --penetration-mm 9 --float-mm 9 "
    "--limit-rad 9 --joint-speed 9 --jerk 9 --jumps 9 --frozen 9 --flight-mm 9 --hover-s 9 --effort 9 "
    "--error-mm 9 --json",
    "motions segment": "s --out o --embodiment g1 --clips a --json",
    "motions view": "s --embodiment g1 --clips a --port 1",
    "motions fetch": "n --folder f --only a b --index i --force --json",
}
"""Verb -> all its options, with values other than the defaults."""
METRICS = {
    "success", "success_strict", "mpjpe_g_mm", "mpjpe_l_mm", "mpjpe_l_success_mm", "vel_mm", "acc_mm",
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a written clip and a tracker trained on it for a moment."""
    folder = tmp_path_factory.mktemp("cli")
    synth.write(synth.squat(seconds=1.0), folder / "squat.txt")
    (folder / "tiny.yaml").write_text(TINY.format(motions=folder / "squat.txt"))
    main(["train", "track", str(folder / "tiny.yaml"), "--runs", str(folder / "runs")])
    return folder


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail; return its one line."""

    def run(*args: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(args)
        assert stop.value.code == 2
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert out == "" and len(lines) == 1 and err.splitlines()[-1] == lines[0]
        return lines[0]

    return run


@pytest.mark.parametrize("name", VERBS)
def test_every_option_reaches_the_configuration(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = COMMANDS[name].split()
    cfg, as_json = VERBS[name].parse(words)
    assert as_json == ("--json" in words)
    defaults = {field.name: field.default for field in fields(cfg)}
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    for option in (word for word in words if word.startswith("--") and word != "--json"):
        key = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        assert getattr(cfg, key) != defaults[key]
        assert option in shown
    assert not re.search(r"(STR|INT|FLOAT|\}|\]|--no-\w+)[\s│]+\((default|required)", shown), (
        "an option without a text"
    )


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = "import sys\nfrom humanoid.scripts.main import main\ntry:\n    main(sys.argv[1:])\n" + (
        "except SystemExit:\n    assert not {'torch', 'numpy', 'mujoco', 'genesis'} & set(sys.modules)\n"
    )
    for name in ("", "train", "eval track", "motions convert"):
        subprocess.run([sys.executable, "-c", code, *name.split(), "--help"], check=True, capture_output=True)


def test_a_hole_has_two_times(fails: Callable[..., str]) -> None:
    assert "'1.0'" in fails("inpaint", "walk.npz", "--holes", "1.0")


def checkpoint(tiny: Path) -> str:
    """The trained tracker."""
    return str(tiny / "runs" / "tiny" / "checkpoint.pt")


def test_training_leaves_a_complete_run(tiny: Path) -> None:
    run = tiny / "runs" / "tiny"
    assert (run / "config.yaml").is_file() and (run / "checkpoint.pt").is_file()
    assert len(list(run.glob("events.*"))) == 1
    assert not list(run.glob(".*"))


def test_training_again_resumes(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "track", str(tiny / "tiny.yaml"), "samples=64", "--runs", str(tiny / "runs")])
    out, err = capsys.readouterr()
    assert out == "" and "resumed" in err
    assert torch.load(checkpoint(tiny), weights_only=True)["header"]["samples"] == 64


def test_eval_prints_one_json_object(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["eval", "track", "--checkpoint", checkpoint(tiny), "--starts", "2", "--json"])
    result = json.loads(capsys.readouterr().out)
    totals = METRICS | {"survived", "seconds"}
    assert totals | {"sim", "checkpoint", "starts", "seed", "clips", "tags", "splits"} <= set(result)
    assert result["sim"] == "mujoco" and result["starts"] == 2
    assert set(result["clips"]["squat"]) == totals
    assert 0.0 <= result["success"] <= 1.0


def test_seeded_starts_differ_between_seeds_only(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    errors = []
    for seed in ("1", "1", "2"):
        main(["eval", "track", "--checkpoint", checkpoint(tiny), "--starts", "1", "--seed", seed, "--json"])
        errors.append(json.loads(capsys.readouterr().out)["mpjpe_g_mm"])
    assert errors[0] == errors[1] != errors[2]


def test_eval_pushes_and_tells_where_half_fall(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "track", "--checkpoint", checkpoint(tiny), "--perturb", "--clips", "squat"]
    main([*words, "--sizes", "0", "50", "--seconds", "1", "--starts", "1", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert [size["size_mps"] for size in result["sizes"]] == [0.0, 50.0]
    assert 0.0 <= result["half_fail_mps"] < 50.0


def test_eval_without_a_clip_to_get_up_with(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["eval", "recover", "--checkpoint", checkpoint(tiny), "--falls", "2"])
    assert stop.value.code == 2
    assert "getup" in capsys.readouterr().err


def test_export_writes_a_policy(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    main(["export", checkpoint(tiny), "--out", str(tmp_path / "p.onnx"), "--json"])
    assert json.loads(capsys.readouterr().out)["format"] == "policy"
    assert (tmp_path / "p.onnx").is_file()


def test_demo_without_video(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo", "--checkpoint", checkpoint(tiny), "--out", str(tmp_path), "--no-video", "--no-guided"])
    assert "squat" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text())["clips"]["squat"]
    assert "<video" not in (tmp_path / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html"]


def test_motions_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["motions", "list", "--json"])
    assert {"humanoid3d", "cmu02", "ballplay"} <= {row["set"] for row in json.loads(capsys.readouterr().out)}
    main(["motions", "list", "humanoid3d", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 20
    main(["motions", "list", "humanoid3d", "--clips", "clip:walk", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["clip"], row["tags"], row["split"]) == ("walk", "walk", "train")
    main(["motions", "list", "cmu02", "--split", "test"])
    assert "02_06.amc" in capsys.readouterr().out


def test_motions_are_converted(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["motions", "convert", str(tiny / "squat.txt"), "--out", str(tmp_path), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert [row["clip"] for row in result["converted"]] == ["squat"] and result["failed"] == []
    with np.load(tmp_path / "squat.npz", allow_pickle=False) as data:
        assert {"fps", "joint_pos", "body_pos_w", "joint_names", "body_names"} <= set(data.files)
    main(["motions", "convert", str(tiny / "squat.txt"), "--out", str(tmp_path)])
    assert "0 converted, 1 were there, 0 failed" in capsys.readouterr().out


def test_public_sources_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["motions", "fetch", "--json"])
    assert {"cmu", "humanoid3d", "ballplay", "g1"} <= {
        row["source"] for row in json.loads(capsys.readouterr().out)
    }


def test_a_source_that_cannot_be_reached(tmp_path: Path, fails: Callable[..., str]) -> None:
    words = (
        "motions",
        "fetch",
        "g1",
        "--index",
        "http://127.0.0.1:1/simple",
        "--folder",
        str(tmp_path / "x"),
    )
    assert "mjlab" in fails(*words)
    assert "is no known source" in fails("motions", "fetch", "nothing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "empty"),
        ('{"Loop": "none", "Frames": [[0.1', "JSON"),
        ("not json at all", "JSON"),
        ('{"Loop": "none", "Frames": [[1, 2], [1, 2], [1, 2]]}', "frame 0"),
        (json.dumps({"Loop": "none", "Frames": [[0.1] + [0.0] * 43] * 3}), "quaternion"),
        (json.dumps({"Loop": "none", "Frames": [[0.1] + [float("nan")] * 43] * 3}), "frame 0, column 1"),
    ],
)
def test_bad_capture_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, place: str
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text(content)
    with pytest.raises(SystemExit) as stop:
        main(["motions", "convert", str(bad), "--out", str(tmp_path / "out"), "--json"])
    result = json.loads(capsys.readouterr().out)
    (row,) = result["failed"]
    assert stop.value.code == 1 and result["converted"] == []
    assert row["file"] == str(bad) and place in row["error"] and "\n" not in row["error"]
    assert not (tmp_path / "out").exists()


def test_other_bad_input(tiny: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    good = checkpoint(tiny)
    assert "no such" in fails("eval", "track", "--checkpoint", str(tmp_path / "none.pt"))
    assert "no such" in fails("motions", "convert", str(tmp_path / "none.txt"), "--out", str(tmp_path))
    assert "'walk'" in fails("motions", "list", "humanoid3d", "--clips", "wlk")
    assert "'num_envs'" in fails("train", "track", str(tiny / "tiny.yaml"), "num_env=3")
    assert "afile" in fails("motions", "convert", str(tiny / "squat.txt"), "--out", str(_a_file(tmp_path)))
    assert "seconds is 0" in fails("bench", "sim", "--seconds", "0")
    assert "sim.substeps is 0" in fails("train", "track", str(tiny / "tiny.yaml"), "sim.substeps=0")
    assert "starts" in fails("eval", "track", "--checkpoint", good, "--starts", "0")
    cut = tmp_path / "cut.pt"
    cut.write_bytes(Path(good).read_bytes()[:1000])
    assert str(cut) in fails("demo", "--checkpoint", str(cut), "--out", str(tmp_path / "demo"))
    assert not (tmp_path / "demo").exists()


def _a_file(folder: Path) -> Path:
    (folder / "afile").touch()
    return folder / "afile"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_recipe_without_a_gpu(tiny: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    """It once ended in a traceback, when the motions were put on the device."""
    words = ("train", "track", "track", f"motions={tiny / 'squat.txt'}", "--runs", str(tmp_path))
    assert "device 'cuda' needs a CUDA build of torch and a GPU" in fails(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_in_the_current_folder_is_not_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., str]
) -> None:
    (tmp_path / "tracker.pt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(paths.DATA_VARIABLE, str(tmp_path / "empty"))
    assert "this version ships no 'tracker.pt'" in fails("demo", "--no-video")


def test_checkpoint_of_another_body(tiny: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    content = torch.load(checkpoint(tiny), weights_only=True)
    content["header"]["body"]["joint_names"][3] = "L_Knee_q"
    torch.save(content, tmp_path / "other.pt")
    line = fails("eval", "track", "--checkpoint", str(tmp_path / "other.pt"))
    assert "other.pt" in line and "joint_names[3]" in line


def test_motion_of_another_body(tiny: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    main(["motions", "convert", str(tiny / "squat.txt"), "--out", str(tmp_path)])
    with np.load(tmp_path / "squat.npz") as data:
        arrays = dict(data)
    arrays["joint_names"] = np.array([f"j{i}" for i in range(39)])
    np.savez(tmp_path / "other.npz", **arrays)
    line = fails("eval", "track", "--checkpoint", checkpoint(tiny), "--motions", str(tmp_path / "other.npz"))
    assert "L_Hip_y" in line


def test_sigterm_is_heeded_as_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[str] = []

    def train(_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30.0)
        finally:
            saved.append("saved")

    monkeypatch.setattr("humanoid.scripts.experiments.train", train)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stop:
            main(["train", "track"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 130 and saved == ["saved"]
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)])
def test_torch_computes_in_one_thread_unless_told(given: dict[str, str], threads: int) -> None:
    """Two threads beside a busy process had been 10 to 30 times slower than one."""
    code = (
        "from humanoid.scripts.main import single_threaded as s; s(); import torch;"
        "print(torch.get_num_threads())"
    )
    environ = {key: value for key, value in os.environ.items() if key not in THREADS} | given
    done = subprocess.run([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == threads
