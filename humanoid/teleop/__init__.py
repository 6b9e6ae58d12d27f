"""Teleoperation in the browser: the page, its session and the control loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanoid.core.lazy import lazy

if TYPE_CHECKING:
    from humanoid.teleop.controls import Controls, ControlsCfg, StickCommand
    from humanoid.teleop.gamepad import Gamepad, Sticks
    from humanoid.teleop.loop import Loop, ScriptedInput
    from humanoid.teleop.obstacles import Arena, Obstacle
    from humanoid.teleop.page import PageCfg, TeleopPage
    from humanoid.teleop.recorder import Recorder
    from humanoid.teleop.session import SessionCfg, TeleopCommand, TeleopSession
    from humanoid.teleop.walker import GuidedWalker, WalkerCfg

__all__ = [
    "Arena", "Controls", "ControlsCfg", "Gamepad", "GuidedWalker", "Loop", "Obstacle", "PageCfg",
    "Recorder", "ScriptedInput", "SessionCfg", "StickCommand", "Sticks", "TeleopCommand", "TeleopPage",
    "TeleopSession", "WalkerCfg",
]  # fmt: skip

__getattr__ = lazy(
    __name__,
    {
        "controls": ("Controls", "ControlsCfg", "StickCommand"),
        "gamepad": ("Gamepad", "Sticks"),
        "loop": ("Loop", "ScriptedInput"),
        "obstacles": ("Arena", "Obstacle"),
        "page": ("PageCfg", "TeleopPage"),
        "recorder": ("Recorder",),
        "session": ("SessionCfg", "TeleopCommand", "TeleopSession"),
        "walker": ("GuidedWalker", "WalkerCfg"),
    },
)
