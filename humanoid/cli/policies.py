"""The verbs that train, measure and show policies."""

from __future__ import annotations

from typing import Any, Literal

import tyro

from humanoid.cli.output import progress, quiet_stdout, shipped, show
from humanoid.core.errors import ConfigError

Positional = tyro.conf.Positional


def train(
    what: Positional[Literal["track"]],
    config: Positional[str] = "track",
    overrides: Positional[tuple[str, ...]] = (),
    runs: str = "runs",
) -> None:
    """Train a policy; the same command again goes on where the last run stopped.

    Args:
        what: what to train: a tracker of motion capture.
        config: YAML file, or the name of a shipped one (track, track_cpu, track_library, track_g1).
        overrides: assignments such as num_envs=512 ppo.learning_rate=3e-4.
        runs: folder of run folders; results go to RUNS/NAME.
    """
    from humanoid.apps.train import TrainCfg, main
    from humanoid.core.config import load_config
    from humanoid.core.paths import data_file

    main(load_config(TrainCfg, data_file("cfg", config), overrides), runs)


def evaluate(
    what: Positional[Literal["track", "recover"]],
    checkpoint: str = "",
    motions: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    split: Literal["all", "train", "test"] = "all",
    sim: tuple[Literal["mujoco", "genesis"], ...] = ("mujoco",),
    device: str = "cpu",
    starts: int = 8,
    seed: int = 0,
    friction: float = 0.0,
    latency: float = 0.0,
    noise: float = 0.0,
    randomized: bool = False,
    perturb: bool = False,
    sizes: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    falls: int = 128,
    seconds: float = 0.0,
    json: bool = False,
) -> None:
    """Measure a tracker: every clip from its start, pushed while it walks, or getting up.

    Args:
        what: track: how well it follows clips; recover: whether it gets up after random falls.
        checkpoint: tracker; the shipped one by default.
        motions: manifests, capture files, npz motions or folders; by default what it learned.
        clips: names or tags to keep of manifests.
        split: the manifests' clips to learn from, those kept back, or both.
        sim: simulator, or both, one after the other.
        device: torch device of genesis; mujoco runs on cpu.
        starts: starts of each clip, joints +-0.05 rad and root +-0.2 m/s apart.
        seed: seed of the starts.
        friction: of the floor; 0: what it was trained with.
        latency: time until a command reaches the servos [s].
        noise: factor on the noise that observations had in training.
        randomized: draw masses, gains, friction and latency as in training.
        perturb: push walks and runs every second, harder and harder, and tell where half fall.
        sizes: velocities that a push adds to the root [m/s].
        falls: bodies that are dropped, to get up again.
        seconds: of a pushed run (15 by default), or in which a body must be up (5).
        json: print one JSON object instead of a table.
    """
    from humanoid.eval import perturb as pushing
    from humanoid.eval import recover as rising
    from humanoid.eval import report, tracking

    if perturb and what == "recover":
        raise ConfigError("--perturb pushes what tracks; use it with 'eval track', not with 'eval recover'")
    common: dict[str, Any] = {
        "checkpoint": checkpoint or shipped("tracker.pt"), "motions": motions, "clips": clips,
        "split": split, "sim": sim, "device": device, "starts": starts, "seed": seed,
        "friction": friction, "latency": latency, "noise": noise, "randomized": randomized,
    }  # fmt: skip
    time: dict[str, Any] = {"seconds": seconds} if seconds else {}
    with quiet_stdout():
        if what == "recover":
            cfg = rising.RecoverCfg(**common, **time, falls=falls)
            table, result = rising.table, rising.recover(cfg, progress("step"))
        elif perturb:
            cfg = pushing.PerturbCfg(**common, **time, sizes=sizes)
            table, result = pushing.table, pushing.perturb(cfg, progress("step"))
        else:
            table, result = report.table, tracking.evaluate(tracking.EvalCfg(**common), progress("step"))
    show(result, json, table)


