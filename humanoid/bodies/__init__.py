"""Embodiments read off their MJCF, their states, kinematics and posture."""

from humanoid.bodies import g1, h1, smpl
from humanoid.bodies.catalogue import EMBODIMENTS, configured, embodiment
from humanoid.bodies.embodiment import Embodiment, Landmark, Motor
from humanoid.bodies.kinematics import Kinematics
from humanoid.bodies.mirror import Mirror
from humanoid.bodies.posture import FALLEN_M, Posture
from humanoid.bodies.props import PropTrack
from humanoid.bodies.robot import Robot, build_robot
from humanoid.bodies.smpl import SmplCfg
from humanoid.bodies.smpl_model import SmplModelCfg, build_from_model
from humanoid.bodies.state import BodyState, ContactState, ObjectState, SceneState, cat, stack, where

__all__ = [
    "EMBODIMENTS", "FALLEN_M", "BodyState", "ContactState", "Embodiment", "Kinematics", "Landmark", "Mirror",
    "Motor", "ObjectState", "Posture", "PropTrack", "Robot", "SceneState", "SmplCfg", "SmplModelCfg",
    "build_from_model", "build_robot", "cat", "configured", "embodiment", "g1", "h1", "smpl", "stack",
    "where",
]  # fmt: skip
