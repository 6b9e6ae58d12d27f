"""``humanoid VERB``: the command line. No logic of its own.

Results go to standard output, progress to standard error. An error that a user can
mend is one line and exit code 2.
"""

from __future__ import annotations

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

    main(
        DemoCfg(
            checkpoint=checkpoint or _shipped("tracker.pt"),
            out=out,
            motions=motions,
            clips=clips,
            sim=sim,
            video=video,
        )
    )


def bench(
    what: Positional[Literal["sim"]],
    backends: tuple[Literal["mujoco", "genesis"], ...] = ("mujoco", "genesis"),
    num_envs: tuple[int, ...] = (),
    device: str = "",
    config: str = "",
    seconds: float = 10.0,
    json: bool = False,
) -> None:
    """Measure throughput: the simulator alone, the tracking environment, and training.

    Args:
        what: what to measure: the simulated environment.
        backends: simulators to measure.
        num_envs: numbers of environments; by default a few that suit the device.
        device: torch device of genesis, by default cuda where there is one; mujoco runs on cpu.
        config: training configuration; track_cpu on a CPU and track on a GPU by default.
        seconds: time of each measurement.
        json: print one JSON object instead of a table.
    """
    from humanoid.apps.bench import BenchCfg, main, table

    cfg = BenchCfg(backends=backends, num_envs=num_envs, device=device, config=config, seconds=seconds)
    with _quiet_stdout():
        result = main(cfg)
    _result(result, json, table)


def motions(
    what: Positional[Literal["list", "convert"]],
    source: Positional[str] = "humanoid3d",
    out: str = "",
    clips: tuple[str, ...] = (),
    json: bool = False,
) -> None:
    """List a motion set, or put it on the body and write npz files.

    Args:
        what: ``list`` shows the clips, ``convert`` writes NAME.npz for each into --out.
        source: manifest (path or name of a shipped one) or capture file.
        out: folder for the npz files.
        clips: names or tags to keep.
        json: print JSON instead of a table, an object a clip.
    """
    from humanoid.apps.motions import convert, list_clips, table

    rows = convert(source, out, clips) if what == "convert" else list_clips(source, clips)
    _result(rows, json, table)


VERBS = {"demo": demo, "train": train, "eval": evaluate, "bench": bench, "motions": motions}
"""Verb -> function; its docstring is the verb's help."""


def main(args: Sequence[str] | None = None) -> None:
    """Run one verb; exit with 2 and one line where the user can mend what is wrong."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            VERBS, prog="humanoid", description="From motion capture to simulated humanoids.", args=args
        )
    except HumanoidError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output has left
        sys.stderr.close()
        raise SystemExit(1) from None


def _result(value: Any, as_json: bool, table: Any) -> None:  # noqa: ANN401 - any JSON value
    print(json.dumps(value, indent=2) if as_json else table(value))


def _shipped(name: str) -> str:
    from humanoid.core.paths import shipped_policy

    return str(shipped_policy(name))


def _progress(unit: str) -> Any:  # noqa: ANN401 - a callback
    from humanoid.view.progress import Bar

    return Bar(unit)


def _quiet_stdout() -> Any:  # noqa: ANN401 - a context manager
    """Send what libraries print to standard error: standard output holds the result only."""
    import contextlib

    return contextlib.redirect_stdout(sys.stderr)
