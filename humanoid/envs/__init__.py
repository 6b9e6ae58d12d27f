"""Environments: commands, observations, rewards and terminations around a simulated scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.envs.commands import Avoid, Command, Imitate, Place, Pose, Reference, Velocity
    from humanoid.envs.env import ActionCfg, Env, EnvCfg, GoalEnvCfg, StepResult
    from humanoid.envs.events import EventCfg
    from humanoid.envs.guard import GuardCfg
    from humanoid.envs.observations import ObservationCfg, ObservationTerm
    from humanoid.envs.rewards import RewardTerm
    from humanoid.envs.sources import (
        CommandSource,
        PlaceCommandCfg,
        PlaceSource,
        VelocityCommandCfg,
        VelocitySource,
    )
    from humanoid.envs.starts import StartCfg
    from humanoid.envs.terms import BodyTensors, StepState
    from humanoid.envs.tracking import TrackingCfg, TrackingEnv

__all__ = [
    "ActionCfg", "Avoid", "BodyTensors", "Command", "CommandSource", "Env", "EnvCfg", "EventCfg",
    "GoalEnvCfg", "GuardCfg", "Imitate", "ObservationCfg", "ObservationTerm", "Place",
    "PlaceCommandCfg", "PlaceSource", "Pose", "Reference", "RewardTerm", "StartCfg", "StepResult",
    "StepState", "TrackingCfg", "TrackingEnv", "Velocity", "VelocityCommandCfg", "VelocitySource",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "commands": (
            "Avoid",
            "Command",
            "Imitate",
            "Place",
            "Pose",
            "Reference",
            "Velocity",
        ),
        "env": (
            "ActionCfg",
            "Env",
            "EnvCfg",
            "GoalEnvCfg",
            "StepResult",
        ),
        "events": ("EventCfg",),
        "guard": ("GuardCfg",),
        "observations": (
            "ObservationCfg",
            "ObservationTerm",
        ),
        "rewards": ("RewardTerm",),
        "sources": (
            "CommandSource",
            "PlaceCommandCfg",
            "PlaceSource",
            "VelocityCommandCfg",
            "VelocitySource",
        ),
        "starts": ("StartCfg",),
        "terms": (
            "BodyTensors",
            "StepState",
        ),
        "tracking": (
            "TrackingCfg",
            "TrackingEnv",
        ),
    },
)
