"""Evaluation set-up: checkpoint, motions, task and simulator.

No pushes and no terminations; observation noise and domain randomisation only on request. The simulators
are deterministic, so initial joint angles and root velocities are perturbed a little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.datasets.sources import load_motions
from humanoid.envs.events import EventCfg
from humanoid.envs.rewards import TRACKING_REWARDS
from humanoid.envs.starts import StartCfg
from humanoid.envs.tracking import TrackingCfg, TrackingEnv
from humanoid.eval.config import EvalCfg
from humanoid.eval.rollout import Rollout, play_clips
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import Checkpoint
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.rl.checkpoints import KIND
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
"""No perturbation of any kind."""
SEEDED_STARTS = replace(CALM, start_twist=(0.2, 0.2, 0.2, 0.0, 0.0, 0.0), start_joints=0.05)
"""Perturbed initial states: joints +-0.05 rad, root +-0.2 m/s."""
Cfg = TypeVar("Cfg", bound=EvalCfg)


@dataclass(frozen=True)
class EvalInputs:
    """Checkpoint and motions of an evaluation, without a simulator.

    Attributes:
        checkpoint: of the tracker.
        body: of its training.
        motions: reference motions.
        tags: motion name -> tags.
        splits: motion name -> ``train`` or ``test``.
    """

    checkpoint: Checkpoint
    body: Embodiment
    motions: tuple[Motion, ...]
    tags: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, str]

    def only(self, motions: Sequence[Motion]) -> EvalInputs:
        """Return the same with other motions."""
        return replace(self, motions=tuple(motions))


@dataclass(frozen=True)
class Setup:
    """Evaluation set-up: policy, task and simulator.

    Attributes:
        env: the task with ``starts`` environments a clip, clip after clip.
        policy: mean actions.
        checkpoint: of the policy.
        starts: environments a clip.
        tags: clip name -> tags.
        splits: clip name -> ``train`` or ``test``.
    """

    env: TrackingEnv
    policy: Any
    checkpoint: Checkpoint
    starts: int
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)

    def play(self, on_step: Callable[[int, int], None] | None = None) -> Rollout:
        """Roll out every clip from its first frame."""
        library = self.env.library
        rows = library.start.repeat_interleave(self.starts)
        return play_clips(self.env, self.policy, rows, on_step)


def make_setup(cfg: EvalCfg, event: EventCfg = SEEDED_STARTS) -> Setup:
    """Load checkpoint, motions and one simulator.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: a device that is not there.
    """
    inputs = load_inputs(cfg)
    return build_setup(cfg, inputs, len(inputs.motions) * cfg.starts, event)


def load_inputs(
    cfg: EvalCfg,
    keep: Callable[[str, tuple[str, ...]], bool] | None = None,
    *,
    loop_seconds: float = 0.0,
    twins: bool = False,
) -> EvalInputs:
    """Load checkpoint and motions.

    Args:
        cfg: of the evaluation.
        keep: predicate on name and tags of a clip; all by default.
        loop_seconds: looping clips are repeated until they last at least this long [s].
        twins: add the mirrored and time-scaled clips of the training.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the checkpoint is of another body.
        ConfigError: a device that is not there.
    """
    require_device(cfg.device)
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    trained = checkpoint.header.config
    body = catalogue.trained(trained, checkpoint.header.body, str(checkpoint.path))
    source = cfg.motions or trained.get("motions", "humanoid3d")
    retarget = checkpoint.header.section(RetargetCfg, "retarget")
    retarget = replace(retarget, min_seconds=max(retarget.min_seconds, loop_seconds))
    split = "" if cfg.split == "all" else cfg.split
    mirror = twins and bool(trained.get("mirror", False))
    tempos = tuple(trained.get("tempos", ())) if twins else ()
    found = load_motions(
        source, body, cfg.clips, retarget, split=split, mirror=mirror, tempos=tempos, keep=keep
    )
    names = [motion.name for motion in found.motions]
    return EvalInputs(
        checkpoint,
        body,
        found.motions,
        dict(zip(names, found.tags, strict=True)),
        dict(zip(names, found.splits, strict=True)),
    )


def build_setup(cfg: EvalCfg, inputs: EvalInputs, num_envs: int, event: EventCfg = SEEDED_STARTS) -> Setup:
    """Create one simulator with ``num_envs`` environments.

    Raises:
        InputError: no motion.
        MismatchError: the checkpoint is of another observation or rate.
    """
    checkpoint, body = inputs.checkpoint, inputs.body
    task = checkpoint.header.section(TrackingCfg, "task")
    event = _conditions(cfg, event, task.event)
    physics = checkpoint.header.section(SimCfg, "sim")
    physics = replace(
        physics, backend=cfg.sims[0], device=cfg.device, contacts=False, randomizable=event.varies_physics
    )
    if cfg.friction:
        physics = replace(physics, friction=cfg.friction)
    task = replace(
        task,
        observation=replace(task.observation, noise_scale=cfg.noise * task.observation.noise_scale),
        event=event,
        start=StartCfg(),
        reward=TRACKING_REWARDS,
    )
    library = MotionLibrary(inputs.motions, body, cfg.device)
    sim = make_sim(physics, body, num_envs, cfg.seed)
    env = TrackingEnv(task, sim, library, cfg.seed)
    checkpoint.require(env.observation_layout(), sim.dt)
    policy = checkpoint.policy(cfg.device)
    return Setup(env, policy, checkpoint, cfg.starts, inputs.tags, inputs.splits)


def in_each(cfg: Cfg, run: Callable[[Cfg], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of ``run`` in one simulator, or ``sims`` (name -> result) and ``spread`` of several.

    The spread is the range over simulators of each top-level number that is no field of ``cfg``.
    """
    if len(cfg.sims) == 1:
        return run(replace(cfg, sim=cfg.sims[0]))
    found: dict[str, dict[str, Any]] = {}
    for sim in cfg.sims:
        found[sim] = run(replace(cfg, sim=sim, device="cpu" if sim == "mujoco" else cfg.device))
    spread: dict[str, float] = {}
    for key in next(iter(found.values())):
        values = [result.get(key) for result in found.values()]
        numbers = [value for value in values if isinstance(value, float)]
        if len(numbers) == len(values) and not hasattr(cfg, key):
            spread[key] = max(numbers) - min(numbers)
    return {"sims": found, "spread": spread}


def _conditions(cfg: EvalCfg, event: EventCfg, trained: EventCfg) -> EventCfg:
    """Return initial states of ``event`` with randomisation, friction and latency of ``cfg``."""
    if cfg.randomized:
        starts = {name: getattr(event, name) for name in ("start_pose", "start_twist", "start_joints")}
        event = replace(trained, push_seconds=(0.0, 0.0), **starts)
    if cfg.friction:
        event = replace(event, friction=(1.0, 1.0))
    if cfg.latency:
        event = replace(event, latency=(cfg.latency, cfg.latency))
    return event
