"""Benchmark of the motion pipeline: quality on captured files, speed, memory; compares with mink and pybvh.

    python tools/bench_retarget.py --data DIR [--embodiment g1] [--json]

mink (with daqp) solves the same targets with the same weights, frame by frame; pybvh reads
the same BVH file, to Euler angles and to quaternions. Both come with the extra ``dev``.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mink
import mujoco
import numpy as np
import pybvh
import torch
import tyro

from humanoid import mocap
from humanoid.bodies.catalogue import embodiment
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import HumanoidError
from humanoid.core.io import LoadCfg
from humanoid.mocap.skeleton import Clip
from humanoid.motion.robot import is_robot_file, load_robot
from humanoid.retarget.anatomy import of_body
from humanoid.retarget.from_motion import as_clip
from humanoid.retarget.ik import IkCfg
from humanoid.retarget.pipeline import RetargetCfg, retarget_all, solve
from humanoid.retarget.quality import measure
from humanoid.retarget.skeletons import skeleton_map
from humanoid.retarget.targets import Targets, targets

BATCH = 10_000
"""Frames of the speed measurement."""
HOUR = 108_000
"""Frames of one hour at 30 fps."""
MINK_FRAMES = 300
MINK_STEPS = (1, 10)
OUR_STEPS = (2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class BenchCfg:
    """Configuration of the benchmark."""

    data: str
    """Folder of capture files."""
    embodiment: str = "smpl"
    """Body to put them on."""
    hour: bool = True
    """Whether to retarget an hour of motion for the memory."""
    json: bool = False
    """Print one JSON object instead of tables."""


def main(cfg: BenchCfg) -> dict[str, Any]:
    """Measure everything."""
    body = embodiment(cfg.embodiment)
    clips, failed = load_all(Path(cfg.data))
    result: dict[str, Any] = {"embodiment": body.name, "failed": failed, "quality": quality(clips, body)}
    result["speed"] = speed(clips, body)
    if cfg.hour:
        result["hour"] = hour(clips, body)
    result["mink"] = beside_mink(clips, body)
    result["loading"] = loading(Path(cfg.data))
    return result


def load_all(folder: Path) -> tuple[list[Clip], list[dict[str, str]]]:
    """Return the clips of every file of a known ending, and the files that were refused."""
    clips, failed = [], []
    for path in sorted(folder.rglob("*")):
        try:
            if is_robot_file(path):
                robot = embodiment("g1")
                clips.append(as_clip(load_robot(path, robot, LoadCfg(quat="wxyz", trust_pickle=True)), robot))
            elif path.suffix in mocap.endings() and path.name != "README.md":
                clips.append(mocap.load(path))
        except HumanoidError as error:
            failed.append({"file": str(path), "error": str(error)})
    return clips, failed


def quality(clips: list[Clip], body: Embodiment) -> list[dict[str, Any]]:
    """Return the figures of each clip."""
    keys = ("error_mm", "skate_mm", "penetration_mm", "float_mm", "limit_rad", "joint_speed")
    rows = []
    for motion in retarget_all(clips, body):
        found = measure(motion, body).to_dict()
        rows.append({"clip": motion.name, "frames": motion.num_frames, **{key: found[key] for key in keys}})
    return rows


def speed(clips: list[Clip], body: Embodiment) -> dict[str, float]:
    """Return frames a second of one batch, from clips to motions."""
    batch = tiled(clips, BATCH)
    retarget_all(batch[:2], body)
    start = time.perf_counter()
    frames = sum(motion.num_frames for motion in retarget_all(batch, body))
    return {"frames": frames, "frames_per_s": frames / (time.perf_counter() - start)}


def hour(clips: list[Clip], body: Embodiment) -> dict[str, float]:
    """Return what an hour at 30 fps takes; the memory is the most this process ever held."""
    cfg = RetargetCfg(fps=30.0)
    batch = tiled([clip.resampled(30.0) for clip in clips], HOUR)
    start = time.perf_counter()
    frames = sum(motion.num_frames for motion in retarget_all(batch, body, cfg))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"frames": frames, "frames_per_s": frames / (time.perf_counter() - start), "peak_gib": peak}


def tiled(clips: list[Clip], frames: int) -> list[Clip]:
    """Return clips over and over until they have about as many frames at 50 Hz."""
    batch: list[Clip] = []
    total = 0
    while total < frames:
        for clip in clips:
            batch.append(clip)
            total += int(clip.duration * (30 if frames == HOUR else 50)) + 1
            if total >= frames:
                break
    return batch


def beside_mink(clips: list[Clip], body: Embodiment) -> dict[str, Any]:
    """Return mean landmark error and speed of both on the same targets with the same terms.

    mink knows neither floor nor standing feet nor smoothness, so these are taken out of ours;
    ``shipped`` has them. Times are those of solving, without loading and laying out targets.
    """
    some = [c.resampled(50.0).window(0, MINK_FRAMES) for c in clips if c.duration > 2.0][::8]
    own, cfg = of_body(body), RetargetCfg()
    laid = [targets(clip, skeleton_map(clip), body, own, cfg.contact) for clip in some]
    kind = (laid[0].names, laid[0].carriers)
    wanted = [replace(t, pos_w=t.planted_w) for t in laid if (t.names, t.carriers) == kind]
    frames = sum(len(target.pos_w) for target in wanted)
    rows = {"shipped": solved(wanted, body, IkCfg())}
    for steps in OUR_STEPS:
        plain = IkCfg(
            rounds=(steps,), contact=0.0, floor=0.0, self_collision=0.0, smoothness=0.0, smooth_frames=0.0
        )
        rows[f"ours, {steps} steps"] = solved(wanted, body, plain)
    firsts = [motion.qpos[0].numpy() for motion in retarget_all(some, body)]
    for steps in MINK_STEPS:
        start, total = time.perf_counter(), 0.0
        for target, first in zip(laid, firsts, strict=True):
            if (target.names, target.carriers) == kind:
                total += solve_with_mink(target, body, first, steps)
        seconds = time.perf_counter() - start
        rows[f"mink, {steps} steps"] = {"error_mm": 1000 * total / frames, "frames_per_s": frames / seconds}
    rival = max((rows[f"mink, {n} steps"] for n in MINK_STEPS), key=lambda row: row["frames_per_s"])
    ours = [rows[f"ours, {n} steps"] for n in OUR_STEPS]
    equal = [row for row in ours if row["error_mm"] <= rival["error_mm"]]
    best = max((row["frames_per_s"] for row in equal), default=0.0)
    return {"frames": frames, **rows, "speed_ratio_at_equal_error": best / rival["frames_per_s"]}


def solved(wanted: list[Targets], body: Embodiment, ik: IkCfg) -> dict[str, float]:
    """Return mean error and speed of our solver on targets, eight times over to make a batch."""
    solve(wanted, body, RetargetCfg(ik=ik))
    start = time.perf_counter()
    found = solve(wanted * 8, body, RetargetCfg(ik=ik))
    seconds = time.perf_counter() - start
    lengths = [len(course[0]) for course in found]
    error = float(np.average([course[3] for course in found], weights=lengths))
    return {"error_mm": 1000 * error, "frames_per_s": sum(lengths) / seconds}


def solve_with_mink(target: Targets, body: Embodiment, first: np.ndarray, steps: int) -> float:
    """Return the sum over frames of the mean landmark error [m]; each frame starts at the one before."""
    spec, ik = mujoco.MjSpec.from_string(body.mjcf), IkCfg()
    for name in target.names:
        spec.body(body.landmarks[name].body).add_site(name=f"at_{name}", pos=body.landmarks[name].offset)
    model = spec.compile()
    configuration = mink.Configuration(model, q=first.astype(float))
    tasks: list[Any] = []
    for name in target.names:
        weight = ik.position.get(name.rpartition("_")[2], 0.0)
        if weight:
            tasks.append(mink.FrameTask(f"at_{name}", "site", np.sqrt(weight), 0.0))
    turned = [(s, b) for s, b in target.carriers.items() if ik.rotation.get(s.rpartition("_")[2], 0.0)]
    for segment, carrier in turned:
        tasks.append(mink.FrameTask(carrier, "body", 0.0, np.sqrt(ik.rotation[segment.rpartition("_")[2]])))
    points = [name for name in target.names if ik.position.get(name.rpartition("_")[2], 0.0)]
    limits, total = [mink.ConfigurationLimit(model)], 0.0
    planted = target.planted_w.numpy().astype(float)
    for frame in range(len(planted)):
        for task, (segment, _) in zip(tasks[len(points) :], turned, strict=True):
            task.set_target(
                mink.SE3.from_rotation(mink.SO3(target.turns[segment][frame].numpy().astype(float)))
            )
        for _ in range(steps):
            # mink's error is the logarithm of a pose: with another rotation than the site's own
            # in the target, the distance would be distorted although rotation costs nothing.
            for task, name in zip(tasks, points, strict=False):
                here = configuration.get_transform_frame_to_world(f"at_{name}", "site").rotation()
                place = planted[frame, target.names.index(name)]
                task.set_target(mink.SE3.from_rotation_and_translation(here, place))
            velocity = mink.solve_ik(configuration, tasks, 1.0, "daqp", damping=ik.damping, limits=limits)
            configuration.integrate_inplace(velocity, 1.0)
        at = np.stack([configuration.data.site(f"at_{name}").xpos for name in target.names])
        total += float(np.linalg.norm(at - planted[frame], axis=-1).mean())
    return total


def loading(folder: Path) -> dict[str, float]:
    """Return seconds to read the largest BVH and nanoseconds a value of the largest AMC."""
    result: dict[str, float] = {}
    bvh = max(folder.rglob("*.bvh"), key=lambda path: path.stat().st_size, default=None)
    amc = max(folder.rglob("*.amc"), key=lambda path: path.stat().st_size, default=None)
    if bvh is not None:
        result["bvh_ms"] = 1000 * fastest(lambda: mocap.load(bvh))
        result["pybvh_ms"] = 1000 * fastest(lambda: pybvh.read_bvh_file(str(bvh)))
        result["pybvh_quat_ms"] = 1000 * fastest(lambda: pybvh.read_bvh_file(str(bvh)).to_quat())
        values = len(bvh.read_text().split("MOTION")[1].split()) - 5
        result["pybvh_ns_a_value"] = 1e6 * result["pybvh_ms"] / values
    if amc is not None:
        values = sum(len(line.split()) - 1 for line in amc.read_text().splitlines() if " " in line)
        result["amc_ns_a_value"] = 1e9 * fastest(lambda: mocap.load(amc)) / values
    return result


def fastest(work: Any, times: int = 7) -> float:  # noqa: ANN401 - any callable
    """Return the shortest time [s] of several."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def report(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    rows = result["quality"]
    texts = ([f"{k} {v:.2f}" if isinstance(v, float) else str(v) for k, v in row.items()] for row in rows)
    lines = [", ".join(text) for text in texts]
    for key in ("error_mm", "skate_mm", "penetration_mm", "float_mm"):
        values = [row[key] for row in rows if row[key] is not None]
        lines.append(f"{key}: mean {np.mean(values):.2f}, largest {np.max(values):.2f}")
    rest = {key: value for key, value in result.items() if key != "quality"}
    return "\n".join([*lines, json.dumps(rest, indent=2)])


if __name__ == "__main__":
    cfg = tyro.cli(BenchCfg)
    torch.set_num_threads(2)
    found = main(cfg)
    print(json.dumps(found, indent=2) if cfg.json else report(found))
