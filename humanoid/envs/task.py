"""The tracking task's numbers: everything apart from body, motions and simulator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from humanoid.core.errors import ConfigError, nearest
from humanoid.envs import observations
from humanoid.envs.compiling import Compile
from humanoid.envs.events import EventCfg
from humanoid.envs.guard import GuardCfg
from humanoid.envs.observations import ObservationCfg
from humanoid.envs.rewards import RewardCfg
from humanoid.envs.starts import StartCfg
from humanoid.envs.terminations import TerminationCfg
from humanoid.motion.sampler import SamplerCfg


@dataclass(frozen=True, kw_only=True)
class ActionCfg:
    """How an action becomes servo targets."""

    around: Literal["reference", "default"] = "reference"
    """Targets are this pose plus ``action_scale * action``."""
    velocity_lead: bool = True
    """With ``reference``: add ``(Kd / Kp) dq_ref``, which cancels the servo's lag."""


@dataclass(frozen=True, kw_only=True)
class CurriculumCfg:
    """How failing gets stricter while a run learns."""

    body_distance: tuple[float, float] = (0.0, 0.0)
    """``termination.body_distance`` at first and in the end [m]; (0, 0): as it is configured."""
    samples: float = 0.0
    """Control steps of this process over which it moves from the first to the last."""

    def termination(self, cfg: TerminationCfg, samples: int) -> TerminationCfg:
        """Return the thresholds after so many control steps."""
        first, last = self.body_distance
        if not first and not last:
            return cfg
        share = min(1.0, samples / self.samples) if self.samples else 1.0
        return replace(cfg, body_distance=first + share * (last - first))


@dataclass(frozen=True, kw_only=True)
class TrackingCfg:
    """Everything that defines the task, apart from body, motions and simulator."""

    action: ActionCfg = field(default_factory=ActionCfg)
    observation: ObservationCfg = field(default_factory=ObservationCfg)
    reward: RewardCfg = field(default_factory=RewardCfg)
    termination: TerminationCfg = field(default_factory=TerminationCfg)
    curriculum: CurriculumCfg = field(default_factory=CurriculumCfg)
    event: EventCfg = field(default_factory=EventCfg)
    start: StartCfg = field(default_factory=StartCfg)
    sampler: SamplerCfg = field(default_factory=SamplerCfg)
    guard: GuardCfg = field(default_factory=GuardCfg)
    compile: Compile = "auto"
    """Whether the arithmetic of a step is compiled: ``auto`` on a GPU, ``always`` or ``never``."""


def check(cfg: TrackingCfg) -> None:
    """Refuse what would silently train something else.

    Raises:
        ConfigError: unknown or missing reward term, or a number that makes no sense.
    """
    _check_reward(cfg.reward)
    known = (*observations.TERMS, "history")
    for name in cfg.observation.noise:
        if name not in known:
            raise ConfigError(f"observation.noise: unknown term '{name}'{nearest(name, known)}")


def _check_reward(cfg: RewardCfg) -> None:
    known = RewardCfg()
    for group in ("weight", "sigma"):
        given, allowed = getattr(cfg, group), getattr(known, group)
        for name in given:
            if name not in allowed:
                raise ConfigError(f"reward.{group}: unknown term '{name}'{nearest(name, allowed)}")
        for name in allowed:
            if name not in given:
                raise ConfigError(
                    f"reward.{group} lacks '{name}': the group replaces the default, name all terms"
                )
    for name, sigma in cfg.sigma.items():
        if not sigma > 0.0:
            raise ConfigError(f"reward.sigma.{name} is {sigma:g}; it must be positive")
    if not cfg.groups:
        return
    members = [name for names in cfg.groups.values() for name in names]
    for name in members:
        if name not in cfg.weight:
            raise ConfigError(f"reward.groups: unknown term '{name}'{nearest(name, cfg.weight)}")
    for group, names in cfg.groups.items():
        # its advantage, brought to unit size as every group's, would be noise
        if not any(cfg.weight[name] for name in names):
            raise ConfigError(f"reward.groups.{group}: no term has a weight; put them into another group")
    for name in cfg.weight:
        if members.count(name) != 1:
            raise ConfigError(
                f"reward.groups: '{name}' stands in {members.count(name)} groups; one is needed"
            )
