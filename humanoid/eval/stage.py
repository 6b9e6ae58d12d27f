"""A tracker set up to perform: checkpoint, motions, simulator and task of an evaluation.

No pushes, no failure test, and unless asked for no noise on observations and no
randomised physics. Starts differ a little (joints, root velocity), because a simulator is
deterministic and identical copies say nothing.
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
"""Nothing happens to the body from outside."""
SEEDED_STARTS = replace(CALM, start_twist=(0.2, 0.2, 0.2, 0.0, 0.0, 0.0), start_joints=0.05)
"""Starts of the evaluation: joints +-0.05 rad, root +-0.2 m/s."""
Cfg = TypeVar("Cfg", bound=EvalCfg)


@dataclass(frozen=True)
class Repertoire:
    """A tracker and what it shall perform, before there is a simulator.

    Attributes:
        checkpoint: the tracker.
        body: what it was trained with.
        motions: what it shall perform.
        tags: name of a motion -> what it shows.
        splits: name of a motion -> ``train`` or ``test``.
    """

    checkpoint: Checkpoint
    body: Embodiment
    motions: tuple[Motion, ...]
    tags: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, str]

    def only(self, motions: Sequence[Motion]) -> Repertoire:
        """Return the same with other motions."""
        return replace(self, motions=tuple(motions))


@dataclass(frozen=True)
class Stage:
    """A tracker set up to perform: policy, task and library.

    Attributes:
        env: the task with ``starts`` environments a clip, clip after clip.
        policy: mean actions.
        checkpoint: where the policy comes from.
        starts: environments a clip.
        tags: name of a clip -> what it shows.
        splits: name of a clip -> ``train`` or ``test``.
    """

    env: TrackingEnv
    policy: Any
    checkpoint: Checkpoint
    starts: int
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)

    def play(self, on_step: Callable[[int, int], None] | None = None) -> Rollout:
        """Perform every clip from its first frame."""
        library = self.env.library
        rows = library.start.repeat_interleave(self.starts)
        return play_clips(self.env, self.policy, rows, on_step)


def set_stage(cfg: EvalCfg, event: EventCfg = SEEDED_STARTS) -> Stage:
    """Load checkpoint, motions and one simulator and refuse what does not fit.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the checkpoint is of another body, observation or rate.
        ConfigError: a device that is not there.
    """
    repertoire = load_repertoire(cfg)
    return build_stage(cfg, repertoire, len(repertoire.motions) * cfg.starts, event)


def load_repertoire(
    cfg: EvalCfg,
    keep: Callable[[str, tuple[str, ...]], bool] | None = None,
    *,
    loop_seconds: float = 0.0,
    twins: bool = False,
) -> Repertoire:
    """Load checkpoint and motions.

    Args:
        cfg: what to evaluate.
        keep: which clips, by name and tags; all by default.
        loop_seconds: looping clips are repeated until they last at least this long [s].
        twins: add the mirror images and other tempos if the tracker learned those.

    Raises:
        InputError: a file is missing or malformed.
        MismatchError: the checkpoint is of another body.
        ConfigError: a device that is not there.
    """
    require_device(cfg.device)
    checkpoint = Checkpoint.load(cfg.checkpoint, KIND)
    trained = checkpoint.header.config
    body = build_body(trained, checkpoint)
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
    return Repertoire(
        checkpoint,
        body,
        found.motions,
        dict(zip(names, found.tags, strict=True)),
        dict(zip(names, found.splits, strict=True)),
    )


def build_stage(
    cfg: EvalCfg, repertoire: Repertoire, num_envs: int, event: EventCfg = SEEDED_STARTS
) -> Stage:
    """Put a repertoire into one simulator with ``num_envs`` environments.

    Raises:
        InputError: no motion.
        MismatchError: the checkpoint is of another observation or rate.
    """
    checkpoint, body = repertoire.checkpoint, repertoire.body
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
    library = MotionLibrary(repertoire.motions, body, cfg.device)
    sim = make_sim(physics, body, num_envs, cfg.seed)
    env = TrackingEnv(task, sim, library, cfg.seed)
    checkpoint.require(env.observation_layout(), sim.dt)
    policy = checkpoint.policy(cfg.device)
    return Stage(env, policy, checkpoint, cfg.starts, repertoire.tags, repertoire.splits)


def build_body(trained: dict[str, Any], checkpoint: Checkpoint) -> Embodiment:
    """Build the body a checkpoint was trained with and compare it with the signature.

    Raises:
        MismatchError: the body that this version builds is another one.
    """
    body = catalogue.trained(trained, str(checkpoint.path))
    body.require_signature(checkpoint.header.body, str(checkpoint.path))
    return body


def in_each(cfg: Cfg, run: Callable[[Cfg], dict[str, Any]]) -> dict[str, Any]:
    """Return what ``run`` returns for the one simulator; for several, each by name.

    Several give ``sims`` (simulator -> its result) and ``spread`` (the largest difference
    between them of every number that all results have at their top and ``cfg`` does not set).
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
    """Return starts as in ``event`` and what else ``cfg`` asks for."""
    if cfg.randomized:
        starts = {name: getattr(event, name) for name in ("start_pose", "start_twist", "start_joints")}
        event = replace(trained, push_seconds=(0.0, 0.0), **starts)
    if cfg.friction:
        event = replace(event, friction=(1.0, 1.0))
    if cfg.latency:
        event = replace(event, latency=(cfg.latency, cfg.latency))
    return event
