"""Teacher motions: what a tracker performs while its student learns and while rollouts are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from humanoid.bodies import catalogue
from humanoid.bodies.embodiment import Embodiment
from humanoid.core.errors import MismatchError
from humanoid.core.paths import data_dir
from humanoid.datasets.sources import load_motions
from humanoid.motion.augment import MedleyCfg, medleys
from humanoid.motion.library import MotionLibrary
from humanoid.motion.motion import Motion
from humanoid.motion.stroll import StrollCfg, strolls
from humanoid.nn.checkpoint import Checkpoint, Header, digest, find
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.rl.checkpoints import KIND


@dataclass(frozen=True, kw_only=True)
class PerformCfg:
    """Which motions, of those that a tracker can perform."""

    motions: str | tuple[str, ...] = ""
    """Motion sets, files or folders; by default what the teacher learned."""
    clips: tuple[str, ...] = ()
    """Names or tags to keep of manifests; by default what the teacher learned."""
    split: str = ""
    """``train`` keeps back the manifests' test clips."""
    mirror: bool = True
    """Whether mirror images are performed, too, of clips whose manifest allows it."""
    tempos: tuple[float, ...] = ()
    """Factors: each clip is performed that many times as fast, too."""
    weights: dict[str, float] = field(default_factory=dict)
    """Clip or tag -> factor on how often it is drawn."""
    min_seconds: float = 10.0
    """Looping clips are repeated until they last this long [s]."""
    medley: MedleyCfg = field(default_factory=MedleyCfg)
    """Motions that go from clip to clip, performed beside the clips."""
    stroll: StrollCfg = field(default_factory=StrollCfg)
    """Walks that stop, stand and go back, made of clips and medleys and performed beside them."""


@dataclass(frozen=True)
class TeacherMotions:
    """A teacher and the motions that it performs.

    Attributes:
        teacher: a tracker.
        body: what it was trained with.
        motions: what it performs.
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
    """Load what a teacher shall perform, medleys and strolls among it.

    Raises:
        InputError: a motion is missing or malformed.
        MismatchError: the teacher's body is built differently here.
    """
    trained, source = teacher.header.config, str(teacher.path)
    body = catalogue.trained(trained, source)
    body.require_signature(teacher.header.body, source)
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
    extra = medleys(found.motions, body, cfg.medley, seed)
    extra += strolls([*found.motions, *extra], body, cfg.stroll, seed)
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
