"""Everything a guided episode needs, loaded and checked: skills, planner, motions, simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from humanoid.control.latent import Driver
from humanoid.datasets.sources import load_motions
from humanoid.motion.motion import Motion
from humanoid.nn.checkpoint import digest
from humanoid.planning.planner import Planner
from humanoid.planning.sampler import SamplerCfg
from humanoid.retarget.pipeline import RetargetCfg
from humanoid.sim import Simulator, make_sim, require_device
from humanoid.skills.skills import Skills
from humanoid.skills.teacher import PerformCfg, load_teacher

LOOP_SECONDS = 12.0
"""Looping clips are repeated until they last this long [s], so that keyframes fit in."""
GAIT = "walk"
"""Clips with this tag or, without tags, with this in their names are walks."""


@dataclass(frozen=True)
class Composer:
    """A planner and the skills that do what it plans.

    Attributes:
        planner: makes plans.
        skills: of the body that the plans are of.
    """

    planner: Planner
    skills: Skills

    @classmethod
    def load(
        cls, latent: str, diffusion: str, device: str = "cpu", sampler: SamplerCfg | None = None
    ) -> Composer:
        """Load two checkpoints that belong together.

        Raises:
            InputError: a file is missing, damaged or foreign.
            MismatchError: they are of other kinds, or not of each other.
            ConfigError: a device that is not there.
        """
        require_device(device)
        skills = Skills.load(latent, device)
        planner = Planner.load(diffusion, sampler, device)
        planner.model.require(skills.body, digest(latent), diffusion)
        return cls(planner, skills)

    def simulator(self, backend: str, count: int, seed: int = 0) -> Simulator:
        """Return bodies in the physics that the skills were learned in.

        Args:
            backend: ``genesis`` or ``mujoco``.
            count: number of bodies.
            seed: of the simulator.
        """
        physics = self.skills.physics(backend, str(self.planner.device))
        return make_sim(physics, self.skills.body, count, seed)

    def driver(self, sim: Simulator, seed: int = 0) -> Driver:
        """Return what holds planned latents in a simulator."""
        return Driver(sim, self.skills, self.planner.layout, seed)

    def motions(self, source: str | Sequence[str] = (), clips: Sequence[str] = ()) -> tuple[Motion, ...]:
        """Return motions to start from, walks unless ``clips`` are named.

        Args:
            source: manifests, files or folders; by default what the skills' checkpoint names. One that
                ships names what every machine has, which is less than what it learned.
            clips: names or tags.

        Raises:
            InputError: something named does not exist or is malformed.
        """
        header, cfg = self.skills.header, RetargetCfg()
        learned = header.section(PerformCfg, "perform")
        if not source:
            teacher = load_teacher(header.config.get("teacher", "")).header
            source = learned.motions or teacher.config.get("motions", "humanoid3d")
            clips, cfg = clips or learned.clips, teacher.section(RetargetCfg, "retarget")
        cfg = replace(cfg, min_seconds=max(cfg.min_seconds, LOOP_SECONDS))
        keep: Callable[[str, tuple[str, ...]], bool] | None = None if clips else is_walk
        return load_motions(source, self.skills.body, clips, cfg, keep=keep).motions


def is_walk(name: str, tags: tuple[str, ...]) -> bool:
    """Return whether a clip is a walk, by its tags or else its name."""
    return GAIT in tags if tags else GAIT in name
