"""Getting up: bodies that were dropped limp follow a clip that gets up.

Every body falls from a random pose (:func:`humanoid.envs.starts.drop`), is moved to the most
similar frame of such a clip, and the tracker performs the clip from there: the reference
waits as it did in training, plays, and stands still on its last frame.

A body is up when its head is above 80 % of its standing height, its torso tilts less than
30 degrees, its root is slower than 1 m/s, and all that stays so for half a second. A body
that falls over passes 30 degrees with its root at about 1.4 m/s (a rod of 1.6 m tipping
from rest), one that takes a step to catch itself is below 1 m/s.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.posture import Posture
from humanoid.bodies.state import BodyState
from humanoid.core.config import from_dict
from humanoid.core.errors import InputError
from humanoid.envs import starts
from humanoid.envs.starts import Pool, StartCfg
from humanoid.envs.tracking import TrackingCfg
from humanoid.eval.config import RecoverCfg
from humanoid.eval.report import grid, in_turn, percent, rounded
from humanoid.eval.rollout import perform
from humanoid.eval.setup import EvalInputs, Setup, build_setup, in_each, load_inputs

HEAD_SHARE = 0.8
"""Least height of the head of a body that is up, as a share of its height when it stands."""
TILT_RAD = math.radians(30.0)
"""Largest tilt of its torso [rad]."""
SPEED_MPS = 1.0
"""Largest speed of its root [m/s]."""
HOLD_SECONDS = 0.5
"""Time for which it must stay so [s]."""


def recover(cfg: RecoverCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return what share of fallen bodies gets up in time, and when.

    With several simulators, those of each; see :func:`~humanoid.eval.setup.in_each`.

    Raises:
        InputError: a file is missing or malformed, or no clip gets up.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: a device that is not there.
    """
    parts = StartCfg().fallen_clips

    def rises(name: str, tags: tuple[str, ...]) -> bool:
        return any(part in name or part in tags for part in parts)

    inputs = load_inputs(cfg, None if cfg.clips else rises, twins=True)
    if not inputs.motions:
        raise InputError(f"no clip has the tag or part of a name {list(parts)}; name clips that get up")
    return in_each(cfg, lambda one: _recover(one, inputs, on_step))


def time_up(up: Tensor, hold: int) -> Tensor:
    """Return when each body is up to stay.

    Args:
        up: (T, B) bool, whether it is up after each step.
        hold: further steps for which it must stay up.

    Returns:
        (B,) index of the first step from which it is up for ``hold`` more; T where there is none.
    """
    if len(up) <= hold:
        return torch.full((up.shape[1],), len(up), dtype=torch.long, device=up.device)
    stays = up.unfold(0, hold + 1, 1).all(-1)
    never = torch.full_like(stays[:1], True)
    first = torch.cat((stays, never)).int().argmax(0)
    return torch.where(first < len(stays), first, len(up))


def is_up(posture: Posture, state: BodyState) -> Tensor:
    """Return whether bodies are up at an instant. (...) bool; not where a number is not finite."""
    high = posture.head_height(state) >= HEAD_SHARE * posture.standing
    return high & (posture.tilt(state) <= TILT_RAD) & (state.root_lin_vel_w.norm(dim=-1) <= SPEED_MPS)


def perform_from(
    setup: Setup, pool: Pool, seconds: float, on_step: Callable[[int, int], None] | None = None
) -> Tensor:
    """Return when bodies that start as in a pool are up to stay [s], (M,); infinite for never.

    Args:
        setup: with as many environments as there are starts, or more.
        pool: M starts.
        seconds: time in which they must be up [s].
        on_step: called with (step, total) for progress.
    """
    env, count = setup.env, len(pool.row)
    index = torch.arange(env.num_envs, device=env.device) % count
    env.start(pool.row[index], pool.state[index], pool.grace[index])
    posture = Posture(env.body, env.device)
    hold = round(HOLD_SECONDS / env.sim.dt)
    within = round(seconds / env.sim.dt)
    up: list[Tensor] = []
    perform(
        env, setup.policy, within + hold, lambda state, _: up.append(is_up(posture, state)), on_step=on_step
    )
    first = time_up(torch.stack(up)[:, :count], hold)
    when = (first + 1).float() * env.sim.dt
    return torch.where(first < within, when, math.inf)


def table(result: Mapping[str, Any]) -> str:
    """Return falls as an aligned Markdown table, a row a clip and one for all."""
    if "sims" in result:
        return in_turn(result, table)
    head = ["clip", "falls", f"up in {result['seconds']:g} s %", "median s"]
    rows = [
        [name.replace("|", r"\|"), str(row["falls"]), percent(row["up"]), rounded(row["median_s"], 2)]
        for name, row in (*result["clips"].items(), ("all", result))
    ]
    return grid(head, rows)


def _recover(
    cfg: RecoverCfg, inputs: EvalInputs, on_step: Callable[[int, int], None] | None
) -> dict[str, Any]:
    setup = build_setup(cfg, inputs, cfg.falls)
    env = setup.env
    with torch.inference_mode():
        lying = starts.drop(env.sim, env.parts.limits, env.generator)
        if not len(lying.joint_pos):
            raise InputError(f"none of {cfg.falls} bodies came to rest after falling; drop more with falls")
        pool = starts.fallen(_starts(cfg, inputs), env.library, lying)
        when = perform_from(setup, pool, cfg.seconds, on_step).cpu()
        clip = env.library.clip[pool.row].cpu()
    return {
        "sim": cfg.sims[0],
        "checkpoint": str(cfg.checkpoint),
        "seed": cfg.seed,
        "conditions": cfg.conditions,
        "seconds": cfg.seconds,
        **_figures(when),
        "clips": {name: _figures(when[clip == i]) for i, name in enumerate(env.library.names)},
    }


def _starts(cfg: RecoverCfg, inputs: EvalInputs) -> StartCfg:
    """Return the initialisation from falls of the training, for the clips of ``inputs``."""
    trained = inputs.checkpoint.header.config.get("task", {})
    names = tuple(motion.name for motion in inputs.motions)
    return replace(from_dict(TrackingCfg, trained, cfg.checkpoint).start, fallen_clips=names)


def _figures(when: Tensor) -> dict[str, Any]:
    """Return number of falls, share that got up and median time [s] of those; None for nothing."""
    times = [time for time in when.tolist() if math.isfinite(time)]
    return {
        "falls": len(when),
        "up": len(times) / len(when) if len(when) else None,
        "median_s": round(statistics.median(times), 3) if times else None,
    }
