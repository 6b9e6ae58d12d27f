"""A robot of one's own from its MJCF, trained to follow velocities: ``python examples/08_own_robot.py``."""

from pathlib import Path

import humanoid as hm
from humanoid.bodies import Embodiment, Landmark

MJCF = Path(__file__).with_name("biped.xml")  # hinges, position actuators, no floor
LEGS = ("left_thigh", "left_shin", "left_foot", "right_thigh", "right_shin", "right_foot")
FEET = ("left_foot", "right_foot")


def biped(path: str | None = None) -> Embodiment:
    """Build the robot; ``biped:PATH`` on the command line gives a path."""
    return Embodiment.from_mjcf(
        Path(path or MJCF).read_text(),
        name="biped",
        anchor="torso",  # its pose aligns references with the robot
        tracked=("torso", *LEGS),
        end_effectors=FEET,
        feet=FEET,
        default_joint_pos={"left_hip": -0.3, "left_knee": 0.6, "left_ankle": -0.3}
        | {"right_hip": -0.3, "right_knee": 0.6, "right_ankle": -0.3},
        landmarks={"Pelvis": Landmark(body="torso"), "Head": Landmark(body="torso", offset=(0, 0, 0.6))},
        t_pose={},
    )


hm.robots.register("biped", biped)
env = hm.make_env("velocity", body="biped", num_envs=32)
print(f"{env.body.num_joints} joints, {env.body.body_mass.sum():.0f} kg")
checkpoint = hm.train(env, run="runs/biped", samples=2 * 32 * 24)
print("saved", checkpoint)
