"""``humanoid VERB``: the command line. No logic of its own.

Results go to standard output, progress to standard error. An error that a user can
mend is one line and exit code 2.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

import tyro

from humanoid.core.errors import HumanoidError

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
        config: YAML file, or the name of a shipped one (track, track_cpu).
        overrides: assignments such as num_envs=512 ppo.learning_rate=3e-4.
        runs: folder of run folders; results go to RUNS/NAME.
    """
    from humanoid.apps.train import TrainCfg, main
    from humanoid.core.config import load_config
    from humanoid.core.paths import data_file

    main(load_config(TrainCfg, data_file("cfg", config), overrides), runs)


def evaluate(
    what: Positional[Literal["track"]],
    checkpoint: str = "",
    motions: str = "",
    clips: tuple[str, ...] = (),
    sim: Literal["mujoco", "genesis"] = "mujoco",
    device: str = "cpu",
    starts: int = 8,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure a tracker: every clip from its start, several seeded starts a clip.

    Args:
        what: what to evaluate: a tracker.
        checkpoint: tracker; the shipped one by default.
        motions: manifest, capture file, npz motion or folder; by default what it learned.
        clips: names or tags to keep of a manifest.
        sim: simulator.
        device: torch device; mujoco runs on cpu only.
        starts: starts of each clip, joints +-0.05 rad and root +-0.2 m/s apart.
        seed: seed of the starts.
        json: print one JSON object instead of a table.
    """
    from humanoid.eval.report import table
    from humanoid.eval.tracking import EvalCfg
    from humanoid.eval.tracking import evaluate as run

    cfg = EvalCfg(
        checkpoint=checkpoint or _shipped("tracker.pt"),
        motions=motions, clips=clips, sim=sim, device=device, starts=starts, seed=seed,
    )  # fmt: skip
    with _quiet_stdout():
        metrics = run(cfg, _progress("step"))
    _result(metrics, json, table)


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

    policy = checkpoint or _shipped("tracker.pt")
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
        with _quiet_stdout():
            result = bench_segment.main(bench_segment.BenchSegmentCfg())
        return _result(result, json, bench_segment.table)
    cfg = BenchCfg(backends=backends, num_envs=num_envs, device=device, config=config, seconds=seconds)
    with _quiet_stdout():
        result = main(cfg)
    _result(result, json, table)


def motions() -> None:
    """Motion sets and capture files: list, convert, check, segment, view, fetch."""


def motions_list(
    source: Positional[str] = "",
    clips: tuple[str, ...] = (),
    split: Literal["", "train", "test"] = "",
    json: bool = False,
) -> None:
    """List the shipped motion sets, or the clips of one and whether their files are there.

    Args:
        source: manifest (path or name of a shipped one); the shipped sets by default.
        clips: names or tags to keep; where one word is both, clip:walk or tag:walk.
        split: keep the clips to learn from (train) or those kept back (test).
        json: print JSON instead of a table, an object a clip.
    """
    from humanoid.apps.motions import list_clips, list_sets, table

    _result(list_clips(source, clips, split) if source else list_sets(), json, table)


def motions_convert(
    source: Positional[tuple[str, ...]],
    out: str,
    embodiment: str = "smpl",
    clips: tuple[str, ...] = (),
    split: Literal["", "train", "test"] = "",
    units: Literal["auto", "m", "cm", "mm", "inch"] = "auto",
    up: Literal["auto", "x", "y", "z"] = "auto",
    fps: float = 0.0,
    quat: Literal["", "wxyz", "xyzw"] = "",
    layout: str = "",
    names_from: Literal["", "mjcf", "isaaclab"] = "",
    made_for: str = "",
    map: str = "",
    skeleton: str = "",
    smpl_model: str = "",
    rate: float = 50.0,
    trust_pickle: bool = False,
    workers: int = 0,
    force: bool = False,
    json: bool = False,
) -> None:
    """Put captures on a body and write NAME.npz for each into --out.

    What is there already, newer and made with the same settings, is skipped. A file that
    fails stops no other; exit code 1 if any failed.

    Args:
        source: capture files, robot files, folders, manifests.
        out: folder for the npz files.
        embodiment: smpl, smpl_ball, g1, h1, or one of these with a file of its own, g1:PATH.
        clips: names or tags to keep of a manifest; where one word is both, clip:walk or tag:walk.
        split: keep the clips of a manifest to learn from (train) or those kept back (test).
        units: unit of length of files that name none; told from the skeleton's size by default.
        up: axis that points up in files that do not say it.
        fps: frames per second of files that do not say it.
        quat: order of quaternions in robot files whose columns have no names.
        layout: joints of such a file (g1_29, g1_23, g1_23_waist, h1_19) where their number leaves a choice.
        names_from: order of an npz without names: mjcf (mjlab) or isaaclab (BeyondMimic).
        made_for: body that robot files were made for; the embodiment or a known robot that fits by default.
        map: YAML file that names the joints of an unusual skeleton.
        skeleton: skeleton file of a format that keeps it apart (.asf); beside the file by default.
        smpl_model: SMPL, SMPL-H or SMPL-X file, for the exact joints of SMPL captures.
        rate: frames per second of the motions, the control rate.
        trust_pickle: read pickles, which can run anything: of people you trust only.
        workers: processes; one a core by default, 1: none but this.
        force: convert again what is there.
        json: print one JSON object instead of a table.
    """
    from humanoid.apps.convert import ConvertCfg, main, table
    from humanoid.mocap import LoadCfg
    from humanoid.motion.robot import RobotCfg
    from humanoid.retarget.pipeline import RetargetCfg

    robot = RobotCfg(
        fps=rate, source_fps=fps or RobotCfg.source_fps, quat=quat, layout=layout,
        names_from=names_from, trust_pickle=trust_pickle,
    )  # fmt: skip
    cfg = ConvertCfg(
        sources=source, out=out, clips=clips, split=split, embodiment=embodiment,
        load=LoadCfg(units=units, up=up, fps=fps, skeleton=skeleton, smpl_model=smpl_model),
        robot=robot, made_for=made_for,
        retarget=RetargetCfg(fps=rate, skeleton_map=map),
        workers=workers, force=force,
    )  # fmt: skip
    with _quiet_stdout():
        result = main(cfg)
    _result(result, json, table, failed=bool(result["failed"]))


def motions_segment(
    source: Positional[str],
    out: str = "",
    embodiment: str = "smpl",
    clips: tuple[str, ...] = (),
    json: bool = False,
) -> None:
    """Cut long motions into skills where what comes next surprises a predictor.

    Args:
        source: manifest, capture file, npz motion or folder of these.
        out: folder for the segments as npz; without it their times are printed only.
        embodiment: body to put captures on.
        clips: names or tags to keep.
        json: print JSON instead of a table, an object a segment.
    """
    from humanoid.apps.motions import table
    from humanoid.apps.segment import main
    from humanoid.bodies.catalogue import embodiment as body

    _result(main(source, body(embodiment), clips, out), json, table)


def motions_check(
    source: Positional[tuple[str, ...]],
    embodiment: str = "smpl",
    clips: tuple[str, ...] = (),
    plot: str = "",
    skate_mm: float = 3.0,
    penetration_mm: float = 5.0,
    float_mm: float = 10.0,
    limit_rad: float = 0.0,
    joint_speed: float = 30.0,
    jerk: float = 10_000.0,
    jumps: float = 0,
    frozen: float = 0,
    error_mm: float | None = None,
    json: bool = False,
) -> None:
    """Judge motions: foot skate, penetration, limits, jumps; exit code 1 if any is broken.

    Args:
        source: npz motions, capture files, folders of either, manifests.
        embodiment: whose motions they are, or who performs captures: smpl, smpl_ball, g1, h1, g1:PATH.
        clips: names or tags to keep of a manifest; where one word is both, clip:walk or tag:walk.
        plot: PNG file for one motion, or folder for NAME.png of each.
        skate_mm: largest allowed mean way of a standing foot between frames [mm].
        penetration_mm: depth of any body under the floor [mm].
        float_mm: mean height of a standing foot over the floor [mm].
        limit_rad: excess over a joint's limit [rad].
        joint_speed: speed of a joint [rad/s].
        jerk: 99th percentile of the jerk of the tracked bodies [m/s^3].
        jumps: number of discontinuities.
        frozen: number of frames that repeat the one before.
        error_mm: mean distance of key bodies from the take [mm]; by default 25 on SMPL bodies, 60 on others.
        json: print one JSON object instead of a table.
    """
    from humanoid.apps.check import CheckCfg, main, table
    from humanoid.bodies.catalogue import embodiment as build
    from humanoid.retarget.quality import QualityCfg

    quality = QualityCfg(
        skate_mm=skate_mm, penetration_mm=penetration_mm, float_mm=float_mm, limit_rad=limit_rad,
        joint_speed=joint_speed, jerk=jerk, jumps=jumps, frozen=frozen, error_mm=error_mm,
    )  # fmt: skip
    with _quiet_stdout():
        result = main(CheckCfg(sources=source, clips=clips, plot=plot, quality=quality), build(embodiment))
    _result(result, json, table, failed=not result["ok"])


def motions_view(
    source: Positional[str], embodiment: str = "smpl", clips: tuple[str, ...] = (), port: int = 8080
) -> None:
    """Open a page that shows the captured skeleton and the body side by side.

    Args:
        source: npz motion, capture file, folder of either, or manifest.
        embodiment: whose motions they are, or who performs captures: smpl, smpl_ball, g1, h1, g1:PATH.
        clips: names or tags to keep of a manifest; where one word is both, clip:walk or tag:walk.
        port: port on this machine; the next free one where it is taken.
    """
    from humanoid.apps.view_motion import ViewCfg, main
    from humanoid.bodies.catalogue import embodiment as build

    main(ViewCfg(source=source, clips=clips, port=port), build(embodiment))


def motions_fetch(
    name: Positional[str] = "",
    folder: str = "",
    only: tuple[str, ...] = (),
    index: str = "",
    force: bool = False,
    json: bool = False,
) -> None:
    """List the public sources, or download one into the user's cache.

    Args:
        name: source; a list of all by default.
        folder: where to put it; its place in the user's cache by default.
        only: patterns of the files that are wanted; all by default.
        index: package index of wheels (g1); PIP_INDEX_URL or PyPI by default.
        force: fetch again what is there, and take over checksums that were not known beforehand.
        json: print JSON instead of text.
    """
    from humanoid.apps.motions import fetch_source, fetch_table, list_sources, table
    from humanoid.motion.fetch import FetchCfg

    if not name:
        return _result(list_sources(), json, table)
    result = fetch_source(name, FetchCfg(folder=folder, only=only, index=index, force=force))
    return _result(result, json, fetch_table, failed=bool(result["failed"]))


VERBS = {"demo": demo, "train": train, "eval": evaluate, "bench": bench, "motions": motions}
"""Verb -> function; its docstring is the verb's help."""
GROUPS = {
    "motions": {
        "list": motions_list,
        "convert": motions_convert,
        "check": motions_check,
        "segment": motions_segment,
        "view": motions_view,
        "fetch": motions_fetch,
    }
}
"""Verb that only holds others -> those."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one verb; exit with 2 and one line where the user can mend what is wrong."""
    words = list(sys.argv[1:] if args is None else args)
    verbs, prog, about = VERBS, "humanoid", "From motion capture to simulated humanoids."
    if words and words[0] in GROUPS:
        verbs, prog, about = GROUPS[words[0]], f"humanoid {words[0]}", VERBS[words[0]].__doc__ or ""
        del words[0]
    try:
        tyro.extras.subcommand_cli_from_dict(verbs, prog=prog, description=about, args=words)
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
        raise SystemExit(1) from None


def _result(value: Any, as_json: bool, table: Any, failed: bool = False) -> None:  # noqa: ANN401 - any JSON value
    print(json.dumps(value, indent=2) if as_json else table(value))
    if failed:
        sys.stdout.flush()
        raise SystemExit(1)


def _shipped(name: str) -> str:
    from humanoid.core.paths import shipped_policy

    return str(shipped_policy(name))


def _progress(unit: str) -> Any:  # noqa: ANN401 - a callback
    from humanoid.view.progress import Bar

    return Bar(unit)


def _quiet_stdout() -> Any:  # noqa: ANN401 - a context manager
    """Send what libraries print to standard error: standard output holds the result only."""
    return contextlib.redirect_stdout(sys.stderr)
