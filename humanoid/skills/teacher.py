"""Teacher motions: references of the tracker during distillation and in recorded rollouts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import MismatchError
from humanoid.core.paths import data_dir
from humanoid.datasets.sources import load_motions
from humanoid.motion.augment import GraphWalkCfg, TimeWarpCfg, graph_walks, warped_walks
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import Checkpoint, Header, digest, find
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.rl.checkpoints import KIND


@dataclass(frozen=True, kw_only=True)
class PerformCfg:
    """Selection of the teacher motions."""

    motions: str | tuple[str, ...] = ""
    """Motion sets, files or folders; by default those of the teacher's training."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of manifests; by default those of the teacher's training."""
    split: str = ""
    """``train`` excludes the manifests' test clips."""
    mirror: bool = True
    """Add mirrored clips where the manifest allows it."""
    tempos: tuple[float, ...] = ()
    """Time scales: add each clip that many times as fast."""
    weights: dict[str, float] = field(default_factory=dict)
    """Clip or tag -> factor on its sampling weight."""
    min_seconds: float = 10.0
    """Looping clips are repeated until they last this long [s]."""
    medley: GraphWalkCfg = field(default_factory=GraphWalkCfg)
    """Motion-graph walks to add."""
    stroll: TimeWarpCfg = field(default_factory=TimeWarpCfg)
    """Time-warped walks to add, of clips and motion-graph walks."""


@dataclass(frozen=True)
class TeacherMotions:
    """A teacher and its motions.

    Attributes:
        teacher: a tracker.
        body: of its training.
        motions: its references.
        library: the same, packed on the device of the simulator.
    """

    teacher: Checkpoint
    body: Embodiment
    motions: tuple[Motion, ...]
    library: MotionLibrary


def load_teacher(path: str | Path = "") -> Checkpoint:
    """Return the tracker at ``path``, the shipped walker where that is empty.

    Raises:
        InputError: missing or damaged file.
        MismatchError: it is no tracker.
    """
    return Checkpoint.load(find(path, "walker.pt", data_dir("pretrained")), KIND)


def load_teacher_motions(cfg: PerformCfg, teacher: Checkpoint, device: str, seed: int) -> TeacherMotions:
    """Load teacher motions, with motion-graph walks and time-warped walks.

    Raises:
        InputError: a motion is missing or malformed.
        MismatchError: the teacher's body is built differently here.
    """
    trained, source = teacher.header.config, str(teacher.path)
    body = catalogue.trained(trained, teacher.header.body, source)
    retarget = teacher.header.section(RetargetCfg, "retarget")
    retarget = replace(retarget, min_seconds=max(retarget.min_seconds, cfg.min_seconds))
    motions = cfg.motions or trained.get("motions", "humanoid3d")
    clips = cfg.clips if cfg.motions or cfg.clips else tuple(trained.get("clips", ()))
    found = load_motions(
        motions,
        body,
        clips,
        retarget,
        split=cfg.split,
        mirror=cfg.mirror,
        tempos=cfg.tempos,
        weights=cfg.weights,
    )
    extra = graph_walks(found.motions, body, cfg.medley, seed)
    extra += warped_walks([*found.motions, *extra], body, cfg.stroll, seed)
    weights = [*found.weights, *[1.0] * len(extra)]
    everything = (*found.motions, *extra)
    return TeacherMotions(teacher, body, everything, MotionLibrary(everything, body, device, weights))


def require_teacher(header: Header, teacher: str | Path, where: str) -> None:
    """Check which tracker skills were distilled from.

    Args:
        header: of the skills.
        teacher: checkpoint of the tracker.
        where: the skills' checkpoint, for the message.

    Raises:
        InputError: the tracker's file is missing or damaged.
        MismatchError: it is another tracker.
    """
    made_with, given = header.parent, digest(teacher)
    if made_with != given:
        raise MismatchError(
            f"{where}: distilled from a tracker of digest {made_with}, {teacher} has {given}; "
            "name its own as teacher"
        )
