"""Robots written by the tests: names and axes of Unitree's, round numbers for the rest.

Their MJCF has what makers' files have around the robot: a floor, lights, motors, sensors,
a key frame, a cylinder, a free joint or none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """One link: origin in its parent, hinge axis, range [rad], mass [kg] and shapes as XML."""

    name: str
    parent: str
    pos: str
    axis: str = ""
    joint: str = ""
    range: str = "-2.6 2.6"
    mass: float = 1.0
    shapes: str = ""
    quat: str = "1 0 0 0"


AXES = {
    "pitch": "0 1 0",
    "roll": "1 0 0",
    "yaw": "0 0 1",
    "knee": "0 1 0",
    "elbow": "0 1 0",
    "ankle": "0 1 0",
}


def _capsule(end: str, radius: float, start: str = "0 0 0") -> str:
    return f'<geom type="capsule" fromto="{start} {end}" size="{radius}"/>'


def _axis(name: str) -> str:
    return AXES[name.removesuffix("_link").rpartition("_")[2]]


def _mirrored(link: Link) -> Link:
    """Return the right twin of a left link: y flips, as do ranges about x and z."""
    x, y, z = link.pos.split()
    low, high = (float(value) for value in link.range.split())
    w, qx, qy, qz = (float(value) for value in link.quat.split())
    return Link(
        name=link.name.replace("left_", "right_"),
        parent=link.parent.replace("left_", "right_"),
        pos=f"{x} {-float(y)} {z}",
        axis=link.axis,
        joint=link.joint.replace("left_", "right_"),
        range=link.range if link.axis == "0 1 0" else f"{-high} {-low}",
        mass=link.mass,
        shapes=link.shapes,
        quat=f"{w} {-qx} {qy} {-qz}",
    )


def _chain(parent: str, suffix: str, *links: tuple[str, str, str, float, str]) -> list[Link]:
    """Return left links, each hanging on the one before: name, pos, range, mass, shapes."""
    made = []
    for name, pos, limits, mass, shapes in links:
        link = f"left_{name}_link"
        made.append(Link(link, parent, pos, _axis(link), f"left_{name}{suffix}", limits, mass, shapes))
        parent = link
    return made


_FOOT = "".join(_capsule(f"0.12 {y} -0.025", 0.01, f"-0.05 {y} -0.025") for y in (-0.025, 0.0, 0.025))


def g1_links() -> list[Link]:
    """Return the links of a robot like the G1, 29 hinges."""
    leg = _chain(
        "pelvis",
        "_joint",
        ("hip_pitch", "0 0.065 -0.1", "-2.5 2.9", 1.4, ""),
        ("hip_roll", "0 0.05 -0.03", "-0.5 3.0", 1.5, '<geom type="cylinder" size="0.05 0.03"/>'),
        ("hip_yaw", "0 0 -0.1241", "-2.7 2.7", 1.7, _capsule("0 0 -0.14", 0.05)),
        ("knee", "0 0 -0.18", "-0.09 2.9", 1.9, _capsule("0 0 -0.26", 0.04)),
        ("ankle_pitch", "0 0 -0.3", "-0.87 0.52", 0.1, ""),
        ("ankle_roll", "0 0 -0.02", "-0.26 0.26", 0.6, _FOOT),
    )
    arm = _chain(
        "torso_link",
        "_joint",
        ("shoulder_pitch", "0 0.1 0.25", "-3.0 2.7", 0.7, ""),
        ("shoulder_roll", "0 0.04 0", "-1.59 2.25", 0.6, ""),
        ("shoulder_yaw", "0 0 -0.1032", "-2.6 2.6", 0.7, _capsule("0 0 -0.06", 0.03)),
        ("elbow", "0.01 0 -0.08", "-1.05 2.09", 0.6, _capsule("0.08 0 0", 0.03)),
        ("wrist_roll", "0.1 0 -0.01", "-1.97 1.97", 0.1, ""),
        ("wrist_pitch", "0.04 0 0", "-1.6 1.6", 0.5, ""),
        ("wrist_yaw", "0.045 0 0", "-1.6 1.6", 0.3, _capsule("0.12 0 0", 0.03)),
    )
    waist = [
        Link("waist_yaw_link", "pelvis", "0 0 0", "0 0 1", "waist_yaw_joint", "-2.6 2.6", 0.3),
        Link("waist_roll_link", "waist_yaw_link", "0 0 0.04", "1 0 0", "waist_roll_joint", "-0.52 0.52", 0.1),
        Link(
            "torso_link", "waist_roll_link", "0 0 0", "0 1 0", "waist_pitch_joint", "-0.52 0.52", 7.8,
            _capsule("0 0 0.2", 0.09, "0 0 0.08") + '<geom type="sphere" size="0.06" pos="0 0 0.43"/>',
        ),
    ]  # fmt: skip
    root = Link(
        "pelvis", "", "0 0 0.79", mass=3.8, shapes='<geom type="sphere" size="0.07" pos="0 0 -0.08"/>'
    )
    return [root, *leg, *map(_mirrored, leg), *waist, *arm, *map(_mirrored, arm)]


def h1_links() -> list[Link]:
    """Return the links of a robot like the H1, 19 hinges, joints without ``_joint``."""
    foot = _capsule("0.14 0 -0.05", 0.015, "-0.04 0 -0.05")
    leg = _chain(
        "pelvis",
        "",
        ("hip_yaw", "0 0.09 -0.1742", "-0.43 0.43", 2.2, ""),
        ("hip_roll", "0.04 0 0", "-0.43 0.43", 2.2, ""),
        ("hip_pitch", "0 0.11 0", "-1.57 1.57", 4.1, _capsule("0 0 -0.36", 0.03)),
        ("knee", "0 0 -0.4", "-0.26 2.05", 1.7, _capsule("0 0 -0.36", 0.03)),
        ("ankle", "0 0 -0.4", "-0.87 0.52", 0.4, foot),
    )
    shoulder, *arm = _chain(
        "torso_link",
        "",
        ("shoulder_pitch", "0 0.155 0.43", "-2.87 2.87", 1.0, ""),
        ("shoulder_roll", "0 0.055 0", "-0.34 3.11", 0.8, ""),
        ("shoulder_yaw", "0 0 -0.1343", "-1.3 4.45", 0.8, _capsule("0 0 -0.18", 0.03)),
        ("elbow", "0.02 0 -0.2", "-1.25 2.61", 0.7, _capsule("0.28 0 -0.015", 0.03)),
    )
    torso = Link(
        "torso_link", "pelvis", "0 0 0", "0 0 1", "torso", "-2.35 2.35", 17.8,
        '<geom type="box" size="0.07 0.1 0.22" pos="0 0 0.25"/>',
    )  # fmt: skip
    root = Link("pelvis", "", "0 0 1.06", mass=5.4)
    arm = [shoulder, *arm]
    return [root, *leg, *map(_mirrored, leg), torso, *arm, *map(_mirrored, arm)]


def mjcf(links: list[Link], free: bool = True) -> str:
    """Return the MJCF of a robot with everything that makers put around it."""
    inner: dict[str, list[Link]] = {}
    for link in links:
        inner.setdefault(link.parent, []).append(link)

    def element(link: Link) -> str:
        hinge = ""
        if link.joint:
            hinge = f'<joint name="{link.joint}" axis="{link.axis}" range="{link.range}" damping="0.5"/>'
        elif free:
            hinge = '<freejoint name="floating_base_joint"/>'
        children = "".join(element(child) for child in inner.get(link.name, ()))
        return (
            f'<body name="{link.name}" pos="{link.pos}" quat="{link.quat}">{hinge}'
            f'<inertial pos="0 0 0.01" mass="{link.mass}" diaginertia="0.01 0.01 0.005"/>'
            f"{link.shapes}{children}</body>"
        )

    joints = [link.joint for link in links if link.joint]
    motors = "".join(f'<motor name="{joint}" joint="{joint}"/>' for joint in reversed(joints))
    return (
        '<mujoco model="robot"><compiler angle="radian"/>'
        '<asset><texture name="grid" type="2d" builtin="checker" width="8" height="8"/>'
        '<material name="grid" texture="grid"/></asset>'
        '<worldbody><light pos="0 0 3"/><geom name="floor" type="plane" size="0 0 1" material="grid"/>'
        f"{element(links[0])}"
        '<body name="table" pos="2 0 0.5"><geom type="box" size="0.3 0.3 0.5"/></body></worldbody>'
        f"<actuator>{motors}</actuator>"
        f'<sensor><jointpos joint="{joints[0]}"/></sensor></mujoco>'
    )
