"""The verbs that record skills, fill in motions and steer."""

from __future__ import annotations

from typing import Literal

import tyro

from humanoid.cli.output import quiet_stdout, shipped, show

Positional = tyro.conf.Positional


def collect(
    config: Positional[str] = "rollouts",
    overrides: Positional[tuple[str, ...]] = (),
    runs: str = "runs",
    json: bool = False,
) -> None:
    """Record latent skills under noise: the data of 'humanoid train diffusion'. Goes on where it stopped.

    Args:
        config: YAML file, or the name of a shipped one (rollouts, rollouts_cpu).
        overrides: assignments such as num_envs=512 collect.cover=20.
        runs: folder; the rollouts go to RUNS/NAME.
        json: print one JSON object instead of text.
    """
    from humanoid.core.config import load_config
    from humanoid.core.paths import data_file
    from humanoid.scripts.collect import RecordCfg, main, table

    with quiet_stdout():
        result = main(load_config(RecordCfg, data_file("cfg", config), overrides), runs)
    show(result, json, table)


def inpaint(
    keyframes: Positional[str],
    holes: tuple[str, ...] = (),
    every: float = 0.0,
    out: str = "inpaint_out",
    latent: str = "",
    diffusion: str = "",
    sim: Literal["mujoco", "genesis"] = "mujoco",
    device: str = "cpu",
    tries: int = 8,
    seed: int = 0,
    video: bool = True,
    json: bool = False,
) -> None:
    """Fill in a motion between keyframes, in physics: npz, video and the error at each keyframe.

    Args:
        keyframes: keyframe file (YAML or npz), or a motion (npz) with --holes or --every.
        holes: parts of a motion to replace, FROM:TO in seconds, such as 1.0:2.4.
        every: keep nothing of a motion but its poses so far apart [s].
        out: folder for inpaint.npz, inpaint.mp4, metrics.json and report.md.
        latent: latent skills; the shipped ones by default.
        diffusion: planner; the shipped one by default.
        sim: simulator.
        device: torch device of genesis and of the plans; mujoco runs on cpu.
        tries: bodies that try at once; the best is kept.
        seed: of the plans' noise.
        video: whether to render.
        json: print one JSON object instead of a table.
    """
    from humanoid.scripts.inpaint import InpaintCfg, main, table

    cfg = InpaintCfg(
        keyframes=keyframes,
        latent=latent or shipped("latent.pt"),
        diffusion=diffusion or shipped("diffusion-small.pt"),
        holes=tuple(_span(hole) for hole in holes),
        every=every,
        out=out,
        sim=sim,
        device=device,
        tries=tries,
        seed=seed,
        video=video,
    )
    with quiet_stdout():
        result = main(cfg)
    show(result, json, table)


def teleop(
    host: str = "127.0.0.1",
    port: int = 8080,
    latent: str = "",
    diffusion: str = "",
    sim: Literal["mujoco", "genesis"] = "mujoco",
    device: str = "cpu",
    styles: tuple[str, ...] = (),
    clips: tuple[str, ...] = (),
    replan: float = 0.2,
    frame: Literal["heading", "world"] = "heading",
    out: str = "teleop_out",
    seconds: float = 0.0,
    headless: bool = False,
    json: bool = False,
) -> None:
    """Steer a simulated humanoid in the browser: keys, sliders, obstacles, waypoints, pushes.

    Keys: I/K faster and slower, J/L turn, space takes the command back; with --frame world I/K/U/O
    send it in four directions. One client steers, others watch.

    Args:
        host: address to listen on; beyond 127.0.0.1 everybody who reaches it can steer.
        port: port; the next free one where it is taken.
        latent: latent skills; the shipped ones by default.
        diffusion: planner; the shipped one by default.
        sim: simulator.
        device: torch device of genesis and of the plans; mujoco runs on cpu.
        styles: motions, sets or folders whose clips can be chosen as styles.
        clips: names or tags to keep of them.
        replan: time between plans [s].
        frame: of the command: turning with the body, or as at the start; then it turns to where it goes.
        out: folder for videos.
        seconds: time after which it ends by itself; 0: when interrupted.
        headless: no page: a script steers for SECONDS, to measure.
        json: print the figures at the end as one JSON object.
    """
    from humanoid.scripts.teleop import PageCfg, TeleopCfg, WalkerCfg, main, table

    cfg = TeleopCfg(
        latent=latent,
        diffusion=diffusion,
        sim=sim,
        device=device,
        page=PageCfg(host=host, port=port),
        walker=WalkerCfg(replan=replan, frame=frame),
        styles=styles,
        clips=clips,
        out=out,
        seconds=seconds,
        headless=headless,
    )
    with quiet_stdout():
        result = main(cfg)
    show(result, json, table)


def _span(text: str) -> tuple[float, float]:
    """Return the two times [s] of FROM:TO.

    Raises:
        ConfigError: it is not of that form.
    """
    from humanoid.core.errors import ConfigError

    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ConfigError(f"hole '{text}' is not of the form FROM:TO in seconds, such as 1.0:2.4") from None
