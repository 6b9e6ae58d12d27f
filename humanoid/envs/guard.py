"""Divergence guard: environments whose physics went wrong are detected, counted and dumped.

Check and record run in every step on the device and never wait for it; once an iteration
:meth:`Guard.flush` fetches the records. The environment resets what has diverged.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.state import BodyState
from humanoid.core.config import to_dict
from humanoid.core.constraints import Checked, Count, Natural, Positive, Share
from humanoid.core.errors import TrainingError
from humanoid.envs.dump import ROOT, Dump, Incident
from humanoid.envs.terms import Errors, finite
from humanoid.motion.library import MotionLibrary
from humanoid.sim.protocol import PhysicsChange

FOLDER = "dumps"
"""Folder of the dumps in a run's folder."""


@dataclass(frozen=True, kw_only=True)
class GuardCfg(Checked):
    """Limits of valid numbers, and the tolerated rate of violations.

    In the default physics step of 5 ms a joint at ``max_joint_speed`` turns by one radian and a
    root at ``max_root_speed`` moves by the width of a limb: no integrator follows that. A
    body that random actions throw about stays under a third of both.
    """

    max_joint_speed: Positive = 200.0
    """Of any joint, and of the root's turning about any axis [rad/s]."""
    max_root_speed: Positive = 30.0
    """Of the root along any axis [m/s]."""
    max_height: Positive = 10.0
    """Of the root above or below the floor [m]."""
    max_rate: Share = 1e-3
    """Share of control steps that may go wrong before the run stops; 1 never stops."""
    window: Count = 100_000
    """Control steps of all environments over which the share is taken, at least."""
    dumps: Natural = 8
    """How many are written to the run's folder for ``humanoid replay``, in all; 0 for none."""


def diagnose(state: BodyState, cfg: GuardCfg, joint_names: tuple[str, ...]) -> str:
    """Return what is wrong with one state, without leading axes; "" where nothing is."""
    if not all(value.isfinite().all() for value in vars(state).values()):
        return "not finite"
    speed = state.joint_vel.abs()
    fastest = int(speed.argmax())
    found = {
        f"joint {joint_names[fastest]} turns at": (float(speed[fastest]), cfg.max_joint_speed, "rad/s"),
        "root turns at": (float(state.root_ang_vel_w.abs().max()), cfg.max_joint_speed, "rad/s"),
        "root moves at": (float(state.root_lin_vel_w.abs().max()), cfg.max_root_speed, "m/s"),
        "root height is": (float(state.root_pos_w[2].abs()), cfg.max_height, "m"),
    }
    over = [
        f"{what} {value:.4g} {unit} > {most:g}"
        for what, (value, most, unit) in found.items()
        if not value <= most
    ]
    return over[0] if over else ""


