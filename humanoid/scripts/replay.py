"""``humanoid replay DUMP``: re-run the control step at which an environment diverged, in either simulator.

A run dumps the first few diverged environments in ``runs/NAME/dumps``: physics, state before the step
and servo targets. Warm start of contacts and float32 noise are not dumped: numbers agree only roughly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.state import BodyState
from humanoid.core.config import from_dict
from humanoid.core.errors import InputError
from humanoid.envs.dump import Dump, Incident
from humanoid.envs.guard import GuardCfg, diagnose
from humanoid.scripts.verbs import ReplayCfg
from humanoid.sim import PhysicsChange, SimCfg, Simulator, make_sim
from humanoid.view.progress import say

_PER_ENV = {"friction": (), "mass_scale": (), "kp_scale": (), "kd_scale": (), "com_offset": (3,)}
"""Shape of each field of ``PhysicsChange`` for one environment."""
_FILM_FPS = 5.0
"""A frame a control step: ten times slower than it was."""


def main(cfg: ReplayCfg) -> dict[str, Any]:
    """Return what happened in the run and, under ``rows``, the re-run step by step.

    Raises:
        InputError: no such file, or no dump that a body can be put into.
        MismatchError: the body that this version builds is another one.
        ConfigError: an unknown simulator or device.
    """
    dump = Dump.load(cfg.dump)
    incident = dump.incident
    if not _finite(dump.before):
        raise InputError(f"{cfg.dump}: the state before the step is not finite; it cannot be re-run")
    for group in ("body", "sim"):
        if not isinstance(incident.config.get(group, {}), dict):
            raise InputError(f"{cfg.dump}: the dump's config.{group} is no group of keys")
    body = catalogue.trained(incident.config, incident.body, cfg.dump)
    limits = from_dict(GuardCfg, incident.limits, cfg.dump)
    sim = _set_up(cfg, dump, body)
    states = _perform(sim, dump, cfg.steps, lambda state: diagnose(state, limits, body.joint_names))
    sim.close()
    kinematics = Kinematics(body)
    rows = [_row(step, state, kinematics, limits) for step, state in enumerate(states)]
    if cfg.video:
        _film(cfg.video, states, dump, kinematics)
    return {
        "dump": cfg.dump,
        "sim": cfg.sim,
        "clip": incident.clip,
        "seconds": round(incident.seconds, 3),
        "reason": incident.reason,
        "rows": rows,
        "reproduced": any(row["wrong"] for row in rows[1:]),
    }


def table(result: dict[str, Any]) -> str:
    """Return the result as aligned text."""
    head = f"{result['dump']}: '{result['clip']}' at {result['seconds']:.2f} s: {result['reason']}"
    lines = [head, "step  fastest joint [rad/s]         root height [m]  lowest point [m]"]
    for row in result["rows"]:
        if row["joint_speed"] is None:
            lines.append(f"{row['step']:4d}  {row['wrong']}")
            continue
        lines.append(
            f"{row['step']:4d}  {row['joint_speed']:10.4g} {row['joint']:20s} {row['root_height']:13.3f}  "
            f"{row['lowest']:16.3f} {row['lowest_body']}{row['wrong'] and ': ' + row['wrong']}"
        )
    verdict = "goes wrong again" if result["reproduced"] else "does not go wrong"
    return "\n".join((*lines, f"it {verdict} in {result['sim']}"))


def _set_up(cfg: ReplayCfg, dump: Dump, body: Embodiment) -> Simulator:
    """Build one environment with the physics of the run and put it where the step began."""
    incident = dump.incident
    change = _physics(incident, body, cfg.dump)
    recorded = {**incident.config.get("sim", {}), "backend": cfg.sim, "device": cfg.device}
    sim_cfg = replace(
        from_dict(SimCfg, recorded, cfg.dump),
        dt=incident.control_dt, randomizable=change is not None, contacts=False, threads=1,
    )  # fmt: skip
    sim = make_sim(sim_cfg, body, 1)
    if change is not None:
        moved: dict[str, Any] = {
            name: value.to(sim.device) for name, value in vars(change).items() if isinstance(value, Tensor)
        }
        sim.randomize(replace(change, **moved))
    start = dump.before.map(lambda tensor: tensor[None]).to(sim.device)
    sim.reset(torch.ones(1, dtype=torch.bool, device=sim.device), start)
    return sim


def _physics(incident: Incident, body: Embodiment, path: str) -> PhysicsChange | None:
    """Return the physics of the environment, leading axis 1, or None where it is as built."""
    if not incident.physics:
        return None
    com_body = str(incident.physics.get("com_body", body.anchor))
    body.body_id(com_body)
    values: dict[str, Any] = {}
    for name, value in incident.physics.items():
        if name == "com_body":
            continue
        try:
            tensor = torch.tensor(value, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError):
            tensor = torch.tensor(torch.nan)
        good = tensor.shape == _PER_ENV.get(name) and bool(tensor.isfinite().all())
        if not good or (name != "com_offset" and not float(tensor) > 0.0):
            raise InputError(f"{path}: the dump's physics.{name} is {value!r:.40}, which no physics has")
        values[name] = tensor[None]
    return PhysicsChange(**values, com_body=com_body)


def _perform(sim: Simulator, dump: Dump, steps: int, wrong: Callable[[BodyState], str]) -> list[BodyState]:
    """Return the states, on the CPU, from the start to the last step or the first that is wrong."""
    states = [sim.state().to("cpu")[0]]
    sim.set_targets(dump.targets[None].to(sim.device))
    for _ in range(steps):
        sim.step()
        states.append(sim.state().to("cpu")[0])
        if wrong(states[-1]):
            break
    return states


def _row(step: int, state: BodyState, kinematics: Kinematics, limits: GuardCfg) -> dict[str, Any]:
    """Return the row of one state; all None but the diagnosis where it is not finite."""
    body = kinematics.body
    row: dict[str, Any] = {"step": step, "wrong": diagnose(state, limits, body.joint_names)}
    if not _finite(state):
        return row | dict.fromkeys(("joint", "joint_speed", "root_height", "lowest_body", "lowest"))
    fastest = int(state.joint_vel.abs().argmax())
    clearance = kinematics.clearance(state.body_pos_w, state.body_quat_w)
    lowest = int(clearance.argmin())
    return row | {
        "joint": body.joint_names[fastest],
        "joint_speed": float(state.joint_vel[fastest].abs()),
        "root_height": float(state.root_pos_w[2]),
        "lowest_body": body.body_names[lowest],
        "lowest": float(clearance[lowest]),
    }


def _finite(state: Any) -> bool:  # noqa: ANN401 - a dataclass of tensors
    return all(value.isfinite().all() for value in vars(state).values())


def _film(path: str, states: list[BodyState], dump: Dump, kinematics: Kinematics) -> None:
    """Film the states that are finite, the reference of the step as a ghost."""
    from humanoid.view.video import Renderer, VideoCfg, write_video  # here, so that a table needs no OpenGL

    ref = dump.ref
    ghost = kinematics.state(
        ref.root_pos_w, ref.root_quat_w, ref.joint_pos, ref.root_lin_vel_w, ref.root_ang_vel_w, ref.joint_vel
    )
    shown = [state for state in states if state.body_pos_w.isfinite().all()]
    with Renderer(VideoCfg(fps=_FILM_FPS), kinematics.body) as film:
        frames = (
            film.frame(state, ghost, f"{dump.incident.clip}   step {step}")
            for step, state in enumerate(shown)
        )
        write_video(Path(path), frames, film.cfg.fps)
    say(f"filmed {path}")
