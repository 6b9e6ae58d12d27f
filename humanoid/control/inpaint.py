"""Filling in a motion between keyframes, as a task of the guided loop.

:func:`inpaint` is the library's way to it; ``humanoid inpaint`` reads and writes files around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState, stack
from humanoid.control.commands import Goal
from humanoid.control.guided import LoopCfg, Planner
from humanoid.control.rollout import perform
from humanoid.core.errors import InputError
from humanoid.diffusion.trajectory import ROT, Layout, TrajectoryCfg
from humanoid.envs.commands import Velocity
from humanoid.motion.motion import Motion
from humanoid.planning.keyframes import ROOT_MPS, KeyPoses, clamped, key_distances, loose_costs
from humanoid.sim import Simulator
from humanoid.tasks.scores import first_step
from humanoid.tasks.starts import standing

FASTEST = 1.5
"""Speed [m/s] at most that a body is asked for on its way to a keyframe beyond the horizon."""
CONTACT_M = 0.02
"""A foot whose lowest point is below this stands on the floor [m]."""


def inpaint(
    keyframes: KeyPoses,
    planner: Planner,
    sim: Simulator,
    start: BodyState | None = None,
    begin: float = 0.0,
    cfg: LoopCfg | None = None,
    seed: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> Motion:
    """Return a simulated motion that passes keyframes as well as it can.

    Every body of ``sim`` tries; of those that fall last, or not at all, the one that passes the
    keyframes nearest is returned. It ends early where all have fallen.

    Args:
        keyframes: what is known.
        planner: with its skills.
        sim: of the skills' body.
        start: (1, N + 1) states to start from, a frame apart; by default the body stands where
            the root's keyframe at time 0 is, or at the origin, facing x.
        begin: time of the start in the motion, and of the first frame that is returned [s].
        cfg: how plans and control go together.
        seed: of the plans' noise.
        on_step: called with (step, total) for progress.

    Raises:
        InputError: the first keyframe of the root cannot be reached from the start.
    """
    layout, count = planner.layout, sim.num_envs
    keys = keyframes.to(sim.device)
    start = (_standing(keyframes, layout, sim.body) if start is None else start).to(sim.device)
    _check_start(keyframes, start.root_pos_w[0, -1].cpu(), begin)
    history = start.map(lambda part: part.expand(count, *part.shape[1:]).clone())
    task = InpaintTask(keys, sim.body, layout.cfg, history[:, -1], begin, sim.dt)
    record = perform(planner.agent(sim, cfg, seed), sim, task, history, on_step=on_step)
    fall, error = first_step(record.fallen), task.errors()
    best = int(torch.where(fall == fall.max(), error, torch.inf).argmin())
    states = stack([history[best, -1], *(state[best] for state in task.states)]).to("cpu")
    when = int(fall[best])
    facts = {"seed": seed, "tries": count, "fell_at": None}
    if when < len(record.fallen):
        facts["fell_at"] = round(begin + (when + 1) * sim.dt, 3)
    return simulated(states, sim.body, 1.0 / sim.dt, "inpaint", facts)


def simulated(
    states: BodyState, body: Embodiment, fps: float, name: str, provenance: dict[str, Any]
) -> Motion:
    """Return states (T) of a simulation as a motion, up to the first that is no number."""
    sound = states.body_pos_w.isfinite().flatten(1).all(-1)
    states = states[: int(first_step(~sound.unsqueeze(-1))[0])]
    height = Kinematics(body).clearance(states.body_pos_w, states.body_quat_w)
    return Motion(
        name=name,
        fps=fps,
        joint_names=body.joint_names,
        body_names=body.body_names,
        states=states,
        contact=height[:, body.body_ids(body.feet)] < CONTACT_M,
        contact_names=body.feet,
        provenance=provenance,
    )


class InpaintTask:
    """Pass through the keyframes of one motion, tried by B bodies at once.

    A keyframe of the root beyond the horizon is in no plan yet: until it is, the root is commanded
    the velocity that takes it there in time.
    """

    def __init__(
        self,
        keys: KeyPoses,
        body: Embodiment,
        frames: TrajectoryCfg,
        start: BodyState,
        begin: float,
        dt: float,
    ) -> None:
        """Take keyframes.

        Args:
            keys: keyframes, on the device of ``start``.
            body: who moves.
            frames: of the plans.
            start: (B,) where bodies start.
            begin: time of the start in the motion [s].
            dt: control period [s].
        """
        self.keys, self.begin, self.seconds, self._dt = keys, begin, keys.seconds - begin, dt
        self._frames, self._columns = frames, body.body_ids(keys.bodies)
        self._here = start.root_pos_w
        self._roots = [
            (time, place)
            for time, place, given in zip(
                keys.times.tolist(), keys.pos_w[:, 0], keys.given[:, 0].tolist(), strict=True
            )
            if given
        ]
        self.states: list[BodyState] = []

    def command(self, time: float) -> Sequence[Goal]:
        """Condition plans on keyframes; places that no token holds are left to a cost."""
        now, dt = self.begin + time, self._frames.dt
        goals: list[Goal] = [clamped(self.keys, now, dt, len(self._here)), *loose_costs(self.keys, now, dt)]
        ahead = next(((at, place) for at, place in self._roots if at > now), None)
        if ahead is not None and ahead[0] - now > self._frames.horizon * self._frames.dt:
            velocity = (ahead[1][:2] - self._here[:, :2]) / (ahead[0] - now)
            speed = velocity.norm(dim=-1, keepdim=True)
            velocity = velocity * (FASTEST / speed.clamp_min(FASTEST))
            goals.append(Velocity(velocity=velocity.nan_to_num(), frame="world", face=False))
        return goals

    def push(self, step: int) -> Tensor | None:
        """Leave the bodies alone."""
        return None

    def watch(self, state: BodyState, step: int) -> Tensor | None:
        """Record every state."""
        self.states.append(state)
        self._here = state.root_pos_w
        return None

    def errors(self) -> Tensor:
        """Return the mean distance (B,) [m] of bodies from the keyframes so far; infinite without one."""
        rows = ((self.keys.times - self.begin) / self._dt).round().long() - 1
        counted = (rows >= 0) & (rows < len(self.states))
        pos = stack(self.states).body_pos_w[rows.clamp(0, len(self.states) - 1)][:, :, self._columns]
        mean, _ = key_distances(self.keys, pos)
        mean = torch.where(counted.unsqueeze(-1), mean, 0.0)
        error = mean.sum(0) / counted.sum()
        return torch.where(error.isfinite(), error, math.inf)


def _standing(keys: KeyPoses, layout: Layout, body: Embodiment) -> BodyState:
    """Return a body that stands where its root's first keyframe is, if that is at time 0."""
    place, yaw = torch.zeros(2), 0.0
    if float(keys.times[0]) < 0.5 * layout.cfg.dt and bool(keys.given[0, 0]):
        place = keys.pos_w[0, 0, :2]
        if bool(keys.mask[0, ROT].all()):
            column = keys.features[0, ROT]
            yaw = math.atan2(float(column[1]), float(column[0]))
    return standing(body, layout.cfg.history + 1, place, yaw)


def _check_start(keys: KeyPoses, root_pos_w: Tensor, begin: float) -> None:
    """Refuse keyframes whose root is too far from where the body starts."""
    rows = (keys.given[:, 0] & (keys.times > begin)).nonzero().flatten()
    if not len(rows):
        return
    first = int(rows[0])
    speed = float((keys.pos_w[first, 0].cpu() - root_pos_w).norm()) / (float(keys.times[first]) - begin)
    if speed > ROOT_MPS:
        raise InputError(
            f"the keyframe of '{keys.bodies[0]}' at {float(keys.times[first]):g} s is out of reach: the body "
            f"would have to move at {speed:.1f} m/s from where it starts; a person reaches {ROOT_MPS:g} m/s; "
            "give a keyframe at time 0 to start elsewhere"
        )
