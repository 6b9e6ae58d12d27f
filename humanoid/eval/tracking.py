"""Measuring a tracker: every clip from its start, several seeded starts a clip.

No noise on observations, no pushes, no randomised physics, no failure test: a run goes
to the end of its clip and the metrics decide afterwards. Starts differ a little (joints,
root velocity), because a simulator is deterministic and identical copies say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from humanoid.bodies import smpl
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.config import from_dict
from humanoid.core.errors import ConfigError
from humanoid.envs.events import EventCfg
from humanoid.envs.tracking import TrackingCfg, TrackingEnv
from humanoid.eval.metrics import RunMetrics, body_distance, local_distance, run_metrics, summarize
from humanoid.motion.library import MotionLibrary
from humanoid.nn.policy import Checkpoint
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.retarget.source import load_motions
from humanoid.rl.rollout import Rollout, play_clips
from humanoid.rl.runner import KIND
from humanoid.sim import SimCfg, make_sim
from humanoid.sim.protocol import require_device

CALM = EventCfg(
    start_pose=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    start_twist=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    start_joints=0.0,
    push_seconds=(0.0, 0.0),
    friction=(1.0, 1.0),
    com_offset=(0.0, 0.0, 0.0),
    joint_offset=0.0,
)
"""Nothing happens to the body from outside."""
SEEDED_STARTS = replace(CALM, start_twist=(0.2, 0.2, 0.2, 0.0, 0.0, 0.0), start_joints=0.05)
"""Starts of the evaluation: joints +-0.05 rad, root +-0.2 m/s."""


@dataclass(frozen=True, kw_only=True)
class EvalCfg:
    """What to evaluate, and on what."""

    checkpoint: str
    """Tracker to evaluate."""
    motions: str = ""
    """Manifest, capture file, npz motion or folder; by default what it was trained on."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of a manifest; all by default."""
    sim: str = "mujoco"
    """``genesis`` or ``mujoco``."""
    device: str = "cpu"
    """torch device; ``mujoco`` runs on ``cpu`` only."""
    starts: int = 8
    """Seeded starts of each clip."""
    seed: int = 0
    """Seed of the starts."""


@dataclass(frozen=True)
class Stage:
    """A tracker set up to perform: policy, task and library.

    Attributes:
        env: the task with ``starts`` environments a clip, clip after clip.
        policy: mean actions.
        checkpoint: where the policy comes from.
        starts: environments a clip.
    """

    env: TrackingEnv
    policy: Any
    checkpoint: Checkpoint
    starts: int

    def play(self, on_step: Callable[[int, int], None] | None = None) -> Rollout:
        """Perform every clip from its first frame."""
        library = self.env.library
        rows = library.start.repeat_interleave(self.starts)
        return play_clips(self.env, self.policy, rows, on_step)


def set_stage(cfg: EvalCfg, event: EventCfg = SEEDED_STARTS) -> Stage:
    """Load checkpoint, motions and simulator and refuse what does not fit.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: ``starts`` below one, or a device that is not there.
    """
    if cfg.starts < 1:
        raise ConfigError(f"starts is {cfg.starts}; at least 1 is needed")
    require_device(cfg.device)
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND, cfg.device)
    trained = checkpoint.header["config"]
    body = build_body(trained, checkpoint)
    motions = cfg.motions or str(trained.get("motions", "humanoid3d"))
    retarget_cfg = from_dict(RetargetCfg, trained.get("retarget", {}), cfg.checkpoint)
    loaded, _ = load_motions(motions, body, cfg.clips, retarget_cfg)
    library = MotionLibrary(loaded, body, cfg.device)
    physics = {**trained.get("sim", {}), "backend": cfg.sim, "device": cfg.device, "randomizable": False}
    sim_cfg = from_dict(SimCfg, physics, cfg.checkpoint)
    task = from_dict(TrackingCfg, trained.get("task", {}), cfg.checkpoint)
    quiet = replace(task.observation, noise={})
    weights = {**task.reward.weight, "undesired_contact": 0.0}
    task = replace(task, observation=quiet, event=event, reward=replace(task.reward, weight=weights))
    sim = make_sim(replace(sim_cfg, contacts=False), body, library.num_clips * cfg.starts, cfg.seed)
    env = TrackingEnv(task, sim, library, cfg.seed)
    checkpoint.require(env.observation_layout(), sim.dt)
    return Stage(env, checkpoint.policy(cfg.device), checkpoint, cfg.starts)


def build_body(trained: dict[str, Any], checkpoint: Checkpoint) -> Embodiment:
    """Build the body a checkpoint was trained with and compare it with the signature.

    Raises:
        MismatchError: the body that this version builds is another one.
    """
    body = smpl.build(from_dict(smpl.SmplCfg, trained.get("body", {}), str(checkpoint.path)))
    body.require_signature(checkpoint.header["body"], str(checkpoint.path))
    return body


def evaluate(cfg: EvalCfg, on_step: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return the metrics of a tracker: totals and, under ``clips``, each clip's."""
    stage = set_stage(cfg)
    return evaluation(cfg, stage, stage.play(on_step))


def evaluation(cfg: EvalCfg, stage: Stage, rollout: Rollout) -> dict[str, Any]:
    """Return what was evaluated, totals over all runs and, under ``clips``, each clip's metrics."""
    library, fps = stage.env.library, stage.env.library.fps
    pos, ref = rollout.state.body_pos_w.cpu(), rollout.ref.body_pos_w.cpu()
    every: list[RunMetrics] = []
    clips: dict[str, Any] = {}
    for index, name in enumerate(library.names):
        runs = []
        for env in range(index * stage.starts, (index + 1) * stage.starts):
            steps = int(rollout.steps[env])
            runs.append(run_metrics(pos[:steps, env], ref[:steps, env], fps))
        every += runs
        seconds = (int(library.length[index]) - 1) / fps
        clips[name] = {**summarize(runs), "seconds": round(seconds, 3)}
    return {
        "sim": cfg.sim,
        "checkpoint": str(cfg.checkpoint),
        "starts": stage.starts,
        "seed": cfg.seed,
        **summarize(every),
        "clips": clips,
    }


def error_curves(stage: Stage, rollout: Rollout) -> dict[str, dict[str, list[float]]]:
    """Return, for each clip's first run, time [s] and errors [mm] of every frame."""
    curves = {}
    for index, name in enumerate(stage.env.library.names):
        env = index * stage.starts
        steps = int(rollout.steps[env])
        pos, ref = rollout.state.body_pos_w[:steps, env], rollout.ref.body_pos_w[:steps, env]
        time = torch.arange(1, steps + 1) / stage.env.library.fps
        curves[name] = {
            "time_s": time.tolist(),
            "global_mm": (1000 * body_distance(pos, ref)).tolist(),
            "local_mm": (1000 * local_distance(pos, ref)).tolist(),
        }
    return curves