class Guard:
    """Watches the environments of one task.

    Keeps the first offender of each step in which there is any, until its slots are full.

    Attributes:
        physics: how each environment's physics differs, None where it does not; for the dumps.
    """

    def __init__(
        self,
        cfg: GuardCfg,
        body: Embodiment,
        num_envs: int,
        dt: float,
        device: torch.device,
        library: MotionLibrary | None = None,
    ) -> None:
        """Allocate records on the device.

        Args:
            cfg: limits.
            body: that is watched.
            num_envs: number B of environments.
            dt: control period [s].
            device: of the states.
            library: motions whose clip and frame a dump names; none by default.
        """
        self.cfg, self.library, self.body, self._device = cfg, library, body, device
        self.num_envs, self.dt = num_envs, dt
        self.physics: PhysicsChange | None = None
        joints = body.num_joints
        # speeds, root's velocity and turning, height; of angles and actions only that they are finite
        limits = [cfg.max_joint_speed] * joints + [cfg.max_root_speed] * 3 + [cfg.max_joint_speed] * 3
        limits += [cfg.max_height] + [math.inf] * (2 * joints)
        self._limits = torch.tensor(limits, device=device)
        self._state_width = 2 * joints + sum(ROOT.values())
        width = 2 * self._state_width + 2 * joints + 3
        self._kept = torch.zeros(cfg.dumps, width, dtype=torch.float64, device=device)
        self._slots = torch.arange(cfg.dumps, device=device)
        self._steps, self._window = 0, deque[tuple[int, int]]()
        self._clear()

    def healthy(self, state: BodyState, errors: Errors, action: Tensor) -> Tensor:
        """Return which environments hold valid numbers, (B,) bool; pure, so that it can be compiled.

        Args:
            state: after the step, leading axis B.
            errors: of it against the reference.
            action: (B, D) that led to it.
        """
        root = (state.root_lin_vel_w, state.root_ang_vel_w, state.root_pos_w[:, 2:])
        every = torch.cat((state.joint_vel, *root, state.joint_pos, action), dim=-1)
        # amax keeps a NaN and no comparison with one is true
        usual = (every / self._limits).abs().amax(-1) <= 1.0
        return usual & finite(state, errors)

    def record(
        self,
        before: BodyState,
        action: Tensor,
        targets: Tensor,
        row: Tensor | None,
        steps: Tensor,
        bad: Tensor,
        after: BodyState,
    ) -> None:
        """Count a control step and keep its first bad environment.

        Args:
            before: the state that the step started from, leading axis B.
            action: (B, D) of the policy.
            targets: (B, D) [rad] that the servos followed.
            row: (B,) of the library at the end of the step, None without one.
            steps: (B,) control steps since the reset.
            bad: (B,) bool.
            after: the state after the step, leading axis B.
        """
        self._steps += self.num_envs
        self._bad = self._bad + bad.sum()
        if not self.cfg.dumps:
            return
        index, found = bad.int().argmax().unsqueeze(0), bad.any()
        values = (*_flat(before), *_flat(after), action, targets)
        row = torch.zeros_like(steps) if row is None else row
        numbers = (row.double()[:, None], steps.double()[:, None])  # no float32 holds a large row
        picked = [value.index_select(0, index) for value in (*values, *numbers)]
        kept = torch.cat((*picked, index[:, None]), dim=-1)
        here = (self._slots == self._used) & found
        self._kept = torch.where(here[:, None], kept, self._kept)
        self._used = self._used + found

    def flush(self, folder: str | Path, config: Mapping[str, Any] | None = None) -> dict[str, float]:
        """Write what was kept and return what was counted since the last call.

        The one place that waits for the device, with one transfer unless there are dumps to write.

        Args:
            folder: of the run.
            config: of the run as plain values; a dump's body is built again from it.

        Raises:
            TrainingError: more went wrong than may.
            InputError: a dump cannot be written.
        """
        counts = torch.stack((self._bad, self._used)).double()
        bad, used, *kept = torch.cat((counts, self._kept.flatten())).tolist()
        rows = np.array(kept).reshape(self._kept.shape)[: int(used)]
        steps = self._steps
        self._clear()
        for row in rows:
            self._write(Path(folder) / FOLDER, row, dict(config or {}))
        rate = self._judge(int(bad), steps, Path(folder))
        return {"guard/bad_steps": bad, "guard/rate": rate}

    def _clear(self) -> None:
        self._steps = 0
        self._bad = torch.zeros((), dtype=torch.long, device=self._device)
        self._used = torch.zeros_like(self._bad)

    def _judge(self, bad: int, steps: int, folder: Path) -> float:
        """Return the share of bad steps in the window, or stop the run."""
        self._window.append((bad, steps))
        total = sum(steps for _, steps in self._window)
        while total - self._window[0][1] >= self.cfg.window:
            total -= self._window.popleft()[1]
        wrong = sum(bad for bad, _ in self._window)
        # few steps are counted as many good ones, so that one mishap at the start stops nothing
        if wrong > self.cfg.max_rate * max(total, self.cfg.window):
            where = f"try 'humanoid replay' on a file of {folder / FOLDER}, then " if self.cfg.dumps else ""
            raise TrainingError(
                f"{folder}: physics went wrong in {wrong} of the last {total} control steps "
                f"({wrong / total:.2%}; task.guard.max_rate allows {self.cfg.max_rate:.2%}); {where}"
                "raise sim.substeps or check body and motions"
            )
        return wrong / max(total, 1)

    def _write(self, folder: Path, kept: np.ndarray, config: dict[str, Any]) -> None:
        """Write one dump, unless there are enough already."""
        numbers = [int(path.name.partition("_")[0]) for path in folder.glob("[0-9]*_*.npz")]
        if len(numbers) >= self.cfg.dumps:
            return
        width, joints = self._state_width, self.body.num_joints
        parts = torch.from_numpy(kept).float().split((width, width, joints, joints, 3))
        before, after = self._state(parts[0]), self._state(parts[1])
        row, steps, env = (int(number) for number in kept[-3:])
        clip, seconds, ref = self._reference(row, steps, before)
        reason = diagnose(after, self.cfg, self.body.joint_names)
        incident = Incident(
            reason=reason or "action, or error against the reference, not finite",
            clip=clip,
            seconds=seconds,
            episode_seconds=steps * self.dt,
            row=row,
            env=env,
            control_dt=self.dt,
            body=self.body.signature(),
            limits=to_dict(self.cfg),
            physics=_physics_of(self.physics, env),
            config=config,
        )
        dump = Dump(incident=incident, before=before, after=after, ref=ref, action=parts[2], targets=parts[3])
        name = re.sub(r"[^\w.-]+", "-", incident.clip)[:60]
        dump.save(folder / f"{max(numbers, default=0) + 1:03d}_{name}_{seconds:.2f}s.npz")

    def _reference(self, row: int, steps: int, before: BodyState) -> tuple[str, float, BodyState]:
        """Return clip, time in it [s] and reference of a step; without a library, ``before`` itself."""
        library = self.library
        if library is None:
            return "none", steps * self.dt, before
        clip = int(library.clip[row])
        ref = library.rows(torch.tensor([row], device=library.device)).to("cpu")[0]
        return library.names[clip], (row - int(library.start[clip])) / library.fps, ref

    def _state(self, row: Tensor) -> BodyState:
        """Return the state that :func:`_flat` laid out in ``row (W,)``."""
        joints = self.body.num_joints
        joint_pos, joint_vel, *root = row.split((joints, joints, *ROOT.values()))
        return BodyState(joint_pos, joint_vel, *(part.unsqueeze(0) for part in root))


def _flat(state: BodyState) -> tuple[Tensor, ...]:
    """Return joints and root, each (B, W)."""
    return (state.joint_pos, state.joint_vel, *(getattr(state, name) for name in ROOT))


def _physics_of(physics: PhysicsChange | None, env: int) -> dict[str, Any]:
    """Return the physics of one environment as plain values."""
    if physics is None:
        return {}
    found = {name: value[env].tolist() for name, value in vars(physics).items() if isinstance(value, Tensor)}
    return found | ({"com_body": physics.com_body} if "com_offset" in found else {})
