"""How hard a tracker can be pushed: a sweep of pushes that come every second.

BeyondMimic's test (arXiv 2508.08241 v3, Table III) adds 0-0.5 m/s to the root's velocity
every second for 15 s while it walks or runs, and says a body has fallen when its head is
below 0.2 m. Here every push of a run has the same size, in a horizontal direction of its
own, and sizes grow until half the runs fail. All sizes run at once, with the same
directions and clips.

A run that has ever left its reference is not upright: torso 0.3 m too high or low, or
tilted by more than 60 degrees against it. That is stricter than not having fallen, and
counts a body as down that still kneels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.posture import FALLEN_M, Posture
from humanoid.bodies.state import BodyState
from humanoid.core.errors import InputError
from humanoid.eval.config import PerturbCfg
from humanoid.eval.report import grid, in_turn, percent, rounded
from humanoid.eval.rollout import perform
from humanoid.eval.setup import EvalInputs, Setup, build_setup, in_each, load_inputs
from humanoid.motion.edit import align, concatenate
from humanoid.motion.metrics import SUCCESS_M, body_distance, local_distance
from humanoid.motion.motion import Motion

HEIGHT_M = 0.3
"""A torso this much above or below its reference is not upright [m]."""
TILT_RAD = math.radians(60.0)
"""A torso tilted by more than this against its reference is not upright [rad]."""
HEADLINE_MPS = 0.5
"""Size of push that the headline is about [m/s]."""
GAITS = ("walk", "run")
"""Default motions to push: clips with these tags or, without tags, in these names."""
SEAM_M = 0.05
"""A motion that ends as near to its start as this [m] can be repeated."""
SEAM_MPS = 0.5
"""The same for the velocities of its bodies [m/s]."""


def perturb(cfg: PerturbCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return what share of runs stays upright under pushes of each size, and where half fail.

    With several simulators, those of each; see :func:`~humanoid.eval.setup.in_each`.

    Raises:
        InputError: a file is missing or malformed, or no clip can go on for so long.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: a device that is not there.
    """
    inputs = load_inputs(cfg, None if cfg.clips else _gait, loop_seconds=cfg.seconds)
    lasting, left_out = [], []
    for motion in inputs.motions:
        found = lengthened(motion, inputs.body, cfg.seconds)
        if found is None:
            left_out.append(motion.name)
        else:
            lasting.append(found)
    if not lasting:
        what = f"walking or running clip (tags or names: {', '.join(GAITS)})" if not cfg.clips else "clip"
        names = f"; too short and not repeatable: {', '.join(left_out)}" if left_out else ""
        raise InputError(f"no {what} goes on for {cfg.seconds:g} s{names}")
    inputs = inputs.only(lasting)
    return in_each(cfg, lambda one: _perturb(one, inputs, left_out, on_step))


def lengthened(motion: Motion, body: Embodiment, seconds: float) -> Motion | None:
    """Return a motion that lasts ``seconds``, repeated where it ends as it begins, or None."""
    if motion.duration >= seconds - 0.5 / motion.fps:
        return motion
    again = align(motion, motion).states[0]
    end = motion.states[-1]
    apart = float(body_distance(again.body_pos_w, end.body_pos_w))
    faster = float(body_distance(again.body_lin_vel_w, end.body_lin_vel_w))
    if motion.num_frames < 3 or apart > SEAM_M or faster > SEAM_MPS:
        return None
    # neighbours share one frame, the last of one cycle, which is the first of the next
    cycles = math.ceil(seconds * motion.fps / (motion.num_frames - 1) - 1e-6)
    return concatenate([motion] * cycles, body, 1.0 / motion.fps, name=motion.name)


def push_twists(sizes: Tensor, clips: int, starts: int, pushes: int, generator: torch.Generator) -> Tensor:
    """Return what pushes add to the roots' twists, (K, clips * S * starts, 6) [m/s, rad/s], world.

    Horizontal, of directions drawn uniformly, the same for all sizes.

    Args:
        sizes: (S,) [m/s].
        clips: number of clips.
        starts: runs of each clip and size.
        pushes: number K of pushes.
        generator: of the device of ``sizes``.
    """
    draw = torch.rand(pushes, clips, 1, starts, generator=generator, device=sizes.device)
    angle = 2.0 * math.pi * draw
    size = sizes[:, None]
    zero = torch.zeros_like(angle * size)
    twist = torch.stack((angle.cos() * size, angle.sin() * size, zero, zero, zero, zero), dim=-1)
    return twist.flatten(1, 3)


def half_size(sizes: Sequence[float], failed: Sequence[float]) -> float | None:
    """Return the size [m/s] at which half the runs fail, on straight lines between those tried.

    The first size at which half fail, so also the smallest tried if more do there already;
    None where fewer fail at all.

    Args:
        sizes: in any order [m/s].
        failed: share that failed at each.
    """
    last = None
    for size, share in sorted(zip(sizes, failed, strict=True)):
        if share >= 0.5:
            if last is None:
                return size
            return last[0] + (0.5 - last[1]) / (share - last[1]) * (size - last[0])
        last = (size, share)
    return None


