"""Captured clips onto an embodiment: Clips + Embodiment -> Motions, all frames in one batch.

A clip is brought to the control rate, its skeleton is understood (:mod:`.skeletons`,
:mod:`.anatomy`), targets are laid out (:mod:`.targets`), hinge angles are started from
rotations alone (:mod:`.hinges`) and solved for (:mod:`.ik`); velocities are differences on
the manifold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from humanoid.bodies.embodiment import Embodiment
from humanoid.bodies.kinematics import Kinematics
from humanoid.mocap.skeleton import Clip
from humanoid.motion.motion import Motion
from humanoid.retarget.anatomy import of_body
from humanoid.retarget.clean import without_calibration, without_echoes
from humanoid.retarget.contacts import ContactCfg, eased
from humanoid.retarget.hinges import starting_angles
from humanoid.retarget.ik import Ik, IkCfg, IkTargets, IkTrajectory
from humanoid.retarget.skeletons import skeleton_map
from humanoid.retarget.targets import Targets, targets
from humanoid.spatial import rotation as rot
from humanoid.spatial.signals import angular_velocity, derivative


@dataclass(frozen=True, kw_only=True)
class RetargetCfg:
    """How clips become motions."""

    fps: float = 50.0
    """Rate of the motion, the control rate."""
    min_seconds: float = 4.0
    """A looping clip is repeated until it lasts this long [s]."""
    skeleton_map: str = ""
    """YAML file that names the joints of an unusual skeleton; inferred from the skeleton by default."""
    device: str = "cpu"
    """Where to solve."""
    contact: ContactCfg = field(default_factory=ContactCfg)
    """Thresholds of contact labels."""
    ik: IkCfg = field(default_factory=IkCfg)
    """Weights of the IK targets."""


def retarget(clip: Clip, body: Embodiment, cfg: RetargetCfg | None = None) -> Motion:
    """Put one captured clip on a body; see :func:`retarget_all`."""
    return retarget_all([clip], body, cfg)[0]


def retarget_all(clips: Sequence[Clip], body: Embodiment, cfg: RetargetCfg | None = None) -> list[Motion]:
    """Put captured clips on a body.

    Args:
        clips: the takes; a looping one is unrolled with its displacement.
        body: an embodiment with landmarks.
        cfg: rate, repetition, weights; the defaults if None.

    Raises:
        InputError: a skeleton is not understood.
    """
    cfg = cfg or RetargetCfg()
    single = [without_echoes(clip) for clip in clips]
    cleaned = [without_calibration(clip) for clip, _ in single]
    takes = [clip.resampled(cfg.fps).unrolled(cfg.min_seconds) for clip, _ in cleaned]
    own = of_body(body)
    wanted = [targets(take, skeleton_map(take, cfg.skeleton_map), body, own, cfg.contact) for take in takes]
    motions: list[Motion | None] = [None] * len(clips)
    kinematics = Kinematics(body)
    kinds = [(target.names, tuple(target.carriers.items()), target.contact_names) for target in wanted]
    for kind in dict.fromkeys(kinds):  # one batch for each set of landmarks
        some = [index for index, other in enumerate(kinds) if other == kind]
        solved = solve([wanted[index] for index in some], body, cfg)
        for index, (root_pos, root_quat, angles, error) in zip(some, solved, strict=True):
            velocity, spin = derivative(root_pos, cfg.fps), angular_velocity(root_quat, cfg.fps)
            rates = derivative(angles, cfg.fps)
            take, target = takes[index], wanted[index]
            motions[index] = Motion(
                name=take.name,
                fps=cfg.fps,
                joint_names=body.joint_names,
                body_names=body.body_names,
                states=kinematics.state(root_pos, root_quat, angles, velocity, spin, rates),
                contact=torch.cat((target.contact, target.hands), -1),
                contact_names=(*target.contact_names, *target.hand_names),
                prop=target.props[0] if target.props else None,
                provenance={
                    "source": take.source,
                    "licence": take.licence,
                    "embodiment": body.name,
                    "scale": round(target.scale, 4),
                    "trimmed_frames": cleaned[index][1],
                    "frames_written_times": single[index][1],
                    "error_mm": round(1000 * error, 2),
                },
            )
    return [motion for motion in motions if motion is not None]


def solve(
    wanted: list[Targets], body: Embodiment, cfg: RetargetCfg
) -> list[tuple[Tensor, Tensor, Tensor, float]]:
    """Return root positions (T, 3) [m], rotations (T, 4), hinge angles (T, D) [rad] and mean error [m].

    All targets must name the same landmarks, carriers and contacts: they are one batch.
    """
    first = wanted[0]
    lengths = torch.tensor([len(target.pos_w) for target in wanted])
    starts = lengths.cumsum(0) - lengths
    turns = {segment: torch.cat([t.turns[segment] for t in wanted]) for segment in first.carriers}
    root_quat = turns["Pelvis"]
    planted = torch.cat([target.planted_w for target in wanted])
    offset = torch.tensor(body.landmarks["Pelvis"].offset)
    root_pos = planted[:, first.names.index("Pelvis")] - rot.rotate(root_quat, offset)
    angles = starting_angles(body, {first.carriers[s]: turn for s, turn in turns.items()}, starts)

    ik = Ik(body, first.names, first.carriers, first.contact_names, cfg.ik, cfg.device)
    order = ik.tree.joint.cpu()

    def last(x: Tensor) -> Tensor:
        """Return (T, ...) on the device with the frames last, contiguous."""
        return x.to(cfg.device).movedim(0, -1).contiguous()

    start = IkTrajectory(last(root_pos), last(rot.to_matrix(root_quat)), last(angles[:, order]))
    goals = IkTargets(
        last(planted),
        last(torch.stack([rot.to_matrix(turn) for turn in turns.values()], 1)),
        last(torch.cat([eased(target.contact) for target in wanted])),
    )
    trajectory = ik.solve(start, goals, starts)
    scaled = IkTargets(last(torch.cat([t.pos_w for t in wanted])), goals.rot, goals.contact)
    error = ik.residual(trajectory, scaled).mean(0).cpu()
    solved = torch.empty_like(angles)
    solved[:, order] = trajectory.angles.T.cpu()
    quat = rot.from_matrix(trajectory.root_rot.permute(2, 0, 1).cpu())
    parts = [x.split(lengths.tolist()) for x in (trajectory.root_pos.T.cpu(), quat, solved, error)]
    return [
        (pos, rot.unwrap_sign(rot.normalize(quat)), joints, float(miss.mean()))
        for pos, quat, joints, miss in zip(*parts, strict=True)
    ]