def demo(
    out: str = "demo_out",
    checkpoint: str = "",
    motions: str = "",
    clips: tuple[str, ...] = (),
    sim: Literal["mujoco", "genesis"] = "mujoco",
    video: bool = True,
) -> None:
    """Watch the shipped tracker perform real motion capture: video, report, metrics.

    Args:
        out: folder for demo.mp4, demo.png, report.html and metrics.json.
        checkpoint: tracker; the shipped one by default.
        motions: what to perform; by default what the tracker learned.
        clips: names or tags to perform; by default what the tracker learned.
        sim: simulator.
        video: whether to render; without it no OpenGL is needed.
    """
    from humanoid.apps.demo import DemoCfg, main

    policy = checkpoint or shipped("tracker.pt")
    main(DemoCfg(checkpoint=policy, out=out, motions=motions, clips=clips, sim=sim, video=video))


def bench(
    what: Positional[Literal["sim", "segment"]],
    backends: tuple[Literal["mujoco", "genesis"], ...] = ("mujoco", "genesis"),
    num_envs: tuple[int, ...] = (),
    device: str = "",
    config: str = "",
    seconds: float = 10.0,
    json: bool = False,
) -> None:
    """Measure throughput of simulation and training, or how well skill boundaries are found.

    Args:
        what: ``sim`` the simulator alone, the environment and training; ``segment`` boundaries.
        backends: simulators to measure.
        num_envs: numbers of environments; by default a few that suit the device.
        device: torch device of genesis, by default cuda where there is one; mujoco runs on cpu.
        config: training configuration; track_cpu on a CPU and track on a GPU by default.
        seconds: time of each measurement.
        json: print one JSON object instead of a table.
    """
    from humanoid.apps import bench_segment
    from humanoid.apps.bench import BenchCfg, main, table

    if what == "segment":
        with quiet_stdout():
            result = bench_segment.main(bench_segment.BenchSegmentCfg())
        return show(result, json, bench_segment.table)
    cfg = BenchCfg(backends=backends, num_envs=num_envs, device=device, config=config, seconds=seconds)
    with quiet_stdout():
        result = main(cfg)
    show(result, json, table)


def export(
    checkpoint: Positional[str] = "",
    out: str = "policy.onnx",
    format: Literal["auto", "policy", "beyondmimic"] = "auto",
    motion: str = "",
    motions: str = "",
    json: bool = False,
) -> None:
    """Write a tracker as an ONNX file for a controller, and check it against torch.

    Args:
        checkpoint: tracker; the shipped one by default.
        out: file to write.
        format: policy (observations in, actions out), beyondmimic (with a motion inside, as its
            controllers read it) or auto: the latter for a G1 or where a motion is named.
        motion: clip that goes inside; by default the only one it learned.
        motions: where that clip comes from; by default what it learned.
        json: print one JSON object instead of text.
    """
    from humanoid.apps.export import ExportCfg, main, table

    policy = checkpoint or shipped("tracker.pt")
    with quiet_stdout():
        result = main(ExportCfg(checkpoint=policy, out=out, format=format, motion=motion, motions=motions))
    show(result, json, table)


def replay(
    dump: Positional[str],
    sim: Literal["mujoco", "genesis"] = "mujoco",
    device: str = "cpu",
    steps: int = 5,
    video: str = "",
    json: bool = False,
) -> None:
    """Do again, in either simulator, a control step that went wrong in training.

    Args:
        dump: file of a run's dumps folder.
        sim: simulator.
        device: torch device; mujoco runs on cpu only.
        steps: control steps; the targets of the first are held in the others.
        video: film to write, MP4; none by default.
        json: print one JSON object instead of a table.
    """
    from humanoid.apps.replay import ReplayCfg, main, table

    with quiet_stdout():
        result = main(ReplayCfg(dump=dump, sim=sim, device=device, steps=steps, video=video))
    show(result, json, table)
