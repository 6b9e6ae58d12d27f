"""The verbs that train, show and ship policies."""

from __future__ import annotations

from typing import Literal

import tyro

from humanoid.cli.output import quiet_stdout, shipped, show

Positional = tyro.conf.Positional


def train(
    what: Positional[Literal["track", "latent", "diffusion"]],
    config: Positional[str] = "",
    overrides: Positional[tuple[str, ...]] = (),
    runs: str = "runs",
) -> None:
    """Train a policy; the same command again goes on where the last run stopped.

    Args:
        what: track: a tracker of motion capture; latent: skills distilled from a tracker;
            diffusion: the planner of those skills, from what 'humanoid collect' recorded.
        config: YAML file, or the name of a shipped one (track, track_cpu, track_library, track_g1,
            latent, latent_cpu, diffusion, diffusion_cpu); by default the one called as WHAT.
        overrides: assignments such as num_envs=512 ppo.learning_rate=3e-4.
        runs: folder of run folders; results go to RUNS/NAME.
    """
    from humanoid.core.config import load_config
    from humanoid.core.paths import data_file

    path = data_file("cfg", config or what)
    if what == "track":
        from humanoid.scripts import train_tracker as tracker

        tracker.main(load_config(tracker.TrainCfg, path, overrides), runs)
    elif what == "latent":
        from humanoid.scripts import train_skills as train_latent

        train_latent.main(load_config(train_latent.TrainLatentCfg, path, overrides), runs)
    else:
        from humanoid.scripts import train_planner as train_diffusion

        train_diffusion.main(load_config(train_diffusion.TrainDiffusionCfg, path, overrides), runs)


def demo(
    out: str = "demo_out",
    checkpoint: str = "",
    motions: str = "",
    clips: tuple[str, ...] = (),
    sim: Literal["mujoco", "genesis"] = "mujoco",
    video: bool = True,
    guided: bool = True,
) -> None:
    """Watch the shipped tracker perform real motion capture, then be steered: video, report, metrics.

    Args:
        out: folder for demo.mp4, demo.png, report.html and metrics.json.
        checkpoint: tracker; the shipped one by default.
        motions: what to perform; by default what the tracker learned.
        clips: names or tags to perform; by default what the tracker learned.
        sim: simulator.
        video: whether to render; without it no OpenGL is needed.
        guided: whether a second act follows: past pillars, to a waypoint, through keyframes.
    """
    from humanoid.scripts.demo import DemoCfg, main

    policy = checkpoint or shipped("tracker.pt")
    main(
        DemoCfg(checkpoint=policy, out=out, motions=motions, clips=clips, sim=sim, video=video, guided=guided)
    )


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
    from humanoid.scripts import bench_segment
    from humanoid.scripts.bench_sim import BenchCfg, main, table

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
    from humanoid.scripts.export import ExportCfg, main, table

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
    from humanoid.scripts.replay import ReplayCfg, main, table

    with quiet_stdout():
        result = main(ReplayCfg(dump=dump, sim=sim, device=device, steps=steps, video=video))
    show(result, json, table)
