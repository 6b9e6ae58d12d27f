"""The verbs under ``humanoid motions``: motion sets and capture files."""

from __future__ import annotations

from typing import Literal

import tyro

from humanoid.cli.output import quiet_stdout, show

Positional = tyro.conf.Positional


def list(
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
    from humanoid.scripts.motions import list_clips, list_sets, table

    show(list_clips(source, clips, split) if source else list_sets(), json, table)


def convert(
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
    from humanoid.mocap import LoadCfg
    from humanoid.motion.robot import RobotCfg
    from humanoid.retarget.pipeline import RetargetCfg
    from humanoid.scripts.convert import ConvertCfg, main, table

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
    with quiet_stdout():
        result = main(cfg)
    show(result, json, table, failed=bool(result["failed"]))


def segment(
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
    from humanoid.bodies.catalogue import embodiment as body
    from humanoid.scripts.motions import table
    from humanoid.scripts.segment import main

    show(main(source, body(embodiment), clips, out), json, table)


def check(
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
    flight_mm: float = 75.0,
    hover_s: float = 0.1,
    effort: float = 2.0,
    error_mm: float | None = None,
    json: bool = False,
) -> None:
    """Judge motions: foot skate, penetration, limits, flight against gravity; exit code 1 if any is broken.

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
        flight_mm: distance of the centre of mass in the air from a fall under gravity [mm].
        hover_s: time in the air beyond what leaps of that height last [s].
        effort: 99th percentile of the share of its torque limit that a joint needs.
        error_mm: mean distance of key bodies from the take [mm]; by default 25 on SMPL bodies, 60 on others.
        json: print one JSON object instead of a table.
    """
    from humanoid.bodies.catalogue import embodiment as build
    from humanoid.retarget.quality import QualityCfg
    from humanoid.scripts.check import CheckCfg, main, table

    quality = QualityCfg(
        skate_mm=skate_mm, penetration_mm=penetration_mm, float_mm=float_mm, limit_rad=limit_rad,
        joint_speed=joint_speed, jerk=jerk, jumps=jumps, frozen=frozen, flight_mm=flight_mm,
        hover_s=hover_s, effort=effort, error_mm=error_mm,
    )  # fmt: skip
    with quiet_stdout():
        result = main(CheckCfg(sources=source, clips=clips, plot=plot, quality=quality), build(embodiment))
    show(result, json, table, failed=not result["ok"])


def view(
    source: Positional[str], embodiment: str = "smpl", clips: tuple[str, ...] = (), port: int = 8080
) -> None:
    """Open a page that shows the captured skeleton and the body side by side.

    Args:
        source: npz motion, capture file, folder of either, or manifest.
        embodiment: whose motions they are, or who performs captures: smpl, smpl_ball, g1, h1, g1:PATH.
        clips: names or tags to keep of a manifest; where one word is both, clip:walk or tag:walk.
        port: port on this machine; the next free one where it is taken.
    """
    from humanoid.bodies.catalogue import embodiment as build
    from humanoid.scripts.view_motion import ViewCfg, main

    main(ViewCfg(source=source, clips=clips, port=port), build(embodiment))


def fetch(
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
    from humanoid.datasets.fetch import FetchCfg
    from humanoid.scripts.motions import fetch_source, fetch_table, list_sources, table

    if not name:
        return show(list_sources(), json, table)
    result = fetch_source(name, FetchCfg(folder=folder, only=only, index=index, force=force))
    return show(result, json, fetch_table, failed=bool(result["failed"]))
