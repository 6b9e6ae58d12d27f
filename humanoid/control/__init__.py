"""Agents: from a state and a command to servo targets; commands become costs in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.control.agent import Agent
    from humanoid.control.commands import CommandCfg, CommandCosts
    from humanoid.control.guided import GuidedAgent, LoopCfg, Planner
    from humanoid.control.latent import LatentController
    from humanoid.control.rollout import metrics, perform
    from humanoid.control.tracker import Tracker, TrackerAgent
    from humanoid.skills import Skills

__all__ = [
    "Agent", "CommandCfg", "CommandCosts", "GuidedAgent", "LatentController", "LoopCfg", "Planner",
    "Skills", "Tracker", "TrackerAgent", "metrics", "perform",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "agent": ("Agent",),
        "commands": ("CommandCfg", "CommandCosts"),
        "guided": ("GuidedAgent", "LoopCfg", "Planner"),
        "humanoid.skills": ("Skills",),
        "latent": ("LatentController",),
        "rollout": ("metrics", "perform"),
        "tracker": ("Tracker", "TrackerAgent"),
    },
)