def table(result: Mapping[str, Any]) -> str:
    """Return a sweep as an aligned Markdown table, a row a size, and its headlines."""
    if "sims" in result:
        return in_turn(result, table)
    head = ["push m/s", "upright %", "not fallen %", "within 0.5 m %", "local mm"]
    rows = [
        [
            f"{row['size_mps']:g}",
            percent(row["upright"]), percent(row["not_fallen"]), percent(row["success"]),
            rounded(row["mpjpe_l_mm"], 1),
        ]
        for row in result["sizes"]
    ]  # fmt: skip
    half, fall = (rounded(result[key], 2) for key in ("half_fail_mps", "half_fall_mps"))
    lines = [
        grid(head, rows),
        "",
        f"upright under {HEADLINE_MPS:g} m/s every {result['every']:g} s for {result['seconds']:g} s: "
        f"{percent(result['upright_0_5_mps'])} %",
        f"half the runs are not upright at {half} m/s, half fall at {fall} m/s (- : at none tried)",
        f"{len(result['clips'])} clips, {result['starts']} starts each: {', '.join(result['clips'])}",
    ]
    if result["left_out"]:
        lines.append(f"left out, too short and not repeatable: {', '.join(result['left_out'])}")
    return "\n".join(lines)


class _Tally:
    """Outcome of each run, kept on the device until the end."""

    def __init__(self, setup: Setup) -> None:
        env = setup.env
        self.posture = Posture(env.body, env.device)
        self.standing = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        self.upright, self.near = self.standing, self.standing
        self.local = torch.zeros(env.num_envs, device=env.device)
        self.frames = torch.zeros_like(self.local)

    def __call__(self, state: BodyState, ref: BodyState) -> None:
        """Take one more instant into account; what is not a number has failed."""
        torso = self.posture.anchor
        height = (state.body_pos_w[:, torso, 2] - ref.body_pos_w[:, torso, 2]).abs()
        head = self.posture.head_height(state) >= FALLEN_M
        kept = (height <= HEIGHT_M) & (self.posture.tilt_from(state, ref) <= TILT_RAD)
        self.standing = self.standing & head
        self.upright = self.upright & kept & head
        self.near = self.near & (body_distance(state.body_pos_w, ref.body_pos_w) <= SUCCESS_M)
        distance = local_distance(state.body_pos_w, ref.body_pos_w)
        self.local = self.local + torch.where(self.upright, distance, torch.zeros_like(distance))
        self.frames = self.frames + self.upright


def _perturb(
    cfg: PerturbCfg,
    inputs: EvalInputs,
    left_out: Sequence[str],
    on_step: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    clips, sizes = len(inputs.motions), tuple(sorted(set(cfg.sizes)))
    setup = build_setup(cfg, inputs, clips * len(sizes) * cfg.starts)
    env = setup.env
    period, steps = max(1, round(cfg.every / env.sim.dt)), round(cfg.seconds / env.sim.dt)
    generator = torch.Generator(device=env.device).manual_seed(cfg.seed)
    widths = torch.tensor(sizes, device=env.device)
    twists = push_twists(widths, clips, cfg.starts, -(-steps // period), generator)
    tally = _Tally(setup)
    env.start(env.library.start.repeat_interleave(len(sizes) * cfg.starts))

    def push(step: int) -> Tensor | None:
        return None if step % period else twists[step // period]

    perform(env, setup.policy, steps, tally, push, on_step)
    shape = (clips, len(sizes), cfg.starts)
    upright, standing, near = (
        flags.reshape(shape).float().cpu() for flags in (tally.upright, tally.standing, tally.near)
    )
    local, frames = tally.local.reshape(shape).cpu(), tally.frames.reshape(shape).cpu()
    means = {
        "upright": _shares(upright),
        "not_fallen": _shares(standing),
        "success": _shares(near),
        "mpjpe_l_mm": [_mean(local[:, i], frames[:, i]) for i in range(len(sizes))],
    }
    return {
        "sim": cfg.sims[0],
        "checkpoint": str(cfg.checkpoint),
        "starts": cfg.starts,
        "seed": cfg.seed,
        "conditions": cfg.conditions,
        "seconds": cfg.seconds,
        "every": cfg.every,
        "upright_0_5_mps": means["upright"][sizes.index(HEADLINE_MPS)] if HEADLINE_MPS in sizes else None,
        "half_fail_mps": _half(sizes, means["upright"]),
        "half_fall_mps": _half(sizes, means["not_fallen"]),
        "sizes": [
            {"size_mps": size, **{key: values[i] for key, values in means.items()}}
            for i, size in enumerate(sizes)
        ],
        "clips": {
            name: {
                "upright": upright[i].mean(-1).tolist(),
                "half_fail_mps": _half(sizes, upright[i].mean(-1).tolist()),
            }
            for i, name in enumerate(env.library.names)
        },
        "left_out": list(left_out),
    }


def _half(sizes: Sequence[float], kept: Sequence[float]) -> float | None:
    return half_size(sizes, [1.0 - share for share in kept])


def _shares(flags: Tensor) -> list[float]:
    """Return the mean of flags (C, S, R) for each size."""
    return [round(share, 6) for share in flags.double().mean((0, 2)).tolist()]


def _mean(total: Tensor, frames: Tensor) -> float | None:
    """Return the mean error over runs [mm], of each run's upright frames; None without any."""
    some = frames > 0
    return float((1000.0 * total[some] / frames[some]).mean()) if bool(some.any()) else None


def _gait(name: str, tags: tuple[str, ...]) -> bool:
    return any(gait in tags for gait in GAITS) if tags else any(gait in name for gait in GAITS)
